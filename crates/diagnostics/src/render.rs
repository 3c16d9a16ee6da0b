//! Diagnostics as terminal text.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::{Diagnostic, Label, Severity};

/// Lines longer than this are cut before they are shown: a file may be one line of megabytes.
const LONGEST_SHOWN_LINE: usize = 400;

/// How text is rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Colours; never the only carrier of a meaning.
    pub color: bool,
}

/// Renders a diagnostic with the lines of the user's files that it speaks of.
///
/// Ends without a line break.
pub fn render(diagnostic: &Diagnostic, style: Style) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = match &diagnostic.host {
        Some(host) => format!("{host}: {}", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    let excerpts: Vec<Excerpt> = diagnostic.labels.iter().map(Excerpt::of).collect();
    let mut group = Group::with_title(level.primary_title(title.as_str()).id(diagnostic.id.as_str()));
    let mut bare_places = Vec::new();
    for (index, excerpt) in excerpts.iter().enumerate() {
        let Some(line) = &excerpt.line else {
            bare_places.push(match excerpt.text.as_str() {
                "" => format!("in {}", excerpt.place),
                text => format!("{}: {text}", excerpt.place),
            });
            continue;
        };
        let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let mut annotation = kind.span(excerpt.range.clone());
        if !excerpt.text.is_empty() {
            annotation = annotation.label(excerpt.text.as_str());
        }
        group = group.element(
            Snippet::source(line.as_str())
                .line_start(excerpt.number)
                .path(excerpt.path.as_str())
                .annotation(annotation),
        );
    }
    for place in &bare_places {
        group = group.element(Level::NOTE.message(place.as_str()));
    }
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    for hint in &diagnostic.hints {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    let renderer = if style.color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group]).trim_end().to_owned()
}

/// One line of a source, cut to a bearable length, with the part that a label marks.
struct Excerpt {
    place: String,
    path: String,
    text: String,
    number: usize,
    line: Option<String>,
    range: std::ops::Range<usize>,
}

impl Excerpt {
    fn of(label: &Label) -> Self {
        let span = &label.span;
        let mut excerpt = Self {
            place: span.to_string(),
            path: span.source().name().to_owned(),
            text: label.text.clone(),
            number: span.line(),
            line: None,
            range: 0..0,
        };
        let Some(line) = span.line().checked_sub(1).and_then(|n| span.source().text()?.lines().nth(n)) else {
            return excerpt;
        };
        let first = span.column().saturating_sub(1);
        // Keep the marked part in sight where the line is too long to show whole.
        let skipped = first.saturating_sub(LONGEST_SHOWN_LINE / 2);
        let shown: String = line.chars().skip(skipped).take(LONGEST_SHOWN_LINE).collect();
        let last = if span.end().0 == span.line() { span.end().1.saturating_sub(1) } else { usize::MAX };
        let byte_of = |column: usize| {
            shown.char_indices().nth(column.saturating_sub(skipped)).map_or(shown.len(), |(at, _)| at)
        };
        let start = byte_of(first);
        let end = byte_of(last.max(first + 1)).max(start);
        excerpt.range = start..end;
        excerpt.line = Some(shown);
        excerpt
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Source, Span};

    #[test]
    fn shows_what_where_why_and_what_next() {
        let source = Source::new("group_vars/all/all.yml", "a: 1\nkube_netwrok_plugin: calico\n");
        let diagnostic = Diagnostic::warning("unknown-variable", "nothing reads `kube_netwrok_plugin`")
            .at(Span::between(source, (2, 1), (2, 20)))
            .because("1,771 variables are known")
            .hint("did you mean `kube_network_plugin`?");
        insta::assert_snapshot!(render(&diagnostic, Style::default()));
    }

    #[test]
    fn survives_places_that_are_not_in_the_text() {
        let source = Source::new("hosts.yaml", "한국어: 값\n");
        for (line, column) in [(0, 0), (1, 3), (1, 99), (9, 1)] {
            let diagnostic = Diagnostic::error("x", "y").at(Span::at(source.clone(), line, column));
            assert!(render(&diagnostic, Style::default()).contains("hosts.yaml"));
        }
    }

    #[test]
    fn a_source_without_text_is_named_only() {
        let diagnostic = Diagnostic::error("x", "y")
            .at(Span::at(Source::without_text("secret.yml"), 3, 1))
            .on_host("node1");
        insta::assert_snapshot!(render(&diagnostic, Style::default()));
    }
}
