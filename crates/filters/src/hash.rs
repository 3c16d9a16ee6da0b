//! Checksums.

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, ErrorKind, Value};
use md5::Md5;
use sha1::{Digest, Sha1};
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};

use crate::support::{decoded, filters, str_or};

pub(crate) fn add(library: &mut Library) {
    filters!(library, "ansible.builtin.";
        "checksum" => sha1,
        "hash" => hash,
        "md5" => md5,
        "sha1" => sha1,
    );
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn digest<D: Digest>(value: &Value) -> Result<Value, Error> {
    let digest = match value {
        Value::Bytes(bytes) => D::digest(bytes),
        value => D::digest(decoded(value)?),
    };
    Ok(Value::str(hex(&digest)))
}

fn sha1(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    digest::<Sha1>(&value)
}

fn md5(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    digest::<Md5>(&value)
}

fn hash(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["hashtype"])?;
    let kind = str_or(args, 0, "hashtype", "sha1")?;
    match kind.to_lowercase().as_str() {
        "md5" => digest::<Md5>(&value),
        "sha1" | "sha-1" => digest::<Sha1>(&value),
        "sha224" | "sha-224" | "sha2-224" => digest::<Sha224>(&value),
        "sha256" | "sha-256" | "sha2-256" => digest::<Sha256>(&value),
        "sha384" | "sha-384" | "sha2-384" => digest::<Sha384>(&value),
        "sha512" | "sha-512" | "sha2-512" => digest::<Sha512>(&value),
        "sha512_224" | "sha512-224" => digest::<Sha512_224>(&value),
        "sha512_256" | "sha512-256" => digest::<Sha512_256>(&value),
        "sha3_224" | "sha3_256" | "sha3_384" | "sha3_512" | "blake2b" | "blake2s" | "shake_128"
        | "shake_256" | "ripemd160" | "sm3" | "md5-sha1" | "md4" | "whirlpool" => {
            Err(Error::new(ErrorKind::Refused, format!("the hash type `{kind}` is not supported"))
                .hint("use md5, sha1, sha224, sha256, sha384 or sha512"))
        }
        _ => Err(Error::of_value(format!("unsupported hash type {kind}"))),
    }
}
