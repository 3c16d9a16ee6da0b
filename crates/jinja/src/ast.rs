//! What a template means, as a tree.

use std::sync::Arc;

use kubespray_value::Value;

pub(crate) type Name = Arc<str>;

#[derive(Debug)]
pub(crate) enum Node {
    Text(String),
    /// An expression and its line.
    Output(Expr, usize),
    If {
        branches: Vec<(Expr, Vec<Node>)>,
        otherwise: Vec<Node>,
    },
    For(Box<For>),
    Set {
        target: Target,
        value: Expr,
        line: usize,
    },
    SetBlock {
        name: Name,
        filter: Option<Expr>,
        body: Vec<Node>,
    },
    Macro(Arc<Macro>),
    /// `{% call(args) macro() %}`.
    Call {
        caller: Arc<Macro>,
        target: Expr,
        arguments: Arguments,
    },
    /// `{% filter name %}`; the filter is applied to the name [`FILTERED`].
    Filter {
        filter: Expr,
        body: Vec<Node>,
    },
    With {
        bindings: Vec<(Target, Expr)>,
        body: Vec<Node>,
    },
}

/// The name under which the text of a block stands in the expression that filters it.
pub(crate) const FILTERED: &str = "\u{0}body";

#[derive(Debug)]
pub(crate) struct For {
    pub(crate) line: usize,
    pub(crate) target: Target,
    pub(crate) items: Expr,
    pub(crate) condition: Option<Expr>,
    pub(crate) recursive: bool,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

#[derive(Debug)]
pub(crate) struct Macro {
    pub(crate) name: Name,
    pub(crate) parameters: Vec<(Name, Option<Expr>)>,
    pub(crate) body: Vec<Node>,
    /// Whether the body uses `varargs`, `kwargs` and `caller`: only then does it take more arguments than
    /// it has parameters.
    pub(crate) takes_rest: bool,
    pub(crate) takes_named_rest: bool,
    pub(crate) takes_caller: bool,
}

#[derive(Debug)]
pub(crate) enum Target {
    Name(Name),
    /// `namespace.name`.
    Attribute(Name, Name),
    Tuple(Vec<Target>),
}

#[derive(Debug)]
pub(crate) enum Expr {
    Const(Value),
    Name(Name),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    Not(Box<Expr>),
    Negative(Box<Expr>),
    Positive(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    Concat(Vec<Expr>),
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Condition { test: Box<Expr>, then: Box<Expr>, otherwise: Option<Box<Expr>> },
    Filter { value: Box<Expr>, name: String, arguments: Arguments },
    Test { value: Box<Expr>, name: String, arguments: Arguments, negated: bool },
    Attribute(Box<Expr>, Name),
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, [Option<Box<Expr>>; 3]),
    Call(Box<Expr>, Arguments),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Modulo,
    Power,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) positional: Vec<Expr>,
    pub(crate) named: Vec<(Name, Expr)>,
    /// `*args`.
    pub(crate) rest: Option<Box<Expr>>,
    /// `**kwargs`.
    pub(crate) named_rest: Option<Box<Expr>>,
}
