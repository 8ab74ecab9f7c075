//! The certificates of listeners and of the admin server: until when they hold, whom they name, and whether what comes with
//! them leads to who has signed them. That the key matches, the check of the configuration has seen.

use super::finding::Finding;
use crate::config::{Config, HostPort, ListenAddress};
use crate::stream::{ServerChain, server_chain};

const CHECK: &str = "certificates";
const DAY_S: u64 = 86_400;
/// In time for whoever renews by hand.
const SOON_DAYS: u64 = 30;

pub(super) fn look(config: &Config, unix_s: u64) -> Vec<Finding> {
    let listeners = config.listeners.iter().filter_map(|listener| {
        let address = match &listener.address {
            ListenAddress::Tcp(address) => Some(address),
            _ => None,
        };
        Some((listener.tls.as_ref()?, address))
    });
    let admin = config.admin.tls.iter().map(|tls| (tls, config.admin.address.as_ref()));
    let mut findings = Vec::new();
    for (tls, address) in listeners.chain(admin) {
        let Some(chain) = server_chain(&tls.certfile) else { continue };
        let of_one = judge(&chain, address, unix_s);
        findings.extend(of_one.into_iter().map(|found| found.at_path(&tls.certfile)));
    }
    findings
}

pub(super) fn judge(chain: &ServerChain, address: Option<&HostPort>, unix_s: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (date, days) = (&chain.not_after, chain.not_after_s.saturating_sub(unix_s) / DAY_S);
    if chain.not_after_s < unix_s {
        let what = format!("the certificate has expired on {date}: clients refuse it");
        findings.push(Finding::problem(CHECK, what).help("renew it; weir reads it by itself"));
    } else if days < SOON_DAYS {
        let what = format!("the certificate expires on {date}, in {days} days");
        findings.push(Finding::warning(CHECK, what).help("renew it; weir reads it by itself"));
    }
    if chain.names.is_empty() {
        let what = "the certificate names no host: clients that check the name refuse it";
        let help = "make one with the host name as a subject alternative name";
        findings.push(Finding::warning(CHECK, what).help(help));
    } else if let Some(host) = address.map(HostPort::host).filter(|host| is_missing(host, chain)) {
        let names = chain.names.join(", ");
        let what = format!("the certificate is for {names}, and not for {host}");
        let help = "clients have to use one of its names, or it needs another one";
        findings.push(Finding::warning(CHECK, what).help(help));
    }
    if chain.out_of_order > 0 {
        let what = "a certificate in the file has not signed the one before it";
        let help = "put the certificate of the server first, then that of its signer, and so on";
        findings.push(Finding::problem(CHECK, what).help(help));
    } else if chain.is_self_signed {
        let what = "the certificate has signed itself: only clients that were given it believe it";
        let help = "an authority of your own serves all boxes; docs/security.md shows how";
        findings.push(Finding::warning(CHECK, what).help(help));
    }
    if findings.is_empty() {
        let names = chain.names.join(", ");
        let what = format!("the certificate is for {names} and holds until {date}");
        findings.push(Finding::ok(CHECK, what));
    }
    findings
}

/// An address that stands for all of them can be reached by any name.
fn is_missing(host: &str, chain: &ServerChain) -> bool {
    let is_any = ["0.0.0.0", "::"].contains(&host);
    !is_any && !chain.names.iter().any(|name| name.eq_ignore_ascii_case(host))
}
