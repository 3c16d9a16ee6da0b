//! The part of a supply that is made of built programs: the release files and images of Kubernetes.

use std::fs;
use std::path::{Path, PathBuf};

use super::archive::{digest_of, pack};
use super::programs::{self, Programs};
use super::{Supply, SupplyFile, SupplyImage, debian, image, runtime};
use crate::LabError;
use crate::command::run;
use crate::files::{at, make_folder, write};

/// Counts up when something else is made of the same programs.
pub(crate) const RECIPE: &str = concat!("3 ", env!("CARGO_PKG_VERSION"));

const IMAGES: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"];

/// Stands for nerdctl, of which hosts only want a shell's completions.
const NERDCTL: (&str, &str) = (
    "2.2.1",
    "#!/bin/sh\ncase \"$1\" in\n    version | --version) echo 'nerdctl version 2.2.1' ;;\n    completion) echo '# none' ;;\n    \
     *) echo \"this stands for nerdctl and cannot $1\" >&2; exit 1 ;;\nesac\n",
);

/// Makes the part in `folder`; `debian` is the folder of the other part.
pub(crate) fn make(folder: &Path, programs: &Programs, debian: &Path) -> Result<Supply, LabError> {
    for name in ["files", "images", "work"] {
        make_folder(&folder.join(name), 0o755)?;
    }
    let architecture = debian::architecture()?;
    let mut maker = Maker { folder, debian, programs, architecture, supply: Supply::default() };
    let version = programs::version(maker.program("kubeadm")?, &["version", "-o", "short"])?;
    for name in ["kubeadm", "kubelet", "kubectl"] {
        maker.plain(name, &version)?;
    }
    maker.tools()?;
    for name in IMAGES {
        let place = format!("usr/local/bin/{name}");
        let entrypoint = format!("/{place}");
        maker.image(name, &place, &entrypoint, format!("registry.k8s.io/{name}:v{version}"))?;
    }
    maker.image("pause", "pause", "/pause", pause(maker.program("kubeadm")?, &version)?)?;
    if let Some(coredns) = programs.get("coredns") {
        let version = programs::version(coredns, &["-version"])?;
        let reference = format!("registry.k8s.io/coredns/coredns:v{version}");
        maker.image("coredns", "coredns", "/coredns", reference)?;
    }
    let supply = maker.supply;
    let work = folder.join("work");
    fs::remove_dir_all(&work).map_err(at(&work))?;
    Ok(supply)
}

/// The image of pause that kubeadm pulls itself, whatever the engine is told: the program of it says no version.
fn pause(kubeadm: &Path, version: &str) -> Result<String, LabError> {
    let (kubeadm, version) = (kubeadm.to_string_lossy(), format!("v{version}"));
    let arguments = ["config", "images", "list", "--kubernetes-version", &version];
    let listed = run(&kubeadm, &arguments)?;
    let found = listed.lines().map(str::trim).find(|line| line.starts_with("registry.k8s.io/pause:"));
    found.map(str::to_owned).ok_or_else(|| LabError::Command {
        command: format!("{kubeadm} {}", arguments.join(" ")),
        problem: format!("lists no image of pause but `{}`", listed.trim()),
    })
}

struct Maker<'p> {
    folder: &'p Path,
    debian: &'p Path,
    programs: &'p Programs,
    architecture: String,
    supply: Supply,
}

impl<'p> Maker<'p> {
    fn program(&self, name: &str) -> Result<&'p Path, LabError> {
        let found = self.programs.get(name).map(PathBuf::as_path);
        found.ok_or_else(|| LabError::NoProgram { program: name.to_owned() })
    }

    fn add(&mut self, name: &str, version: &str, url: String, path: PathBuf) -> Result<(), LabError> {
        let sha256 = digest_of(&self.folder.join(&path))?;
        let (name, version) = (name.to_owned(), version.to_owned());
        let architecture = self.architecture.clone();
        self.supply.files.push(SupplyFile { name, version, architecture, url, path, sha256 });
        Ok(())
    }

    /// A program that is released as it is. A copy: what somebody builds anew must not change under a running site.
    fn plain(&mut self, name: &str, version: &str) -> Result<(), LabError> {
        let path = Path::new("files").join(name);
        image::root_of(self.program(name)?, &path.to_string_lossy(), self.folder)?;
        let url = format!("dl.k8s.io/release/v{version}/bin/linux/{}/{name}", self.architecture);
        self.add(name, version, url, path)
    }

    /// A program in an archive, at `place` there.
    fn packed(
        &mut self,
        name: &str,
        program: &Path,
        version: &str,
        url: String,
        place: &str,
    ) -> Result<(), LabError> {
        let stage = self.folder.join("work").join(format!("{name}-release"));
        image::root_of(program, place, &stage)?;
        let path = Path::new("files").join(url.rsplit('/').next().unwrap_or(name));
        pack(&stage, &[place], &self.folder.join(&path), true)?;
        self.add(name, version, url, path)
    }

    fn tools(&mut self) -> Result<(), LabError> {
        let (programs, architecture) = (self.programs, self.architecture.clone());
        let github = |project: &str, version: &str, file: &str| {
            format!("github.com/{project}/releases/download/v{version}/{file}-linux-{architecture}.tar.gz")
        };
        if let Some(crictl) = programs.get("crictl") {
            let version = programs::version(crictl, &["--version"])?;
            let url = github("kubernetes-sigs/cri-tools", &version, &format!("crictl-v{version}"));
            self.packed("crictl", crictl, &version, url, "crictl")?;
        }
        if let Some(helm) = programs.get("helm") {
            let said = programs::version(helm, &["version", "--short"])?;
            // What follows a `+` is of the build.
            let version = said.split('+').next().unwrap_or_default();
            let url = format!("get.helm.sh/helm-v{version}-linux-{architecture}.tar.gz");
            self.packed("helm", helm, version, url, &format!("linux-{architecture}/helm"))?;
        }
        let double = self.folder.join("work/nerdctl");
        let (nerdctl, version) = match programs.get("nerdctl") {
            Some(nerdctl) => (nerdctl, programs::version(nerdctl, &["--version"])?),
            None => {
                write(&double, NERDCTL.1, 0o755)?;
                (&double, NERDCTL.0.to_owned())
            }
        };
        let url = github("containerd/nerdctl", &version, &format!("nerdctl-{version}"));
        self.packed("nerdctl", nerdctl, &version, url, "nerdctl")
    }

    /// An image of one program at `place`, over what it needs.
    fn image(
        &mut self,
        name: &str,
        place: &str,
        entrypoint: &str,
        reference: String,
    ) -> Result<(), LabError> {
        let (root, program) = (self.folder.join("work").join(name), self.program(name)?);
        let below = if name == "kube-proxy" {
            Some(runtime::iptables_root(self.debian))
        } else if programs::is_dynamic(program)? {
            Some(runtime::libraries_root(self.debian))
        } else {
            None
        };
        if let Some(below) = below {
            run("cp", &[Path::new("--archive"), below.as_path(), root.as_path()])?;
        }
        image::root_of(program, place, &root)?;
        let archive = Path::new("images").join(format!("{name}.tar"));
        image::make(&root, &[entrypoint], &reference, &self.architecture, &self.folder.join(&archive))?;
        self.supply.images.push(SupplyImage { reference, archive });
        // Space for the next.
        fs::remove_dir_all(&root).map_err(at(&root))
    }
}
