//! What people see of plans and runs: texts, made of values and nothing else.

mod amount;
mod lines;
mod plan;
mod progress;
mod report;

pub use amount::{WIDEST_COLUMN, duration, list, plural};
pub use lines::Lines;
pub use plan::plan_text;
pub use progress::Progress;
pub use report::report_text;
