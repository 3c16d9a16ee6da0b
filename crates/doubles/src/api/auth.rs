//! Who asks: certificates, tokens of hosts that join, tokens of service accounts, or nobody.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Api;
use super::kinds::known;
use super::status::Refusal;
use crate::net::server::Request;
use crate::net::tls::Clients;
use crate::{clock, pki};

/// Somebody.
#[derive(Clone, Debug, Default)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) uid: String,
}

/// By what users are known.
pub(crate) struct Authentication {
    pub(crate) clients: Option<Clients>,
    pub(crate) anonymous: bool,
    pub(crate) bootstrap_tokens: bool,
    /// Public keys of service accounts, in PEM.
    pub(crate) account_keys: Vec<String>,
    pub(crate) issuer: String,
}

const AUTHENTICATED: &str = "system:authenticated";

fn user(name: &str, groups: impl IntoIterator<Item = String>) -> User {
    let mut groups: BTreeSet<String> = groups.into_iter().collect();
    groups.insert(AUTHENTICATED.into());
    User { name: name.to_owned(), groups, uid: String::new() }
}

impl Api {
    pub(super) fn authenticate(&self, request: &Request) -> Result<User, Refusal> {
        let refused = |why: String| {
            crate::told(&format!("unauthorized {} {}: {why}", request.method, request.path));
            Refusal::new(401, "Unauthorized", "Unauthorized")
        };
        let by = &self.authentication;
        if let (Some(certificate), Some(clients)) = (&request.certificate, &by.clients) {
            clients.vouched(certificate).map_err(refused)?;
            let facts = pki::Facts::of(certificate).map_err(refused)?;
            if facts.name.is_empty() {
                return Err(refused("a certificate without a common name".into()));
            }
            return Ok(user(&facts.name, facts.organisations));
        }
        match request.header("authorization").split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                self.of_token(token.trim()).map_err(refused)
            }
            Some(_) => Err(refused("an unknown scheme".into())),
            None if by.anonymous => Ok(User {
                name: "system:anonymous".into(),
                groups: ["system:unauthenticated".to_owned()].into(),
                uid: String::new(),
            }),
            None => Err(refused("nobody".into())),
        }
    }

    /// Whose token it is.
    pub(super) fn of_token(&self, token: &str) -> Result<User, String> {
        match token.split_once('.') {
            Some((id, secret)) if !secret.contains('.') => self.of_bootstrap_token(id, secret),
            _ => self.of_account(token),
        }
    }

    fn of_bootstrap_token(&self, id: &str, secret: &str) -> Result<User, String> {
        if !self.authentication.bootstrap_tokens {
            return Err("bootstrap tokens are not enabled".into());
        }
        let kind = known("Secret").ok_or("no secrets")?;
        let found = self.store.get(&kind.key("kube-system", &format!("bootstrap-token-{id}")))?;
        let found = found.ok_or("an unknown bootstrap token")?.value;
        let data = |key: &str| -> String {
            let text = found.pointer(&format!("/data/{key}")).and_then(Value::as_str).unwrap_or_default();
            String::from_utf8(STANDARD.decode(text).unwrap_or_default()).unwrap_or_default()
        };
        if found["type"] != "bootstrap.kubernetes.io/token"
            || data("token-id") != id
            || data("token-secret") != secret
        {
            return Err("a bootstrap token with another secret".into());
        }
        if data("usage-bootstrap-authentication") != "true" {
            return Err("a bootstrap token that is not for authentication".into());
        }
        let ends = data("expiration");
        if !ends.is_empty() && clock::seconds(&ends).is_none_or(|ends| ends <= clock::now_s()) {
            return Err("an expired bootstrap token".into());
        }
        let extra = data("auth-extra-groups");
        let groups = extra.split(',').filter(|group| !group.is_empty()).map(str::to_owned);
        Ok(user(&format!("system:bootstrap:{id}"), groups.chain(["system:bootstrappers".to_owned()])))
    }

    fn of_account(&self, token: &str) -> Result<User, String> {
        let by = &self.authentication;
        let claims = pki::token_claims(&by.account_keys, token).ok_or("a token that nobody signed")?;
        if claims["iss"].as_str() != Some(by.issuer.as_str()) {
            return Err("a token of another issuer".into());
        }
        if claims["exp"].as_i64().is_none_or(|ends| ends <= clock::now_s()) {
            return Err("an expired token".into());
        }
        let text = |pointer: &str| claims.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) =
            (text("/kubernetes.io/namespace"), text("/kubernetes.io/serviceaccount/name"));
        let kind = known("ServiceAccount").ok_or("no service accounts")?;
        let account =
            self.store.get(&kind.key(namespace, name))?.ok_or("a token of an account that is gone")?.value;
        if account.pointer("/metadata/uid").and_then(Value::as_str)
            != Some(text("/kubernetes.io/serviceaccount/uid"))
        {
            return Err("a token of an account that is gone".into());
        }
        let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
        let mut out = user(&format!("system:serviceaccount:{namespace}:{name}"), groups);
        text("/kubernetes.io/serviceaccount/uid").clone_into(&mut out.uid);
        Ok(out)
    }

    /// A token of a service account.
    pub(super) fn account_token(&self, account: &Value, request: &Value) -> Result<Value, Refusal> {
        let key =
            self.account_key.as_ref().ok_or_else(|| Refusal::store("no key of service accounts".into()))?;
        let text =
            |pointer: &str| account.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let lasts =
            request.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(3600).max(600);
        let (namespace, name, uid) =
            (text("/metadata/namespace"), text("/metadata/name"), text("/metadata/uid"));
        let ends = clock::now_s() + lasts;
        let issuer = &self.authentication.issuer;
        let audiences = request.pointer("/spec/audiences").cloned().unwrap_or_else(|| json!([issuer]));
        let claims = json!({"iss": issuer, "aud": audiences, "exp": ends, "iat": clock::now_s(),
            "sub": format!("system:serviceaccount:{namespace}:{name}"),
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}}});
        let token = pki::token(key, &claims).map_err(Refusal::store)?;
        Ok(json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"audiences": audiences, "expirationSeconds": lasts},
            "status": {"token": token, "expirationTimestamp": clock::text(ends)}}))
    }
}
