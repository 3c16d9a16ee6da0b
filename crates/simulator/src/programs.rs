//! Programs that the helper runs, as far as it uses them; anything else is refused.

use kubespray_node::{HostError, Output};
use kubespray_resource::Digest;

use crate::host::{Inner, UnitNow, file, text};

const MOUNTS: &str = "/proc/self/mounts";

/// Whether a program changes the host.
pub(crate) fn changes(argv: &[&str]) -> bool {
    let looks = |program: &&str| match *program {
        "ip" => argv.contains(&"show"),
        "nft" | "ipset" => argv.contains(&"list"),
        "ipvsadm" => argv.contains(&"--save"),
        program => program.ends_with("-save"),
    };
    !argv.first().is_some_and(looks)
        && !matches!(
            argv,
            ["systemctl", "show" | "is-active" | "status" | "is-enabled", ..]
                | ["dpkg-query" | "journalctl" | "test" | "cat" | "true", ..]
                | ["apt-mark", "showhold"]
                | ["dpkg", "--no-act", ..]
        )
        // Lists are only what is known of packages.
        && !(argv.first() == Some(&"apt-get") && (argv.contains(&"--simulate") || argv.contains(&"update")))
}

/// Runs a program.
pub(crate) fn run(inner: &mut Inner, argv: &[&str], stdin: &str) -> Result<Output, HostError> {
    let output = match argv {
        ["systemctl", rest @ ..] => systemctl(inner, rest),
        ["journalctl", ..] => ok(""),
        ["dpkg-query", "--show", "--showformat", _, "--", names @ ..] => dpkg_query(inner, names),
        ["dpkg-query", "--show", "--showformat", _] => {
            let names: Vec<String> = inner.packages.keys().cloned().collect();
            dpkg_query(inner, &names.iter().map(String::as_str).collect::<Vec<_>>())
        }
        ["dpkg", "--no-act", "--purge", ..] => ok(""),
        ["dpkg", "--purge", names @ ..] => {
            inner.packages.retain(|name, _| !names.contains(&name.as_str()));
            ok("")
        }
        ["apt-mark", "showhold"] => ok(&inner.held.iter().flat_map(|name| [name, "\n"]).collect::<String>()),
        ["apt-mark", "hold", names @ ..] => {
            inner.held.extend(names.iter().map(ToString::to_string));
            ok("")
        }
        ["apt-mark", "unhold", names @ ..] => {
            inner.held.retain(|name| !names.contains(&name.as_str()));
            ok("")
        }
        ["apt-get", rest @ ..] => apt_get(inner, rest),
        ["modprobe", "--", name] => {
            let mut modules = text(inner, "/proc/modules").unwrap_or_default();
            modules.extend([name, " 1 0 - Live 0x0\n"]);
            file(inner, "/proc/modules", &modules);
            crate::boot::loaded(inner, name);
            ok("")
        }
        ["hostnamectl", "set-hostname", name] => {
            file(inner, "/etc/hostname", &format!("{name}\n"));
            file(inner, "/proc/sys/kernel/hostname", &format!("{name}\n"));
            inner.files.sync();
            ok("")
        }
        ["swapoff", "-a"] => {
            file(inner, "/proc/swaps", "Filename Type Size Used Priority\n");
            ok("")
        }
        ["swapon", "--", path] => {
            let swaps = text(inner, "/proc/swaps").unwrap_or_default();
            file(inner, "/proc/swaps", &format!("{swaps}{path} file 1 0 -2\n"));
            ok("")
        }
        ["userdel", "--", name] => without_line(inner, "/etc/passwd", name),
        ["groupdel", "--", name] => without_line(inner, "/etc/group", name),
        ["umount", .., "--", path] => {
            let mounts = text(inner, MOUNTS).unwrap_or_default();
            let is_at = |line: &&str| line.split_whitespace().nth(1) == Some(*path);
            let left: Vec<&str> = mounts.lines().filter(|line| !is_at(line)).collect();
            file(inner, MOUNTS, &(left.join("\n") + "\n"));
            ok("")
        }
        ["groupadd", rest @ ..] => groupadd(inner, rest),
        ["useradd", rest @ ..] => useradd(inner, rest),
        ["mount", "-t", fstype, "-o", options, "--", source, path] => {
            let mounts = text(inner, MOUNTS).unwrap_or_default();
            file(inner, MOUNTS, &format!("{mounts}{source} {path} {fstype} {options} 0 0\n"));
            ok("")
        }
        ["touch", path] => {
            if inner.files.get(path).is_none() {
                file(inner, path, "");
            }
            ok("")
        }
        ["true" | "update-ca-certificates"] | ["update-ca-certificates", "--fresh"] => ok(""),
        ["test", "-e", path] if inner.files.get(path).is_some() => ok(""),
        ["test", "-e", _] => failed(1, ""),
        ["cat", path] => match text(inner, path) {
            Some(text) => ok(&text),
            None => failed(1, &format!("cat: {path}: No such file or directory")),
        },
        ["tee", path] => {
            file(inner, path, stdin);
            ok(stdin)
        }
        [program, ..] => return Err(HostError::NoProgram((*program).to_owned())),
        [] => return Err(HostError::NoProgram(String::new())),
    };
    Ok(output)
}

fn ok(stdout: &str) -> Output {
    Output { status: Some(0), stdout: stdout.to_owned(), stderr: String::new() }
}

fn failed(status: i32, stderr: &str) -> Output {
    Output { status: Some(status), stdout: String::new(), stderr: stderr.to_owned() }
}

pub(crate) fn unit_text(inner: &Inner, name: &str) -> Option<Digest> {
    let text = text(inner, &format!("/etc/systemd/system/{name}"))
        .or_else(|| text(inner, &format!("/usr/lib/systemd/system/{name}")))?;
    Some(Digest::of(text.as_bytes()))
}

fn systemctl(inner: &mut Inner, words: &[&str]) -> Output {
    match words {
        ["daemon-reload"] => {
            let names: Vec<String> = inner.units.keys().cloned().collect();
            for name in names {
                let loaded = unit_text(inner, &name);
                inner.units.entry(name).or_default().loaded = loaded;
            }
            ok("")
        }
        ["show", _, "--", names @ ..] => {
            let blocks: Vec<String> = names.iter().map(|name| show(inner, name)).collect();
            ok(&blocks.join("\n"))
        }
        ["is-active", "--", name] => {
            let active = inner.units.get(*name).is_some_and(|unit| unit.active);
            Output {
                status: Some(if active { 0 } else { 3 }),
                stdout: if active { "active\n".into() } else { "inactive\n".into() },
                stderr: String::new(),
            }
        }
        ["status" | "reset-failed", ..] => ok(""),
        [verb, "--", name] => {
            let Some(found) = unit_text(inner, name) else {
                return failed(5, &format!("Unit {name} could not be found."));
            };
            let name = (*name).to_owned();
            let unit = inner.units.entry(name.clone()).or_default();
            match *verb {
                "enable" => drop(inner.enabled.insert(name)),
                "disable" => drop(inner.enabled.remove(&name)),
                "mask" => drop(inner.masked.insert(name)),
                "unmask" => drop(inner.masked.remove(&name)),
                "start" if unit.active => {}
                "start" | "restart" | "reload-or-restart" => {
                    unit.active = true;
                    unit.started_at = inner.effects;
                    inner.starts += 1;
                    unit.loaded.get_or_insert(found);
                }
                "stop" => unit.active = false,
                other => return failed(1, &format!("Unknown command verb {other}.")),
            }
            ok("")
        }
        _ => failed(1, "Unknown command."),
    }
}

fn show(inner: &Inner, name: &str) -> String {
    let found = unit_text(inner, name);
    let now = inner.units.get(name).cloned().unwrap_or_else(UnitNow::default);
    let load = match &found {
        _ if inner.masked.contains(name) => "masked",
        Some(_) => "loaded",
        None => "not-found",
    };
    let file = match &found {
        _ if inner.masked.contains(name) => "masked",
        Some(_) if inner.enabled.contains(name) => "enabled",
        Some(_) => "disabled",
        None => "",
    };
    let stale = now.loaded.is_some() && now.loaded != found;
    format!(
        "LoadState={load}\nActiveState={}\nUnitFileState={file}\nNeedDaemonReload={}\n",
        if now.active { "active" } else { "inactive" },
        if stale { "yes" } else { "no" }
    )
}

fn dpkg_query(inner: &Inner, names: &[&str]) -> Output {
    let mut out = ok("");
    for name in names {
        match inner.packages.get(*name) {
            Some(version) => out.stdout.extend([name, "\tii \t", version, "\n"]),
            None => {
                out.status = Some(1);
                out.stderr.extend(["dpkg-query: no packages found matching ", name, "\n"]);
            }
        }
    }
    out
}

fn apt_get(inner: &mut Inner, words: &[&str]) -> Output {
    let names: Vec<&str> = words.iter().skip_while(|word| **word != "--").skip(1).copied().collect();
    if words.contains(&"remove") {
        inner.packages.retain(|name, _| !names.contains(&name.as_str()));
        return ok("");
    }
    if words.contains(&"--simulate") {
        let newer = newer(inner).into_iter();
        let lines = newer.map(|(name, old, new)| format!("Inst {name} [{old}] ({new} Debian:12 [amd64])\n"));
        return ok(&lines.collect::<String>());
    }
    if inner.mirror_down {
        return failed(100, "E: Failed to fetch: Temporary failure resolving 'deb.debian.org'");
    }
    if inner.disk_full {
        return failed(100, "E: You don't have enough free space in /var/cache/apt/archives/.");
    }
    inner.spent_us += 1_500_000;
    if words.contains(&"dist-upgrade") {
        for (name, _, new) in newer(inner) {
            if inner.offered.get(&name).is_some_and(|(_, asks)| *asks) {
                file(inner, "/run/reboot-required", "*** System restart required ***\n");
            }
            inner.packages.insert(name, new);
        }
        inner.files.sync();
        return ok("");
    }
    for name in names {
        let (name, version) = name.split_once('=').unwrap_or((name, "1.0-1"));
        if name.starts_with("no-such") {
            return failed(100, &format!("E: Unable to locate package {name}"));
        }
        inner.packages.insert(name.to_owned(), version.to_owned());
    }
    ok("")
}

/// Packages of which the mirror has newer versions, with what is there and what is offered.
fn newer(inner: &Inner) -> Vec<(String, String, String)> {
    let newer = inner.offered.iter().filter_map(|(name, (new, _))| {
        let old = inner.packages.get(name).filter(|old| *old != new && !inner.held.contains(name))?;
        Some((name.clone(), old.clone(), new.clone()))
    });
    newer.collect()
}

fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| *word == name)?;
    words.get(at + 1).copied()
}

fn groupadd(inner: &mut Inner, words: &[&str]) -> Output {
    let groups = text(inner, "/etc/group").unwrap_or_default();
    let name = words.last().copied().unwrap_or_default();
    if groups.lines().any(|line| line.split(':').next() == Some(name)) {
        return failed(9, &format!("groupadd: group '{name}' already exists"));
    }
    let gid =
        option(words, "--gid").map_or_else(|| (900 - groups.lines().count()).to_string(), str::to_owned);
    file(inner, "/etc/group", &format!("{groups}{name}:x:{gid}:\n"));
    inner.files.sync();
    ok("")
}

/// Takes the line of a name out of a list of users or groups.
fn without_line(inner: &mut Inner, path: &str, name: &str) -> Output {
    let all = text(inner, path).unwrap_or_default();
    let is_of = |line: &&str| line.split(':').next() == Some(name);
    if !all.lines().any(|line| is_of(&line)) {
        return failed(6, &format!("'{name}' does not exist"));
    }
    let left: Vec<&str> = all.lines().filter(|line| !is_of(line)).collect();
    file(inner, path, &(left.join("\n") + "\n"));
    inner.files.sync();
    ok("")
}

fn useradd(inner: &mut Inner, words: &[&str]) -> Output {
    let users = text(inner, "/etc/passwd").unwrap_or_default();
    let name = words.last().copied().unwrap_or_default();
    if users.lines().any(|line| line.split(':').next() == Some(name)) {
        return failed(9, &format!("useradd: user '{name}' already exists"));
    }
    let uid = option(words, "--uid").map_or_else(|| (900 - users.lines().count()).to_string(), str::to_owned);
    let mut group = option(words, "--gid").map(str::to_owned);
    if words.contains(&"--user-group") {
        groupadd(inner, &["--gid", &uid, "--", name]);
        group = Some(name.to_owned());
    }
    let groups = text(inner, "/etc/group").unwrap_or_default();
    let wanted = group.unwrap_or_else(|| "root".to_owned());
    let found = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut found = found.filter(|fields| fields.first() == Some(&wanted.as_str()));
    let Some(gid) = found.find_map(|fields| fields.get(2).map(ToString::to_string)) else {
        return failed(6, &format!("useradd: group '{wanted}' does not exist"));
    };
    let home = option(words, "--home-dir").map_or_else(|| format!("/home/{name}"), str::to_owned);
    let shell = option(words, "--shell").unwrap_or("/bin/sh");
    let comment = option(words, "--comment").unwrap_or_default();
    if let Some(wanted) = option(words, "--groups") {
        join(inner, name, wanted);
    }
    file(inner, "/etc/passwd", &format!("{users}{name}:x:{uid}:{gid}:{comment}:{home}:{shell}\n"));
    inner.files.sync();
    ok("")
}

/// Makes a user a member of groups.
fn join(inner: &mut Inner, user: &str, wanted: &str) {
    let groups = text(inner, "/etc/group").unwrap_or_default();
    let lines = groups.lines().map(|line| {
        let is_wanted =
            line.split(':').next().is_some_and(|name| wanted.split(',').any(|group| group == name));
        match (is_wanted, line.ends_with(':')) {
            (false, _) => format!("{line}\n"),
            (true, true) => format!("{line}{user}\n"),
            (true, false) => format!("{line},{user}\n"),
        }
    });
    let new: String = lines.collect();
    file(inner, "/etc/group", &new);
}
