//! From tokens to the tree.

use std::sync::Arc;

use kubespray_value::Value;

use crate::ast::{Arguments, Comparison, Expr, FILTERED, For, Macro, Name, Node, Operator, Target};
use crate::lexer::{Kind, Piece, Token};
use crate::names::free_names;
use crate::syntax::SyntaxError;

/// Expressions and blocks nested deeper than this are refused: parsing and evaluating recurse once a level.
const DEEPEST: usize = 60;

/// Operators, filters and subscripts of one chain; each is one more level of the tree.
const MOST_LINKS: usize = 300;

type Result<T> = std::result::Result<T, SyntaxError>;

pub(crate) fn parse(text: &str, pieces: Vec<Piece>) -> Result<Vec<Node>> {
    let mut parser = Blocks { text, pieces: pieces.into_iter(), depth: 0, counted: (0, 1) };
    let (nodes, _) = parser.until(&[], 0)?;
    Ok(nodes)
}

/// Parses one expression that is the whole text, as conditions are.
pub(crate) fn parse_expression(text: &str, tokens: &[Token]) -> Result<Expr> {
    let mut tokens = Tokens { text, tokens, next: 0, end: text.len(), depth: 0, links: 0 };
    let expr = tokens.tuple()?;
    tokens.finish()?;
    Ok(expr)
}

struct Blocks<'a> {
    text: &'a str,
    pieces: std::vec::IntoIter<Piece>,
    depth: usize,
    /// An offset and its line.
    counted: (usize, usize),
}

/// The statement that ended a block: its word and the tokens behind it.
struct End {
    word: String,
    tokens: Vec<Token>,
    at: usize,
}

impl Blocks<'_> {
    /// Line of an offset; lines are counted on from the last one asked for.
    fn line(&mut self, at: usize) -> usize {
        let passed = self.text.get(self.counted.0..at).unwrap_or("");
        self.counted = (self.counted.0.max(at), self.counted.1 + passed.matches('\n').count());
        self.counted.1
    }

    fn until(&mut self, ends: &[&str], opened_at: usize) -> Result<(Vec<Node>, Option<End>)> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(SyntaxError::at(
                self.text,
                opened_at,
                format!("blocks nested deeper than {DEEPEST} levels"),
            ));
        }
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            match piece {
                Piece::Text(text) => nodes.push(Node::Text(text)),
                Piece::Output(tokens, at) => {
                    if tokens.is_empty() {
                        return Err(SyntaxError::at(self.text, at, "expected an expression, got `}}`"));
                    }
                    nodes.push(Node::Output(parse_expression(self.text, &tokens)?, self.line(at)));
                }
                Piece::Statement(tokens, at) => {
                    let Some(Kind::Name(word)) = tokens.first().map(|token| token.kind.clone()) else {
                        return Err(SyntaxError::at(self.text, at, "tag name expected"));
                    };
                    let rest = tokens.get(1..).unwrap_or_default().to_vec();
                    if ends.contains(&word.as_str()) {
                        self.depth -= 1;
                        return Ok((nodes, Some(End { word, tokens: rest, at })));
                    }
                    nodes.push(self.statement(&word, rest, at)?);
                }
            }
        }
        if let Some(end) = ends.last() {
            let message = format!("unexpected end of template, `{{% {end} %}}` is missing");
            return Err(SyntaxError::at(self.text, opened_at, message));
        }
        self.depth -= 1;
        Ok((nodes, None))
    }

    fn body(&mut self, end: &str, at: usize) -> Result<Vec<Node>> {
        Ok(self.until(&[end], at)?.0)
    }

    fn statement(&mut self, word: &str, tokens: Vec<Token>, at: usize) -> Result<Node> {
        let text = self.text;
        let mut tokens = Tokens { text, tokens: &tokens, next: 0, end: at, depth: 0, links: 0 };
        match word {
            "if" => {
                let condition = tokens.whole()?;
                self.branches(condition, at)
            }
            "for" => self.for_loop(&mut tokens, at),
            "set" => self.set(&mut tokens, at),
            "macro" => {
                let name = tokens.name()?;
                let parameters = tokens.parameters()?;
                tokens.finish()?;
                let body = self.body("endmacro", at)?;
                Ok(Node::Macro(Arc::new(new_macro(name, parameters, body))))
            }
            "call" => {
                let parameters =
                    if tokens.peek_operator() == Some("(") { tokens.parameters()? } else { Vec::new() };
                let Expr::Call(target, arguments) = tokens.whole()? else {
                    return Err(SyntaxError::at(text, at, "`{% call %}` wants the call of a macro"));
                };
                let body = self.body("endcall", at)?;
                let caller = Arc::new(new_macro("caller".into(), parameters, body));
                Ok(Node::Call { caller, target: *target, arguments })
            }
            "filter" => {
                let filter = tokens.filters(Expr::Name(FILTERED.into()), true)?;
                tokens.finish()?;
                Ok(Node::Filter { filter, body: self.body("endfilter", at)? })
            }
            "with" => {
                let mut bindings = Vec::new();
                while !tokens.at_end() {
                    if !bindings.is_empty() {
                        tokens.expect(",")?;
                    }
                    let target = tokens.target()?;
                    tokens.expect("=")?;
                    bindings.push((target, tokens.expression()?));
                }
                Ok(Node::With { bindings, body: self.body("endwith", at)? })
            }
            "include" | "import" | "from" | "extends" | "block" | "trans" | "autoescape" => Err(
                SyntaxError::at(text, at, format!("`{{% {word} %}}` cannot be used in a variable's value")),
            ),
            "do" | "break" | "continue" => {
                let message =
                    format!("`{{% {word} %}}` belongs to a Jinja extension that Ansible does not turn on");
                Err(SyntaxError::at(text, at, message))
            }
            _ => Err(SyntaxError::at(text, at, format!("unknown tag `{word}`"))),
        }
    }

    fn branches(&mut self, first: Expr, at: usize) -> Result<Node> {
        let mut condition = first;
        let mut branches = Vec::new();
        loop {
            let (body, end) = self.until(&["elif", "else", "endif"], at)?;
            branches.push((condition, body));
            match end {
                Some(end) if end.word == "elif" => {
                    let mut tokens = Tokens {
                        text: self.text,
                        tokens: &end.tokens,
                        next: 0,
                        end: end.at,
                        depth: 0,
                        links: 0,
                    };
                    condition = tokens.whole()?;
                }
                Some(end) if end.word == "else" => {
                    let otherwise = self.body("endif", at)?;
                    return Ok(Node::If { branches, otherwise });
                }
                _ => return Ok(Node::If { branches, otherwise: Vec::new() }),
            }
        }
    }

    fn for_loop(&mut self, tokens: &mut Tokens<'_>, at: usize) -> Result<Node> {
        let line = self.line(at);
        if tokens.peek_word() == Some("loop") {
            return Err(SyntaxError::at(self.text, at, "`loop` cannot be the name of a loop's item"));
        }
        let target = tokens.target()?;
        if !tokens.eat_word("in") {
            return Err(tokens.unexpected("`in`"));
        }
        let items = tokens.tuple_without_condition()?;
        let condition = if tokens.eat_word("if") { Some(tokens.expression()?) } else { None };
        let recursive = tokens.eat_word("recursive");
        tokens.finish()?;
        let (body, end) = self.until(&["else", "endfor"], at)?;
        let otherwise = match end {
            Some(end) if end.word == "else" => self.body("endfor", at)?,
            _ => Vec::new(),
        };
        Ok(Node::For(Box::new(For { line, target, items, condition, recursive, body, otherwise })))
    }

    fn set(&mut self, tokens: &mut Tokens<'_>, at: usize) -> Result<Node> {
        let line = self.line(at);
        let target = tokens.target()?;
        if tokens.eat("=") {
            let value = tokens.tuple()?;
            tokens.finish()?;
            return Ok(Node::Set { target, value, line });
        }
        let Target::Name(name) = target else { return Err(tokens.unexpected("`=`")) };
        let filter =
            if tokens.at_end() { None } else { Some(tokens.filters(Expr::Name(FILTERED.into()), false)?) };
        tokens.finish()?;
        Ok(Node::SetBlock { name, filter, body: self.body("endset", at)? })
    }
}

fn new_macro(name: Name, parameters: Vec<(Name, Option<Expr>)>, body: Vec<Node>) -> Macro {
    let used = free_names(&body).all;
    let uses = |name: &str| used.iter().any(|used| &**used == name);
    let (takes_rest, takes_named_rest, takes_caller) = (uses("varargs"), uses("kwargs"), uses("caller"));
    Macro { name, parameters, body, takes_rest, takes_named_rest, takes_caller }
}

struct Tokens<'a> {
    text: &'a str,
    tokens: &'a [Token],
    next: usize,
    /// Where errors at the end of the tokens are reported.
    end: usize,
    depth: usize,
    /// Operators and the like so far.
    links: usize,
}

impl Tokens<'_> {
    fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    fn peek_operator(&self) -> Option<&'static str> {
        match self.peek() {
            Some(Kind::Operator(operator)) => Some(operator),
            _ => None,
        }
    }

    fn peek_word(&self) -> Option<&str> {
        match self.peek() {
            Some(Kind::Name(name)) => Some(name),
            _ => None,
        }
    }

    fn at_end(&self) -> bool {
        self.next >= self.tokens.len()
    }

    fn unexpected(&self, wanted: &str) -> SyntaxError {
        let at = self.tokens.get(self.next).map_or(self.end, |token| token.at);
        let found = match self.peek() {
            None => "the end of the tag".to_owned(),
            Some(Kind::Name(name)) => format!("`{name}`"),
            Some(Kind::Text(text)) => format!("the text `{text}`"),
            Some(Kind::Number(number)) => format!("`{}`", number.to_text()),
            Some(Kind::Operator(operator)) => format!("`{operator}`"),
        };
        SyntaxError::at(self.text, at, format!("expected {wanted}, got {found}"))
    }

    fn eat(&mut self, operator: &str) -> bool {
        let found = self.peek_operator() == Some(operator);
        if found {
            self.next += 1;
        }
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek_word() == Some(word);
        if found {
            self.next += 1;
        }
        found
    }

    fn expect(&mut self, operator: &str) -> Result<()> {
        if self.eat(operator) { Ok(()) } else { Err(self.unexpected(&format!("`{operator}`"))) }
    }

    fn finish(&self) -> Result<()> {
        if self.at_end() { Ok(()) } else { Err(self.unexpected("the end of the tag")) }
    }

    fn name(&mut self) -> Result<Name> {
        match self.peek() {
            Some(Kind::Name(name)) => {
                let name: Name = name.as_str().into();
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    fn target(&mut self) -> Result<Target> {
        let mut targets = vec![self.single_target()?];
        let mut is_tuple = false;
        while self.eat(",") {
            is_tuple = true;
            if self.at_end()
                || self.peek_operator().is_some_and(|op| op == "=" || op == ")")
                || self.peek_word() == Some("in")
            {
                break;
            }
            targets.push(self.single_target()?);
        }
        match targets.pop() {
            Some(only) if !is_tuple => Ok(only),
            last => {
                targets.extend(last);
                Ok(Target::Tuple(targets))
            }
        }
    }

    fn single_target(&mut self) -> Result<Target> {
        if self.eat("(") {
            self.deeper()?;
            let target = self.target()?;
            self.depth -= 1;
            self.expect(")")?;
            return Ok(target);
        }
        if let Some(word @ ("true" | "True" | "false" | "False" | "none" | "None")) = self.peek_word() {
            return Err(self.unexpected(&format!("a name, `{word}` is a constant")));
        }
        let name = self.name()?;
        if self.eat(".") { Ok(Target::Attribute(name, self.name()?)) } else { Ok(Target::Name(name)) }
    }

    fn parameters(&mut self) -> Result<Vec<(Name, Option<Expr>)>> {
        self.expect("(")?;
        let mut parameters = Vec::new();
        while !self.eat(")") {
            if !parameters.is_empty() {
                self.expect(",")?;
            }
            let name = self.name()?;
            let default = if self.eat("=") { Some(self.expression()?) } else { None };
            parameters.push((name, default));
        }
        Ok(parameters)
    }

    fn deeper(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > DEEPEST { Err(self.unexpected("fewer nested expressions")) } else { Ok(()) }
    }

    /// Counts one more level of the tree that is made by a loop, not by recursion.
    fn link(&mut self) -> Result<()> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(self.unexpected(&format!("at most {MOST_LINKS} operators in one expression")));
        }
        Ok(())
    }

    fn whole(&mut self) -> Result<Expr> {
        let expr = self.tuple()?;
        self.finish()?;
        Ok(expr)
    }

    /// An expression, or several with commas between them.
    fn tuple(&mut self) -> Result<Expr> {
        self.tuple_of(Self::expression)
    }

    fn tuple_without_condition(&mut self) -> Result<Expr> {
        self.tuple_of(Self::or)
    }

    fn tuple_of(&mut self, part: fn(&mut Self) -> Result<Expr>) -> Result<Expr> {
        let first = part(self)?;
        if self.peek_operator() != Some(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.eat(",") {
            let ends = self.at_end()
                || matches!(self.peek_operator(), Some(")" | "]" | "}" | "="))
                || matches!(self.peek_word(), Some("if" | "recursive"));
            if ends {
                break;
            }
            items.push(part(self)?);
        }
        Ok(Expr::Tuple(items))
    }

    fn expression(&mut self) -> Result<Expr> {
        self.deeper()?;
        // Elements of a list and arguments of a call are chains of their own.
        let outer = std::mem::take(&mut self.links);
        let mut expr = self.or()?;
        while self.eat_word("if") {
            self.link()?;
            let test = self.or()?;
            let otherwise = if self.eat_word("else") { Some(Box::new(self.expression()?)) } else { None };
            expr = Expr::Condition { test: Box::new(test), then: Box::new(expr), otherwise };
        }
        self.depth -= 1;
        self.links = outer;
        Ok(expr)
    }

    fn or(&mut self) -> Result<Expr> {
        let mut left = self.and()?;
        while self.eat_word("or") {
            self.link()?;
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr> {
        let mut left = self.not()?;
        while self.eat_word("and") {
            self.link()?;
            left = Expr::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr> {
        if self.peek_word() == Some("not") {
            self.next += 1;
            self.deeper()?;
            let inner = self.not()?;
            self.depth -= 1;
            return Ok(Expr::Not(Box::new(inner)));
        }
        self.compare()
    }

    fn compare(&mut self) -> Result<Expr> {
        let left = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let comparison = match self.peek() {
                Some(Kind::Operator("==")) => Comparison::Equal,
                Some(Kind::Operator("!=")) => Comparison::NotEqual,
                Some(Kind::Operator("<")) => Comparison::Less,
                Some(Kind::Operator("<=")) => Comparison::LessOrEqual,
                Some(Kind::Operator(">")) => Comparison::Greater,
                Some(Kind::Operator(">=")) => Comparison::GreaterOrEqual,
                Some(Kind::Name(word)) if word == "in" => Comparison::In,
                Some(Kind::Name(word)) if word == "not" => {
                    let next = self.tokens.get(self.next + 1).map(|token| &token.kind);
                    if !matches!(next, Some(Kind::Name(word)) if word == "in") {
                        break;
                    }
                    self.next += 1;
                    Comparison::NotIn
                }
                _ => break,
            };
            self.next += 1;
            rest.push((comparison, self.sum()?));
        }
        Ok(if rest.is_empty() { left } else { Expr::Compare(Box::new(left), rest) })
    }

    fn sum(&mut self) -> Result<Expr> {
        let mut left = self.concat()?;
        loop {
            let operator = match self.peek_operator() {
                Some("+") => Operator::Add,
                Some("-") => Operator::Subtract,
                _ => return Ok(left),
            };
            self.next += 1;
            self.link()?;
            left = Expr::Binary(operator, Box::new(left), Box::new(self.concat()?));
        }
    }

    fn concat(&mut self) -> Result<Expr> {
        let first = self.product()?;
        if self.peek_operator() != Some("~") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.eat("~") {
            parts.push(self.product()?);
        }
        Ok(Expr::Concat(parts))
    }

    fn product(&mut self) -> Result<Expr> {
        let mut left = self.power()?;
        loop {
            let operator = match self.peek_operator() {
                Some("*") => Operator::Multiply,
                Some("/") => Operator::Divide,
                Some("//") => Operator::FloorDivide,
                Some("%") => Operator::Modulo,
                _ => return Ok(left),
            };
            self.next += 1;
            self.link()?;
            left = Expr::Binary(operator, Box::new(left), Box::new(self.power()?));
        }
    }

    /// Jinja groups `2 ** 3 ** 2` from the left, and a sign binds looser than the power.
    fn power(&mut self) -> Result<Expr> {
        let mut left = self.unary(true)?;
        while self.eat("**") {
            self.link()?;
            left = Expr::Binary(Operator::Power, Box::new(left), Box::new(self.unary(true)?));
        }
        Ok(left)
    }

    fn unary(&mut self, with_filter: bool) -> Result<Expr> {
        self.deeper()?;
        let sign = self.peek_operator().filter(|op| matches!(*op, "-" | "+"));
        let expr = match sign {
            Some(sign) => {
                self.next += 1;
                let inner = Box::new(self.unary(false)?);
                let signed = if sign == "-" { Expr::Negative(inner) } else { Expr::Positive(inner) };
                self.postfix(signed)?
            }
            None => {
                let primary = self.primary()?;
                self.postfix(primary)?
            }
        };
        self.depth -= 1;
        if with_filter { self.filters_and_tests(expr) } else { Ok(expr) }
    }

    fn primary(&mut self) -> Result<Expr> {
        let Some(kind) = self.peek().cloned() else { return Err(self.unexpected("an expression")) };
        let expr = match kind {
            Kind::Name(name) => match name.as_str() {
                "true" | "True" => Expr::Const(Value::Bool(true)),
                "false" | "False" => Expr::Const(Value::Bool(false)),
                "none" | "None" => Expr::Const(Value::None),
                "and" | "or" | "not" | "in" | "is" | "if" | "else" | "elif" | "for" => {
                    return Err(self.unexpected("an expression"));
                }
                _ => Expr::Name(name.as_str().into()),
            },
            Kind::Number(number) => Expr::Const(number),
            Kind::Text(mut text) => {
                // Texts that stand side by side are one.
                while let Some(Kind::Text(more)) = self.tokens.get(self.next + 1).map(|token| &token.kind) {
                    text.push_str(more);
                    self.next += 1;
                }
                Expr::Const(Value::str(text))
            }
            Kind::Operator("(") => {
                self.next += 1;
                if self.eat(")") {
                    return Ok(Expr::Tuple(Vec::new()));
                }
                let inner = self.tuple()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Kind::Operator("[") => {
                self.next += 1;
                return Ok(Expr::List(self.sequence("]")?));
            }
            Kind::Operator("{") => {
                self.next += 1;
                return self.map();
            }
            Kind::Operator(_) => return Err(self.unexpected("an expression")),
        };
        self.next += 1;
        Ok(expr)
    }

    fn sequence(&mut self, close: &str) -> Result<Vec<Expr>> {
        let mut items = Vec::new();
        while !self.eat(close) {
            if !items.is_empty() {
                self.expect(",")?;
                if self.eat(close) {
                    break;
                }
            }
            items.push(self.expression()?);
        }
        Ok(items)
    }

    fn map(&mut self) -> Result<Expr> {
        let mut entries = Vec::new();
        while !self.eat("}") {
            if !entries.is_empty() {
                self.expect(",")?;
                if self.eat("}") {
                    break;
                }
            }
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
        }
        Ok(Expr::Map(entries))
    }

    fn postfix(&mut self, mut expr: Expr) -> Result<Expr> {
        loop {
            if matches!(self.peek_operator(), Some("." | "[" | "(")) {
                self.link()?;
            }
            if self.eat(".") {
                expr = match self.peek() {
                    Some(Kind::Number(number @ Value::Int(_))) => {
                        let index = Expr::Const(number.clone());
                        self.next += 1;
                        Expr::Item(Box::new(expr), Box::new(index))
                    }
                    // The lexer takes `0.1` of `list.0.1` for a number.
                    Some(Kind::Number(Value::Float(float))) => {
                        let text = kubespray_value::float_text(*float);
                        self.next += 1;
                        for part in text.split('.') {
                            let index = part.parse().map_or(Value::None, Value::Int);
                            expr = Expr::Item(Box::new(expr), Box::new(Expr::Const(index)));
                        }
                        expr
                    }
                    _ => Expr::Attribute(Box::new(expr), self.name()?),
                };
            } else if self.eat("[") {
                expr = self.subscript(expr)?;
            } else if self.eat("(") {
                let arguments = self.arguments()?;
                expr = Expr::Call(Box::new(expr), arguments);
            } else {
                return Ok(expr);
            }
        }
    }

    /// What stands in square brackets: a key, several (which make a tuple), or a slice.
    fn subscript(&mut self, value: Expr) -> Result<Expr> {
        let mut parts: [Option<Box<Expr>>; 3] = [None, None, None];
        let mut index = 0;
        let ends = |parser: &Self| matches!(parser.peek_operator(), Some("]" | ":"));
        loop {
            if !ends(self)
                && let Some(part) = parts.get_mut(index)
            {
                *part = Some(Box::new(self.expression()?));
            }
            if !self.eat(":") {
                break;
            }
            index += 1;
            if index > 2 {
                return Err(self.unexpected("`]`"));
            }
        }
        if index > 0 {
            self.expect("]")?;
            return Ok(Expr::Slice(Box::new(value), parts));
        }
        let [Some(first), ..] = parts else { return Err(self.unexpected("an expression")) };
        let mut keys = vec![*first];
        while self.eat(",") {
            keys.push(self.expression()?);
        }
        self.expect("]")?;
        let key = match keys.pop() {
            Some(only) if keys.is_empty() => only,
            last => {
                keys.extend(last);
                Expr::Tuple(keys)
            }
        };
        Ok(Expr::Item(Box::new(value), Box::new(key)))
    }

    fn arguments(&mut self) -> Result<Arguments> {
        let mut arguments = Arguments::default();
        let mut first = true;
        while !self.eat(")") {
            if !first {
                self.expect(",")?;
                if self.eat(")") {
                    break;
                }
            }
            first = false;
            if self.eat("*") {
                arguments.rest = Some(Box::new(self.expression()?));
                continue;
            }
            if self.eat("**") {
                arguments.named_rest = Some(Box::new(self.expression()?));
                continue;
            }
            let named = matches!(self.tokens.get(self.next + 1).map(|t| &t.kind), Some(Kind::Operator("=")));
            if let (Some(name), true) = (self.peek_word().map(Name::from), named) {
                self.next += 2;
                arguments.named.push((name, self.expression()?));
            } else if arguments.named.is_empty() && arguments.named_rest.is_none() {
                arguments.positional.push(self.expression()?);
            } else {
                return Err(self.unexpected("a named argument"));
            }
        }
        Ok(arguments)
    }

    fn filters_and_tests(&mut self, mut expr: Expr) -> Result<Expr> {
        loop {
            if self.peek_operator() == Some("|") {
                expr = self.filters(expr, false)?;
            } else if self.peek_word() == Some("is") {
                self.next += 1;
                self.link()?;
                expr = self.test(expr)?;
            } else if self.peek_operator() == Some("(") {
                self.next += 1;
                let arguments = self.arguments()?;
                expr = Expr::Call(Box::new(expr), arguments);
            } else {
                return Ok(expr);
            }
        }
    }

    fn dotted_name(&mut self) -> Result<String> {
        let mut name = self.name()?.to_string();
        while self.eat(".") {
            name.push('.');
            name.push_str(&self.name()?);
        }
        Ok(name)
    }

    /// `| name(arguments)`, any number of times; inside a `filter` tag the first bar is left out.
    fn filters(&mut self, mut expr: Expr, bare_first: bool) -> Result<Expr> {
        let mut bare = bare_first;
        while bare || self.eat("|") {
            bare = false;
            self.link()?;
            let name = self.dotted_name()?;
            let arguments = if self.eat("(") { self.arguments()? } else { Arguments::default() };
            expr = Expr::Filter { value: Box::new(expr), name, arguments };
        }
        Ok(expr)
    }

    fn test(&mut self, value: Expr) -> Result<Expr> {
        let negated = self.eat_word("not");
        let name = self.dotted_name()?;
        let mut arguments = Arguments::default();
        let starts_argument = match self.peek() {
            Some(Kind::Operator("(")) => {
                self.next += 1;
                arguments = self.arguments()?;
                false
            }
            Some(Kind::Operator("[" | "{") | Kind::Text(_) | Kind::Number(_)) => true,
            Some(Kind::Name(word)) => {
                if word == "is" {
                    return Err(self.unexpected("the end of the test (tests cannot be chained)"));
                }
                !matches!(word.as_str(), "else" | "or" | "and" | "if" | "in" | "not" | "recursive")
            }
            _ => false,
        };
        if starts_argument {
            let primary = self.primary()?;
            arguments.positional.push(self.postfix(primary)?);
        }
        Ok(Expr::Test { value: Box::new(value), name, arguments, negated })
    }
}
