//! A network plugin that users bring: manifests, or a Helm chart (`network_plugin/custom_cni`; spec NET-154,
//! NET-451 to NET-458, NET-485, APP-040).

use std::collections::BTreeMap;

use kubespray_resource::{Command, Content, File, Guard, Mode, Owner, Token};
use kubespray_spec::network::CustomCni;
use serde_json::{Value, json};

use super::super::common_crds::apply_file;
use super::super::objects::{NAMESPACE, kubeconfig};
use super::super::{Chain, file, helm};

pub(super) const COMPONENT: &str = "custom_cni";

/// How long a chart may take, as Helm reads it, and a bit more for its download, in seconds.
const CHART: (&str, u64) = ("5m", 420);

/// The objects of the plugin. Every change of a manifest or of the chart's values applies it again.
pub(super) fn objects(chain: &mut Chain<'_>, manifests: &BTreeMap<String, String>) {
    let host = chain.host;
    let Some(settings) = &host.settings().custom_cni else { return };
    if let Some(release) = set(settings.custom_cni_chart_release_name.as_ref()) {
        chart(chain, settings, release);
        return;
    }
    if settings.custom_cni_manifests.is_empty() {
        let hint = "list manifests in `custom_cni_manifests`, or set `custom_cni_chart_release_name`";
        chain.refuse("a network plugin of your own has neither manifests nor a chart", hint);
    }
    for path in &settings.custom_cni_manifests {
        let Some(text) = manifests.get(path) else {
            chain.refuse(
                format!("the manifest `{path}` could not be read"),
                "name a file that exists, by its path from the inventory",
            );
            continue;
        };
        let name = base_name(path).replace(".j2", "");
        let target = format!("{}/{name}", host.settings().kubernetes.kube_config_dir);
        let token = Token::from(format!("apply:custom-cni/{name}"));
        chain.add(format!("manifest-{name}"), file(&target, text)).notifies.push(token.clone());
        apply_file(chain, &format!("apply-{name}"), &target, Some(NAMESPACE), token);
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn set(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// A release of a chart, by Helm.
fn chart(chain: &mut Chain<'_>, settings: &CustomCni, release: &str) {
    let host = chain.host;
    let kubernetes = &host.settings().kubernetes;
    let Some(reference) = set(settings.custom_cni_chart_ref.as_ref()) else {
        chain.refuse("the chart of the network plugin is not named", "set `custom_cni_chart_ref`");
        return;
    };
    let Some(helm) = helm::install(chain) else { return };
    let values: BTreeMap<&String, &Value> = settings.custom_cni_chart_values.iter().collect();
    let version = set(settings.custom_cni_chart_version.as_ref());
    let repository = set(settings.custom_cni_chart_repository_name.as_ref())
        .zip(set(settings.custom_cni_chart_repository_url.as_ref()));
    // All that the release is made of: it changes when anything of it does. Values may hold secrets of users.
    let record = json!({
        "chart": reference, "version": version, "namespace": settings.custom_cni_chart_namespace,
        "repository": repository.map(|(name, url)| format!("{name} {url}")),
    });
    let text = format!("# {record}\n{}\n", serde_json::to_string_pretty(&values).unwrap_or_default());
    let values = format!("{}/custom-cni-values.yml", kubernetes.kube_config_dir);
    let [for_repository, for_release] =
        ["repository", "release"].map(|what| Token::from(format!("apply:custom-cni-{what}")));
    let wish = File {
        path: values.clone(),
        content: Content::Text(text),
        mode: Mode::PRIVATE,
        owner: Owner::root(),
        keep_content: false,
    };
    let step = chain.add("values", wish);
    step.notifies.extend(repository.map(|_| for_repository.clone()));
    step.notifies.push(for_release.clone());
    let environment = proxies(chain);
    let run = |argv: Vec<String>, stdin: Option<String>, token: Token| Command {
        argv,
        environment: environment.clone(),
        stdin,
        guards: vec![Guard::Pending(token)],
        timeout_s: CHART.1,
    };
    let words = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
    if let Some((name, url)) = repository {
        let mut argv = words(&[&helm, "repo", "add", "--force-update", name, url]);
        let mut stdin = None;
        if let Some(user) = set(settings.custom_cni_chart_repository_username.as_ref()) {
            argv.extend(words(&["--username", user, "--password-stdin"]));
            let secret = settings.custom_cni_chart_repository_password.as_ref();
            let host = &host.spec.name;
            stdin = secret.map(|_| format!("{{secret:{host}/custom_cni_chart_repository_password}}"));
        }
        chain.add("repository", run(argv, stdin, for_repository));
    }
    let kubeconfig = kubeconfig(&host);
    let namespace = settings.custom_cni_chart_namespace.as_str();
    let mut argv = words(&[&helm, "upgrade", "--install", release, reference, "--kubeconfig", &kubeconfig]);
    argv.extend(words(&["--namespace", namespace, "--create-namespace", "--values", &values]));
    argv.extend(words(&["--wait", "--timeout", CHART.0]));
    if let Some(version) = version {
        argv.extend(words(&["--version", version]));
    }
    chain.add("release", run(argv, None, for_release));
}

/// How servers of charts are reached.
fn proxies(chain: &Chain<'_>) -> BTreeMap<String, String> {
    let host = chain.host;
    let proxy = &host.settings().proxy;
    let no_proxy = host.site.spec.no_proxy.as_ref().and_then(|list| list.known());
    [("http_proxy", &proxy.http_proxy), ("https_proxy", &proxy.https_proxy), ("no_proxy", &no_proxy.cloned())]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.clone().filter(|text| !text.is_empty())?)))
        .collect()
}
