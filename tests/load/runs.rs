//! What is measured: scenarios of `weir bench` with their options.

use crate::peer::Setting;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    seconds: f64,
    latency_seconds: f64,
    connections: u32,
    come_and_go: u32,
    subscriptions: u32,
    retained: u32,
    queued: u32,
    durable: u32,
    /// For those that wait until a stalled subscriber gets nothing more.
    patience: &'static str,
}

impl Size {
    pub(crate) const QUICK: Self = Self {
        seconds: 0.3,
        latency_seconds: 0.3,
        connections: 200,
        come_and_go: 200,
        subscriptions: 1000,
        retained: 1000,
        queued: 1000,
        durable: 50,
        patience: " --patience 1",
    };

    pub(crate) const fn full(seconds: f64) -> Self {
        Self {
            seconds,
            latency_seconds: 4.0,
            connections: 5000,
            come_and_go: 5000,
            subscriptions: 50_000,
            retained: 50_000,
            queued: 50_000,
            durable: 1000,
            patience: "",
        }
    }
}

/// One run of `weir bench`.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) name: &'static str,
    pub(crate) arguments: String,
    pub(crate) setting: Setting,
}

pub(crate) fn all(size: &Size) -> Vec<Run> {
    let Size { seconds, latency_seconds, connections, come_and_go, .. } = size;
    let Size { subscriptions, retained, queued, durable, patience, .. } = size;
    let run = |name, arguments| Run { name, arguments, setting: Setting::Roomy };
    vec![
        run("fanin 0", format!("fanin --seconds {seconds}")),
        run("fanin 1", format!("fanin -q 1 --window 200 --inflight 20 --seconds {seconds}")),
        run("fanin 2", format!("fanin -q 2 --window 100 --inflight 10 --seconds {seconds}")),
        run("fanin 4096", format!("fanin --payload 4096 --window 200 --seconds {seconds}")),
        run("fanout 0", format!("fanout --seconds {seconds}")),
        run("fanout 1", format!("fanout -q 1 --window 200 --seconds {seconds}")),
        run("fanout 500", format!("fanout --clients 500 --window 200 --seconds {seconds}")),
        run("pairs 0", format!("pairs --seconds {seconds}")),
        run("pairs 1", format!("pairs -q 1 --window 400 --inflight 10 --seconds {seconds}")),
        run("subs", format!("subs --subscriptions {subscriptions} --seconds {seconds}")),
        run("latency 0", format!("latency --seconds {latency_seconds}")),
        run("latency 1", format!("latency -q 1 --seconds {latency_seconds}")),
        run("connect", format!("connect --count {come_and_go}")),
        run("idle", format!("idle --clients {connections} --seconds {seconds}")),
        run("retained 0", format!("retained --count {retained}")),
        run("retained 1", format!("retained --count {retained} -q 1 --window 20 --inflight 20")),
        run("persist", format!("persist --count {queued} --clients 20 --inflight 20 --window 400")),
        Run {
            setting: Setting::Durable,
            ..run(
                "durable",
                format!("persist --count {durable} --clients 20 --inflight 20 --window 400"),
            )
        },
        Run {
            setting: Setting::Default,
            ..run("slow 0", format!("slow --seconds {seconds}{patience}"))
        },
        Run {
            setting: Setting::Default,
            ..run("slow 1", format!("slow -q 1 --window 200 --seconds {seconds}{patience}"))
        },
    ]
}
