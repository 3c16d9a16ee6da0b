//! Python literals in texts, as `ast.literal_eval` reads them.
//!
//! INI values and the results of templates that look like containers go through this (ANS-011,
//! ANS-024).

use num_bigint::BigInt;

use crate::{Map, Value, parse_float, parse_int};

/// Containers nested deeper than this are refused; Python's own parser gives up at about 200.
const DEEPEST: usize = 100;

/// Why a text is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiteralError {
    /// No Python literal: the text stays a text.
    NotALiteral,
    /// A literal that no inventory can hold (ANS-016): a set, a complex number, `...`.
    Unrepresentable(&'static str),
}

/// Which names stand for constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// `True`, `False`, `None`.
    Python,
    /// Also `true`, `false`, `null`: what a rendered template may hold (ANS-024).
    PythonAndJson,
}

/// Reads a whole text as one Python literal.
pub fn parse(text: &str, names: Names) -> Result<Value, LiteralError> {
    // Python strips blanks and tabs in front, and stops at a NUL.
    let text = text.trim_start_matches([' ', '\t']);
    if text.contains('\0') {
        return Err(LiteralError::NotALiteral);
    }
    let mut parser = Parser { text, at: 0, names, brackets: 0 };
    let value = parser.expression_list(0)?;
    parser.skip_trailing();
    if parser.at == text.len() { Ok(value) } else { Err(LiteralError::NotALiteral) }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    names: Names,
    /// Line breaks count as blanks inside brackets only.
    brackets: usize,
}

type Parsed = Result<Value, LiteralError>;

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\u{c}') => self.at += 1,
                Some('\n' | '\r') if self.brackets > 0 => self.at += 1,
                Some('#') if self.brackets > 0 => {
                    self.at += self.rest().find('\n').unwrap_or(self.rest().len());
                }
                Some('\\') if self.rest().starts_with("\\\n") => self.at += 2,
                _ => return,
            }
        }
    }

    /// Blanks, comments and line breaks behind the expression.
    fn skip_trailing(&mut self) {
        self.brackets += 1;
        self.skip_blanks();
        self.brackets -= 1;
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip_blanks();
        if self.peek() == Some(c) {
            self.at += c.len_utf8();
            true
        } else {
            false
        }
    }

    /// `a` or the tuple `a, b`.
    fn expression_list(&mut self, depth: usize) -> Parsed {
        let first = self.expression(depth)?;
        self.skip_blanks();
        if self.peek() != Some(',') {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.eat(',') {
            self.skip_blanks();
            if matches!(self.peek(), None | Some(')' | '\n' | '\r' | '#')) {
                break;
            }
            items.push(self.expression(depth)?);
        }
        Ok(Value::tuple(items))
    }

    fn expression(&mut self, depth: usize) -> Parsed {
        if depth > DEEPEST {
            return Err(LiteralError::NotALiteral);
        }
        let value = self.operand(depth)?;
        self.skip_blanks();
        // The one sum that Python takes for a literal is a complex number.
        if matches!(self.peek(), Some('+' | '-')) && is_number(&value) {
            self.at += 1;
            self.skip_blanks();
            let digits = self.number_text();
            return Err(match digits.strip_suffix(['j', 'J']).and_then(parse_float) {
                Some(_) => LiteralError::Unrepresentable("a complex number"),
                None => LiteralError::NotALiteral,
            });
        }
        Ok(value)
    }

    fn operand(&mut self, depth: usize) -> Parsed {
        if depth > DEEPEST {
            return Err(LiteralError::NotALiteral);
        }
        self.skip_blanks();
        match self.peek().ok_or(LiteralError::NotALiteral)? {
            '+' => {
                self.at += 1;
                let value = self.operand(depth + 1)?;
                if is_number(&value) { Ok(value) } else { Err(LiteralError::NotALiteral) }
            }
            '-' => {
                self.at += 1;
                match self.operand(depth + 1)? {
                    Value::Float(f) => Ok(Value::Float(-f)),
                    value @ (Value::Int(_) | Value::BigInt(_)) => {
                        Ok(Value::big(-value.as_big().unwrap_or_else(BigInt::default)))
                    }
                    _ => Err(LiteralError::NotALiteral),
                }
            }
            '[' => Ok(Value::list(self.items(']', depth)?)),
            '(' => self.parenthesis(depth),
            '{' => self.braces(depth),
            '\'' | '"' => self.texts(),
            '.' if self.rest().starts_with("...") => Err(LiteralError::Unrepresentable("an ellipsis")),
            c if c.is_ascii_digit() || c == '.' => self.number(),
            c if c.is_alphabetic() || c == '_' => self.name(),
            _ => Err(LiteralError::NotALiteral),
        }
    }

    fn items(&mut self, close: char, depth: usize) -> Result<Vec<Value>, LiteralError> {
        self.at += 1;
        self.brackets += 1;
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(self.expression(depth + 1)?);
            self.skip_blanks();
            if !self.eat(',') && self.peek() != Some(close) {
                return Err(LiteralError::NotALiteral);
            }
        }
        self.brackets -= 1;
        Ok(items)
    }

    fn parenthesis(&mut self, depth: usize) -> Parsed {
        self.at += 1;
        self.brackets += 1;
        let value = if self.eat(')') {
            Value::tuple(Vec::new())
        } else {
            let value = self.expression_list(depth + 1)?;
            if !self.eat(')') {
                return Err(LiteralError::NotALiteral);
            }
            value
        };
        self.brackets -= 1;
        Ok(value)
    }

    /// A map, or a set.
    fn braces(&mut self, depth: usize) -> Parsed {
        self.at += 1;
        self.brackets += 1;
        let mut map = Map::new();
        let mut set = false;
        while !self.eat('}') {
            let key = self.expression(depth + 1)?;
            if matches!(key, Value::List(_) | Value::Map(_)) {
                return Err(LiteralError::NotALiteral);
            }
            if self.eat(':') {
                if set {
                    return Err(LiteralError::NotALiteral);
                }
                let value = self.expression(depth + 1)?;
                map.insert(key, value);
            } else if map.is_empty() {
                set = true;
            } else {
                return Err(LiteralError::NotALiteral);
            }
            self.skip_blanks();
            if !self.eat(',') && self.peek() != Some('}') {
                return Err(LiteralError::NotALiteral);
            }
        }
        self.brackets -= 1;
        if set { Err(LiteralError::Unrepresentable("a set")) } else { Ok(Value::map(map)) }
    }

    fn number_text(&mut self) -> &'a str {
        let rest = self.rest();
        let mut end = 0;
        let mut previous = ' ';
        let hex = rest.get(..2).is_some_and(|p| p.eq_ignore_ascii_case("0x"));
        for (index, c) in rest.char_indices() {
            let exponent_sign = matches!(c, '+' | '-') && matches!(previous, 'e' | 'E') && !hex;
            if !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || exponent_sign) {
                break;
            }
            end = index + c.len_utf8();
            previous = c;
        }
        self.at += end;
        rest.get(..end).unwrap_or("")
    }

    fn number(&mut self) -> Parsed {
        let digits = self.number_text();
        if let Some(value) = parse_int(digits, 0) {
            return Ok(value);
        }
        if digits.strip_suffix(['j', 'J']).and_then(parse_float).is_some() {
            return Err(LiteralError::Unrepresentable("a complex number"));
        }
        let is_float = digits.contains(['.', 'e', 'E']) && !digits.to_ascii_lowercase().starts_with("0x");
        match parse_float(digits) {
            Some(float) if is_float => Ok(Value::Float(float)),
            _ => Err(LiteralError::NotALiteral),
        }
    }

    fn name(&mut self) -> Parsed {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or("");
        if rest.get(end..).is_some_and(|r| r.starts_with(['\'', '"'])) {
            return self.texts();
        }
        let value = match (name, self.names) {
            ("True", _) | ("true", Names::PythonAndJson) => Value::Bool(true),
            ("False", _) | ("false", Names::PythonAndJson) => Value::Bool(false),
            ("None", _) | ("null", Names::PythonAndJson) => Value::None,
            ("set", _) if rest.get(end..).is_some_and(|r| r.trim_start().starts_with('(')) => {
                return Err(LiteralError::Unrepresentable("a set"));
            }
            _ => return Err(LiteralError::NotALiteral),
        };
        self.at += end;
        Ok(value)
    }

    /// One text, or several that stand side by side and are one.
    fn texts(&mut self) -> Parsed {
        let mut text = String::new();
        let mut bytes: Option<Vec<u8>> = None;
        let mut first = true;
        loop {
            let rest = self.rest();
            let Some(quote_at) = rest.find(['\'', '"']) else { break };
            let prefix = rest.get(..quote_at).unwrap_or("").to_ascii_lowercase();
            let (raw, is_bytes) = match prefix.as_str() {
                "" | "u" => (false, false),
                "r" => (true, false),
                "b" => (false, true),
                "br" | "rb" => (true, true),
                _ if first => return Err(LiteralError::NotALiteral),
                _ => break,
            };
            if !first && is_bytes != bytes.is_some() {
                return Err(LiteralError::NotALiteral);
            }
            self.at += quote_at;
            let part = self.quoted(raw, is_bytes)?;
            if is_bytes {
                // Escapes such as `\xff` were read as the characters of the same number.
                let part: Option<Vec<u8>> = part.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
                bytes.get_or_insert_default().extend(part.ok_or(LiteralError::NotALiteral)?);
            } else {
                text.push_str(&part);
            }
            first = false;
            self.skip_blanks();
        }
        Ok(match bytes {
            Some(bytes) => Value::Bytes(bytes.into()),
            None => Value::str(text),
        })
    }

    fn quoted(&mut self, raw: bool, is_bytes: bool) -> Result<String, LiteralError> {
        let rest = self.rest();
        let quote = rest.chars().next().ok_or(LiteralError::NotALiteral)?;
        let triple: String = [quote; 3].iter().collect();
        let long = rest.starts_with(&triple);
        let delimiter = if long { triple } else { quote.to_string() };
        self.at += delimiter.len();
        let mut out = String::new();
        loop {
            if self.rest().starts_with(&delimiter) {
                self.at += delimiter.len();
                return Ok(out);
            }
            let c = self.peek().ok_or(LiteralError::NotALiteral)?;
            self.at += c.len_utf8();
            match c {
                '\n' | '\r' if !long => return Err(LiteralError::NotALiteral),
                '\\' if raw => {
                    out.push('\\');
                    let next = self.peek().ok_or(LiteralError::NotALiteral)?;
                    self.at += next.len_utf8();
                    out.push(next);
                }
                '\\' => self.escape(is_bytes, &mut out)?,
                c if is_bytes && !c.is_ascii() => return Err(LiteralError::NotALiteral),
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self, is_bytes: bool, out: &mut String) -> Result<(), LiteralError> {
        let c = self.peek().ok_or(LiteralError::NotALiteral)?;
        self.at += c.len_utf8();
        match c {
            '\n' => {}
            '\\' | '\'' | '"' => out.push(c),
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            '0'..='7' => {
                let digits = self.text.get(self.at - 1..).unwrap_or("");
                let count = digits.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
                self.at += count - 1;
                push_code(digits.get(..count).unwrap_or(""), 8, out)?;
            }
            'x' => self.hex_escape(2, out)?,
            'u' if !is_bytes => self.hex_escape(4, out)?,
            'U' if !is_bytes => self.hex_escape(8, out)?,
            // Character names would need a table of all of Unicode.
            'N' if !is_bytes => return Err(LiteralError::NotALiteral),
            other => {
                out.push('\\');
                out.push(other);
            }
        }
        Ok(())
    }

    fn hex_escape(&mut self, length: usize, out: &mut String) -> Result<(), LiteralError> {
        let digits = self.rest().get(..length).ok_or(LiteralError::NotALiteral)?;
        self.at += length;
        push_code(digits, 16, out)
    }
}

fn push_code(digits: &str, radix: u32, out: &mut String) -> Result<(), LiteralError> {
    let code = u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    out.push(code.ok_or(LiteralError::NotALiteral)?);
    Ok(())
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::BigInt(_) | Value::Float(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_python_reads() {
        for (text, repr) in [
            ("5", "5"),
            (" \t5", "5"),
            ("-5", "-5"),
            ("1.30", "1.3"),
            ("1_000", "1000"),
            ("0x1f", "31"),
            ("1e3", "1000.0"),
            ("True", "True"),
            ("None", "None"),
            ("'a' \"b\"", "'ab'"),
            ("r'\\d'", "'\\\\d'"),
            ("b'a'", "b'a'"),
            ("[1, 'a', (2,), {'k': [None]}]", "[1, 'a', (2,), {'k': [None]}]"),
            ("1, 2", "(1, 2)"),
            ("()", "()"),
            ("{}", "{}"),
            ("[1,\n 2, # why\n]", "[1, 2]"),
            ("'\\x41\\u00e9\\101\\q'", "'AéA\\\\q'"),
            ("'''a\nb'''", "'a\\nb'"),
            ("99999999999999999999", "99999999999999999999"),
            ("5 # comment", "5"),
        ] {
            assert_eq!(parse(text, Names::Python).map(|v| v.repr()).as_deref(), Ok(repr), "{text}");
        }
    }

    #[test]
    fn leaves_the_rest_as_text() {
        for text in [
            "",
            "true",
            "yes",
            "0644",
            "a",
            "1.2.3",
            "10.0.0.1",
            "[1",
            "{1: }",
            "'a",
            "f'a'",
            "1 + 2",
            "-'a'",
            "[a]",
            "{[1]: 2}",
            "a b",
            "1 2",
            "=",
            "--",
            "'a' b'b'",
            "0x",
            "1__0",
            "{1: 2, 3}",
            "{1, 2: 3}",
            "\n5 6",
        ] {
            assert_eq!(parse(text, Names::Python), Err(LiteralError::NotALiteral), "{text}");
        }
        assert_eq!(parse(&"[".repeat(100_000), Names::Python), Err(LiteralError::NotALiteral));
        assert_eq!(parse(&"-".repeat(100_000), Names::Python), Err(LiteralError::NotALiteral));
    }

    #[test]
    fn names_what_no_inventory_can_hold() {
        for text in ["{1, 2}", "set()", "1j", "1+2j", "...", "[...]"] {
            assert!(matches!(parse(text, Names::Python), Err(LiteralError::Unrepresentable(_))), "{text}");
        }
    }

    #[test]
    fn rendered_templates_may_hold_json_names() {
        assert_eq!(
            parse("[true, false, null]", Names::PythonAndJson).map(|v| v.repr()).as_deref(),
            Ok("[True, False, None]")
        );
    }
}
