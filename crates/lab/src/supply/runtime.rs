//! The part of a supply that Debian has: engine, network plugins, etcd, nginx, and the tools of images.

use std::fs;
use std::path::{Path, PathBuf};

use super::archive::{digest_of, pack};
use super::{Supply, SupplyFile, SupplyImage, debian, image, runc, site};
use crate::LabError;
use crate::command::run;
use crate::files::{at, make_folder, write};

/// Counts up when something else is made of the same packages.
const RECIPE: u32 = 2;

/// Where versions are as new as Kubernetes wants them (HOST-002, HOST-019).
const NEW: &str = "sid";
const NEW_PACKAGES: [&str; 5] =
    ["containerd", "runc", "etcd-server", "etcd-client", "containernetworking-plugins"];

/// Of images, in the suite of the hosts.
const STABLE: &str = "trixie";
const NGINX: [&str; 8] = [
    "nginx",
    "libnginx-mod-stream",
    "libc6",
    "libcrypt1",
    "libpcre2-8-0",
    "libssl3t64",
    "libzstd1",
    "zlib1g",
];
/// What kube-proxy calls, with the modules that it loads (HOST-015).
const IPTABLES: [&str; 10] = [
    "iptables",
    "libip4tc2",
    "libip6tc2",
    "libxtables12",
    "libmnl0",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "libnftnl11",
    "libc6",
    "libgcc-s1",
];
/// What programs need that are not static, as doubles may be.
const LIBRARIES: [&str; 2] = ["libc6", "libgcc-s1"];
const SHELL: &str = "busybox-static";

/// What the postinstall script of the package links, through Debian's alternatives.
const IPTABLES_NAMES: [&str; 6] =
    ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"];

/// nginx as upstream builds it has its streams built in; Debian's loads them.
const NGINX_GLOBALS: &str = "daemon off; load_module /usr/lib/nginx/modules/ngx_stream_module.so;";

/// What this part is known by.
pub(crate) fn recipe() -> String {
    let packages = [&NEW_PACKAGES[..], &NGINX[..], &IPTABLES[..], &[SHELL]].concat().join(" ");
    format!("{RECIPE} {NEW} {STABLE} {packages} {NGINX_GLOBALS} {} {}", runc::recipe(), site::NETWORK_SCRIPT)
}

/// The root that the image of kube-proxy stands on, below the folder of this part.
pub(crate) fn iptables_root(folder: &Path) -> PathBuf {
    folder.join("roots/iptables")
}

/// The root that images of programs stand on that are not static, below the folder of this part.
pub(crate) fn libraries_root(folder: &Path) -> PathBuf {
    folder.join("roots/libraries")
}

/// Makes the part in `folder`.
pub(crate) fn make(folder: &Path) -> Result<Supply, LabError> {
    let packages = folder.join("packages");
    make_folder(&packages, 0o755)?;
    let mut wanted: Vec<(&str, &str)> = NEW_PACKAGES.iter().map(|name| (*name, NEW)).collect();
    wanted.extend([&NGINX[..], &IPTABLES[..], &[SHELL]].concat().into_iter().map(|name| (name, STABLE)));
    wanted.sort_unstable();
    wanted.dedup();
    debian::fetch(&packages, &wanted)?;
    let mut maker = Maker::new(folder, &packages)?;
    maker.containerd()?;
    maker.runc()?;
    maker.etcd()?;
    maker.network_plugins()?;
    maker.nginx()?;
    maker.network()?;
    let root = libraries_root(folder);
    debian::unpack(&packages, &LIBRARIES, &root)?;
    image::finish_root(&root)?;
    let root = iptables_root(folder);
    debian::unpack(&packages, &IPTABLES, &root)?;
    image::finish_root(&root)?;
    for name in IPTABLES_NAMES {
        let link = root.join("usr/sbin").join(name);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink("xtables-nft-multi", &link).map_err(at(&link))?;
    }
    let supply = maker.supply;
    for unneeded in [packages, folder.join("work")] {
        fs::remove_dir_all(&unneeded).map_err(at(&unneeded))?;
    }
    Ok(supply)
}

struct Maker<'f> {
    folder: &'f Path,
    packages: &'f Path,
    architecture: String,
    supply: Supply,
}

impl<'f> Maker<'f> {
    fn new(folder: &'f Path, packages: &'f Path) -> Result<Maker<'f>, LabError> {
        for name in ["files", "images", "work"] {
            make_folder(&folder.join(name), 0o755)?;
        }
        Ok(Maker { folder, packages, architecture: debian::architecture()?, supply: Supply::default() })
    }

    /// A folder to unpack packages in, with them.
    fn unpacked(&self, names: &[&str]) -> Result<PathBuf, LabError> {
        let root = self.folder.join("work").join(names.first().copied().unwrap_or_default());
        debian::unpack(self.packages, names, &root)?;
        Ok(root)
    }

    /// Packs programs into a release file, below `prefix` there.
    fn release(
        &mut self,
        name: &str,
        version: &str,
        url: String,
        prefix: &str,
        programs: &[PathBuf],
    ) -> Result<(), LabError> {
        let stage = self.folder.join("work").join(format!("{name}-release"));
        let inner = stage.join(prefix);
        make_folder(&inner, 0o755)?;
        for program in programs {
            run("install", &[Path::new("--mode=0755"), program.as_path(), inner.as_path()])?;
        }
        let first = prefix.split('/').next().filter(|first| !first.is_empty()).unwrap_or(".");
        let path = PathBuf::from("files").join(base_name(&url));
        pack(&stage, &[first], &self.folder.join(&path), true)?;
        self.add(name, version, url, path)
    }

    fn add(&mut self, name: &str, version: &str, url: String, path: PathBuf) -> Result<(), LabError> {
        let sha256 = digest_of(&self.folder.join(&path))?;
        let (name, version) = (name.to_owned(), version.to_owned());
        let architecture = self.architecture.clone();
        self.supply.files.push(SupplyFile { name, version, architecture, url, path, sha256 });
        Ok(())
    }

    fn image(&mut self, root: &Path, entrypoint: &[&str], reference: String) -> Result<(), LabError> {
        let name = base_name(reference.split(':').next().unwrap_or(&reference)).to_owned();
        let archive = PathBuf::from("images").join(name + ".tar");
        image::make(root, entrypoint, &reference, &self.architecture, &self.folder.join(&archive))?;
        self.supply.images.push(SupplyImage { reference, archive });
        Ok(())
    }

    fn containerd(&mut self) -> Result<(), LabError> {
        let version = debian::version(self.packages, "containerd")?;
        let bin = self.unpacked(&["containerd"])?.join("usr/bin");
        let programs = ["containerd", "containerd-shim-runc-v2", "ctr"].map(|name| bin.join(name));
        let url = format!(
            "github.com/containerd/containerd/releases/download/v{version}/containerd-{version}-linux-{}.tar.gz",
            self.architecture
        );
        self.release("containerd", &version, url, "bin", &programs)
    }

    fn runc(&mut self) -> Result<(), LabError> {
        let version = debian::version(self.packages, "runc")?;
        let real = self.unpacked(&["runc"])?.join("usr/sbin/runc");
        let name = format!("runc.{}", self.architecture);
        let path = PathBuf::from("files").join(&name);
        runc::wrap(&real, &self.folder.join(&path))?;
        let url = format!("github.com/opencontainers/runc/releases/download/v{version}/{name}");
        self.add("runc", &version, url, path)
    }

    fn etcd(&mut self) -> Result<(), LabError> {
        let version = debian::version(self.packages, "etcd-server")?;
        let bin = self.unpacked(&["etcd-server", "etcd-client"])?.join("usr/bin");
        let stem = format!("etcd-v{version}-linux-{}", self.architecture);
        let url = format!("github.com/etcd-io/etcd/releases/download/v{version}/{stem}.tar.gz");
        self.release("etcd", &version, url, &stem, &["etcd", "etcdctl", "etcdutl"].map(|name| bin.join(name)))
    }

    fn network_plugins(&mut self) -> Result<(), LabError> {
        let name = "containernetworking-plugins";
        let version = debian::version(self.packages, name)?;
        let plugins = self.unpacked(&[name])?.join("usr/lib/cni");
        let entries = fs::read_dir(&plugins).map_err(at(&plugins))?;
        let programs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        let url = format!(
            "github.com/containernetworking/plugins/releases/download/v{version}/cni-plugins-linux-{}-v{version}.tgz",
            self.architecture
        );
        self.release("cni_plugins", &version, url, "", &programs)
    }

    /// The local load balancer of nodes.
    fn nginx(&mut self) -> Result<(), LabError> {
        let version = debian::version(self.packages, "nginx")?;
        let root = self.unpacked(&NGINX)?;
        image::finish_root(&root)?;
        for name in ["var/log/nginx", "var/lib/nginx"] {
            make_folder(&root.join(name), 0o755)?;
        }
        let entrypoint = ["/usr/sbin/nginx", "-g", NGINX_GLOBALS];
        self.image(&root, &entrypoint, format!("docker.io/library/nginx:{version}"))
    }

    /// What makes the pod network of the lab's sites.
    fn network(&mut self) -> Result<(), LabError> {
        let root = self.folder.join("work/network");
        let unpacked = self.unpacked(&[SHELL])?;
        let shell = ["bin/busybox", "usr/bin/busybox"].map(|name| unpacked.join(name));
        let shell = shell.iter().find(|path| path.is_file()).unwrap_or(&unpacked);
        image::root_of(shell, "bin/busybox", &root)?;
        write(&root.join("network.sh"), site::NETWORK_SCRIPT, 0o755)?;
        make_folder(&root.join("tmp"), 0o1777)?;
        self.image(&root, &["/bin/busybox", "sh", "/network.sh"], site::NETWORK_IMAGE.to_owned())
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
