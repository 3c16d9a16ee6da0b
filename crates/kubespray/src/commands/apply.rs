//! `kubespray apply`

use std::process::ExitCode;

use crate::arguments::operations::Apply;
use crate::failure::Failure;
use crate::operation::{self, Planned, Reach, Standing, Start};
use crate::printer::Printer;

pub(crate) fn run(options: &Apply, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let plan = operation::restore(&options.plan)?;
    let reach = Reach::load(&options.common, &options.connection)?;
    let steps = || plan.steps.iter().map(|planned| &planned.step);
    let standing = operation::standing(&reach, steps(), Standing::Kept)?;
    let secrets = operation::secrets_of(steps(), &reach.variables(), &standing)?;
    operation::refuse_unsound(&plan, &secrets)?;
    let seen = operation::look(&reach, &operation::wishes_of(&plan), &secrets)?;
    operation::refuse_moved(&plan, &seen, &secrets)?;
    operation::execute(
        &Planned { plan, secrets, reach, blocked: Vec::new() },
        Start::New,
        &options.running,
        printer,
    )
}
