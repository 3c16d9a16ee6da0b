//! A member: its settings, its unit, how it starts, restarts and joins.

use kubespray_resource::{
    Disruption, EtcdExpected, EtcdHealth, EtcdKeep, EtcdMember, EtcdSeen, EtcdSnapshot, File, Line, Mode,
    Step, Token,
};

use super::Problem;
use super::cluster::{Cluster, Kind, Member, Stage};
use super::settings::{text, work_the_same};
use crate::components::{Chain, enabled, file, restarts};

/// The gate that a member waits for where all start together: more than half of them have all they need. systemd
/// waits 90 seconds for a member to find the others.
pub(crate) const READY: &str = "etcd-start";

/// The rollout in which members restart.
pub(crate) const ROLLOUT: &str = "etcd";

/// How long a cluster may take to be well, in seconds. A member with a large database reads for a while.
const HEALTHY_TIMEOUT_S: u64 = 300;

/// How long a new member may take to fetch the data of the others, in seconds.
const CATCH_UP_TIMEOUT_S: u64 = 900;

const SNAPSHOT_TIMEOUT_S: u64 = 600;
const INTERVAL_MS: u64 = 1_000;

/// The settings and the unit (ETCD-053).
pub(super) fn prepare<'a>(
    chain: &mut Chain<'_>,
    cluster: &Cluster<'a>,
    member: &Member<'a>,
) -> Result<(), Problem> {
    let kind = cluster.kind;
    let text = text(cluster, member)?;
    let present = cluster.live.settings.get(&member.host.name);
    let is_same = member.has_data && present.is_some_and(|present| work_the_same(present, &text));
    let settings = File { mode: Mode(0o640), ..file(kind.settings_path(), text) };
    let step = chain.add(kind.step("settings"), settings);
    if !is_same {
        restarts(step, kind.unit());
    }
    let path = format!("/etc/systemd/system/{}", kind.unit());
    let service = unit(&member.host.settings.kubernetes.bin_dir, kind.settings_path());
    restarts(chain.add(kind.step("service"), file(path, service)), kind.unit());
    Ok(())
}

fn unit(bin_dir: &str, settings: &str) -> String {
    format!(
        "[Unit]\n\
         Description=etcd\n\
         After=network.target\n\
         \n\
         [Service]\n\
         Type=notify\n\
         User=root\n\
         EnvironmentFile={settings}\n\
         ExecStart={bin_dir}/etcd\n\
         NotifyAccess=all\n\
         Restart=always\n\
         RestartSec=10s\n\
         LimitNOFILE=40000\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    )
}

/// Whether a member takes its turn: it is one of a cluster that answers.
fn rolls(cluster: &Cluster<'_>, member: &Member<'_>) -> bool {
    matches!(cluster.stage, Stage::Answering(_)) && member.has_data
}

/// Starts or restarts the member, and waits for it to be well.
///
/// In a cluster that answers, a member restarts only when enough others are well, and after a snapshot; a new one is
/// added as a learner, started, and votes when it has caught up. Without an answer there is nobody to ask: all start
/// together, and no snapshot can be made (ETCD-110).
pub(super) fn start<'a>(chain: &mut Chain<'_>, cluster: &Cluster<'a>, member: &Member<'a>) {
    let kind = cluster.kind;
    let joins = cluster.joins(member);
    if joins {
        let step = chain.add(kind.step("member"), membership(cluster, member, true));
        step.after = cluster.before_join(member);
    }
    restart(chain, cluster, member, "running");
    let learns = cluster.seen(member).is_some_and(|seen| seen.listed.learner);
    if joins || learns {
        chain.add(kind.step("voter"), membership(cluster, member, false));
    }
    let step = chain.add(kind.step("healthy"), health(cluster, member));
    if rolls(cluster, member) {
        take_turn(step);
    }
    // ETCD-059: from now on there is a cluster. The member itself does not read it again.
    if matches!(cluster.stage, Stage::New) {
        let starts_with = "ETCD_INITIAL_CLUSTER_STATE=".to_owned();
        let line = Some(format!("{starts_with}existing"));
        let path = kind.settings_path().into();
        chain.add(kind.step("state"), Line { path, starts_with, line });
    }
}

/// That a member serves, and keeps up with the others.
pub(super) fn health(cluster: &Cluster<'_>, member: &Member<'_>) -> EtcdHealth {
    EtcdHealth {
        client: cluster.client(member.host, true),
        expected: EtcdExpected::Names(vec![member.name.clone()]),
        when: None,
        lag: EtcdHealth::LAG,
        timeout_s: HEALTHY_TIMEOUT_S,
        interval_ms: INTERVAL_MS,
    }
}

/// A restart of what runs, or the start of what does not.
pub(super) fn restart(chain: &mut Chain<'_>, cluster: &Cluster<'_>, member: &Member<'_>, name: &str) {
    let kind = cluster.kind;
    let token = Token::restart_of(kind.unit());
    if rolls(cluster, member) {
        let present = cluster.seen(member).map(|seen| seen.listed.name.clone());
        let present = present.filter(|name| !name.is_empty()).unwrap_or_else(|| member.name.clone());
        let others = EtcdHealth {
            client: cluster.client(member.host, true),
            expected: EtcdExpected::Without(present),
            when: Some(token.clone()),
            lag: EtcdHealth::LAG,
            timeout_s: HEALTHY_TIMEOUT_S,
            interval_ms: INTERVAL_MS,
        };
        take_turn(chain.add(kind.step(&format!("{name}-others-healthy")), others));
        // Events are not worth it.
        if kind == Kind::Main && chain.is_first("etcd snapshot") {
            take_turn(chain.add("snapshot", snapshot(cluster, member, Some(token))));
        }
    }
    let step = chain.add(kind.step(name), enabled(kind.unit()));
    if rolls(cluster, member) {
        take_turn(step);
        step.disruption = Disruption::Quorum;
    } else if !cluster.joins(member) {
        step.gates.push(READY.into());
        if member.has_data {
            step.disruption = Disruption::Restart;
        }
    }
}

fn take_turn(step: &mut Step) {
    step.rollout = Some(ROLLOUT.into());
}

fn membership<'a>(cluster: &Cluster<'a>, member: &Member<'a>, learner: bool) -> EtcdMember {
    EtcdMember {
        client: cluster.client(member.host, false),
        name: member.name.clone(),
        peer_urls: vec![member.peer_url.to_owned()],
        moved_from: Vec::new(),
        learner,
        present: true,
        timeout_s: CATCH_UP_TIMEOUT_S,
    }
}

/// ETCD-100 to ETCD-106. Its folder is named by how far the log of the cluster is: names rise as those with dates
/// do, and a plan needs no clock.
pub(super) fn snapshot(cluster: &Cluster<'_>, member: &Member<'_>, when: Option<Token>) -> EtcdSnapshot {
    let etcd = &member.host.settings.etcd;
    let answer: &[EtcdSeen] = match cluster.stage {
        Stage::Answering(answer) => answer,
        _ => &[],
    };
    let index = answer.iter().filter_map(|seen| Some(seen.status.as_ref()?.raft_index)).max();
    let folder = etcd.etcd_backup_prefix.clone();
    EtcdSnapshot {
        client: cluster.client(member.host, true),
        path: format!("{folder}/etcd-{:020}/snapshot.db", index.unwrap_or_default()),
        when,
        keep: u32::try_from(etcd.etcd_backup_retention_count).ok().map(|count| EtcdKeep {
            folder,
            prefix: "etcd-".into(),
            count,
        }),
        timeout_s: SNAPSHOT_TIMEOUT_S,
    }
}
