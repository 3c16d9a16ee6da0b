//! What people see of plans and runs: texts, made of values and nothing else.

mod amount;
mod lines;
mod plan;

pub use amount::{WIDEST_COLUMN, duration, list, plural};
pub use lines::line;
pub use plan::plan_text;
