//! Packet filters: chains of clusters with the rules that lead to them, tables, sets. All other rules stay as they are:
//! one transaction for each program names what goes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use kubespray_resource::{Failure, Gone};

use super::{if_there, lines_of, spawn_if_there};
use crate::failure::of_output;
use crate::kinds::{must, text_of};
use crate::{Host, Output, Spawn, paths};

/// Both ways of the kernel may be in use at once, whichever of them `iptables` leads to.
const VARIANTS: [&str; 4] = ["iptables-legacy", "iptables-nft", "ip6tables-legacy", "ip6tables-nft"];
/// What hosts have that know no variants.
const PLAIN: [&str; 2] = ["iptables", "ip6tables"];

/// What is there, as the programs name it.
pub(super) fn found(host: &dyn Host, wish: &Gone) -> Result<Vec<String>, Failure> {
    let Gone::Filters { tables, sets, .. } = wish else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    for program in programs(host)? {
        let saved = save(host, program)?;
        out.extend(edits(&saved, wish).0.into_iter().map(|what| format!("{program} {what}")));
    }
    out.extend(nft_tables(host, tables)?.into_iter().map(|table| format!("nft table {table}")));
    out.extend(ipsets(host, sets)?.into_iter().map(|set| format!("ipset {set}")));
    Ok(out)
}

/// Takes it away.
pub(super) fn remove(host: &dyn Host, wish: &Gone) -> Result<(), Failure> {
    let Gone::Filters { tables, sets, .. } = wish else { return Ok(()) };
    for program in programs(host)? {
        let (found, script) = edits(&save(host, program)?, wish);
        if !found.is_empty() {
            let restore = format!("{program}-restore");
            let argv = [restore.as_str(), "--noflush", "--wait=30"];
            must(host, Spawn { stdin: Some(script), ..Spawn::new(argv) })?;
        }
    }
    for table in nft_tables(host, tables)? {
        let argv = ["nft", "delete", "table"].into_iter().chain(table.split(' '));
        must(host, Spawn::new(argv))?;
    }
    // A set of sets goes before the sets that it holds.
    for _ in 0..2 {
        for set in ipsets(host, sets)? {
            if_there(host, &["ipset", "destroy", &set])?;
        }
    }
    Ok(())
}

fn programs(host: &dyn Host) -> Result<Vec<&'static str>, Failure> {
    let mut out = Vec::new();
    for variants in [VARIANTS.as_slice(), PLAIN.as_slice()] {
        for program in variants {
            let spawn = Spawn::new([format!("{program}-save"), "--version".to_owned()]);
            if spawn_if_there(host, &spawn)?.is_some_and(|output| output.is_success()) {
                out.push(*program);
            }
        }
        if !out.is_empty() {
            break;
        }
    }
    Ok(out)
}

/// All rules of a program. A kernel that lacks a family has none.
fn save(host: &dyn Host, program: &str) -> Result<String, Failure> {
    let spawn = Spawn::new([format!("{program}-save")]);
    let output = spawn_if_there(host, &spawn)?.unwrap_or_default();
    if output.status.is_none() {
        return Err(of_output(&spawn.argv, &output));
    }
    if !output.is_success() {
        return Ok(String::new());
    }
    // Of a long output only the end is there.
    if output.stdout.is_empty() || output.stdout.starts_with(['#', '*']) {
        return Ok(output.stdout);
    }
    paths::ensure(host, paths::BASE)?;
    let file = format!("{}/rules", paths::BASE);
    must(host, Spawn::new([&format!("{program}-save"), "--file", &file].map(str::to_owned)))?;
    let text = text_of(host, &file)?.unwrap_or_default();
    host.remove(&file, false)?;
    Ok(text)
}

/// What goes, in words, and the input of a `restore` that takes away just that.
fn edits(saved: &str, wish: &Gone) -> (Vec<String>, String) {
    let Gone::Filters { chains, comments, .. } = wish else { return Default::default() };
    let is_ours = |chain: &str| chains.iter().any(|prefix| chain.starts_with(prefix.as_str()));
    let (mut words, mut script) = (Vec::new(), String::new());
    for table in saved.split("\n*").map(|table| table.trim_start_matches('*')) {
        let mut lines = table.lines().skip_while(|line| line.starts_with('#'));
        let Some(name) = lines.next() else { continue };
        let name = name.trim_start_matches('*');
        let (mut rules, mut own) = (String::new(), BTreeSet::new());
        for line in lines {
            if let Some(chain) = line.strip_prefix(':').and_then(|rest| rest.split_whitespace().next()) {
                if is_ours(chain) {
                    own.insert(chain.to_owned());
                }
            } else if let Some(rule) = line.strip_prefix("-A ") {
                let is_of_own = rule.split_whitespace().next().is_some_and(is_ours);
                if !is_of_own && (leads(rule, is_ours) || is_commented(rule, comments)) {
                    words.push(format!("{name} {rule}"));
                    let _ = writeln!(rules, "-D {rule}");
                }
            }
        }
        if own.is_empty() && rules.is_empty() {
            continue;
        }
        let _ = write!(script, "*{name}\n{rules}");
        for option in ["-F", "-X"] {
            for chain in &own {
                let _ = writeln!(script, "{option} {chain}");
            }
        }
        script.push_str("COMMIT\n");
        words.extend(own.iter().map(|chain| format!("{name} chain {chain}")));
    }
    (words, script)
}

/// Whether a rule leads to a chain of ours.
fn leads(rule: &str, is_ours: impl Fn(&str) -> bool) -> bool {
    let words: Vec<&str> = rule.split_whitespace().collect();
    words.windows(2).any(|pair| matches!(pair, ["-j" | "-g", chain] if is_ours(chain)))
}

fn is_commented(rule: &str, comments: &[String]) -> bool {
    let comment = rule.split_once("--comment ").map(|(_, rest)| rest.trim_start_matches('"'));
    comment.is_some_and(|comment| comments.iter().any(|prefix| comment.starts_with(prefix.as_str())))
}

/// Tables of nftables that are ours: `ip kube-proxy`.
fn nft_tables(host: &dyn Host, names: &[String]) -> Result<Vec<String>, Failure> {
    let lines = lines_of(host, &["nft", "list", "tables"])?;
    let tables = lines.iter().filter_map(|line| line.strip_prefix("table "));
    let is_ours = |table: &&str| {
        table.split_once(' ').is_some_and(|(_, name)| names.iter().any(|ours| ours == name.trim()))
    };
    Ok(tables.filter(is_ours).map(|table| table.trim().to_owned()).collect())
}

fn ipsets(host: &dyn Host, prefixes: &[String]) -> Result<Vec<String>, Failure> {
    let output = if_there(host, &["ipset", "list", "-name"])?.filter(Output::is_success).unwrap_or_default();
    let is_ours = |name: &&str| prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
    Ok(output.stdout.lines().filter(is_ours).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_chains_and_what_leads_to_them_go() {
        let saved = "\
# Generated by iptables-save
*filter
:INPUT DROP [12:900]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:cali-INPUT - [0:0]
:f2b-sshd - [0:0]
-A INPUT -m comment --comment \"cali:Cz_u1IQiXIMmKD4c\" -j cali-INPUT
-A INPUT -p tcp -m tcp --dport 22 -j f2b-sshd
-A INPUT -p tcp -m tcp --dport 22 -m comment --comment \"ssh -j KUBE\" -j ACCEPT
-A INPUT -d 169.254.25.10/32 -m comment --comment \"NodeLocal DNS Cache: allow DNS traffic\" -j ACCEPT
-A INPUT -j KUBE-FIREWALL
-A KUBE-FIREWALL -j DROP
-A cali-INPUT -j KUBE-FORWARD
-A f2b-sshd -j RETURN
COMMIT
# Completed
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080
COMMIT
";
        let wish = Gone::Filters {
            chains: ["KUBE-", "cali-"].map(str::to_owned).to_vec(),
            comments: vec!["NodeLocal DNS Cache:".into()],
            tables: Vec::new(),
            sets: Vec::new(),
        };
        let (words, script) = edits(saved, &wish);
        assert_eq!(
            script,
            "*filter\n\
             -D INPUT -m comment --comment \"cali:Cz_u1IQiXIMmKD4c\" -j cali-INPUT\n\
             -D INPUT -d 169.254.25.10/32 -m comment --comment \"NodeLocal DNS Cache: allow DNS traffic\" -j ACCEPT\n\
             -D INPUT -j KUBE-FIREWALL\n\
             -F KUBE-FIREWALL\n-F KUBE-FORWARD\n-F cali-INPUT\n\
             -X KUBE-FIREWALL\n-X KUBE-FORWARD\n-X cali-INPUT\nCOMMIT\n"
        );
        assert_eq!(words.len(), 6, "{words:?}");
        let foreign = saved.lines().filter(|line| !line.contains("KUBE-") && !line.contains("cali"));
        let foreign: Vec<&str> = foreign.filter(|line| !line.contains("NodeLocal")).collect();
        let foreign = foreign.join("\n");
        assert_eq!(edits(&foreign, &wish), (Vec::new(), String::new()));
    }
}
