//! Files that are fetched only for others to be made of them.

use std::collections::{HashMap, HashSet};

use kubespray_resource::{Comparison, Resource, Step};

/// Takes their difference from downloads that nothing needs: those that are only sources, where something would be
/// made of them and nothing has to; and those that an earlier step of the host fetches.
pub(crate) fn spare(steps: &mut [(Step, Comparison)]) {
    // By host and path: whether something is made of the file now.
    let mut sources: HashMap<(String, String), bool> = HashMap::new();
    for (step, compared) in steps.iter() {
        if let Some(path) = step.resource.made_of() {
            let needed = sources.entry((step.host.clone(), path.to_owned())).or_default();
            *needed |= !compared.is_same() && !compared.is_of_attributes();
        }
    }
    let mut fetched: HashSet<(String, String)> = HashSet::new();
    for (step, compared) in steps.iter_mut() {
        let Resource::Download(wish) = &step.resource else { continue };
        let file = (step.host.clone(), wish.path.clone());
        let is_spare = wish.only_as_source && sources.get(&file) == Some(&false);
        if !compared.is_same() && (is_spare || !fetched.insert(file)) {
            *compared = Comparison::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use kubespray_resource::{Archive, Content, Digest, Download, File, Mode, Owner};

    use super::*;

    fn download(path: &str, only_as_source: bool) -> Resource {
        Download {
            path: path.into(),
            urls: Vec::new(),
            from_controller: false,
            digest: Digest::of(b""),
            mode: Mode::PUBLIC,
            owner: Owner::root(),
            proxy: None,
            no_proxy: String::new(),
            verify_tls: true,
            timeout_s: 1,
            only_as_source,
        }
        .into()
    }

    fn archive(path: &str) -> Resource {
        let (digest, owner) = (Digest::of(b""), Owner::root());
        Archive { path: path.into(), digest, members: Vec::new(), owner }.into()
    }

    fn copy(path: &str) -> Resource {
        let content = Content::CopyOf { path: path.into(), digest: Digest::of(b"") };
        let (mode, owner) = (Mode::PUBLIC, Owner::root());
        File { path: "/bin/x".into(), content, mode, owner, keep_content: false }.into()
    }

    /// Which steps still change, of those that differ in something.
    fn changing(steps: Vec<(&str, Resource, &str)>) -> String {
        let mut steps: Vec<(Step, Comparison)> = steps
            .into_iter()
            .enumerate()
            .map(|(at, (host, resource, differs))| {
                let mut compared = Comparison::default();
                if !differs.is_empty() {
                    compared.add(differs, None, None);
                }
                (Step::new(host, "c", "p", &at.to_string(), resource), compared)
            })
            .collect();
        spare(&mut steps);
        let left = steps.iter().filter(|(_, compared)| !compared.is_same());
        left.map(|(step, _)| step.id.as_str().to_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn files_are_fetched_for_what_is_made_of_them() {
        let source = || ("h", download("/d", true), "content");
        for (steps, expected) in [
            (vec![source(), ("h", archive("/d"), "")], ""),
            (vec![source(), ("h", archive("/d"), "/bin/x")], "h/c/0 h/c/1"),
            (vec![source(), ("h", copy("/d"), "mode")], "h/c/1"),
            (vec![source(), ("h", copy("/d"), "content"), ("h", archive("/d"), "")], "h/c/0 h/c/1"),
            // Nobody makes anything of it here.
            (vec![source(), ("h", archive("/other"), ""), ("g", archive("/d"), "")], "h/c/0"),
            (vec![("h", download("/d", false), "content"), ("h", archive("/d"), "")], "h/c/0"),
            (vec![("h", download("/d", true), ""), ("h", copy("/d"), "content")], "h/c/1"),
            // Once is enough.
            (vec![source(), source(), ("h", copy("/d"), "file")], "h/c/0 h/c/2"),
            (vec![source(), ("g", download("/d", true), "content")], "h/c/0 g/c/1"),
        ] {
            assert_eq!(changing(steps), expected);
        }
    }
}
