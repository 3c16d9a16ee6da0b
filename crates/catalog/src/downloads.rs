//! Files and images that hosts fetch, as the data files describe them.

use std::sync::OnceLock;

use kubespray_diagnostics::Source;
use kubespray_value::{Map, Value};

const FILES: &str = include_str!("../data/downloads.yaml");
const IMAGES: &str = include_str!("../data/images.yaml");

/// Descriptions of files and images. Conditions, repositories and tags in them are Jinja expressions over
/// the variables; the data files tell the meaning of each key.
#[derive(Debug)]
pub struct Downloads {
    /// Files by name.
    pub files: Map,
    /// What words in braces in URLs and paths stand for; the values are Jinja expressions.
    pub placeholders: Map,
    /// Container images by name.
    pub images: Map,
    /// Registries that images come from, by the variables that name them.
    pub registries: Map,
}

impl Downloads {
    /// The downloads of this build.
    pub fn get() -> &'static Self {
        static DOWNLOADS: OnceLock<Downloads> = OnceLock::new();
        DOWNLOADS.get_or_init(|| {
            let files = root("downloads", FILES);
            let images = root("images", IMAGES);
            Self {
                files: part(&files, "files"),
                placeholders: part(&files, "placeholders"),
                images: part(&images, "images"),
                registries: part(&images, "registries"),
            }
        })
    }
}

/// The files are part of the program and a test reads them, so this cannot fail.
fn root(name: &str, text: &str) -> Map {
    let source = Source::without_text(format!("catalog/{name}.yaml"));
    let root = kubespray_yaml::parse(text, &source).ok().and_then(|document| document.root);
    root.and_then(|root| root.value.as_map().cloned()).unwrap_or_default()
}

fn part(root: &Map, key: &str) -> Map {
    root.get(key).and_then(Value::as_map).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_images_are_read() {
        let downloads = Downloads::get();
        assert!(downloads.files.len() >= 26, "{}", downloads.files.len());
        assert!(downloads.images.len() >= 85, "{}", downloads.images.len());
        assert!(downloads.placeholders.len() >= 10);
    }
}
