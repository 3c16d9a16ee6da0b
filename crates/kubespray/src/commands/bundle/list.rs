//! `kubespray bundle list`

use std::process::ExitCode;

use serde_json::json;

use super::needs;
use crate::arguments::bundle::BundleList;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) fn run(options: &BundleList, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let wanted = needs::wanted(&options.common, &options.arch)?;
    let needs = &wanted.needs;
    if printer.is_json() {
        let files = needs.files.iter().map(|(path, file)| {
            json!({
                "path": path, "name": file.name, "version": file.version, "architecture": file.architecture,
                "sha256": file.sha256, "urls": file.shown_urls(),
            })
        });
        let images = needs.images.iter().map(|(reference, image)| {
            let sources: Vec<String> = image.sources.iter().map(ToString::to_string).collect();
            json!({
                "reference": reference, "names": image.names, "sources": sources, "platforms": image.platforms,
            })
        });
        let (files, images): (Vec<_>, Vec<_>) = (files.collect(), images.collect());
        printer.json(&json!({"files": files, "images": images}));
    } else {
        for file in needs.files.values() {
            let url = file.shown_urls().into_iter().next().unwrap_or_default();
            printer.line(format!("file   sha256:{}  {url}", file.sha256));
        }
        for image in needs.images.values() {
            let platforms: Vec<&str> = image.platforms.iter().map(String::as_str).collect();
            let source = image.sources.first().map(ToString::to_string).unwrap_or_default();
            printer.line(format!("image  {source}  {}", platforms.join(", ")));
        }
    }
    printer.warnings(&wanted.warnings, true);
    Ok(ExitCode::SUCCESS)
}
