//! Password hashes in the form of `/etc/shadow`.

use base64::Engine;
use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, ErrorKind, Value};
use md5::Md5;
use sha1::Digest;

use crate::support::{filters, need_int, optional, str_or, text};

pub(crate) fn add(library: &mut Library) {
    filters!(library, "ansible.builtin.";
        "password_hash" => password_hash,
    );
}

/// The digits of these hashes, which are no base64.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Most rounds we compute: beyond that a template would run for minutes.
const MOST_ROUNDS: i64 = 10_000_000;

fn could_not(what: &str) -> Error {
    Error::of_value(format!("could not hash the secret: {what}"))
}

struct Scheme {
    name: &'static str,
    least_salt: usize,
    most_salt: usize,
    /// Least, most and default number of rounds; `None` where there is no choice.
    rounds: Option<(i64, i64, i64)>,
}

fn scheme(name: &str) -> Result<Scheme, Error> {
    let sha = |name, rounds| Scheme {
        name,
        least_salt: 0,
        most_salt: 16,
        rounds: Some((1000, 999_999_999, rounds)),
    };
    Ok(match name {
        "sha512" | "sha512_crypt" => sha("sha512_crypt", 656_000),
        "sha256" | "sha256_crypt" => sha("sha256_crypt", 535_000),
        "md5" | "md5_crypt" => Scheme { name: "md5_crypt", least_salt: 0, most_salt: 8, rounds: None },
        "blowfish" | "bcrypt" => {
            Scheme { name: "bcrypt", least_salt: 22, most_salt: 22, rounds: Some((4, 31, 12)) }
        }
        other => {
            return Err(Error::of_value(format!("the hash type `{other}` is not supported"))
                .hint("use sha512, sha256, md5 or blowfish"));
        }
    })
}

fn random_salt(context: &Context<'_>, size: usize) -> String {
    let digit = || {
        let index = usize::try_from(context.world.random() % 64).unwrap_or(0);
        char::from(DIGITS.get(index).copied().unwrap_or(b'.'))
    };
    (0..size).map(|_| digit()).collect()
}

fn password_hash(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["hashtype", "salt", "salt_size", "rounds", "ident"])?;
    let Some(secret) = value.as_str() else {
        return Err(Error::of_type(format!("secret must be a text, not `{}`", value.type_name())));
    };
    let scheme = scheme(str_or(args, 0, "hashtype", "sha512")?)?;
    let salt = optional(args, 1, "salt").map(text).transpose()?.filter(|salt| !salt.is_empty());
    let salt_size = optional(args, 2, "salt_size").map(|size| need_int(size, "`salt_size`")).transpose()?;
    let rounds = match optional(args, 3, "rounds") {
        Some(Value::Str(rounds)) => Some(
            kubespray_value::parse_int(rounds, 10)
                .and_then(|rounds| rounds.as_i64())
                .ok_or_else(|| could_not("`rounds` is no integer"))?,
        ),
        Some(rounds) => Some(need_int(rounds, "`rounds`")?),
        None => None,
    }
    .filter(|rounds| *rounds != 0);
    let ident = str_or(args, 4, "ident", "2b")?;

    let size = match salt_size.filter(|size| *size != 0) {
        Some(size) => usize::try_from(size)
            .ok()
            .filter(|size| (scheme.least_salt..=scheme.most_salt).contains(size))
            .ok_or_else(|| could_not("`salt_size` is out of range"))?,
        None => scheme.most_salt,
    };
    let salt = salt.unwrap_or_else(|| random_salt(context, size));
    if !salt.bytes().all(|byte| DIGITS.contains(&byte)) {
        return Err(could_not("the salt may only have letters, digits, `.` and `/`"));
    }
    if salt.len() < scheme.least_salt || salt.len() > scheme.most_salt {
        return Err(could_not(&format!(
            "the salt must have {} to {} characters",
            scheme.least_salt, scheme.most_salt
        )));
    }
    if secret.contains('\0') {
        return Err(could_not("NUL is not allowed in a secret"));
    }
    if secret.len() > 4096 {
        return Err(could_not("the secret is longer than 4096 bytes"));
    }
    let rounds = match (scheme.rounds, rounds) {
        (None, None) => 0,
        (None, Some(_)) => return Err(Error::of_type("md5 knows no `rounds`")),
        (Some((_, _, default)), None) => default,
        (Some((least, most, _)), Some(rounds)) => {
            if !(least..=most).contains(&rounds) {
                return Err(could_not(&format!("`rounds` must be between {least} and {most}")));
            }
            rounds
        }
    };
    if rounds > MOST_ROUNDS || (scheme.name == "bcrypt" && rounds > 16) {
        return Err(Error::new(ErrorKind::Limit, format!("{rounds} rounds would take minutes")));
    }
    let hash = match scheme.name {
        "sha512_crypt" => sha_crypt_text('6', secret, &salt, rounds)?,
        "sha256_crypt" => sha_crypt_text('5', secret, &salt, rounds)?,
        "md5_crypt" => md5_crypt(secret.as_bytes(), &salt),
        _ => bcrypt_text(secret, &salt, rounds, ident)?,
    };
    Ok(Value::str(hash))
}

/// Writes up to three bytes, the lowest digit first.
fn push_digits(out: &mut String, bytes: [u8; 3], count: usize) {
    let mut bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
    for _ in 0..count {
        out.push(char::from(DIGITS[(bits & 63) as usize]));
        bits >>= 6;
    }
}

fn sha_crypt_text(id: char, secret: &str, salt: &str, rounds: i64) -> Result<String, Error> {
    let params = u32::try_from(rounds).ok().and_then(|rounds| sha_crypt::Params::new(rounds).ok());
    let params = params.ok_or_else(|| could_not("`rounds` is out of range"))?;
    let (secret, salt_bytes) = (secret.as_bytes(), salt.as_bytes());
    let hash = if id == '6' {
        sha_crypt::sha512_crypt(secret, salt_bytes, params).to_vec()
    } else {
        sha_crypt::sha256_crypt(secret, salt_bytes, params).to_vec()
    };
    // 5000 rounds are the ones that need no mention.
    let mention = if rounds == 5000 { String::new() } else { format!("rounds={rounds}$") };
    let mut out = format!("${id}${mention}{salt}$");
    let byte = |index: usize| hash.get(index).copied().unwrap_or(0);
    // Bytes go in groups of three, one of each third, rotated from group to group.
    let third = hash.len() / 3;
    let (mut a, mut b, mut c) = (0, third, third * 2);
    for _ in 0..third {
        push_digits(&mut out, [byte(a), byte(b), byte(c)], 4);
        (a, b, c) = if id == '6' { (b + 1, c + 1, a + 1) } else { (c + 1, a + 1, b + 1) };
    }
    if id == '6' {
        push_digits(&mut out, [0, 0, byte(63)], 2);
    } else {
        push_digits(&mut out, [0, byte(31), byte(30)], 3);
    }
    Ok(out)
}

fn md5_crypt(secret: &[u8], salt: &str) -> String {
    let salt_bytes = salt.as_bytes();
    let alternate = Md5::new().chain_update(secret).chain_update(salt_bytes).chain_update(secret).finalize();
    let mut hasher = Md5::new().chain_update(secret).chain_update(b"$1$").chain_update(salt_bytes);
    for index in 0..secret.len() {
        hasher.update([alternate[index % 16]]);
    }
    let mut bits = secret.len();
    while bits > 0 {
        let first = secret.first().copied().unwrap_or(0);
        hasher.update([if bits & 1 == 1 { 0 } else { first }]);
        bits >>= 1;
    }
    let mut hash = hasher.finalize();
    for round in 0..1000 {
        let mut hasher = Md5::new();
        let odd = round & 1 == 1;
        if odd {
            hasher.update(secret);
        } else {
            hasher.update(hash);
        }
        if round % 3 != 0 {
            hasher.update(salt_bytes);
        }
        if round % 7 != 0 {
            hasher.update(secret);
        }
        if odd {
            hasher.update(hash);
        } else {
            hasher.update(secret);
        }
        hash = hasher.finalize();
    }
    let mut out = format!("$1${salt}$");
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        push_digits(&mut out, [hash[a], hash[b], hash[c]], 4);
    }
    push_digits(&mut out, [0, 0, hash[11]], 2);
    out
}

fn bcrypt_text(secret: &str, salt: &str, cost: i64, ident: &str) -> Result<String, Error> {
    let version = match ident {
        "2a" | "$2a$" => bcrypt::Version::TwoA,
        "2y" | "$2y$" => bcrypt::Version::TwoY,
        "2b" | "$2b$" | "" => bcrypt::Version::TwoB,
        other => return Err(could_not(&format!("ident `{other}` is not supported"))),
    };
    // The last digit of a salt holds two bits only; the rest is dropped, as Ansible does.
    let mut digits = salt.to_owned();
    if let Some(index) = digits.pop().and_then(bcrypt_digit) {
        digits.push(char::from(BCRYPT_DIGITS[index & 0b11_0000]));
    }
    let raw = bcrypt::BASE_64.decode(&digits).ok().and_then(|raw| <[u8; 16]>::try_from(raw).ok());
    let raw = raw.ok_or_else(|| could_not("the salt must have 22 characters"))?;
    let cost = u32::try_from(cost).map_err(|_| could_not("`rounds` is out of range"))?;
    let parts = bcrypt::hash_with_salt(secret, cost, raw).map_err(|error| could_not(&error.to_string()))?;
    Ok(parts.format_for_version(version))
}

/// bcrypt has its own order of digits.
const BCRYPT_DIGITS: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn bcrypt_digit(digit: char) -> Option<usize> {
    BCRYPT_DIGITS.iter().position(|known| char::from(*known) == digit)
}
