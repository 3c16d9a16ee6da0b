//! Laws of precedence (ANS-001 … ANS-003) on random group trees with variables in random places.
//!
//! What should win is computed by a model of its own: every place that a host sees has a rank, and the
//! highest rank wins.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use kubespray_inventory::{Inventory, Options};
use proptest::prelude::*;

/// Their order by name is not their order in the tree: upper case comes first, `g10` before `g2`.
const GROUPS: [&str; 5] = ["mid", "g2", "alpha", "Zeta", "g10"];
const HOSTS: [&str; 3] = ["node1", "node2", "a-host"];
const VARIABLES: [&str; 2] = ["x", "y"];

/// Where a variable can be set. Numbers are indices of [`GROUPS`] and [`HOSTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    AllInline,
    GroupInline(usize),
    AllFiles,
    GroupFiles(usize),
    HostInline(usize),
    HostFiles(usize),
    Extra,
}

fn places() -> Vec<Place> {
    let groups = 0..GROUPS.len();
    let hosts = 0..HOSTS.len();
    let mut out = vec![Place::AllInline, Place::AllFiles, Place::Extra];
    out.extend(groups.clone().map(Place::GroupInline));
    out.extend(groups.map(Place::GroupFiles));
    out.extend(hosts.clone().map(Place::HostInline));
    out.extend(hosts.map(Place::HostFiles));
    out
}

#[derive(Clone, Debug)]
struct Site {
    /// Per group its parents: groups of lower indices, so that there are no loops.
    parents: Vec<Vec<usize>>,
    /// Per group `ansible_group_priority`, where it is set.
    priorities: Vec<Option<i64>>,
    /// Per host the groups that name it.
    members: Vec<Vec<usize>>,
    /// Per place the variables that are set there, with their values; no two values are the same.
    set: BTreeMap<Place, BTreeMap<String, usize>>,
    /// The order in which groups stand in the source.
    order: Vec<usize>,
}

impl Site {
    fn vars(&self, place: Place) -> BTreeMap<String, usize> {
        self.set.get(&place).cloned().unwrap_or_default()
    }

    fn depth(&self, group: usize) -> usize {
        1 + self.parents[group].iter().map(|parent| self.depth(*parent)).max().unwrap_or(0)
    }

    fn is_below(&self, group: usize, above: usize) -> bool {
        group == above || self.parents[group].iter().any(|parent| self.is_below(*parent, above))
    }

    fn has(&self, group: usize, host: usize) -> bool {
        self.members[host].iter().any(|direct| self.is_below(*direct, group))
    }

    /// The rank of a place for a host: level, depth, priority, name. `None` where the host does not see it.
    fn rank(&self, place: Place, host: usize) -> Option<(u8, usize, i64, &str)> {
        let of_group = |level, group: usize| {
            let priority = self.priorities[group].unwrap_or(1);
            self.has(group, host).then(|| (level, self.depth(group), priority, GROUPS[group]))
        };
        match place {
            Place::AllInline => Some((0, 0, 0, "")),
            Place::GroupInline(group) => of_group(1, group),
            Place::AllFiles => Some((2, 0, 0, "")),
            Place::GroupFiles(group) => of_group(3, group),
            Place::HostInline(of) => (of == host).then_some((4, 0, 0, "")),
            Place::HostFiles(of) => (of == host).then_some((5, 0, 0, "")),
            Place::Extra => Some((6, 0, 0, "")),
        }
    }

    /// The values that a host is given for a variable, lowest rank first: the last one counts.
    fn expected(&self, host: usize, name: &str) -> Vec<String> {
        let setting = self.set.iter().filter_map(|(place, vars)| Some((place, vars.get(name)?)));
        let mut seen: Vec<_> =
            setting.filter_map(|(place, value)| Some((self.rank(*place, host)?, value))).collect();
        seen.sort_unstable();
        seen.iter().map(|(_, value)| value.to_string()).collect()
    }

    fn source(&self) -> String {
        let flow = |vars: BTreeMap<String, usize>| {
            let pairs: Vec<String> = vars.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            pairs.join(", ")
        };
        let mut out = format!("all:\n  vars: {{{}}}\n  hosts:\n", flow(self.vars(Place::AllInline)));
        for (host, name) in HOSTS.iter().enumerate() {
            let _ = writeln!(out, "    {name}: {{{}}}", flow(self.vars(Place::HostInline(host))));
        }
        for group in self.order.iter().copied() {
            let mut vars = flow(self.vars(Place::GroupInline(group)));
            if let Some(priority) = self.priorities[group] {
                let comma = if vars.is_empty() { "" } else { ", " };
                let _ = write!(vars, "{comma}ansible_group_priority: {priority}");
            }
            let _ = writeln!(out, "{}:\n  vars: {{{vars}}}", GROUPS[group]);
            let names = |title: &str, names: Vec<&str>, out: &mut String| {
                let entries: Vec<String> = names.iter().map(|name| format!("{name}: ")).collect();
                let _ = writeln!(out, "  {title}: {{{}}}", entries.join(", "));
            };
            let children = (0..GROUPS.len()).filter(|child| self.parents[*child].contains(&group));
            names("children", children.map(|child| GROUPS[child]).collect(), &mut out);
            let hosts = (0..HOSTS.len()).filter(|host| self.members[*host].contains(&group));
            names("hosts", hosts.map(|host| HOSTS[host]).collect(), &mut out);
        }
        out
    }

    /// Writes the site below a folder and reads it; `repeat` times names its source.
    fn load_from(&self, folder: &Path, repeat: usize) -> Inventory {
        let files = places().into_iter().filter_map(|place| match place {
            Place::AllFiles => Some((place, "group_vars/all.yml".to_owned())),
            Place::GroupFiles(group) => Some((place, format!("group_vars/{}.yml", GROUPS[group]))),
            Place::HostFiles(host) => Some((place, format!("host_vars/{}.yml", HOSTS[host]))),
            _ => None,
        });
        for (place, path) in files {
            let vars = self.vars(place);
            if !vars.is_empty() {
                let path = folder.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                let lines: Vec<String> =
                    vars.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                std::fs::write(path, lines.join("\n")).unwrap();
            }
        }
        let path = folder.join("hosts.yaml");
        std::fs::write(&path, self.source()).unwrap();
        let sources = vec![path.to_string_lossy().into_owned(); repeat];
        let extra = self.vars(Place::Extra);
        let pairs: Vec<String> = extra.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        let options = Options { extra_vars: vec![format!("{{{}}}", pairs.join(", "))], ..Options::default() };
        Inventory::load(&sources, &options).unwrap()
    }

    fn load(&self) -> Inventory {
        self.load_from(tempfile::tempdir().unwrap().path(), 1)
    }
}

/// What a host sees: the value of the highest layer for each name.
fn seen(inventory: &Inventory, host: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for layer in inventory.layers(host) {
        out.extend(layer.vars.iter().map(|(name, found)| (String::from(&**name), found.value.to_text())));
    }
    out
}

/// What all hosts see, and the groups that each is in.
fn everything(inventory: &Inventory) -> BTreeMap<String, (BTreeMap<String, String>, Vec<String>)> {
    let mut out = BTreeMap::new();
    for host in inventory.hosts() {
        let groups = inventory.group_names(host).into_iter().map(str::to_owned).collect();
        out.insert(host.to_owned(), (seen(inventory, host), groups));
    }
    out
}

fn site() -> impl Strategy<Value = Site> {
    let count = GROUPS.len();
    let subset = |of: usize| prop::collection::vec(prop::bool::ANY, of);
    let chosen = |flags: &[bool]| -> Vec<usize> {
        flags.iter().enumerate().filter(|(_, on)| **on).map(|(index, _)| index).collect()
    };
    (
        prop::collection::vec(subset(count), count),
        prop::collection::vec(prop::option::of(-1..4_i64), count),
        prop::collection::vec(subset(count), HOSTS.len()),
        prop::collection::vec(subset(places().len()), VARIABLES.len()),
        Just((0..count).collect::<Vec<usize>>()).prop_shuffle(),
    )
        .prop_map(move |(parents, priorities, members, settings, order)| {
            let parents = parents.iter().enumerate().map(|(group, flags)| chosen(&flags[..group])).collect();
            let members = members.iter().map(|flags| chosen(flags)).collect();
            let mut set: BTreeMap<Place, BTreeMap<String, usize>> = BTreeMap::new();
            for (number, (name, flags)) in VARIABLES.iter().zip(&settings).enumerate() {
                for index in chosen(flags) {
                    let value = 100 * number + index;
                    set.entry(places()[index]).or_default().insert((*name).to_owned(), value);
                }
            }
            Site { parents, priorities, members, set, order }
        })
}

fn any_place() -> impl Strategy<Value = Place> {
    prop::sample::select(places())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_definition_stands_at_its_rank(site in site()) {
        let inventory = site.load();
        for (host, host_name) in HOSTS.iter().enumerate() {
            let layers = inventory.layers(host_name);
            for name in VARIABLES {
                let given = layers.iter().filter_map(|layer| layer.vars.get(name));
                let given: Vec<String> = given.map(|found| found.value.to_text()).collect();
                prop_assert_eq!(given, site.expected(host, name), "{} {}\n{}", host_name, name, site.source());
            }
        }
    }

    #[test]
    fn extra_vars_beat_everything(mut site in site()) {
        site.set.entry(Place::Extra).or_default().insert("x".to_owned(), 999);
        let inventory = site.load();
        for host in HOSTS {
            prop_assert_eq!(&seen(&inventory, host)["x"], "999");
        }
    }

    #[test]
    fn what_a_host_sets_beats_what_its_groups_set(mut site in site(), host in 0..HOSTS.len()) {
        site.set.remove(&Place::Extra);
        site.set.remove(&Place::HostFiles(host));
        site.set.entry(Place::HostInline(host)).or_default().insert("x".to_owned(), 998);
        prop_assert_eq!(&seen(&site.load(), HOSTS[host])["x"], "998");
        site.set.entry(Place::HostFiles(host)).or_default().insert("x".to_owned(), 999);
        prop_assert_eq!(&seen(&site.load(), HOSTS[host])["x"], "999");
    }

    #[test]
    fn the_order_of_groups_in_a_source_is_irrelevant(site in site()) {
        let mut sorted = site.clone();
        sorted.order.sort_unstable();
        prop_assert_eq!(everything(&site.load()), everything(&sorted.load()));
    }

    #[test]
    fn a_source_named_twice_changes_nothing(site in site()) {
        let folder = tempfile::tempdir().unwrap();
        let once = everything(&site.load_from(folder.path(), 1));
        prop_assert_eq!(once, everything(&site.load_from(folder.path(), 2)));
    }

    #[test]
    fn an_unrelated_variable_changes_no_other(site in site(), place in any_place()) {
        let before = everything(&site.load());
        let mut more = site;
        more.set.entry(place).or_default().insert("unrelated".to_owned(), 7);
        let mut after = everything(&more.load());
        let mut found = 0;
        for (vars, _) in after.values_mut() {
            found += usize::from(vars.remove("unrelated").is_some());
        }
        prop_assert_eq!(before, after);
        let sees = (0..HOSTS.len()).filter(|host| more.rank(place, *host).is_some()).count();
        prop_assert_eq!(found, sees);
    }

    #[test]
    fn a_definition_more_wins_or_changes_nothing(site in site(), place in any_place()) {
        let before = site.load();
        let mut more = site;
        more.set.entry(place).or_default().insert("x".to_owned(), 999);
        let after = more.load();
        for host in HOSTS {
            let (before, after) = (seen(&before, host), seen(&after, host));
            // A definition that this one stands in place of is gone; its rank was the same.
            prop_assert!(after.get("x").is_some_and(|x| x == "999") || after.get("x") == before.get("x"));
            prop_assert_eq!(before.get("y"), after.get("y"));
        }
    }

    #[test]
    fn the_order_of_unrelated_sources_is_irrelevant(site in site(), other in "[a-f]{1,3}", value in 0..9_i64) {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        for path in [&one, &two] {
            std::fs::create_dir_all(path).unwrap();
        }
        site.load_from(&one, 1);
        std::fs::write(two.join("hosts.ini"), format!("[other-{other}]\nother-host\n")).unwrap();
        std::fs::create_dir_all(two.join("group_vars")).unwrap();
        let vars = two.join(format!("group_vars/other-{other}.yml"));
        std::fs::write(vars, format!("x: {value}\n")).unwrap();
        let load = |names: [std::path::PathBuf; 2]| {
            let sources = names.map(|name| name.to_string_lossy().into_owned());
            everything(&Inventory::load(&sources, &Options::default()).unwrap())
        };
        let (first, second) = (one.join("hosts.yaml"), two.join("hosts.ini"));
        let forward = load([first.clone(), second.clone()]);
        prop_assert_eq!(&forward, &load([second, first]));
        let expected = value.to_string();
        prop_assert_eq!(forward["other-host"].0.get("x"), Some(&expected));
    }
}
