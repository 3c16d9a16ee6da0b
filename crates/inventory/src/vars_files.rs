//! `group_vars` and `host_vars` next to the sources (ANS-004 … ANS-006).

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kubespray_diagnostics::{Diagnostic, Span};
use kubespray_value::Value;

use crate::definition::{Vars, vars_of_map};
use crate::document;
use crate::paths;
use crate::source::sorted_names;
use crate::vault::Vault;
use crate::yaml_source::described;

/// Endings in the order in which they are looked for; the first that exists wins.
const ENDINGS: [&str; 4] = ["", ".yml", ".yaml", ".json"];

/// Deeper folders are a circle of links.
const DEEPEST_FOLDER: usize = 32;

/// Whose variables a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Group,
    Host,
}

impl Owner {
    fn folder_name(self) -> &'static str {
        match self {
            Self::Group => "group_vars",
            Self::Host => "host_vars",
        }
    }
}

/// A `group_vars` or `host_vars` folder.
#[derive(Clone, Debug)]
struct Folder {
    path: PathBuf,
    shown: String,
    names: BTreeSet<String>,
}

/// The variable files of all sources.
#[derive(Clone, Debug)]
pub(crate) struct VarsFiles {
    vault: Arc<Vault>,
    /// For each place next to a source, in the order of merging.
    places: Vec<HashMap<Owner, Folder>>,
}

impl VarsFiles {
    /// Looks for the folders next to the sources. A place that several sources share counts where the
    /// last of them stands.
    pub(crate) fn find(sources: &[String], vault: Arc<Vault>, problems: &mut Vec<Diagnostic>) -> Self {
        let mut bases: Vec<(PathBuf, String)> = Vec::new();
        for source in sources {
            let path = paths::expand(Path::new(source));
            if source.contains(',') && !path.exists() {
                continue;
            }
            let (base, shown) = if path.is_dir() {
                (path, source.trim_end_matches('/').to_owned())
            } else {
                let parent = path.parent().map(Path::to_owned).unwrap_or_default();
                let shown = source.rfind('/').and_then(|at| source.get(..at)).unwrap_or("");
                (if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent }, shown.to_owned())
            };
            let Ok(real) = base.canonicalize() else { continue };
            bases.retain(|(known, _)| *known != real);
            bases.push((real, shown));
        }
        let mut places = Vec::new();
        for (base, shown) in bases {
            let mut place = HashMap::new();
            for owner in [Owner::Group, Owner::Host] {
                if let Some(folder) = open_folder(&base, &shown, owner, problems) {
                    place.insert(owner, folder);
                }
            }
            places.push(place);
        }
        Self { vault, places }
    }

    /// How many places there are.
    pub(crate) fn places(&self) -> usize {
        self.places.len()
    }

    /// The variables that the files of a place give to a group or host: one entry per file, later ones
    /// win.
    pub(crate) fn read(
        &self,
        place: usize,
        owner: Owner,
        name: &str,
        problems: &mut Vec<Diagnostic>,
    ) -> Vec<Vars> {
        let Some(folder) = self.places.get(place).and_then(|place| place.get(&owner)) else {
            return Vec::new();
        };
        let mut files = Vec::new();
        folder.find(name, &mut files, problems);
        let mut out = Vec::new();
        for (path, shown) in files {
            match self.load(&path, &shown, problems) {
                Ok(vars) if vars.is_empty() => {}
                Ok(vars) => out.push(vars),
                Err(problem) => problems.push(*problem),
            }
        }
        out
    }

    fn load(
        &self,
        path: &Path,
        shown: &str,
        problems: &mut Vec<Diagnostic>,
    ) -> Result<Vars, Box<Diagnostic>> {
        let text = document::read_raw(path, shown, &self.vault)?.into_text()?;
        let Some(root) = document::parse(&text, problems)? else { return Ok(Vars::new()) };
        match &root.value {
            Value::Map(_) => Ok(vars_of_map(&root).into_iter().collect()),
            // Ansible passes over everything that is false.
            other if !other.truthy().unwrap_or(true) => Ok(Vars::new()),
            other => Err(Box::new(
                Diagnostic::error(
                    "vars-file",
                    format!("`{shown}` is {}, not a map of variables", described(other)),
                )
                .at(Span::at(text.source.clone(), root.span.line().max(1), root.span.column().max(1)))
                .hint("write each variable as `name: value`"),
            )),
        }
    }
}

fn open_folder(base: &Path, shown: &str, owner: Owner, problems: &mut Vec<Diagnostic>) -> Option<Folder> {
    let path = base.join(owner.folder_name());
    let shown = match shown {
        "" => owner.folder_name().to_owned(),
        shown => format!("{shown}/{}", owner.folder_name()),
    };
    if !path.exists() {
        return None;
    }
    if !path.is_dir() {
        let message = format!("`{shown}` is no folder: skipped");
        problems.push(
            Diagnostic::warning("vars-folder", message)
                .hint(format!("put the variables into `{shown}/all.yml`")),
        );
        return None;
    }
    match sorted_names(&path) {
        Ok(names) => Some(Folder { path, shown, names: names.into_iter().collect() }),
        Err(error) => {
            problems.push(unreadable(&shown, &error));
            None
        }
    }
}

fn unreadable(shown: &str, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error(
        "folder-unreadable",
        format!("cannot read the folder `{shown}`: {}", paths::reason(error)),
    )
}

impl Folder {
    /// The files for a name: the first ending that exists, a folder being all the files in it.
    fn find(&self, name: &str, files: &mut Vec<(PathBuf, String)>, problems: &mut Vec<Diagnostic>) {
        // Names such as `/srv/chroot` are no file names; so it is in Ansible.
        if name.starts_with('/') || name.is_empty() {
            return;
        }
        for ending in ENDINGS {
            let file = format!("{name}{ending}");
            if !name.contains('/') && !self.names.contains(&file) {
                continue;
            }
            let path = self.path.join(&file);
            let shown = format!("{}/{file}", self.shown);
            if path.is_dir() {
                return collect(&path, &shown, files, problems, &mut Vec::new());
            }
            if path.exists() {
                return files.push((path, shown));
            }
            if path.symlink_metadata().is_ok() {
                problems.push(
                    Diagnostic::warning("dangling-link", format!("`{shown}` is a link to nothing: skipped"))
                        .hint("repair or remove the link"),
                );
            }
        }
    }
}

/// The files of a folder of variables: names sorted, sub-folders in their place.
fn collect(
    path: &Path,
    shown: &str,
    files: &mut Vec<(PathBuf, String)>,
    problems: &mut Vec<Diagnostic>,
    above: &mut Vec<PathBuf>,
) {
    let (real, names) = match path.canonicalize().and_then(|real| Ok((real, sorted_names(path)?))) {
        Ok(found) => found,
        Err(error) => return problems.push(unreadable(shown, &error)),
    };
    if above.contains(&real) || above.len() >= DEEPEST_FOLDER {
        return problems.push(
            Diagnostic::error("folder-loop", format!("the folder `{shown}` contains itself through a link"))
                .hint("remove the link"),
        );
    }
    above.push(real);
    for name in names.iter().filter(|name| !name.starts_with('.') && !name.ends_with('~')) {
        let (inner, inner_shown) = (path.join(name), format!("{shown}/{name}"));
        let ending = paths::ending(name);
        if inner.is_dir() {
            if ending.is_empty() {
                collect(&inner, &inner_shown, files, problems, above);
            }
        } else if ENDINGS.contains(&ending) && inner.exists() {
            files.push((inner, inner_shown));
        }
    }
    above.pop();
}
