//! What a host finds out of itself: health of its services, certificates, versions of programs.

use std::collections::BTreeMap;
use std::time::Duration;

use kubespray_resource::{Failure, Program};

use super::{Finding, words};
use crate::failure::last_lines;
use crate::kinds::certificate::now_s;
use crate::kubernetes::kubeconfig::{self, AccessError};
use crate::x509;
use crate::{Host, HttpIdentity, HttpRequest, Spawn};

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(10);

/// CHK-023, CHK-025.
pub(super) fn answers(host: &dyn Host, url: &str) -> Result<Option<Finding>, Failure> {
    let identity = HttpIdentity { insecure: true, ..HttpIdentity::default() };
    let request =
        HttpRequest { method: "GET", url, content_type: "", body: None, identity: &identity, timeout: LOOK };
    Ok(match words(host.http(&request))? {
        Err(why) => Some(
            Finding::new(why)
                .hint("nothing listens there: see its unit, or its pod with `crictl ps -a`, on the host"),
        ),
        Ok(response) if response.status == 200 => None,
        Ok(response) => Some(
            Finding::new(format!("`{url}` answers with status {}", response.status))
                .because(last_lines(&String::from_utf8_lossy(&response.body)))
                .hint("its log says why it is not well"),
        ),
    })
}

/// CHK-072.
pub(super) fn certificates(
    host: &dyn Host,
    files: &BTreeMap<String, String>,
    days: u32,
) -> Result<Option<Finding>, Failure> {
    let mut problems = Vec::new();
    for (path, authority) in files {
        let problem = match of_file(host, path)? {
            Err(why) => Some(why),
            Ok(pem) => {
                let authority = words(host.read(authority))?.ok().flatten();
                let authority = authority.as_deref().and_then(x509::first_certificate);
                let der = x509::first_certificate(pem.as_bytes());
                match der.and_then(|der| x509::facts(&der, authority.as_ref(), now_s(host))) {
                    None => Some("is no certificate".to_owned()),
                    Some(facts) if facts.is_signed == Some(false) => {
                        Some("was signed by another authority".to_owned())
                    }
                    Some(facts) if facts.is_signed.is_none() => {
                        Some("comes from an authority whose certificate is not there".to_owned())
                    }
                    Some(facts) => match facts.expires_in_days {
                        over if over < 0 => Some(format!("ended {} days ago", over.saturating_neg())),
                        left if left < i64::from(days) => Some(format!("ends in {left} days")),
                        _ => None,
                    },
                }
            }
        };
        problems.extend(problem.map(|why| format!("`{path}` {why}")));
    }
    let finding = Finding::of(problems, |many| format!("{many} certificates are not good"));
    Ok(finding.map(|finding| {
        finding.hint("`kubespray cluster` renews those of etcd; `k8s-certs-renew.sh` on a control plane renews the others")
    }))
}

/// The certificate of a file in PEM; in a kubeconfig that of its user.
pub(crate) fn of_file(host: &dyn Host, path: &str) -> Result<Result<String, String>, Failure> {
    let bytes = match words(host.read(path))? {
        Err(why) => return Ok(Err(format!("cannot be read: {why}"))),
        Ok(None) => return Ok(Err("is not there".into())),
        Ok(Some(bytes)) => bytes,
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if !text.contains("client-certificate") {
        return Ok(Ok(text));
    }
    match kubeconfig::read(host, path) {
        Ok(access) => Ok(access.identity.certificate.ok_or_else(|| "holds no certificate".to_owned())),
        Err(AccessError::Host(error)) => Ok(words(Err(error))?),
        Err(AccessError::Missing) => Ok(Err("is not there".into())),
        Err(AccessError::Bad(why)) => Ok(Err(why)),
    }
}

/// CHK-076.
pub(super) fn programs(host: &dyn Host, programs: &[Program]) -> Result<Option<Finding>, Failure> {
    let mut problems = Vec::new();
    for program in programs {
        let name = program.argv.first().map_or("", String::as_str);
        let spawn = Spawn { timeout: LOOK, ..Spawn::new(program.argv.iter().cloned()) };
        match words(host.run(&spawn))? {
            Err(why) => problems.push(format!("`{name}`: {why}")),
            Ok(output) => {
                let said = format!("{}\n{}", output.stdout, output.stderr);
                if !program.is_told_by(&said) {
                    let first =
                        said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("nothing");
                    problems.push(format!("`{name}` is not {}: it says `{first}`", program.version));
                }
            }
        }
    }
    let finding = Finding::of(problems, |many| format!("{many} programs are not as they must be"));
    Ok(finding
        .map(|finding| finding.hint("run `kubespray cluster`; `kubespray plan cluster` shows it first")))
}
