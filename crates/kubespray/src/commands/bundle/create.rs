//! `kubespray bundle create`

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;

use kubespray_bundle::{Event, Needs, Problem, Reference, Store, fill};
use kubespray_diagnostics::Diagnostic;
use kubespray_interface::plural;
use serde_json::{Value, json};

use super::{diagnostic, diagnostics, needs, size};
use crate::arguments::bundle::BundleCreate;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::printer::Printer;

/// What came of it.
#[derive(Default)]
struct Tally {
    fetched: usize,
    here: usize,
    bytes: u64,
    problems: Vec<Problem>,
}

pub(crate) fn run(options: &BundleCreate, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let archives = archives(&options.image_archive)?;
    let verbose = options.common.output.verbose;
    let mut wanted = needs::wanted(&options.common, &options.arch)?;
    for reference in &options.image {
        let reference = Reference::parse(reference).map_err(|problem| diagnostic(&problem))?;
        wanted.needs.also_image(reference);
    }
    wanted.transfer.plain_http.extend(options.plain_http.iter().cloned());
    printer.warnings(&wanted.warnings, true);
    let store = Store::open(&options.out).map_err(|problem| diagnostic(&problem))?;
    if !printer.is_json() {
        printer.line(head(&wanted.needs));
        printer.out().flush()?;
    }
    let (sender, events) = channel();
    let tally = thread::scope(|scope| -> Result<Tally, Failure> {
        let (store, wanted, archives) = (&store, &wanted, &archives);
        scope.spawn(move || fill(store, &wanted.needs, &wanted.transfer, archives, &sender));
        let mut tally = Tally::default();
        for event in events {
            if printer.is_json() {
                printer.json_line(&as_json(&event));
            } else if let Some(line) = line(&event, verbose) {
                printer.line(line);
            }
            printer.out().flush()?;
            tally.take(event);
        }
        Ok(tally)
    })?;
    let Tally { fetched, here, bytes, problems } = tally;
    if printer.is_json() {
        printer.json_line(&json!({
            "event": "end", "fetched": fetched, "here": here, "failed": problems.len(), "bytes": bytes,
        }));
    } else {
        let failed = match problems.len() {
            0 => String::new(),
            count => format!(", {count} failed"),
        };
        printer.line(format!("{fetched} fetched ({}), {here} here{failed}", size(bytes)));
    }
    if problems.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure { diagnostics: diagnostics(problems), code: FOUND_ERRORS })
}

impl Tally {
    fn take(&mut self, event: Event) {
        match event {
            Event::Fetched { bytes, .. } => {
                self.fetched += 1;
                self.bytes = self.bytes.saturating_add(bytes);
            }
            Event::Here { .. } => self.here += 1,
            Event::Note { .. } => {}
            Event::Failed { name, problem } => {
                let mut problem = problem;
                if !problem.message.contains(&name) {
                    problem.because.insert(0, format!("of `{name}`"));
                }
                self.problems.push(problem);
            }
        }
    }
}

/// `REF=FILE`, as the command line gives them.
fn archives(given: &[String]) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut archives = BTreeMap::new();
    for text in given {
        let (reference, path) = text.split_once('=').ok_or_else(|| {
            Diagnostic::error("image-archive", format!("`{text}` is no reference and file"))
                .hint("write it as `registry.k8s.io/pause:3.10=pause.tar`")
        })?;
        let reference = Reference::parse(reference).map_err(|problem| diagnostic(&problem))?;
        archives.insert(reference.to_string(), PathBuf::from(path));
    }
    Ok(archives)
}

fn head(needs: &Needs) -> String {
    let platforms: BTreeSet<&str> =
        needs.images.values().flat_map(|image| &image.platforms).map(String::as_str).collect();
    let platforms: Vec<&str> = platforms.into_iter().collect();
    format!(
        "{} and {} for {}",
        plural(needs.files.len(), "file"),
        plural(needs.images.len(), "image"),
        platforms.join(", ")
    )
}

fn line(event: &Event, verbose: bool) -> Option<String> {
    match event {
        Event::Fetched { name, bytes } => Some(format!("fetched  {name} ({})", size(*bytes))),
        Event::Here { name } => verbose.then(|| format!("here     {name}")),
        Event::Note { name, text } => Some(format!("note     {name}: {text}")),
        Event::Failed { name, .. } => Some(format!("failed   {name}")),
    }
}

fn as_json(event: &Event) -> Value {
    match event {
        Event::Fetched { name, bytes } => json!({"event": "fetched", "name": name, "bytes": bytes}),
        Event::Here { name } => json!({"event": "here", "name": name}),
        Event::Note { name, text } => json!({"event": "note", "name": name, "text": text}),
        Event::Failed { name, problem } => json!({
            "event": "failed", "name": name, "message": problem.message, "because": problem.because,
            "hint": problem.hint,
        }),
    }
}
