//! What a host has once: its name, swap, SELinux.

use kubespray_resource::{
    Failure, Hostname, HostnameState, Mode, Owner, Selinux, SelinuxMode, SelinuxState, SwapState,
};

use super::{rewrite, run, text_of};
use crate::failure::impossible;
use crate::{Host, HostError, View};

const HOSTNAME: &str = "/etc/hostname";
const LIVE_HOSTNAME: &str = "/proc/sys/kernel/hostname";
const FSTAB: &str = "/etc/fstab";
const SELINUX: &str = "/etc/selinux/config";

/// The names of the kernel and of `/etc/hostname`.
pub(crate) fn observe_hostname(view: &View<'_>) -> Result<HostnameState, Failure> {
    let live = text_of(view.host, LIVE_HOSTNAME)?.unwrap_or_default();
    let kept = text_of(view.host, HOSTNAME)?;
    Ok(HostnameState { live: live.trim().to_owned(), kept: kept.map(|name| name.trim().to_owned()) })
}

/// Gives the host its name.
pub(crate) fn apply_hostname(host: &dyn Host, wish: &Hostname) -> Result<(), Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    if wish.name.is_empty() || wish.name.starts_with('-') || !wish.name.chars().all(plain) {
        return Err(impossible(format!("`{}` is no host name", wish.name)));
    }
    match run(host, &["hostnamectl", "set-hostname", &wish.name]) {
        Ok(_) => Ok(()),
        // Without its service, which minimal hosts lack, the file and the kernel say all there is.
        Err(failure) if !crate::failure::is_gone(&failure) => {
            rewrite(host, HOSTNAME, &format!("{}\n", wish.name), Mode::PUBLIC, &Owner::root())?;
            Ok(host.write_in_place(LIVE_HOSTNAME, wish.name.as_bytes())?)
        }
        Err(failure) => Err(failure),
    }
}

/// All swap, in use or at the next boot.
pub(crate) fn observe_swap(view: &View<'_>) -> Result<SwapState, Failure> {
    let swaps = text_of(view.host, "/proc/swaps")?.unwrap_or_default();
    let active = swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    let active: Vec<String> = active.map(str::to_owned).collect();
    let fstab = text_of(view.host, FSTAB)?.unwrap_or_default();
    let fstab = fstab.lines().filter(|line| is_swap(line)).map(str::to_owned).collect();
    Ok(SwapState { active, fstab, units: units(view.host)? })
}

/// Swap units of others than fstab, and those that make swap in memory.
fn units(host: &dyn Host) -> Result<Vec<String>, Failure> {
    let mut out = Vec::new();
    for folder in ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"] {
        for name in host.list(folder)? {
            let is_ours = name.strip_suffix(".swap").is_some() && !out.contains(&name);
            if is_ours && !is_masked(host, &name)? {
                out.push(name);
            }
        }
    }
    // zram-generator makes its units at boot from a configuration; each of its devices has a template.
    let mut has_generator = false;
    for path in [
        "/etc/systemd/zram-generator.conf",
        "/run/systemd/zram-generator.conf",
        "/usr/lib/systemd/zram-generator.conf",
    ] {
        if let Some(text) = text_of(host, path)? {
            has_generator = !text.trim().is_empty();
            break;
        }
    }
    let zram = "systemd-zram-setup@zram0.service".to_owned();
    if has_generator && !is_masked(host, &zram)? {
        out.push(zram);
    }
    let swap = "dev-zram0.swap".to_owned();
    if has_generator && !is_masked(host, &swap)? && !out.contains(&swap) {
        out.push(swap);
    }
    Ok(out)
}

fn is_masked(host: &dyn Host, unit: &str) -> Result<bool, HostError> {
    let path = format!("/etc/systemd/system/{unit}");
    Ok(host.metadata(&path)?.is_some()
        && host.read_link(&path).is_ok_and(|to| to.as_deref() == Some("/dev/null")))
}

fn is_swap(line: &str) -> bool {
    !line.trim_start().starts_with('#') && line.split_whitespace().nth(2) == Some("swap")
}

/// Turns all swap off.
pub(crate) fn apply_swap(host: &dyn Host, state: &SwapState) -> Result<(), Failure> {
    // First what would turn it on again, so that a crash in between leaves none after the next boot.
    if !state.fstab.is_empty() {
        let text = text_of(host, FSTAB)?.unwrap_or_default();
        let kept: String =
            text.split_inclusive('\n').filter(|line| !is_swap(line.trim_end_matches('\n'))).collect();
        rewrite(host, FSTAB, &kept, Mode::PUBLIC, &Owner::root())?;
    }
    if !state.units.is_empty() {
        let mut argv = vec!["systemctl", "mask", "--now", "--"];
        argv.extend(state.units.iter().map(String::as_str));
        run(host, &argv)?;
    }
    if !state.active.is_empty() {
        run(host, &["swapoff", "-a"])?;
    }
    // Units that systemd made of lines of fstab are forgotten.
    if !state.fstab.is_empty() {
        run(host, &["systemctl", "daemon-reload"])?;
    }
    Ok(())
}

/// The modes of the kernel and of the configuration.
pub(crate) fn observe_selinux(view: &View<'_>) -> Result<SelinuxState, Failure> {
    let live = text_of(view.host, "/sys/fs/selinux/enforce")?.map(|text| match text.trim() {
        "1" => SelinuxMode::Enforcing,
        _ => SelinuxMode::Permissive,
    });
    let config = text_of(view.host, SELINUX)?;
    let kept = config.as_deref().and_then(|text| text.lines().filter_map(mode_of).next_back());
    Ok(SelinuxState { live, kept })
}

fn mode_of(line: &str) -> Option<SelinuxMode> {
    match line.trim().strip_prefix("SELINUX=")?.trim().to_ascii_lowercase().as_str() {
        "enforcing" => Some(SelinuxMode::Enforcing),
        "permissive" => Some(SelinuxMode::Permissive),
        "disabled" => Some(SelinuxMode::Disabled),
        _ => None,
    }
}

/// Sets the mode, now and after the next boot.
pub(crate) fn apply_selinux(host: &dyn Host, wish: &Selinux, state: &SelinuxState) -> Result<(), Failure> {
    if state.kept.is_some_and(|kept| kept != wish.mode) {
        let text = text_of(host, SELINUX)?.unwrap_or_default();
        let lines = text.lines().map(|line| match mode_of(line) {
            Some(_) => format!("SELINUX={}\n", wish.mode),
            None => format!("{line}\n"),
        });
        rewrite(host, SELINUX, &lines.collect::<String>(), Mode::PUBLIC, &Owner::root())?;
    }
    match (wish.mode, state.live) {
        (SelinuxMode::Enforcing, Some(SelinuxMode::Permissive)) => run(host, &["setenforce", "1"]).map(drop),
        (SelinuxMode::Permissive, Some(SelinuxMode::Enforcing)) => run(host, &["setenforce", "0"]).map(drop),
        _ => Ok(()),
    }
}
