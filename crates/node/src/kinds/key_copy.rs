//! Copies of an authority's key.
//!
//! A copy is sealed with HPKE (RFC 9180) in base mode: X25519, HKDF-SHA256, AES-256-GCM. It is bound to the path of the
//! copy and to the offer. That the offer is the right host's is as sure as everything else that the controller says.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kubespray_resource::{
    Content, Failure, KeyCopy, KeyCopyState, KeyOffer, KeySealing, Mode, Owner, PathKind,
};
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};

use super::follow;
use crate::failure::impossible;
use crate::x509::{self, Key};
use crate::{Host, View, paths};

/// What the sealing is for, so that no text that was sealed for something else is ever taken for a key.
const PURPOSE: &[u8] = b"kubespray key copy 1";

/// How long each half of an offer is, in bytes.
const HALF: usize = 32;

/// Where the two halves of an offer lie until the copy is there.
fn offer_path(copy_path: &str) -> String {
    format!("{copy_path}.kubespray-offer")
}

/// Both halves of an offer.
struct Halves {
    public: Vec<u8>,
    private: HpkePrivateKey,
}

impl Halves {
    fn new() -> Result<Self, Failure> {
        let (HpkePublicKey(public), private) = SUITE
            .generate_key_pair()
            .map_err(|error| Failure::of_host(format!("an offer for a key could not be made: {error}")))?;
        Ok(Self { public, private })
    }

    /// An offer of ours that is there. One that somebody else could have put there is none.
    fn read(host: &dyn Host, path: &str) -> Result<Option<Self>, Failure> {
        let Some(is) = host.metadata(path)? else { return Ok(None) };
        if (is.kind, is.mode) != (PathKind::File, Mode::PRIVATE) || is.owner != Owner::root() {
            return Ok(None);
        }
        let bytes = host.read(path)?.unwrap_or_default();
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        let halves = text.split_once('\n').and_then(|(public, private)| {
            Some(Self { public: half(public)?, private: half(private)?.into() })
        });
        Ok(halves)
    }

    fn text(&self) -> String {
        format!("{}\n{}\n", STANDARD.encode(&self.public), STANDARD.encode(self.private.secret_bytes()))
    }
}

fn half(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim()).ok().filter(|bytes| bytes.len() == HALF)
}

/// What a sealed key is bound to beside the key that opens it.
fn bound_to(copy_path: &str, public: &[u8]) -> Vec<u8> {
    [copy_path.as_bytes(), b"\n", public].concat()
}

/// Makes an offer if there is none, and gives its public half.
pub(crate) fn offer(host: &dyn Host, wish: &KeyOffer) -> Result<String, Failure> {
    let path = offer_path(&wish.path);
    let halves = match Halves::read(host, &path)? {
        Some(halves) => halves,
        None => {
            let halves = Halves::new()?;
            paths::make_parents(host, &path)?;
            host.write(&path, halves.text().as_bytes(), Mode::PRIVATE, &Owner::root())?;
            halves
        }
    };
    Ok(STANDARD.encode(&halves.public))
}

/// Seals the key for whoever made the offer.
pub(crate) fn seal(host: &dyn Host, wish: &KeySealing) -> Result<String, Failure> {
    let (path, copy) = (&wish.key_path, &wish.copy_path);
    let no_offer = || impossible(format!("what was given to seal the key for `{copy}` is no offer"));
    let Content::Text(offer) = &wish.offer else { return Err(no_offer()) };
    let public = half(offer).ok_or_else(no_offer)?;
    let pem = host.read(&follow(host, path)?)?.filter(|pem| Key::parse(pem).is_some());
    let pem = pem.ok_or_else(|| {
        Failure::of_host(format!("the authority's key `{path}` cannot be read"))
            .hint("put it back from a backup or from another host that has it")
    })?;
    let bound = bound_to(copy, &public);
    let (EncapsulatedSecret(secret), sealed) = SUITE
        .seal(PURPOSE, &bound, &pem, &HpkePublicKey(public))
        .map_err(|error| Failure::of_host(format!("`{path}` could not be sealed: {error}")))?;
    Ok(format!("{}.{}", STANDARD.encode(secret), STANDARD.encode(sealed)))
}

/// The key that is there; a failure where it is not the authority's.
pub(crate) fn observe(view: &View<'_>, wish: &KeyCopy) -> Result<Option<KeyCopyState>, Failure> {
    let (host, path) = (view.host, &wish.path);
    let Some(there) = x509::read_key(host, &follow(host, path)?)? else { return Ok(None) };
    let Some(key) = there.key else {
        return Err(foreign(format!("the key `{path}` is there, and cannot be read")));
    };
    let is_checked = match &wish.authority {
        Content::Output(_) => false,
        _ if is_of_authority(&key, wish)? => true,
        _ => return Err(foreign(format!("the key `{path}` is not of the authority of this cluster"))),
    };
    let has_offer = host.metadata(&offer_path(path))?.is_some();
    Ok(Some(KeyCopyState { is_checked, mode: there.metadata.mode, owner: there.metadata.owner, has_offer }))
}

fn foreign(message: String) -> Failure {
    Failure::of_host(message)
        .hint("compare the authorities of the hosts that have one: the others must not be of another cluster")
        .hint(
            "if nobody needs this key any more, move it away: the host is given a copy of the right one then",
        )
}

fn is_of_authority(key: &Key, wish: &KeyCopy) -> Result<bool, Failure> {
    let der = match &wish.authority {
        Content::Text(text) => x509::first_certificate(text.as_bytes()),
        _ => None,
    };
    let der = der.ok_or_else(|| impossible(format!("the authority of `{}` is no certificate", wish.path)))?;
    Ok(key.fits(&der))
}

/// Puts the key that was sealed at its place, or only says who may do what; then what opened it goes. This order
/// leaves, whatever cuts it off, a key or what opens it.
pub(crate) fn apply(host: &dyn Host, wish: &KeyCopy, state: Option<&KeyCopyState>) -> Result<(), Failure> {
    match state {
        Some(_) => host.set_attributes(&follow(host, &wish.path)?, wish.mode, &wish.owner)?,
        None => {
            let pem = open(host, wish)?;
            let key = Key::parse(&pem)
                .ok_or_else(|| impossible(format!("what was sealed for `{}` is no key", wish.path)))?;
            if !is_of_authority(&key, wish)? {
                let message = format!("the key that was sealed for `{}` is not of its authority", wish.path);
                return Err(Failure::of_host(message)
                    .hint("check that certificate and key of the authority belong together on its holder"));
            }
            // In place of a link that leads nowhere: nobody else says where keys go.
            paths::make_parents(host, &wish.path)?;
            host.write(&wish.path, &pem, wish.mode, &wish.owner)?;
        }
    }
    Ok(host.remove(&offer_path(&wish.path), false)?)
}

/// The key that was sealed for this host.
fn open(host: &dyn Host, wish: &KeyCopy) -> Result<Vec<u8>, Failure> {
    let again = |why: &str| {
        Failure::of_host(format!("the key that was sealed for `{}` cannot be opened: {why}", wish.path))
            .hint("run it again: the key is sealed anew then")
    };
    let Content::Text(text) = &wish.from else {
        return Err(impossible(format!("what goes to `{}` is no sealed key", wish.path)));
    };
    let (secret, sealed) = text
        .split_once('.')
        .and_then(|(secret, sealed)| Some((half(secret)?, STANDARD.decode(sealed).ok()?)))
        .ok_or_else(|| again("it is no sealed key"))?;
    let halves = Halves::read(host, &offer_path(&wish.path))?
        .ok_or_else(|| again("what opens it is not there any more"))?;
    let bound = bound_to(&wish.path, &halves.public);
    SUITE
        .open(&EncapsulatedSecret(secret), PURPOSE, &bound, &sealed, &halves.private)
        .map_err(|_| again("it was sealed for somebody else, or changed on its way"))
}
