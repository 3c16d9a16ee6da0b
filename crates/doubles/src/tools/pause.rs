//! The program pause: it waits.

use std::time::Duration;

/// Waits until the process is ended.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [flag] if flag == "-v" => {
            crate::say("pause.c double");
            Ok(())
        }
        [] => loop {
            std::thread::sleep(Duration::from_hours(1));
        },
        _ => Err("pause takes no arguments".into()),
    }
}
