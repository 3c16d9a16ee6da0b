//! Images without a builder (HOST-016): a tar of a JSON configuration, one layer and a manifest, as docker saves them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;

use super::archive::{digest_of, pack};
use crate::LabError;
use crate::command::run;
use crate::files::{at, make_folder, write};

/// What programs of an image are found in, whatever they are called by.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What no program reads.
const LEFT_OUT: [&str; 6] = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/share/bash-completion",
    "usr/share/info",
];

/// Makes a folder of unpacked packages the root of a container: Debian's links, the users that programs ask for,
/// places to write.
pub(crate) fn finish_root(root: &Path) -> Result<(), LabError> {
    for name in LEFT_OUT {
        let _ = fs::remove_dir_all(root.join(name));
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        make_folder(&root.join("usr").join(name), 0o755)?;
        let link = root.join(name);
        symlink(format!("usr/{name}"), &link).map_err(at(&link))?;
    }
    let users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
    write(&root.join("etc/passwd"), users, 0o644)?;
    write(&root.join("etc/group"), "root:x:0:\nnobody:x:65534:\nnogroup:x:65534:\n", 0o644)?;
    make_folder(&root.join("run"), 0o755)?;
    make_folder(&root.join("tmp"), 0o1777)
}

/// Makes `archive` an image of the files below `root`, called `reference`.
pub(crate) fn make(
    root: &Path,
    entrypoint: &[&str],
    reference: &str,
    architecture: &str,
    archive: &Path,
) -> Result<(), LabError> {
    let folder = archive.with_extension("unfinished");
    make_folder(&folder, 0o755)?;
    let layer = folder.join("layer.tar");
    pack(root, &["."], &layer, false)?;
    let digest = digest_of(&layer)?;
    let configuration = json!({
        "architecture": architecture,
        "os": "linux",
        // The same bytes every time.
        "created": "1970-01-01T00:00:00Z",
        "config": {"Env": [PATH], "Entrypoint": entrypoint, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "kubespray-lab"}],
    });
    write(&folder.join("config.json"), &configuration.to_string(), 0o644)?;
    let name = format!("{}.json", digest_of(&folder.join("config.json"))?);
    fs::rename(folder.join("config.json"), folder.join(&name)).map_err(at(&folder))?;
    let manifest = json!([{"Config": name, "RepoTags": [reference], "Layers": ["layer.tar"]}]);
    write(&folder.join("manifest.json"), &manifest.to_string(), 0o644)?;
    pack(&folder, &["manifest.json", &name, "layer.tar"], archive, false)?;
    fs::remove_dir_all(&folder).map_err(at(&folder))
}

/// The root of an image that holds one static program at `place`.
pub(crate) fn root_of(program: &Path, place: &str, root: &Path) -> Result<(), LabError> {
    let target = root.join(place);
    if let Some(folder) = target.parent() {
        make_folder(folder, 0o755)?;
    }
    run("install", &[Path::new("--mode=0755"), program, target.as_path()]).map(|_| ())
}
