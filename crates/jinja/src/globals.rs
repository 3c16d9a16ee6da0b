//! The functions of the language itself.

use std::sync::Arc;

use kubespray_value::{Error, ErrorKind, Map, Value, View};

use crate::call::Args;
use crate::operators::{defined, hashable};

/// Elements of a `range()`.
const LONGEST_RANGE: i128 = 1_000_000;

/// `dict()`: a map, or pairs, with the named arguments laid over.
pub(crate) fn dict(args: &Args) -> Result<Value, Error> {
    let mut map = match args.positional.first() {
        None => Map::new(),
        Some(Value::Map(map)) => (**map).clone(),
        Some(pairs) => {
            let mut map = Map::new();
            for pair in pairs.iterate()? {
                match pair.as_sequence() {
                    Some([key, value]) => {
                        hashable(key)?;
                        map.insert(key.clone(), value.clone())
                    }
                    _ => return Err(Error::of_value("dict() wants a map or a list of pairs")),
                };
            }
            map
        }
    };
    for (name, value) in &args.named {
        map.insert(Value::str(name.clone()), value.clone());
    }
    Ok(Value::map(map))
}

/// `range()`.
pub(crate) fn range(args: &Args) -> Result<Value, Error> {
    let mut numbers = Vec::new();
    for argument in &args.positional {
        let number = defined(argument.clone())?.as_i64();
        numbers.push(number.ok_or_else(|| {
            Error::of_type(format!("`{}` object cannot be interpreted as an integer", argument.type_name()))
        })?);
    }
    let (start, stop, step) = match numbers.as_slice() {
        [stop] => (0, *stop, 1),
        [start, stop] => (*start, *stop, 1),
        [start, stop, step] => (*start, *stop, *step),
        _ => return Err(Error::of_type(format!("range expected 1 to 3 arguments, got {}", numbers.len()))),
    };
    if step == 0 {
        return Err(Error::of_value("range() arg 3 must not be zero"));
    }
    let count = (i128::from(stop) - i128::from(start)) / i128::from(step);
    if count > LONGEST_RANGE {
        return Err(Error::new(ErrorKind::Limit, format!("range() of more than {LONGEST_RANGE} elements")));
    }
    let mut items = Vec::new();
    let mut at = start;
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        items.push(Value::Int(at));
        at = at.saturating_add(step);
    }
    let repr =
        if step == 1 { format!("range({start}, {stop})") } else { format!("range({start}, {stop}, {step})") };
    Ok(Value::View(Arc::new(View { repr, type_name: "range", items })))
}
