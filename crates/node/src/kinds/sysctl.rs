//! Kernel parameters, through `/proc/sys` and a file of `sysctl.d`.

use kubespray_resource::{Failure, Mode, Owner, Sysctl, SysctlState};

use super::{rewrite, text_of};
use crate::failure::impossible;
use crate::{Host, View};

/// What the kernel and the file say.
pub(crate) fn observe(view: &View<'_>, wish: &Sysctl) -> Result<SysctlState, Failure> {
    let live = text_of(view.host, &proc_path(&wish.key)?)?;
    let kept = view.text(&wish.file)?.unwrap_or_default();
    let kept = kept.lines().filter_map(|line| value_of(line, &wish.key)).next_back();
    Ok(SysctlState { live: live.map(|text| text.trim().to_owned()), kept: kept.map(str::to_owned) })
}

/// Sets the value and keeps it.
pub(crate) fn apply(host: &dyn Host, wish: &Sysctl, state: &SysctlState) -> Result<(), Failure> {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let same = |is: Option<&String>| is.is_some_and(|is| words(is) == words(&wish.value));
    let Some(_) = &state.live else {
        return Err(Failure::of_host(format!("the kernel has no parameter `{}`", wish.key))
            .hint("the module that brings it may not be loaded"));
    };
    let set = || -> Result<(), Failure> {
        if !same(state.live.as_ref()) {
            host.write_in_place(&proc_path(&wish.key)?, format!("{}\n", wish.value).as_bytes())?;
        }
        Ok(())
    };
    if wish.at_least {
        // A value that is large enough is taken for somebody else's, who keeps it: it must not come before the file.
        keep(host, wish, same(state.kept.as_ref()))?;
        return set();
    }
    // A file with what the kernel refuses would trouble each boot.
    set()?;
    keep(host, wish, same(state.kept.as_ref()))
}

fn keep(host: &dyn Host, wish: &Sysctl, is_kept: bool) -> Result<(), Failure> {
    if is_kept {
        return Ok(());
    }
    let text = text_of(host, &wish.file)?.unwrap_or_default();
    let mut out: String = text
        .lines()
        .filter(|line| value_of(line, &wish.key).is_none())
        .flat_map(|line| [line, "\n"])
        .collect();
    out.extend([wish.key.as_str(), "=", &wish.value, "\n"]);
    rewrite(host, &wish.file, &out, Mode::PUBLIC, &Owner::root())
}

/// The value of a line `key = value`; a `-` before it asks sysctl to pass over errors.
fn value_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let line = line.trim_start();
    let (name, value) = line.strip_prefix('-').unwrap_or(line).split_once('=')?;
    (slashed(name.trim()) == slashed(key)).then(|| value.trim())
}

/// Where the kernel shows a parameter.
pub(crate) fn proc_path(key: &str) -> Result<String, Failure> {
    let path = slashed(key);
    if path.is_empty() || path.split('/').any(|part| part.is_empty() || part == "..") {
        return Err(impossible(format!("`{key}` is no kernel parameter")));
    }
    Ok(format!("/proc/sys/{path}"))
}

/// sysctl(8): where the first separator is a dot, dots part and slashes are dots of a name.
fn slashed(key: &str) -> String {
    if key.find(['.', '/']).is_some_and(|at| key.as_bytes().get(at) == Some(&b'/')) {
        return key.to_owned();
    }
    key.chars()
        .map(|c| match c {
            '.' => '/',
            '/' => '.',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_below_proc_sys_only() {
        assert_eq!(proc_path("net.ipv4.ip_forward").unwrap(), "/proc/sys/net/ipv4/ip_forward");
        assert_eq!(
            proc_path("net.ipv4.conf.eth0/1.rp_filter").unwrap(),
            "/proc/sys/net/ipv4/conf/eth0.1/rp_filter"
        );
        assert_eq!(
            proc_path("net/ipv4/conf/eth0.1/rp_filter").unwrap(),
            "/proc/sys/net/ipv4/conf/eth0.1/rp_filter"
        );
        assert!(proc_path("../../etc/shadow").is_err());
        assert!(proc_path("").is_err());
    }

    #[test]
    fn lines_of_sysctl_files_are_read_as_sysctl_reads_them() {
        assert_eq!(value_of(" -vm.overcommit_memory = 1 ", "vm.overcommit_memory"), Some("1"));
        assert_eq!(value_of("vm/overcommit_memory=1", "vm.overcommit_memory"), Some("1"));
        assert_eq!(value_of("# vm.overcommit_memory=1", "vm.overcommit_memory"), None);
    }
}
