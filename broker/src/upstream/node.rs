//! The name of this broker at others. It does not change with a restart.

use std::fs;

/// The configured client identifier, or else the name of the machine.
pub(crate) fn name(remote_clientid: Option<&str>) -> String {
    configured(remote_clientid).unwrap_or_else(host_name)
}

/// The client identifier of one upstream.
pub(crate) fn client_id(remote_clientid: Option<&str>, upstream: &str) -> String {
    configured(remote_clientid).unwrap_or_else(|| format!("{}.{upstream}", host_name()))
}

fn configured(remote_clientid: Option<&str>) -> Option<String> {
    remote_clientid.filter(|id| !id.is_empty()).map(str::to_owned)
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| fs::read_to_string("/etc/hostname"))
        .unwrap_or_default();
    match name.trim() {
        "" => "weir".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_name_comes_first_and_none_is_empty() {
        assert_eq!(name(Some("gate-7")), "gate-7");
        assert_eq!(client_id(Some("gate-7"), "cloud"), "gate-7");
        assert!(!name(None).is_empty() && !name(Some("")).is_empty());
        assert_eq!(client_id(None, "cloud"), format!("{}.cloud", name(None)));
    }
}
