//! The program nerdctl, as far as it is asked for its version and completion.

/// Runs one command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--version" | "-v"] => {
            crate::say(&format!("nerdctl version {}", crate::version().trim_start_matches('v')));
        }
        ["completion", "bash"] => crate::say("# bash completion of nerdctl\ncomplete -o default nerdctl"),
        other => return Err(format!("unknown command {:?} for \"nerdctl\"", other.join(" "))),
    }
    Ok(())
}
