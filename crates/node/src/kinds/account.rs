//! Users and groups.

use kubespray_resource::{Failure, Group, GroupState, User, UserState};

use super::{run, text_of};
use crate::{Host, View};

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// The group, as `/etc/group` has it.
pub(crate) fn observe_group(view: &View<'_>, wish: &Group) -> Result<Option<GroupState>, Failure> {
    let text = view.text(GROUP)?.unwrap_or_default();
    Ok(fields_of(&text, &wish.name)
        .and_then(|fields| fields.get(2)?.parse().ok())
        .map(|gid| GroupState { gid }))
}

/// Makes or changes the group.
pub(crate) fn apply_group(host: &dyn Host, wish: &Group, state: Option<&GroupState>) -> Result<(), Failure> {
    let gid = wish.gid.map(|gid| gid.to_string());
    let mut argv = vec![if state.is_some() { "groupmod" } else { "groupadd" }];
    if let Some(gid) = &gid {
        argv.extend(["--gid", gid]);
    }
    if state.is_none() && wish.system {
        argv.push("--system");
    }
    argv.extend(["--", &wish.name]);
    run(host, &argv).map(drop)
}

/// The user, as `/etc/passwd` and `/etc/group` have it.
pub(crate) fn observe_user(view: &View<'_>, wish: &User) -> Result<Option<UserState>, Failure> {
    let users = view.text(PASSWD)?.unwrap_or_default();
    let groups = view.text(GROUP)?.unwrap_or_default();
    let Some(fields) = fields_of(&users, &wish.name) else { return Ok(None) };
    let field = |at: usize| (*fields.get(at).unwrap_or(&"")).to_owned();
    let gid = field(3);
    let all: Vec<Vec<&str>> = groups.lines().map(|line| line.split(':').collect()).collect();
    let name = |group: &[&str]| (*group.first().unwrap_or(&"")).to_owned();
    let primary = all.iter().find(|group| group.get(2) == Some(&gid.as_str()));
    let member = |group: &&Vec<&str>| {
        group.get(3).is_some_and(|members| members.split(',').any(|member| member == wish.name))
    };
    Ok(Some(UserState {
        uid: field(2)
            .parse()
            .map_err(|_| Failure::of_host(format!("the user `{}` has no number in `{PASSWD}`", wish.name)))?,
        group: primary.map_or(gid.clone(), |group| name(group)),
        groups: all.iter().filter(member).map(|group| name(group)).collect(),
        home: field(5),
        shell: field(6),
        comment: field(4),
    }))
}

/// Makes or changes the user.
pub(crate) fn apply_user(host: &dyn Host, wish: &User, state: Option<&UserState>) -> Result<(), Failure> {
    let uid = wish.uid.map(|uid| uid.to_string());
    let groups = wish.groups.join(",");
    let mut argv = vec![if state.is_some() { "usermod" } else { "useradd" }];
    let options = [
        ("--uid", &uid, state.map(|state| state.uid.to_string())),
        ("--gid", &wish.group, state.map(|state| state.group.clone())),
        // The two programs name this option differently.
        (if state.is_some() { "--home" } else { "--home-dir" }, &wish.home, state.map(|s| s.home.clone())),
        ("--shell", &wish.shell, state.map(|state| state.shell.clone())),
        ("--comment", &wish.comment, state.map(|state| state.comment.clone())),
    ];
    for (option, wanted, is) in &options {
        if let Some(wanted) = wanted
            && is.as_ref() != Some(wanted)
        {
            argv.extend([*option, wanted]);
        }
    }
    let is_member = |group: &String| state.is_some_and(|state| state.groups.contains(group));
    if !wish.groups.iter().all(is_member) {
        if state.is_some() {
            argv.push("--append");
        }
        argv.extend(["--groups", &groups]);
    }
    if state.is_none() {
        argv.push(if wish.create_home { "--create-home" } else { "--no-create-home" });
        if wish.group.is_none() {
            // A group of the user's name may be there already; useradd would refuse to make it.
            let groups = text_of(host, GROUP)?.unwrap_or_default();
            if fields_of(&groups, &wish.name).is_some() {
                argv.extend(["--gid", &wish.name]);
            } else {
                argv.push("--user-group");
            }
        }
        if wish.system {
            argv.push("--system");
        }
    }
    argv.extend(["--", &wish.name]);
    run(host, &argv).map(drop)
}

/// Whether there is a user of this name.
pub(crate) fn has_user(view: &View<'_>, name: &str) -> Result<bool, Failure> {
    Ok(fields_of(&view.text(PASSWD)?.unwrap_or_default(), name).is_some())
}

/// Whether there is a group of this name.
pub(crate) fn has_group(view: &View<'_>, name: &str) -> Result<bool, Failure> {
    Ok(fields_of(&view.text(GROUP)?.unwrap_or_default(), name).is_some())
}

/// The fields of the line of a name.
fn fields_of<'a>(text: &'a str, name: &str) -> Option<Vec<&'a str>> {
    text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.first() == Some(&name))
}
