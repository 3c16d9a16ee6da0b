//! How texts will change.

use similar::TextDiff;

/// Longer texts are not compared line by line: nobody reads it, and it takes time.
const LONGEST: usize = 1 << 20;

/// A unified diff with three lines around each change; nothing where the texts are equal, too long or no
/// text.
pub fn unified(path: &str, old: &str, new: &str) -> Option<String> {
    if old == new || old.len() > LONGEST || new.len() > LONGEST || new.contains('\0') {
        return None;
    }
    let from = if old.is_empty() { "/dev/null" } else { path };
    let to = if new.is_empty() { "/dev/null" } else { path };
    Some(TextDiff::from_lines(old, new).unified_diff().context_radius(3).header(from, to).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_shown_with_their_neighbours() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\n";
        let diff = unified("/etc/x", old, &old.replace('f', "F")).unwrap();
        assert_eq!(diff, "--- /etc/x\n+++ /etc/x\n@@ -3,6 +3,6 @@\n c\n d\n e\n-f\n+F\n g\n h\n");
        assert_eq!(unified("/etc/x", "a", "a"), None);
        assert!(unified("/etc/x", "", "a\n").unwrap().starts_with("--- /dev/null\n+++ /etc/x\n"));
    }
}
