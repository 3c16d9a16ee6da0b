//! Texts as Markdown.

/// Prose for a cell of a table: one line, nothing of it read as markup but code in backticks.
pub(super) fn cell(text: &str) -> String {
    let mut out = String::new();
    for (index, part) in one_line(text).split('`').enumerate() {
        if index > 0 {
            out.push('`');
        }
        let is_code = index % 2 == 1;
        for letter in part.chars() {
            match letter {
                '|' => out.push_str("\\|"),
                '<' if !is_code => out.push_str("&lt;"),
                '*' if !is_code => out.push_str("\\*"),
                _ => out.push(letter),
            }
        }
    }
    out
}

/// Code for a cell of a table, cut where it is longer than `longest` characters.
pub(super) fn code(text: &str, longest: usize) -> String {
    let mut text = one_line(text);
    if text.chars().count() > longest {
        text = text.chars().take(longest).chain(['…']).collect();
    }
    let fence = if text.contains('`') { "``" } else { "`" };
    format!("{fence}{}{fence}", text.replace('|', "\\|"))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The anchor that Markdown viewers give a heading.
pub(super) fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            letter if letter.is_alphanumeric() || letter == '-' || letter == '_' => Some(letter),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stay_cells() {
        assert_eq!(cell("one of `a|b` or <name>,\n  *all*"), "one of `a\\|b` or &lt;name>, \\*all\\*");
        assert_eq!(code("{{ a | b }}", 40), "`{{ a \\| b }}`");
        assert_eq!(code("a `quoted` word", 40), "``a `quoted` word``");
        assert_eq!(code("abcdef", 3), "`abc…`");
    }

    #[test]
    fn anchors_are_those_of_viewers() {
        assert_eq!(anchor("kubespray inventory list"), "kubespray-inventory-list");
        assert_eq!(anchor("cri-o"), "cri-o");
    }
}
