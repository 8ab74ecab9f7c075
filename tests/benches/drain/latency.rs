//! How long local messages take: `weir bench latency`, in a process of its own.

use std::time::Duration;

use weir_tests::harness::process::{Process, Stream};
use weir_tests::harness::weir::command;

use crate::gateway::Gateway;

/// Microseconds from the moment at which a message is due to its arrival.
pub(crate) struct Latency {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// A measurement that has begun.
pub(crate) struct Measurement(Process);

impl Latency {
    /// Messages at QoS 1 go from one client to another at a steady rate.
    pub(crate) fn measure(gateway: &Gateway, seconds: f64) -> Measurement {
        let port = gateway.address().port().to_string();
        let (rate, seconds) = (RATE_PER_S.to_string(), seconds.to_string());
        let mut command = command(&["bench", "latency", "--json", "-q", "1", "--patience", "30"]);
        command.args(["--port", &port, "--rate", &rate, "--seconds", &seconds]);
        Measurement(Process::spawn(&mut command))
    }
}

impl Measurement {
    pub(crate) fn has_ended(&self) -> bool {
        self.0.said(Stream::Stdout).contains('\n')
    }

    pub(crate) fn finish(self) -> Latency {
        let ended = self.0.wait(LIMIT);
        assert!(ended.status.success(), "{ended:?}");
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        let us = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("{report}"));
        Latency { p50_us: us("latency_p50_us"), p99_us: us("latency_p99_us") }
    }
}

const RATE_PER_S: u32 = 500;
const LIMIT: Duration = Duration::from_secs(300);
