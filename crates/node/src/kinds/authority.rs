//! Authorities and what they sign.

use kubespray_resource::{Authority, AuthorityState, Content, Failure, KeyState, Mode, Owner, Signature};
use rustls::pki_types::CertificateDer;

use super::certificate::{next, now_s};
use super::follow;
use crate::failure::impossible;
use crate::x509::{self, Key, Leaf};
use crate::{Host, View, paths};

/// An authority that is there and works; a failure where only a part of one is.
pub(crate) fn observe(view: &View<'_>, wish: &Authority) -> Result<Option<AuthorityState>, Failure> {
    let host = view.host;
    let path = &wish.certificate_path;
    let at = follow(host, path)?;
    let key = x509::read_key(host, &follow(host, &wish.key.path)?)?;
    let Some(is) = host.metadata(&at)? else {
        return match key {
            None => Ok(None),
            Some(_) => Err(Failure::of_host(format!(
                "the authority's key `{}` is there, its certificate `{path}` is not",
                wish.key.path
            ))
            .hint("put the certificate back from a backup or from another host that has it")
            .hint(
                "only where no certificate was ever signed with it: move the key away, and a new one is made",
            )),
        };
    };
    let text = certificate_text(host, path)?;
    let (der, facts) = x509::first_certificate(text.as_bytes())
        .and_then(|der| x509::authority_facts(&der).map(|facts| (der, facts)))
        .ok_or_else(|| broken(format!("`{path}` is no certificate in PEM")))?;
    if !facts.may_sign {
        return Err(broken(format!("`{path}` is the certificate of no authority")));
    }
    if facts.not_after < now_s(host) {
        return Err(Failure::of_host(format!("the time of the authority `{path}` is over"))
            .hint("check the clock of the host")
            .hint("a new authority takes new certificates on all hosts at once: it is not made by itself"));
    }
    let key = match key {
        Some(there) => match there.key {
            None => {
                return Err(broken(format!("the authority's key `{}` cannot be read", wish.key.path)));
            }
            Some(key) if !key.fits(&der) => {
                let message = format!("the key `{}` is not of the authority `{path}`", wish.key.path);
                return Err(broken(message));
            }
            Some(_) => Some(KeyState { fits: true, mode: there.metadata.mode, owner: there.metadata.owner }),
        },
        // Cut off after the certificate was written and before the key was put at its place.
        None if staged_fits(host, wish, &der)? => None,
        None => {
            let message =
                format!("the authority's certificate `{path}` is there, its key `{}` is not", wish.key.path);
            return Err(broken(message));
        }
    };
    Ok(Some(AuthorityState {
        certificate: text,
        subject: facts.subject,
        algorithm: facts.algorithm,
        not_before: facts.not_before,
        not_after: facts.not_after,
        mode: is.mode,
        owner: is.owner,
        key,
    }))
}

fn broken(message: String) -> Failure {
    Failure::of_host(message)
        .hint("put certificate and key back from a backup or from another host that has them")
}

/// The text of an authority's certificate, which is given to others.
fn certificate_text(host: &dyn Host, path: &str) -> Result<String, Failure> {
    let bytes = host.read(path)?.unwrap_or_default();
    let text = String::from_utf8(bytes).map_err(|_| broken(format!("`{path}` is no text")))?;
    if text.contains("PRIVATE KEY") {
        return Err(Failure::of_host(format!("`{path}` holds a private key beside the certificate"))
            .hint("the file goes to other hosts: take the key out of it"));
    }
    Ok(text)
}

fn staged_fits(host: &dyn Host, wish: &Authority, der: &CertificateDer<'_>) -> Result<bool, Failure> {
    let staged = x509::read_key(host, &next(&wish.key.path))?.and_then(|there| there.key);
    Ok(staged.is_some_and(|key| key.fits(der)))
}

/// Makes a new authority where none is; else only says who may do what.
///
/// The key of a new one lies beside its place until the certificate is written: whatever cuts this off, there is
/// no key at its place without the certificate, and no certificate without a key that fits.
pub(crate) fn apply(
    host: &dyn Host,
    wish: &Authority,
    state: Option<&AuthorityState>,
) -> Result<(), Failure> {
    let key_at = follow(host, &wish.key.path)?;
    let Some(state) = state else {
        let key = Key::new(wish.key.algorithm)?;
        let certificate = key.authority(&wish.subject, wish.days, now_s(host))?;
        paths::make_parents(host, &wish.key.path)?;
        paths::make_parents(host, &wish.certificate_path)?;
        let staged = next(&wish.key.path);
        host.write(&staged, key.pem().as_bytes(), wish.key.mode, &wish.key.owner)?;
        write_certificate(host, wish, &certificate)?;
        return Ok(host.rename(&staged, &wish.key.path)?);
    };
    if state.key.is_none() {
        host.rename(&next(&wish.key.path), &wish.key.path)?;
    }
    set(host, &key_at, wish.key.mode, &wish.key.owner)?;
    set(host, &follow(host, &wish.certificate_path)?, wish.certificate_mode, &wish.certificate_owner)
}

fn write_certificate(host: &dyn Host, wish: &Authority, text: &str) -> Result<(), Failure> {
    let (mode, owner) = (wish.certificate_mode, &wish.certificate_owner);
    Ok(host.write(&wish.certificate_path, text.as_bytes(), mode, owner)?)
}

fn set(host: &dyn Host, path: &str, mode: Mode, owner: &Owner) -> Result<(), Failure> {
    Ok(host.set_attributes(path, mode, owner)?)
}

/// Signs a request, and gives the certificate in PEM.
pub(crate) fn sign(host: &dyn Host, wish: &Signature) -> Result<String, Failure> {
    let Content::Text(request) = &wish.request else {
        return Err(impossible("a request for a certificate is no text"));
    };
    let path = &wish.ca_certificate_path;
    let authority = x509::first_certificate(certificate_text(host, path)?.as_bytes())
        .ok_or_else(|| broken(format!("`{path}` is no certificate in PEM")))?;
    let key = x509::read_key(host, &follow(host, &wish.ca_key_path)?)?
        .and_then(|there| there.key)
        .ok_or_else(|| broken(format!("the authority's key `{}` cannot be read", wish.ca_key_path)))?;
    let leaf = Leaf { subject: &wish.subject, names: &wish.names, usages: &wish.usages, days: wish.days };
    x509::sign(&authority, &key, request, &leaf, now_s(host))
}
