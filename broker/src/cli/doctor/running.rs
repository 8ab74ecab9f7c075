//! What a running broker says about itself.

use super::finding::Finding;
use crate::config::Config;
use crate::status::Status;

const CHECK: &str = "broker";

pub(super) fn look(config: &Config, status: Option<&Status>) -> Vec<Finding> {
    match status {
        Some(status) => judge(status, env!("CARGO_PKG_VERSION")),
        None if config.admin.address.is_none() => {
            let what = "whether a broker runs is not known: there is no `address` in [admin]";
            vec![Finding::ok(CHECK, what)]
        }
        None => vec![Finding::ok(CHECK, "no broker answers at the address of [admin]")],
    }
}

pub(super) fn judge(status: &Status, own_version: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if status.version != own_version {
        let what =
            format!("the running broker is weir {}, and this is {own_version}", status.version);
        let help = "restart it, so that what was installed is what runs";
        findings.push(Finding::warning(CHECK, what).help(help));
    }
    if !status.ready {
        let what = "the running broker is not ready: one of its threads does not answer";
        findings.push(Finding::problem(CHECK, what).help("restart it if that does not pass"));
    }
    if let Some(problem) = &status.store.problem {
        let what = format!("the store is {}: {problem}", status.store.status);
        findings.push(Finding::problem(CHECK, what).help("docs/store.md says more"));
    }
    for upstream in &status.upstreams {
        if let Some(error) = &upstream.last_error {
            let what = format!("upstream {}: {error}", upstream.name);
            findings
                .push(Finding::warning(CHECK, what).help("`weir status` shows what waits for it"));
        }
    }
    if findings.is_empty() {
        let what = format!("weir {} runs, and says that all is well", status.version);
        findings.push(Finding::ok(CHECK, what));
    }
    findings
}
