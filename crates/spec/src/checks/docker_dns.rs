//! What Docker accepts of resolvers. Hosts add their own to it, so fewer than the limits may still be too
//! many; more than the limits always are.

use super::{Look, Report};

const MOST_NAMESERVERS: usize = 3;
const MOST_DOMAINS: usize = 6;
const LONGEST_DOMAINS: usize = 256;

/// What may differ between hosts.
pub(super) fn check_host(look: &Look<'_>, report: &mut Report) {
    if !look.is("resolvconf_mode", "docker_dns") || look.is("dns_mode", "none") {
        return;
    }
    val_103_nameservers_are_few(look, report);
    val_104_105_search_domains_are_few_and_short(look, report);
}

fn val_103_nameservers_are_few(look: &Look<'_>, report: &mut Report) {
    if !look.is_true("docker_dns_servers_strict") {
        return;
    }
    let mut servers = look.texts("dns_servers");
    if look.text("dns_mode").is_some_and(|mode| mode == "coredns" || mode == "coredns_dual") {
        servers.extend(look.texts("upstream_dns_servers"));
    }
    if servers.len() > MOST_NAMESERVERS {
        report.add(
            look.error(
                "VAL-103",
                "upstream_dns_servers",
                format!("Docker would get {} nameservers, with `upstream_dns_servers`", servers.len()),
            )
            .because(format!("at most {MOST_NAMESERVERS} count"))
            .hint("list fewer, or set `docker_dns_servers_strict: false` to use the first ones"),
        );
    }
}

fn val_104_105_search_domains_are_few_and_short(look: &Look<'_>, report: &mut Report) {
    let mut domains = look.texts("docker_dns_search_domains");
    domains.extend(look.texts("searchdomains"));
    if domains.len() > MOST_DOMAINS {
        report.add(
            look.error(
                "VAL-104",
                "searchdomains",
                format!("Docker would get {} search domains, with `searchdomains`", domains.len()),
            )
            .because(format!("at most {MOST_DOMAINS} count"))
            .hint("list fewer in `searchdomains` or `docker_dns_search_domains`"),
        );
    }
    let length = domains.join(" ").chars().count();
    if length > LONGEST_DOMAINS {
        report.add(
            look.error(
                "VAL-105",
                "searchdomains",
                format!("the search domains of Docker, with `searchdomains`, are {length} characters long"),
            )
            .because(format!("at most {LONGEST_DOMAINS} count"))
            .hint("list fewer in `searchdomains` or `docker_dns_search_domains`"),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::expect;

    #[test]
    fn limits() {
        let mode = "container_manager: docker, resolvconf_mode: docker_dns";
        let strict = format!("{mode}, docker_dns_servers_strict: true");
        let long = "d".repeat(240);
        expect(&[
            (&format!("{{{mode}}}"), ""),
            (&format!("{{{strict}, upstream_dns_servers: [1.1.1.1, 1.1.1.2]}}"), ""),
            (&format!("{{{strict}, upstream_dns_servers: [1.1.1.1, 1.1.1.2, 1.1.1.3]}}"), "VAL-103"),
            (&format!("{{{mode}, upstream_dns_servers: [1.1.1.1, 1.1.1.2, 1.1.1.3]}}"), ""),
            (&format!("{{{mode}, searchdomains: [a, b, c, d]}}"), ""),
            (&format!("{{{mode}, searchdomains: [a, b, c, d, e]}}"), "VAL-104"),
            (&format!("{{{mode}, searchdomains: [{long}]}}"), "VAL-105"),
            ("searchdomains: [a, b, c, d, e]", ""),
        ]);
    }
}
