//! Certificates of the host, and requests for them.

use kubespray_resource::{
    Certificate, CertificateRequest, CertificateState, Content, Failure, KeyFile, KeyState, PathKind,
};
use rustls::pki_types::CertificateDer;

use crate::failure::impossible;
use crate::x509::{self, Key, KeyThere};
use crate::{Host, View, paths};

/// Where a new key lies until the certificate for it is there.
pub(crate) fn next(key_path: &str) -> String {
    format!("{key_path}.kubespray-next")
}

/// The host's clock, in seconds since 1970.
pub(crate) fn now_s(host: &dyn Host) -> i64 {
    i64::try_from(host.now_ms() / 1000).unwrap_or(i64::MAX)
}

/// What is at the paths of certificate and key. A link to another certificate counts as unreadable: it is
/// replaced, and what it leads to stays.
pub(crate) fn observe(view: &View<'_>, wish: &Certificate) -> Result<Option<CertificateState>, Failure> {
    let host = view.host;
    let authority = authority_of(wish)?;
    let Some(is) = host.metadata(&wish.path)? else { return Ok(None) };
    let bytes = if is.kind == PathKind::File { host.read(&wish.path)? } else { None };
    let der = bytes.as_deref().and_then(x509::first_certificate);
    let key = x509::read_key(host, &wish.key.path)?.map(|there| KeyState {
        fits: match (&there.key, &der) {
            (Some(key), Some(der)) => key.fits(der),
            _ => false,
        },
        mode: there.metadata.mode,
        owner: there.metadata.owner,
    });
    let facts = der.and_then(|der| x509::facts(&der, authority.as_ref(), now_s(host)));
    Ok(Some(CertificateState { facts, mode: is.mode, owner: is.owner, key }))
}

/// The authority that must have signed it; nothing where it is not known yet.
fn authority_of(wish: &Certificate) -> Result<Option<CertificateDer<'static>>, Failure> {
    let no_certificate = || impossible(format!("the authority of `{}` is no certificate", wish.path));
    match &wish.authority {
        Content::Output(_) => Ok(None),
        Content::Text(text) => x509::first_certificate(text.as_bytes()).map(Some).ok_or_else(no_certificate),
        _ => Err(no_certificate()),
    }
}

/// Puts the certificate that was given at its place, with the key that it is for; or only says who may do what.
///
/// The certificate must be all that is wished before anything is touched. Key and certificate are two files, so
/// a crash may leave a new key with the old certificate: that is a difference like any other, and heals.
pub(crate) fn apply(
    host: &dyn Host,
    wish: &Certificate,
    state: Option<&CertificateState>,
) -> Result<(), Failure> {
    let (key, staged) = (&wish.key, next(&wish.key.path));
    if state.is_some_and(|state| wish.compare(Some(state)).is_of_attributes()) {
        host.set_attributes(&key.path, key.mode, &key.owner)?;
        return Ok(host.set_attributes(&wish.path, wish.mode, &wish.owner)?);
    }
    let Content::Text(text) = &wish.from else {
        return Err(impossible(format!("what goes to `{}` is no text", wish.path)));
    };
    let der = x509::first_certificate(text.as_bytes())
        .ok_or_else(|| impossible(format!("what was given for `{}` is no certificate", wish.path)))?;
    let fits = |path: &str| -> Result<bool, Failure> {
        let key = x509::read_key(host, path)?.and_then(|there| there.key);
        Ok(key.is_some_and(|key| key.fits(&der)))
    };
    let is_staged = !fits(&key.path)?;
    if is_staged && !fits(&staged)? {
        let message = format!("the certificate that was given for `{}` is for another key", wish.path);
        return Err(
            Failure::of_host(message).hint("run it again: the key is asked for a new certificate then")
        );
    }
    check(host, wish, &der)?;
    paths::make_parents(host, &wish.path)?;
    if is_staged {
        host.rename(&staged, &key.path)?;
    } else {
        host.remove(&staged, false)?;
    }
    host.set_attributes(&key.path, key.mode, &key.owner)?;
    Ok(host.write(&wish.path, text.as_bytes(), wish.mode, &wish.owner)?)
}

/// Whether a certificate that was given is what is wished.
fn check(host: &dyn Host, wish: &Certificate, der: &CertificateDer<'_>) -> Result<(), Failure> {
    let given = CertificateState {
        facts: x509::facts(der, authority_of(wish)?.as_ref(), now_s(host)),
        mode: wish.mode,
        owner: wish.owner.clone(),
        key: Some(KeyState { fits: true, mode: wish.key.mode, owner: wish.key.owner.clone() }),
    };
    match wish.compare(Some(&given)).changes.first() {
        None => Ok(()),
        Some(change) => Err(impossible(format!(
            "the certificate that was given for `{}` has the wrong {}: {} in place of {}",
            wish.path,
            change.what,
            change.from.as_deref().unwrap_or("nothing"),
            change.to.as_deref().unwrap_or("nothing"),
        ))),
    }
}

/// Makes the key if there is none that is as wished, and gives a request for it in PEM.
pub(crate) fn request(host: &dyn Host, wish: &CertificateRequest) -> Result<String, Failure> {
    let staged = next(&wish.key.path);
    let key = match usable(host, &wish.key.path, &wish.key)? {
        Some(key) => key,
        None => match usable(host, &staged, &wish.key)? {
            Some(key) => key,
            None => {
                let key = Key::new(wish.key.algorithm)?;
                paths::make_parents(host, &staged)?;
                host.write(&staged, key.pem().as_bytes(), wish.key.mode, &wish.key.owner)?;
                key
            }
        },
    };
    key.request(&wish.subject, &wish.names)
}

/// A key that is as wished, also in mode and owner afterwards.
fn usable(host: &dyn Host, path: &str, wish: &KeyFile) -> Result<Option<Key>, Failure> {
    let Some(KeyThere { metadata, key: Some(key) }) = x509::read_key(host, path)? else { return Ok(None) };
    if !key.is(wish.algorithm) {
        return Ok(None);
    }
    if metadata.mode != wish.mode || metadata.owner != wish.owner {
        host.set_attributes(path, wish.mode, &wish.owner)?;
    }
    Ok(Some(key))
}
