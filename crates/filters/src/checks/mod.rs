//! Tests: what stands behind `is`.

mod compare;
mod files;
mod kinds;
mod results;
mod texts;

use kubespray_jinja::Library;

pub(crate) use kinds::as_boolean;

pub(crate) fn add(library: &mut Library) {
    compare::add(library);
    files::add(library);
    kinds::add(library);
    results::add(library);
    texts::add(library);
}
