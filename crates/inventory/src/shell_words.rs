//! Words of a line as Python's `shlex.split(line, comments=True)` sees them.

/// A word and the column (from 0, in characters) where it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) column: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Word,
    Quoted(char),
    /// After a backslash, and where to go back to.
    Escape(Option<char>),
}

/// Splits at blanks, honours quotes and backslashes, stops at `#` (even inside a word, ANS-013).
/// Errors say what is left open.
pub(crate) fn split(line: &str) -> Result<Vec<Word>, &'static str> {
    let mut words = Vec::new();
    let mut state = State::Between;
    let mut word = String::new();
    let mut start = 0;
    for (column, c) in line.chars().enumerate() {
        let blank = matches!(c, ' ' | '\t' | '\r' | '\n');
        state = match state {
            State::Between if blank => State::Between,
            State::Word if blank => {
                words.push(Word { text: std::mem::take(&mut word), column: start });
                State::Between
            }
            State::Between | State::Word if c == '#' => {
                if state == State::Word {
                    words.push(Word { text: word, column: start });
                }
                return Ok(words);
            }
            State::Between | State::Word => {
                if state == State::Between {
                    start = column;
                }
                match c {
                    '\'' | '"' => State::Quoted(c),
                    '\\' => State::Escape(None),
                    c => {
                        word.push(c);
                        State::Word
                    }
                }
            }
            State::Quoted(quote) if c == quote => State::Word,
            State::Quoted('"') if c == '\\' => State::Escape(Some('"')),
            State::Quoted(quote) => {
                word.push(c);
                State::Quoted(quote)
            }
            State::Escape(None) => {
                word.push(c);
                State::Word
            }
            State::Escape(Some(quote)) => {
                if c != '\\' && c != quote {
                    word.push('\\');
                }
                word.push(c);
                State::Quoted(quote)
            }
        };
    }
    match state {
        State::Between => Ok(words),
        State::Word => {
            words.push(Word { text: word, column: start });
            Ok(words)
        }
        State::Quoted(_) => Err("a quotation mark is not closed"),
        State::Escape(_) => Err("nothing follows the backslash"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_python_splits() {
        for (line, expected) in [
            ("a b=c", "a|b=c"),
            ("a  x=\"1 2\" y='3 4'", "a|x=1 2|y=3 4"),
            ("a x=b#c d=e", "a|x=b"),
            ("a # comment", "a"),
            ("a x='#1'", "a|x=#1"),
            ("a x=\"q\\\"r\\n\"", "a|x=q\"r\\n"),
            ("a x='q\\n'", "a|x=q\\n"),
            ("a x=b\\ c", "a|x=b c"),
            ("a ''", "a|"),
            ("a x=\"\"", "a|x="),
            ("a x=one\"two\"'three'", "a|x=onetwothree"),
            ("a\tb", "a|b"),
        ] {
            let words = split(line).map(|w| w.into_iter().map(|w| w.text).collect::<Vec<_>>().join("|"));
            assert_eq!(words.as_deref(), Ok(expected), "{line}");
        }
        assert!(split("a x='b").is_err());
        assert!(split("a x=\"b").is_err());
        assert!(split("a \\").is_err());
    }

    #[test]
    fn columns_count_characters() {
        let columns: Vec<usize> = split("노드1  x=1 y=2").unwrap().iter().map(|w| w.column).collect();
        assert_eq!(columns, [0, 5, 9]);
    }
}
