//! Which names a template looks up outside of itself.

use std::collections::HashSet;

use crate::ast::{Arguments, Expr, FILTERED, Macro, Name, Node, Target};

/// Free names in the order in which they first appear.
pub(crate) fn free_names(nodes: &[Node]) -> Vec<Name> {
    let mut finder = Finder { bound: vec![HashSet::new()], found: Vec::new() };
    finder.nodes(nodes);
    finder.found
}

struct Finder {
    bound: Vec<HashSet<Name>>,
    found: Vec<Name>,
}

impl Finder {
    fn bind(&mut self, name: &Name) {
        if let Some(scope) = self.bound.last_mut() {
            scope.insert(name.clone());
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
        let known = &**name == FILTERED || self.bound.iter().any(|scope| scope.contains(name));
        if !known && !self.found.contains(name) {
            self.found.push(name.clone());
        }
    }

    fn scoped(&mut self, names: &[&str], walk: impl FnOnce(&mut Self)) {
        self.bound.push(names.iter().map(|name| Name::from(*name)).collect());
        walk(self);
        self.bound.pop();
    }

    fn nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            self.node(node);
        }
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Text(_) => {}
            Node::Output(expr) => self.expr(expr),
            Node::If { branches, otherwise } => {
                for (condition, body) in branches {
                    self.expr(condition);
                    self.nodes(body);
                }
                self.nodes(otherwise);
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
            Node::Set { target, value } => {
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
            Node::Call { caller, call } => {
                self.expr(call);
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
