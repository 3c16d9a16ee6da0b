//! Kernel modules.

use kubespray_resource::{Failure, Mode, Module, ModuleState, Owner};

use super::{rewrite, run};
use crate::{Host, View};

/// Whether the module is loaded, could be, and is kept.
pub(crate) fn observe(view: &View<'_>, wish: &Module) -> Result<ModuleState, Failure> {
    let name = plain(&wish.name);
    let loaded = view.text("/proc/modules")?.unwrap_or_default();
    let release = view.text("/proc/sys/kernel/osrelease")?.unwrap_or_default();
    let folder = format!("/lib/modules/{}", release.trim());
    let is_loaded = loaded.lines().any(|line| line.split(' ').next().is_some_and(|word| plain(word) == name))
        || lists(view, &format!("{folder}/modules.builtin"), &name)?
        // Built-in modules with parameters show here even where their list is missing.
        || view.host.metadata(&format!("/sys/module/{name}"))?.is_some();
    let available = is_loaded || lists(view, &format!("{folder}/modules.dep"), &name)?;
    let kept = match &wish.file {
        Some(file) => view.text(file)?.unwrap_or_default().lines().any(|line| plain(line.trim()) == name),
        None => false,
    };
    Ok(ModuleState { loaded: is_loaded, available, kept })
}

/// Loads the module and keeps it.
pub(crate) fn apply(host: &dyn Host, wish: &Module, state: &ModuleState) -> Result<(), Failure> {
    if !state.loaded {
        run(host, &["modprobe", "--", &wish.name])
            .map_err(|failure| failure.hint("the kernel may need another package for this module"))?;
    }
    if let Some(file) = wish.file.as_ref().filter(|_| !state.kept) {
        rewrite(host, file, &format!("{}\n", wish.name), Mode::PUBLIC, &Owner::root())?;
    }
    Ok(())
}

/// Whether a list of module files names it: `kernel/net/x.ko.zst: …` in `modules.dep`, `kernel/net/x.ko` else.
fn lists(view: &View<'_>, list: &str, name: &str) -> Result<bool, Failure> {
    let text = view.text(list)?.unwrap_or_default();
    Ok(text.lines().any(|line| {
        let file = line.split(':').next().unwrap_or_default();
        let base = file.rsplit('/').next().unwrap_or_default();
        plain(base.split(".ko").next().unwrap_or_default()) == name
    }))
}

fn plain(name: &str) -> String {
    name.replace('-', "_")
}
