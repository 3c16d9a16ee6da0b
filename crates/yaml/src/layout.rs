//! How YAML is laid out: the options of the filters `to_yaml` and `to_nice_yaml`.

use kubespray_value::{Error, Value};

/// The options of one call of `to_yaml` or `to_nice_yaml`.
///
/// Start with [`Layout::YAML`] or [`Layout::NICE`] and apply the keyword arguments with [`Layout::with`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    filter: &'static str,
    pub(crate) indent: i64,
    pub(crate) width: i64,
    pub(crate) sort_keys: bool,
    pub(crate) flow: Flow,
    pub(crate) explicit_start: bool,
    pub(crate) explicit_end: bool,
    pub(crate) line_break: &'static str,
}

/// Which collections are written as `[a, b]` and `{a: b}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Only empty ones.
    Never,
    /// Those that hold nothing but plain scalars.
    Leaves,
    /// All.
    Always,
}

impl Layout {
    /// What `to_yaml` uses: leaf collections in flow style.
    pub const YAML: Self = Self {
        filter: "to_yaml",
        indent: 2,
        width: 80,
        sort_keys: true,
        flow: Flow::Leaves,
        explicit_start: false,
        explicit_end: false,
        line_break: "\n",
    };

    /// What `to_nice_yaml` uses: block style, four columns per level.
    pub const NICE: Self = Self { filter: "to_nice_yaml", indent: 4, flow: Flow::Never, ..Self::YAML };

    /// Applies one keyword argument of the filter.
    ///
    /// # Errors
    /// The argument is not known, or its value is of a type that PyYAML does not take.
    pub fn with(mut self, name: &str, value: &Value) -> Result<Self, Error> {
        match name {
            "indent" => self.indent = self.number(name, value, Self::YAML.indent)?,
            "width" => self.width = self.number(name, value, Self::YAML.width)?,
            "sort_keys" => self.sort_keys = value.truthy()?,
            "explicit_start" => self.explicit_start = value.truthy()?,
            "explicit_end" => self.explicit_end = value.truthy()?,
            "default_flow_style" if self.filter == Self::YAML.filter => {
                self.flow = match value {
                    Value::None => Flow::Leaves,
                    other if other.truthy()? => Flow::Always,
                    _ => Flow::Never,
                }
            }
            // PyYAML takes everything else for its default.
            "line_break" => {
                self.line_break = match value.as_str() {
                    Some("\r") => "\r",
                    Some("\r\n") => "\r\n",
                    _ => "\n",
                }
            }
            "allow_unicode" | "default_flow_style" => {
                return Err(Error::of_type(format!(
                    "`{}` sets `{name}` itself and takes no other",
                    self.filter
                )));
            }
            "canonical" | "default_style" | "encoding" | "version" | "tags" => {
                return Err(Error::of_value(format!("`{}` is not supported with `{name}`", self.filter)));
            }
            _ => {
                return Err(Error::of_type(format!("`{}` got an unexpected argument `{name}`", self.filter)));
            }
        }
        Ok(self)
    }

    fn number(&self, name: &str, value: &Value, default: i64) -> Result<i64, Error> {
        match value {
            Value::None => Ok(default),
            other => match other.as_i64() {
                // The library behind PyYAML counts with 32 bits.
                Some(number) if i32::try_from(number).is_ok() => Ok(number),
                _ => Err(Error::of_type(format!(
                    "`{name}` of `{}` must be an integer, not `{}`",
                    self.filter,
                    other.to_text()
                ))),
            },
        }
    }

    /// Columns per level.
    pub(crate) fn columns(&self) -> usize {
        match self.indent {
            indent @ 2..=9 => indent as usize,
            _ => 2,
        }
    }

    /// The column behind which lines are folded.
    pub(crate) fn fold_behind(&self) -> usize {
        match usize::try_from(self.width) {
            Err(_) => usize::MAX,
            Ok(width) if width <= self.columns() * 2 => 80,
            Ok(width) => width,
        }
    }
}
