//! Which names a template looks up outside of itself.

use crate::ast::{Arguments, Expr, FILTERED, Macro, Name, Node, Target};

/// The names that a template does not bind itself.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// All, in the order in which they first appear.
    pub(crate) all: Vec<Name>,
    /// Those outside of loops, macros and blocks: Jinja looks them up before anything is rendered, the
    /// others when it gets there (ANS-028).
    pub(crate) first: Vec<Name>,
}

/// Finds the names that a template looks up.
pub(crate) fn free_names(nodes: &[Node]) -> Names {
    let mut finder = Finder { bound: vec![Vec::new()], found: Names::default() };
    finder.nodes(nodes);
    finder.found
}

struct Finder {
    bound: Vec<Vec<Name>>,
    found: Names,
}

impl Finder {
    fn bind(&mut self, name: &Name) {
        if let Some(scope) = self.bound.last_mut()
            && !scope.contains(name)
        {
            scope.push(name.clone());
        }
    }

    fn target(&mut self, target: &Target) {
        match target {
            Target::Name(name) => self.bind(name),
            Target::Attribute(name, _) => self.name(name),
            Target::Tuple(targets) => targets.iter().for_each(|target| self.target(target)),
        }
    }

    fn name(&mut self, name: &Name) {
        if &**name == FILTERED || self.bound.iter().any(|scope| scope.contains(name)) {
            return;
        }
        if !self.found.all.contains(name) {
            self.found.all.push(name.clone());
        }
        if self.bound.len() == 1 && !self.found.first.contains(name) {
            self.found.first.push(name.clone());
        }
    }

    fn scoped(&mut self, names: &[&str], walk: impl FnOnce(&mut Self)) {
        self.bound.push(names.iter().map(|name| Name::from(*name)).collect());
        walk(self);
        self.bound.pop();
    }

    /// What a branch binds may stay unbound, and is then looked up outside.
    fn branches<'a>(&mut self, bodies: impl Iterator<Item = &'a [Node]>) {
        let before = self.bound.last().cloned().unwrap_or_default();
        let mut stored: Vec<Name> = Vec::new();
        for body in bodies {
            self.nodes(body);
            if let Some(scope) = self.bound.last_mut() {
                stored.extend(scope.split_off(before.len()));
            }
        }
        stored.iter().for_each(|name| self.name(name));
        stored.iter().for_each(|name| self.bind(name));
    }

    fn nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            self.node(node);
        }
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Text(_) => {}
            Node::Output(expr, _) => self.expr(expr),
            Node::If { branches, otherwise } => {
                branches.iter().for_each(|(condition, _)| self.expr(condition));
                let bodies = branches.iter().map(|(_, body)| body.as_slice());
                self.branches(bodies.chain(std::iter::once(otherwise.as_slice())));
            }
            Node::For(each) => {
                self.expr(&each.items);
                self.scoped(&["loop"], |finder| {
                    finder.target(&each.target);
                    each.condition.iter().for_each(|condition| finder.expr(condition));
                    finder.nodes(&each.body);
                });
                self.scoped(&[], |finder| finder.nodes(&each.otherwise));
            }
            Node::Set { target, value, .. } => {
                self.expr(value);
                self.target(target);
            }
            Node::SetBlock { name, filter, body } => {
                self.scoped(&[], |finder| finder.nodes(body));
                filter.iter().for_each(|filter| self.expr(filter));
                self.bind(name);
            }
            Node::Macro(definition) => {
                self.bind(&definition.name);
                self.definition(definition);
            }
            Node::Call { caller, target, arguments } => {
                self.expr(target);
                self.arguments(arguments);
                self.definition(caller);
            }
            Node::Filter { filter, body } => {
                self.expr(filter);
                self.scoped(&[], |finder| finder.nodes(body));
            }
            Node::With { bindings, body } => {
                bindings.iter().for_each(|(_, value)| self.expr(value));
                self.scoped(&[], |finder| {
                    bindings.iter().for_each(|(target, _)| finder.target(target));
                    finder.nodes(body);
                });
            }
        }
    }

    fn definition(&mut self, definition: &Macro) {
        self.scoped(&["caller", "varargs", "kwargs"], |finder| {
            for (name, default) in &definition.parameters {
                default.iter().for_each(|default| finder.expr(default));
                finder.bind(name);
            }
            finder.nodes(&definition.body);
        });
    }

    fn arguments(&mut self, arguments: &Arguments) {
        arguments.positional.iter().for_each(|argument| self.expr(argument));
        arguments.named.iter().for_each(|(_, argument)| self.expr(argument));
        arguments.rest.iter().chain(&arguments.named_rest).for_each(|argument| self.expr(argument));
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Const(_) => {}
            Expr::Name(name) => self.name(name),
            Expr::List(items) | Expr::Tuple(items) | Expr::Concat(items) => {
                items.iter().for_each(|item| self.expr(item));
            }
            Expr::Map(entries) => entries.iter().for_each(|(key, value)| {
                self.expr(key);
                self.expr(value);
            }),
            Expr::Not(inner) | Expr::Negative(inner) | Expr::Positive(inner) | Expr::Attribute(inner, _) => {
                self.expr(inner);
            }
            Expr::Binary(_, left, right)
            | Expr::And(left, right)
            | Expr::Or(left, right)
            | Expr::Item(left, right) => {
                self.expr(left);
                self.expr(right);
            }
            Expr::Compare(left, rest) => {
                self.expr(left);
                rest.iter().for_each(|(_, right)| self.expr(right));
            }
            Expr::Condition { test, then, otherwise } => {
                self.expr(test);
                self.expr(then);
                otherwise.iter().for_each(|otherwise| self.expr(otherwise));
            }
            Expr::Filter { value, arguments, .. } | Expr::Test { value, arguments, .. } => {
                self.expr(value);
                self.arguments(arguments);
            }
            Expr::Slice(value, parts) => {
                self.expr(value);
                parts.iter().flatten().for_each(|part| self.expr(part));
            }
            Expr::Call(target, arguments) => {
                self.expr(target);
                self.arguments(arguments);
            }
        }
    }
}
