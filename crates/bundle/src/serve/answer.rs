//! What a request is answered with.

use std::fs::File as OpenFile;
use std::io::{Seek as _, SeekFrom};
use std::path::Path;

use kubespray_resource::Digest;
use serde_json::json;

use super::http::{Answer, Request};
use super::view::{Names, View};
use crate::oci::Descriptor;
use crate::reference::{is_repository, is_tag};

/// A page of a list, where a client wants no smaller one.
const PAGE: usize = 10_000;

/// Answers a request.
pub(super) fn answer(view: &View, request: &Request) -> Answer {
    let api = request.path.strip_prefix("/v2").filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let is_read = request.method == "GET" || request.method == "HEAD";
    match api {
        Some(_) if !is_read => {
            let message = "this registry only gives";
            error(405, "UNSUPPORTED", message).with("Allow", "GET, HEAD")
        }
        Some(rest) => registry(view, request, rest.trim_start_matches('/')),
        None if !is_read => Answer::empty(405).with("Allow", "GET, HEAD"),
        None => file(view, request),
    }
}

fn file(view: &View, request: &Request) -> Answer {
    let names = view.names();
    let path = request.path.trim_start_matches('/');
    if path.is_empty() {
        return Answer::bytes(200, "text/plain; charset=utf-8", names.listing().into_bytes());
    }
    match names.file(path, request.header("host")) {
        Some(found) => {
            let kind = content_type(&found.path);
            blob(&view.blob_path(&found.sha256), &found.sha256, found.size, request, kind)
        }
        None => Answer::bytes(404, "text/plain; charset=utf-8", b"not in this bundle\n".to_vec()),
    }
}

/// What a file is, by its name.
fn content_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "gz" | "tgz" => "application/gzip",
        "zst" => "application/zstd",
        "xz" => "application/x-xz",
        "tar" => "application/x-tar",
        "yaml" | "yml" => "application/yaml",
        "json" => "application/json",
        "txt" | "sha256" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// The distribution protocol of OCI, below `/v2/`.
fn registry(view: &View, request: &Request, path: &str) -> Answer {
    let names = view.names();
    if path.is_empty() {
        return of_api(Answer::bytes(200, "application/json", b"{}".to_vec()));
    }
    if path == "_catalog" {
        return page(request, names.repositories.keys(), |found| json!({"repositories": found}));
    }
    if let Some(name) = path.strip_suffix("/tags/list") {
        return match names.repositories.get(name) {
            Some(tags) => page(request, tags.keys(), |found| json!({"name": name, "tags": found})),
            None => no_repository(name),
        };
    }
    if let Some((name, wanted)) = path.rsplit_once("/manifests/") {
        return if names.repositories.contains_key(name) {
            manifest(view, &names, request, name, wanted)
        } else {
            no_repository(name)
        };
    }
    if let Some((name, wanted)) = path.rsplit_once("/blobs/") {
        if !names.repositories.contains_key(name) {
            return no_repository(name);
        }
        let Some(digest) = wanted.strip_prefix("sha256:").and_then(Digest::parse) else {
            return error(400, "DIGEST_INVALID", &format!("{wanted} is no digest of the kind sha256"));
        };
        return match names.blob(&digest) {
            Some(size) => {
                let path = view.blob_path(&digest);
                of_api(blob(&path, &digest, size, request, "application/octet-stream"))
                    .with("Docker-Content-Digest", format!("sha256:{digest}"))
            }
            None => error(404, "BLOB_UNKNOWN", &format!("no blob {wanted}")),
        };
    }
    error(404, "NAME_UNKNOWN", "no such path in this registry")
}

fn no_repository(name: &str) -> Answer {
    if is_repository(name) || name.contains(':') {
        error(404, "NAME_UNKNOWN", &format!("no repository {name} in this bundle"))
    } else {
        error(400, "NAME_INVALID", "that is no name of a repository")
    }
}

fn manifest(view: &View, names: &Names, request: &Request, name: &str, wanted: &str) -> Answer {
    let unknown = |message: String| error(404, "MANIFEST_UNKNOWN", &message);
    let (found, by_tag) = match wanted.strip_prefix("sha256:") {
        Some(_) => match Digest::parse(wanted) {
            Some(digest) => (names.manifest(&digest), false),
            None => return error(400, "DIGEST_INVALID", &format!("{wanted} is no digest")),
        },
        None if is_tag(wanted) => (names.tagged(name, wanted, request.query("ns")), true),
        None => return error(400, "TAG_INVALID", "that is no tag"),
    };
    let Some(found) = found else { return unknown(format!("no image {name} with {wanted}")) };
    let accept = request.list("accept");
    let takes = |one: &&Descriptor| is_accepted(accept.as_deref(), &one.media_type);
    // Whoever asks for a tag and takes no index gets what most machines run, as other registries do it.
    let child = || names.usual_child(&found.digest).filter(|_| by_tag);
    let Some(found) = Some(found).filter(takes).or_else(|| child().filter(takes)) else {
        return unknown(format!("it is {}, which the request does not accept", found.media_type));
    };
    let path = view.blob_path(&found.digest);
    of_api(blob(&path, &found.digest, found.size, request, &found.media_type))
        .with("Docker-Content-Digest", format!("sha256:{}", found.digest))
}

fn is_accepted(accept: Option<&str>, media_type: &str) -> bool {
    let Some(accept) = accept else { return true };
    let types = accept.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
    types.into_iter().any(|one| one.is_empty() || ["*/*", "application/*", media_type].contains(&one))
}

fn of_api(answer: Answer) -> Answer {
    answer.with("Docker-Distribution-Api-Version", "registry/2.0")
}

/// An error as the specification of OCI writes it.
fn error(status: u16, code: &str, message: &str) -> Answer {
    let body = json!({"errors": [{"code": code, "message": message}]});
    of_api(Answer::bytes(status, "application/json", body.to_string().into_bytes()))
}

/// A part of a list: `n` names behind `last`.
fn page<'a>(
    request: &Request,
    all: impl Iterator<Item = &'a String>,
    body: impl Fn(Vec<&String>) -> serde_json::Value,
) -> Answer {
    let count = request.query("n").and_then(|n| n.parse().ok()).unwrap_or(PAGE).min(PAGE);
    let last = request.query("last").unwrap_or_default();
    let mut rest = all.filter(|name| name.as_str() > last);
    let found: Vec<&String> = rest.by_ref().take(count).collect();
    let more = found.last().filter(|_| rest.next().is_some());
    let link = more.map(|last| {
        let path = request.target.split('?').next().unwrap_or_default();
        format!("<{path}?n={count}&last={last}>; rel=\"next\"")
    });
    let answer = of_api(Answer::bytes(200, "application/json", body(found).to_string().into_bytes()));
    link.into_iter().fold(answer, |answer, link| answer.with("Link", link))
}

/// The bytes of a blob, or the part of them that is asked for.
fn blob(path: &Path, digest: &Digest, size: u64, request: &Request, content_type: &str) -> Answer {
    let tag = format!("\"sha256:{digest}\"");
    let names_it =
        |list: &str| list == "*" || list.split(',').any(|one| one.trim().trim_start_matches("W/") == tag);
    let with_tag = |answer: Answer| answer.with("ETag", tag.clone()).with("Accept-Ranges", "bytes");
    if request.list("if-none-match").is_some_and(|list| names_it(&list)) {
        return with_tag(Answer::empty(304));
    }
    // What is not as the list says is not given; `verify` tells.
    let file = OpenFile::open(path).ok().filter(|file| file.metadata().is_ok_and(|is| is.len() == size));
    let Some(mut file) = file else {
        return Answer::bytes(
            500,
            "text/plain; charset=utf-8",
            b"missing or broken in this bundle\n".to_vec(),
        );
    };
    let is_same = request.header("if-range").is_none_or(|one| one == tag);
    let range = request.header("range").filter(|_| is_same).and_then(|range| part(range, size));
    match range {
        None => with_tag(Answer::file(200, file, size)).with("Content-Type", content_type),
        Some(Err(())) => with_tag(Answer::empty(416)).with("Content-Range", format!("bytes */{size}")),
        Some(Ok((first, count))) => {
            if file.seek(SeekFrom::Start(first)).is_err() {
                return Answer::empty(500);
            }
            let last = first + count - 1;
            with_tag(Answer::file(206, file, count))
                .with("Content-Type", content_type)
                .with("Content-Range", format!("bytes {first}-{last}/{size}"))
        }
    }
}

/// First byte and number of bytes of a range; nothing for what is to be passed over, such as several ranges, and an
/// error for what is not there (RFC 9110, section 14).
fn part(range: &str, size: u64) -> Option<Result<(u64, u64), ()>> {
    let (first, last) = range.strip_prefix("bytes=")?.trim().split_once('-')?;
    if first.is_empty() {
        let count: u64 = last.parse().ok()?;
        let count = count.min(size);
        return Some(if count == 0 { Err(()) } else { Ok((size - count, count)) });
    }
    let first: u64 = first.parse().ok()?;
    let last = if last.is_empty() { u64::MAX } else { last.parse().ok()? };
    if last < first {
        return None;
    }
    if first >= size {
        return Some(Err(()));
    }
    Some(Ok((first, last.min(size - 1) - first + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_taken_as_the_standard_has_them() {
        for (range, expected) in [
            ("bytes=0-", Some(Ok((0, 10)))),
            ("bytes=4-", Some(Ok((4, 6)))),
            ("bytes=4-5", Some(Ok((4, 2)))),
            ("bytes=4-99", Some(Ok((4, 6)))),
            ("bytes=-3", Some(Ok((7, 3)))),
            ("bytes=-99", Some(Ok((0, 10)))),
            ("bytes=-0", Some(Err(()))),
            ("bytes=10-", Some(Err(()))),
            ("bytes=5-4", None),
            ("bytes=0-1,4-5", None),
            ("lines=0-1", None),
            ("bytes=x-", None),
            ("bytes=99999999999999999999-", None),
        ] {
            assert_eq!(part(range, 10), expected, "{range}");
        }
        assert_eq!(part("bytes=0-", 0), Some(Err(())));
    }

    #[test]
    fn types_are_accepted_as_clients_say() {
        let index = crate::oci::INDEX;
        assert!(is_accepted(None, index));
        assert!(is_accepted(Some("a/b, */*;q=0.1"), index));
        assert!(is_accepted(Some(&format!("a/b,{index}")), index));
        assert!(!is_accepted(Some("application/vnd.docker.distribution.manifest.v2+json"), index));
    }
}
