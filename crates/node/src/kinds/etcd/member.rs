//! Members of a cluster.

use std::time::Duration;

use kubespray_resource::{
    EtcdChange, EtcdListed, EtcdMember, EtcdMemberState, EtcdQuorum, EtcdSeen, Failure,
};

use super::{Ctl, as_seen, health, pause, refused};
use crate::failure::impossible;
use crate::{Host, View};

/// How often a learner is asked to vote, which refuses until it has caught up, and a cluster for its members.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// The members of the cluster.
pub(crate) fn observe(view: &View<'_>, wish: &EtcdMember) -> Result<EtcdMemberState, Failure> {
    Ok(match as_seen(Ctl { host: view.host, client: &wish.client }.members())? {
        Ok(members) => EtcdMemberState { members, problem: None },
        Err(problem) => EtcdMemberState { members: Vec::new(), problem: Some(problem) },
    })
}

/// Adds, moves, promotes or removes the member, where that costs no quorum as the cluster is right now.
pub(crate) fn apply(host: &dyn Host, wish: &EtcdMember) -> Result<(), Failure> {
    let ctl = Ctl { host, client: &wish.client };
    let seen = health::look(host, &wish.client)?;
    if let Some(problem) = seen.problem {
        return Err(Failure::of_host(format!("the etcd cluster does not list its members: {problem}")).hint(
            "without a quorum no member can be added or removed: start members, or recover the cluster",
        ));
    }
    let listed: Vec<EtcdListed> = seen.members.iter().map(|seen| seen.listed.clone()).collect();
    let act = |change: EtcdChange<'_>, arguments: &[&str]| change_by(ctl, &seen.members, change, arguments);
    let urls = wish.peer_urls.join(",");
    match (wish.find(&listed), wish.present) {
        (None, false) => Ok(()),
        (Some(is), false) => {
            act(EtcdChange::Remove(&is.id), &["member", "remove", &is.id])?;
            until_it_answers(ctl, wish)
        }
        (None, true) => {
            if wish.peer_urls.is_empty() {
                return Err(impossible(format!("the member `{}` has no peer URL", wish.name)));
            }
            if wish.name.is_empty() || wish.name.starts_with('-') {
                return Err(impossible(format!("`{}` is no name of a member", wish.name)));
            }
            if let Some(other) = listed.iter().find(|member| member.name == wish.name) {
                return Err(impossible(format!(
                    "`{}` is the name of the member at {} already",
                    wish.name,
                    other.peer_urls.join(",")
                ))
                .hint("set `etcd_member_name` of the hosts so that each keeps its own name"));
            }
            let mut arguments = vec!["member", "add", &wish.name, "--peer-urls", &urls, "-w", "json"];
            let change = if wish.learner {
                arguments.push("--learner");
                EtcdChange::AddLearner
            } else {
                EtcdChange::Add
            };
            act(change, &arguments)
        }
        (Some(is), true) => {
            let same = is.peer_urls.len() == wish.peer_urls.len()
                && is.peer_urls.iter().all(|url| wish.peer_urls.contains(url));
            if !same {
                let arguments = ["member", "update", &is.id, "--peer-urls", &urls];
                act(EtcdChange::Move(&is.id), &arguments)?;
            }
            if is.learner && !wish.learner { promote(ctl, wish, is) } else { Ok(()) }
        }
    }
}

fn change_by(
    ctl: Ctl<'_>,
    members: &[EtcdSeen],
    change: EtcdChange<'_>,
    arguments: &[&str],
) -> Result<(), Failure> {
    if let Some(why) = EtcdQuorum::why_not(members, change) {
        let mut failure =
            Failure::of_host(why).hint("make the members well that are not, or remove them first");
        failure.evidence = members
            .iter()
            .filter_map(|seen| Some(format!("{} {}", seen.listed.label(), seen.problem.as_ref()?)))
            .collect();
        return Err(failure);
    }
    let output = ctl.run(arguments)?;
    if output.is_success() { Ok(()) } else { Err(refused(&ctl.spawn(&[], arguments, None).argv, &output)) }
}

/// Without the member that led the others agree on another one first, and answer nobody meanwhile.
fn until_it_answers(ctl: Ctl<'_>, wish: &EtcdMember) -> Result<(), Failure> {
    let deadline = ctl.host.now_ms().saturating_add(wish.timeout_s.saturating_mul(1000));
    while let Err(problem) = as_seen(ctl.members())? {
        if ctl.host.now_ms() >= deadline {
            let message =
                format!("etcd answers nobody {} s after `{}` left: {problem}", wish.timeout_s, wish.name);
            return Err(
                Failure::of_host(message).hint("look at `journalctl -u etcd` on the members that stay")
            );
        }
        pause(ctl.host, ASK_AGAIN)?;
    }
    Ok(())
}

/// Lets a learner vote as soon as it has caught up.
fn promote(ctl: Ctl<'_>, wish: &EtcdMember, is: &EtcdListed) -> Result<(), Failure> {
    let deadline = ctl.host.now_ms().saturating_add(wish.timeout_s.saturating_mul(1000));
    loop {
        // What was seen before the last wait is no longer true.
        let seen = health::look(ctl.host, &wish.client)?;
        let failure = match change_by(
            ctl,
            &seen.members,
            EtcdChange::Promote(&is.id),
            &["member", "promote", &is.id],
        ) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        let not_yet = failure.evidence.iter().any(|line| line.contains("in sync with leader"))
            || seen.members.iter().any(|seen| seen.listed.id == is.id && !seen.is_healthy());
        if !not_yet {
            return Err(failure);
        }
        if ctl.host.now_ms() >= deadline {
            let mut late = Failure::of_host(format!(
                "`{}` has not caught up with its leader after {} s",
                is.label(),
                wish.timeout_s
            ));
            late.evidence = failure.evidence;
            return Err(
                late.hint("look at `journalctl -u etcd` on the new member; a large database takes time")
            );
        }
        pause(ctl.host, ASK_AGAIN)?;
    }
}
