//! From one version of etcd to another (ETCD-046, ETCD-050, ETCD-051).

use kubespray_resource::Line;

use super::Problem;
use super::cluster::{Cluster, Member};
use super::member::restart;
use crate::components::{Chain, restarts};

/// The first version without the store of API 2, which refuses to start on its leftovers.
const WITHOUT_V2: Numbers = (3, 6, 0);

/// The first version that can be rid of them.
const CLEARS_V2: Numbers = (3, 5, 26);

type Numbers = (u64, u64, u64);

/// The numbers of `3.6.14`, `v3.6.14` or `3.7.0-rc.1`.
fn numbers(text: &str) -> Option<Numbers> {
    let text = text.trim_start_matches('v').split(['-', '+']).next()?;
    let mut parts = text.split('.').map(|part| part.parse::<u64>().ok());
    Some((parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0)))
}

/// The version that a member runs, as it says itself.
fn running<'a>(cluster: &Cluster<'a>, member: &Member<'_>) -> Option<&'a str> {
    Some(cluster.seen(member)?.status.as_ref()?.version.as_str())
}

fn wished(member: &Member<'_>) -> String {
    member.host.settings.etcd.etcd_version.to_string()
}

/// Whether a new program is a reason to restart: it is of another version, or nobody knows.
pub(super) fn differs(cluster: &Cluster<'_>, host: &str) -> bool {
    let Some(member) = cluster.member(host) else { return false };
    running(cluster, member).and_then(numbers).is_none_or(|is| Some(is) != numbers(&wished(member)))
}

/// Whether the members may go from what they run to what is wished.
pub(super) fn may_follow(cluster: &Cluster<'_>) -> Result<(), Problem> {
    for member in &cluster.members {
        let wished = wished(member);
        let Some(is) = running(cluster, member) else { continue };
        let (Some(from), Some(to)) = (numbers(is), numbers(&wished)) else { continue };
        let host = &member.host.name;
        if let Some(message) = obstacle(from, to) {
            return Err(Problem {
                message: format!("etcd of `{host}` is `{is}`, and `{wished}` is wished: {message}"),
                hint: "set `etcd_version` to one that may follow".into(),
            });
        }
    }
    Ok(())
}

fn obstacle(from: Numbers, to: Numbers) -> Option<&'static str> {
    if (to.0, to.1) < (from.0, from.1) {
        return Some("it does not read the data of a newer one");
    }
    if from < CLEARS_V2 && to >= WITHOUT_V2 {
        return Some("3.5.26 or newer must come before 3.6");
    }
    (from.0 == to.0 && to.1 > from.1 + 1).then_some("no minor version may be left out")
}

/// Before the first version without the store of API 2: the member that still runs writes everything into the other
/// one and drops what it kept. Its settings for that are replaced right behind.
pub(super) fn prepare(chain: &mut Chain<'_>, cluster: &Cluster<'_>, member: &Member<'_>) {
    let from = running(cluster, member).and_then(numbers);
    let to = numbers(&wished(member));
    let crosses = member.has_data && from.is_some_and(|from| from < WITHOUT_V2) && to >= Some(WITHOUT_V2);
    if !crosses {
        return;
    }
    for (key, value) in
        [("SNAPSHOT_COUNT", "1"), ("MAX_WALS", "1"), ("MAX_SNAPSHOTS", "1"), ("ENABLE_V2", "false")]
    {
        let starts_with = format!("ETCD_{key}=");
        let line = Some(format!("{starts_with}{value}"));
        let path = cluster.kind.settings_path().into();
        let name = format!("without-v2-{}", key.to_lowercase().replace('_', "-"));
        let step = chain.add(cluster.kind.step(&name), Line { path, starts_with, line });
        restarts(step, cluster.kind.unit());
    }
    restart(chain, cluster, member, "without-v2");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_etcd_cannot_take_are_refused() {
        for (from, to, allowed) in [
            ("3.5.33", "3.5.33", true),
            ("3.5.33", "3.5.30", true),
            ("3.5.26", "3.6.14", true),
            ("3.5.25", "3.6.14", false),
            ("3.5.25", "3.5.33", true),
            ("3.6.14", "3.5.33", false),
            ("3.6.1", "3.6.14", true),
            ("3.4.30", "3.5.33", true),
            ("3.4.30", "3.6.14", false),
            ("v3.6.0-rc.1", "3.8.0", false),
        ] {
            let obstacle = obstacle(numbers(from).unwrap(), numbers(to).unwrap());
            assert_eq!(obstacle.is_none(), allowed, "{from} -> {to}: {obstacle:?}");
        }
        assert_eq!(numbers("3.6"), Some((3, 6, 0)));
        assert_eq!(numbers("newest"), None);
    }
}
