//! Kinds of objects that other components use (`kubernetes-apps/common_crds`; spec APP-015, APP-016).
//!
//! They are pinned releases, fetched like any file, and only by the host that applies them. Their definitions
//! are too large for the annotation of a client-side apply: the server applies them, as with all else.

use kubespray_resource::{Command, Guard, Mode, Step, Token};

use super::objects::{kubeconfig, kubectl};
use super::{Chain, directory, downloads};

/// Files that only the host which applies them makes something of.
pub(crate) const ARTEFACTS: [&str; 3] = ["calico_crds", "gateway_api_crds", "prometheus_operator_crds"];

/// How long the API server may take for a large file, in seconds.
const APPLY_S: u64 = 180;

/// Gateway API and the kinds of the Prometheus operator, where they are enabled.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    let folder = format!("{}/addons", host.settings().kubernetes.kube_config_dir);
    if let Some(settings) = &host.settings().gateway_api {
        chain.begin("gateway_api", "gateway_api");
        let folder = format!("{folder}/gateway_api");
        chain.add("folder", directory(&folder, Mode::EXECUTABLE));
        let channel = super::objects::text_of(settings.gateway_api_channel);
        install(chain, "gateway_api_crds", &format!("{folder}/{channel}-install.yaml"));
    }
    if host.settings().prometheus_operator_crds.is_some() {
        chain.begin("prometheus_operator_crds", "prometheus_operator_crds");
        let folder = format!("{folder}/prometheus_operator_crds");
        chain.add("folder", directory(&folder, Mode::EXECUTABLE));
        install(chain, "prometheus_operator_crds", &format!("{folder}/crds.yaml"));
    }
}

/// Fetches a file of definitions, puts it at a path, and applies it when it changed.
pub(crate) fn install(chain: &mut Chain<'_>, artefact: &'static str, path: &str) {
    let token = Token::from(format!("apply:{artefact}"));
    downloads::install(chain, artefact, None, path, Mode::PUBLIC).notifies.push(token.clone());
    apply_file(chain, &format!("apply-{artefact}"), path, None, token);
}

/// Applies a file of manifests when something that notifies the token changed.
pub(crate) fn apply_file<'c>(
    chain: &'c mut Chain<'_>,
    name: &str,
    path: &str,
    namespace: Option<&str>,
    token: Token,
) -> &'c mut Step {
    let mut argv = vec![
        kubectl(&chain.host),
        format!("--kubeconfig={}", kubeconfig(&chain.host)),
        "apply".to_owned(),
        "--server-side".to_owned(),
        "--force-conflicts".to_owned(),
        format!("--field-manager={}", kubespray_resource::FIELD_MANAGER),
        format!("--filename={path}"),
    ];
    argv.extend(namespace.map(|namespace| format!("--namespace={namespace}")));
    let command = Command {
        argv,
        environment: std::collections::BTreeMap::new(),
        stdin: None,
        guards: vec![Guard::Pending(token)],
        timeout_s: APPLY_S,
    };
    chain.add(name, command)
}
