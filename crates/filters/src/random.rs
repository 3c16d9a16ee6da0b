//! Filters that choose by chance, reproducible with a seed.

use kubespray_jinja::{Args, Context, Library, World};
use kubespray_value::{Error, Value};

use crate::mersenne::Mersenne;
use crate::support::{filters, need_int, optional};

pub(crate) fn add(library: &mut Library) {
    filters!(library, "ansible.builtin.";
        "random" => random,
        "shuffle" => shuffle,
    );
    filters!(library, "community.general.";
        "random_mac" => random_mac,
    );
}

/// Where chance comes from.
enum Chance<'a> {
    Seeded(Box<Mersenne>),
    Fresh(&'a dyn World),
}

impl<'a> Chance<'a> {
    fn new(world: &'a dyn World, seed: Option<&Value>) -> Result<Self, Error> {
        Ok(match seed {
            Some(seed) => Self::Seeded(Box::new(Mersenne::seeded(seed)?)),
            None => Self::Fresh(world),
        })
    }

    fn bits(&mut self, count: u32) -> u64 {
        match self {
            Self::Seeded(generator) => generator.bits(count),
            Self::Fresh(_) if count == 0 => 0,
            Self::Fresh(world) => world.random() >> (64 - count.min(64)),
        }
    }

    /// A number below `limit`, as Python draws it; `limit` is not 0.
    fn below(&mut self, limit: u64) -> u64 {
        let bits = 64 - limit.leading_zeros();
        loop {
            let drawn = self.bits(bits);
            if drawn < limit {
                return drawn;
            }
        }
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }
}

/// One of some items, by fresh chance.
pub(crate) fn choice(world: &dyn World, items: &[Value]) -> Option<Value> {
    if items.is_empty() {
        return None;
    }
    let index = Chance::Fresh(world).index(items.len());
    items.get(index).cloned()
}

fn random(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["start", "step", "seed"])?;
    let start = args.get(0, "start");
    let step = args.get(1, "step");
    let given = |value: Option<&Value>| value.map_or(Ok(false), Value::truthy);
    let (has_start, has_step) = (given(start)?, given(step)?);
    let mut chance = Chance::new(context.world, optional(args, 2, "seed"))?;
    if let Some(end) = value.as_i64() {
        let from = if has_start { need_int(start.unwrap_or(&Value::None), "`start`")? } else { 0 };
        let step = if has_step { need_int(step.unwrap_or(&Value::None), "`step`")? } else { 1 };
        let (width, step) = (i128::from(end) - i128::from(from), i128::from(step));
        let count = (width * step.signum() + step.abs() - 1).div_euclid(step.abs().max(1));
        let count = u64::try_from(count).ok().filter(|count| *count > 0 && step != 0);
        let count = count.ok_or_else(|| Error::of_value("empty range for random"))?;
        let drawn = i128::from(from) + step * i128::from(chance.below(count));
        return i64::try_from(drawn)
            .map(Value::Int)
            .map_err(|_| Error::of_value("random number is too large"));
    }
    if matches!(value, Value::Map(_) | Value::Object(_)) || value.iterate().is_err() {
        return Err(Error::of_type("random can only be used on sequences and integers"));
    }
    if has_start || has_step {
        return Err(Error::of_value("start and step can only be used with integer values"));
    }
    let items = value.iterate()?;
    if items.is_empty() {
        return Err(Error::of_value("cannot choose from an empty sequence"));
    }
    let index = chance.index(items.len());
    Ok(items.get(index).cloned().unwrap_or(Value::None))
}

fn shuffle(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["seed"])?;
    let seed = optional(args, 0, "seed");
    let seed = if seed.map_or(Ok(false), Value::truthy)? { seed } else { None };
    // Ansible gives back what it cannot shuffle.
    let Ok(mut items) = value.iterate() else { return Ok(value) };
    let Ok(mut chance) = Chance::new(context.world, seed) else { return Ok(Value::list(items)) };
    for last in (1..items.len()).rev() {
        let other = chance.index(last + 1);
        items.swap(last, other);
    }
    Ok(Value::list(items))
}

fn random_mac(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["seed"])?;
    let Some(prefix) = value.as_str() else {
        return Err(Error::of_type(format!("invalid value type (`{}`) for random_mac", value.type_name())));
    };
    let prefix = prefix.to_lowercase();
    let parts: Vec<&str> = prefix.split(':').collect();
    let hexadecimal = |part: &&str| {
        let mut chars = part.chars();
        [chars.next(), chars.next()].iter().all(|c| c.is_some_and(|c| c.is_ascii_hexdigit()))
    };
    if parts.len() > 5 || !parts.iter().all(hexadecimal) {
        return Err(Error::of_value(format!("invalid value (`{prefix}`) for random_mac")));
    }
    let mut chance = Chance::new(context.world, optional(args, 0, "seed"))?;
    // Always five bytes are drawn, the first of them at least 0x10; the prefix hides the rest.
    const LOW: u64 = 1 << 36;
    const HIGH: u64 = 1 << 40;
    let hex = format!("{:x}", LOW + chance.below(HIGH - LOW));
    let mut mac = prefix.clone();
    for at in (0..2 * (6 - parts.len())).step_by(2) {
        mac.push(':');
        mac.push_str(hex.get(at..at + 2).unwrap_or_default());
    }
    Ok(Value::str(mac))
}
