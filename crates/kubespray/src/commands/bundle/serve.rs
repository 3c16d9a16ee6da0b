//! `kubespray bundle serve`

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use kubespray_bundle::{Identity, Options, Served, Store, serve};
use kubespray_diagnostics::Diagnostic;
use kubespray_interface::plural;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::diagnostic;
use crate::arguments::bundle::BundleServe;
use crate::failure::Failure;
use crate::printer::Printer;

/// What happens while it serves.
enum Word {
    Served(Served),
    End,
}

pub(crate) fn run(options: &BundleServe, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let store = Store::open_to_read(&options.dir).map_err(|problem| diagnostic(&problem))?;
    let (sender, words) = channel();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let end = sender.clone();
    let waiting = thread::Builder::new().name("signals".into()).spawn(move || {
        if signals.forever().next().is_some() {
            // Nobody waits any more when the server could not begin.
            let _ = end.send(Word::End);
        }
    });
    waiting.map_err(|error| Diagnostic::error("serve", format!("cannot wait for signals: {error}")))?;
    let tls = match (&options.tls_cert, &options.tls_key) {
        (Some(certificate), Some(key)) => {
            Some(Identity { certificate: certificate.clone(), key: key.clone() })
        }
        _ => None,
    };
    let on_answer: Option<Arc<dyn Fn(&Served) + Send + Sync>> = options.output.verbose.then(|| {
        let tell: Arc<dyn Fn(&Served) + Send + Sync> = Arc::new(move |served| {
            // The last answers are sent when nobody prints any more.
            let _ = sender.send(Word::Served(served.clone()));
        });
        tell
    });
    let server = serve(&store, Options { listen: Some(options.listen), tls, on_answer })
        .map_err(|problem| diagnostic(&problem))?;
    let index = store.index();
    if printer.is_json() {
        printer.json_line(&json!({
            "event": "serving", "url": server.url(), "files": index.files.len(), "images": index.images.len(),
        }));
    } else {
        let (files, images) = (plural(index.files.len(), "file"), plural(index.images.len(), "image"));
        printer.line(format!("serving {files} and {images} at {}; Ctrl-C ends it", server.url()));
    }
    printer.out().flush()?;
    while let Ok(Word::Served(served)) = words.recv() {
        if printer.is_json() {
            printer.json_line(&json!({
                "event": "served", "from": served.from.to_string(), "method": served.method,
                "target": served.target, "status": served.status, "bytes": served.bytes,
            }));
        } else {
            let Served { from, method, target, status, bytes } = served;
            let target: String = target.chars().filter(|c| !c.is_control()).collect();
            printer.line(format!("{from} {method} {target} {status} {bytes}"));
        }
        printer.out().flush()?;
    }
    server.stop();
    Ok(ExitCode::SUCCESS)
}
