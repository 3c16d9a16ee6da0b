//! Files and images that a host needs, resolved against the component catalog (DL).

use std::collections::BTreeMap;

use kubespray_catalog::{Catalog, Downloads};
use kubespray_diagnostics::Diagnostic;
use kubespray_value::{Error, ErrorKind, Map, Value};
use kubespray_variables::Variables;
use serde::Serialize;
use serde::de::Deserialize;

use crate::from_value::FromValue;
use crate::read::Problems;
use crate::types::FromFacts;

/// What a host needs from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Artefacts {
    /// Files by name.
    pub files: BTreeMap<String, File>,
    /// Images by name.
    pub images: BTreeMap<String, Image>,
}

/// A file that is downloaded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct File {
    /// The version.
    pub version: String,
    /// Where it comes from; mirrors that users set are in it.
    pub url: FromFacts<String>,
    /// `algorithm:digest`; `None` where the catalog has none for this version and architecture.
    pub checksum: FromFacts<Option<String>>,
    /// The path on the host that it is downloaded to.
    pub staged_as: FromFacts<String>,
    /// The mode of that.
    pub staged_mode: String,
    /// Whether it is unpacked beside itself.
    pub unarchive: bool,
}

/// A container image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Image {
    /// Registry and path.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// What is pulled: the digest instead of the tag where users set one.
    pub reference: String,
    /// Whether it is pulled before it is needed.
    pub prefetch: bool,
    /// Whether kubeadm knows the list of its images better.
    pub listed_by_kubeadm: bool,
}

/// The artefacts of a host; `None` where something is wrong, which `problems` then tells.
pub(crate) fn artefacts(variables: &Variables, host: &str, problems: &mut Problems) -> Option<Artefacts> {
    let groups = variables.inventory().group_names(host);
    let reader = Reader { variables, host, groups };
    let mut all = Artefacts::default();
    let mut is_fine = true;
    let mut wrong = |name: &str, error: &Error| {
        if error.kind == ErrorKind::NeedsFacts {
            problems.needs_facts_of(name, host);
            return;
        }
        is_fine = false;
        let message = format!("what `{name}` is to be downloaded as cannot be told: {}", error.message);
        let problem = Diagnostic::error("download", message).on_host(host);
        problems.add(error.path.iter().fold(problem, |problem, step| problem.because(format!("in {step}"))));
    };
    for (name, entry) in named(&Downloads::get().files) {
        match reader.file(entry) {
            Ok(Some(file)) => drop(all.files.insert(name.to_owned(), file)),
            Ok(None) => {}
            Err(error) => wrong(name, &error),
        }
    }
    for (name, entry) in named(&Downloads::get().images) {
        match reader.image(entry) {
            Ok(Some(image)) => drop(all.images.insert(name.to_owned(), image)),
            Ok(None) => {}
            Err(error) => wrong(name, &error),
        }
    }
    is_fine.then_some(all)
}

fn named(map: &Map) -> impl Iterator<Item = (&str, &Map)> {
    map.iter().filter_map(|(name, entry)| Some((name.as_str()?, entry.as_map()?)))
}

/// Evaluates entries of the catalog for a host.
struct Reader<'a> {
    variables: &'a Variables,
    host: &'a str,
    groups: Vec<&'a str>,
}

impl Reader<'_> {
    /// A file; `None` where the host does not need it.
    fn file(&self, entry: &Map) -> Result<Option<File>, Error> {
        // Entries without a URL of one variable are taken apart by the component that needs them.
        let Some(url_variable) = text(entry, "url_variable") else { return Ok(None) };
        if !self.is_needed(entry)? {
            return Ok(None);
        }
        let version = match text(entry, "version_variable") {
            Some(variable) => self.variables.get(self.host, variable)?.to_text(),
            None => self.text(entry.get("version"))?,
        };
        let staged = text(entry, "staged_as").unwrap_or_default();
        let checksum = match text(entry, "checksum_variable") {
            Some(variable) => match self.variables.get(self.host, variable) {
                Err(error) if error.kind == ErrorKind::Undefined => FromFacts::Known(None),
                other => match from_facts(other)? {
                    FromFacts::Known(value) => {
                        FromFacts::Known(Some(value).filter(|value| !value.is_empty()))
                    }
                    FromFacts::NeedsFacts => FromFacts::NeedsFacts,
                },
            },
            None => self.checksum_of_table(entry, &version)?,
        };
        Ok(Some(File {
            url: from_facts(self.variables.get(self.host, url_variable))?,
            checksum,
            staged_as: from_facts(self.filled(staged, &version).map(Value::from))?,
            staged_mode: text(entry, "staged_mode").unwrap_or("0644").to_owned(),
            unarchive: self.is_true(entry.get("unarchive"))?,
            version,
        }))
    }

    /// The checksum of a file that is the same for all architectures and has no variable of its own.
    fn checksum_of_table(&self, entry: &Map, version: &str) -> Result<FromFacts<Option<String>>, Error> {
        let table = match text(entry, "checksum_table_by") {
            Some(variable) => {
                let choice = self.variables.get(self.host, variable)?.to_text();
                entry.get("checksum_tables").and_then(Value::as_map).and_then(|tables| text(tables, &choice))
            }
            None => text(entry, "checksum_table"),
        };
        let Some(component) = table.and_then(|table| Catalog::get().component(table)) else {
            return Ok(FromFacts::Known(None));
        };
        let table = self.variables.get(self.host, &component.variable)?;
        let of_all = table.as_map().and_then(|table| table.get("no_arch")).and_then(Value::as_map);
        let checksum = of_all.and_then(|versions| versions.get(version)).map(Value::to_text);
        Ok(FromFacts::Known(checksum))
    }

    /// An image; `None` where the host does not need it.
    fn image(&self, entry: &Map) -> Result<Option<Image>, Error> {
        if !self.is_needed(entry)? {
            return Ok(None);
        }
        let (repository, tag) = (self.text(entry.get("repository"))?, self.text(entry.get("tag"))?);
        let digest = match text(entry, "digest_variable") {
            Some(variable) => {
                self.variables.get_if_defined(self.host, variable)?.filter(|value| !value.is_none())
            }
            None => None,
        };
        let digest = digest.map(|value| value.to_text()).filter(|digest| !digest.is_empty());
        let reference = match (entry.get("reference"), digest) {
            (Some(reference), _) => self.text(Some(reference))?,
            (None, Some(digest)) => format!("{repository}@sha256:{}", digest.trim_start_matches("sha256:")),
            (None, None) => format!("{repository}:{tag}"),
        };
        Ok(Some(Image {
            reference,
            prefetch: self.is_true(entry.get("prefetch"))?,
            listed_by_kubeadm: text(entry, "listed_by") == Some("kubeadm"),
            repository,
            tag,
        }))
    }

    fn is_needed(&self, entry: &Map) -> Result<bool, Error> {
        let groups = entry.get("groups").and_then(Value::as_sequence);
        let is_member = groups.is_none_or(|groups| {
            groups.iter().filter_map(Value::as_str).any(|group| self.groups.contains(&group))
        });
        Ok(is_member && self.is_true(entry.get("enabled"))?)
    }

    /// Whether a condition holds; without one it does not.
    fn is_true(&self, condition: Option<&Value>) -> Result<bool, Error> {
        let Some(condition) = condition else { return Ok(false) };
        let value = self.variables.template(self.host, condition)?;
        Option::<bool>::deserialize(FromValue::new(&value)).map(Option::unwrap_or_default).map_err(|error| {
            Error::of_type(format!("`{}` {}", condition.to_text(), error.of(&value).describe(false)))
        })
    }

    fn text(&self, value: Option<&Value>) -> Result<String, Error> {
        value.map_or_else(
            || Ok(String::new()),
            |value| Ok(self.variables.template(self.host, value)?.to_text()),
        )
    }

    /// A text of the catalog with its words in braces replaced.
    fn filled(&self, pattern: &str, version: &str) -> Result<String, Error> {
        let mut out = String::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((word, after)) = after.split_once('}') else { break };
            out.push_str(before);
            match word {
                "version" => out.push_str(version),
                "os" => out.push_str("linux"),
                "arch" => out.push_str(&self.variables.get(self.host, "image_arch")?.to_text()),
                "uname_arch" => {
                    out.push_str(&self.variables.get(self.host, "ansible_architecture")?.to_text());
                }
                "channel" => out.push_str(&self.variables.get(self.host, "gateway_api_channel")?.to_text()),
                other => out.push_str(&self.text(Downloads::get().placeholders.get(other))?),
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}

fn text<'a>(entry: &'a Map, key: &str) -> Option<&'a str> {
    entry.get(key).and_then(Value::as_str)
}

fn from_facts(value: Result<Value, Error>) -> Result<FromFacts<String>, Error> {
    match value {
        Ok(value) => Ok(FromFacts::Known(value.to_text())),
        Err(error) if error.kind == ErrorKind::NeedsFacts => Ok(FromFacts::NeedsFacts),
        Err(error) => Err(error),
    }
}
