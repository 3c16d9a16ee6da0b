//! Arguments of bundles: everything that a site needs from elsewhere, in one folder.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Common, Output};

#[derive(Debug, Subcommand)]
pub(crate) enum Bundle {
    /// List all files and images that the hosts of an inventory need, with their digests and where they come from
    #[command(
        after_help = "Examples:\n  kubespray bundle list -i hosts.yaml\n  kubespray bundle list -i hosts.yaml --output json | jq -r '.images[].reference'"
    )]
    List(Box<BundleList>),
    /// Fetch all files and images that the hosts of an inventory need into a folder
    ///
    /// What they are is computed from the inventory; no host is asked. What is in the folder already is not fetched
    /// again, and what was cut off goes on. A second run fetches nothing. Where the inventory has `files_repo` and
    /// `registry_host`, things come from the servers that stand behind these names.
    ///
    /// Exit code: 0 when everything is there, 1 when something could not be fetched, 2 when the input cannot be read.
    #[command(
        after_help = "Examples:\n  kubespray bundle create -i inventory/mycluster/hosts.yaml --out bundle\n  kubespray bundle create -i hosts.yaml --out bundle --arch amd64,arm64\n  kubespray bundle create -i hosts.yaml --out bundle --image-archive registry.k8s.io/pause:3.10=pause.tar"
    )]
    Create(Box<BundleCreate>),
    /// Read every byte of a bundle and tell what is broken or missing
    ///
    /// Exit code: 0 when it is whole, 1 when it is not, 2 when it cannot be read.
    #[command(
        mut_arg("inventory", |argument| argument.required(false)),
        after_help = "Examples:\n  kubespray bundle verify bundle\n  kubespray bundle verify bundle -i inventory/mycluster/hosts.yaml"
    )]
    Verify(Box<BundleVerify>),
    /// Serve a bundle: files below the names of their servers, images as a registry; until Ctrl-C
    ///
    /// Only reads. What is added to the folder meanwhile is served, too. With -v, every request is a line.
    #[command(
        after_help = "Examples:\n  kubespray bundle serve bundle --listen 10.0.0.5:8080\n  kubespray bundle serve bundle --listen 10.0.0.5:443 --tls-cert tls.crt --tls-key tls.key"
    )]
    Serve(BundleServe),
}

#[derive(Debug, Args)]
pub(crate) struct BundleList {
    /// Architectures of hosts of which neither the inventory nor --facts tells any, such as amd64,arm64
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) arch: Vec<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct BundleCreate {
    /// The folder; made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Architectures of hosts of which neither the inventory nor --facts tells any, such as amd64,arm64
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) arch: Vec<String>,
    /// An image from an archive of `docker save`, `ctr images export` and the like, not from its registry
    #[arg(long, value_name = "REF=FILE")]
    pub(crate) image_archive: Vec<String>,
    /// One more image, such as one of workloads or of a manifest that names its own
    #[arg(long, value_name = "REF")]
    pub(crate) image: Vec<String>,
    /// A registry that speaks HTTP without TLS, such as registry.lan:5000
    #[arg(long, value_name = "REGISTRY")]
    pub(crate) plain_http: Vec<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct BundleVerify {
    /// The bundle
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Architectures of hosts of which neither the inventory nor --facts tells any, such as amd64,arm64
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) arch: Vec<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct BundleServe {
    /// The bundle
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:8080")]
    pub(crate) listen: SocketAddr,
    /// The server's certificate and those above it, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}
