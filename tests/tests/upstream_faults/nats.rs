//! A real nats-server with a stream in files: it is killed, its stream is full or does not take the
//! subject. It recognises what comes twice, so everything is there once.

use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::program;
use weir_tests::harness::jetstream::{JetStream, Stored};
use weir_tests::harness::nats_server::NatsServer;
use weir_tests::sim::random::Random;

use crate::{FarEnd, campaign};

#[test]
fn nats_misses_nothing_whatever_fails() {
    let Some(program) = program("upstream, faults", "nats-server") else { return };
    let folder = Folder::new("upstream-faults-nats");
    let server = NatsServer::start(program, &folder);
    let address = server.address();
    let stream = JetStream::create(address, "FAR", "far.>");
    campaign("nats", "nats = { stream = \"FAR\" }\n", &folder, address, Plant { server, stream });
}

struct Plant {
    server: NatsServer,
    stream: JetStream,
}

impl FarEnd for Plant {
    fn arrived(&mut self) -> Vec<(String, u64)> {
        let read = |message: &Stored| {
            let id = message.header("id").unwrap_or_else(|| panic!("no id in {message:?}"));
            (id.to_owned(), String::from_utf8_lossy(&message.payload).parse().unwrap())
        };
        self.stream.stored().iter().map(read).collect()
    }

    fn fail(&mut self, random: &mut Random) -> &'static str {
        match random.below(4) {
            0 => {
                self.stream.fill();
                "stream_full"
            }
            1 => {
                self.stream.look_away();
                "stream_away"
            }
            _ => {
                self.server.kill();
                self.server.start_again();
                "far_end_killed"
            }
        }
    }

    fn recover(&mut self) {
        self.stream.open();
    }

    /// It may take the subject again, or have room, for what is behind a refused message.
    fn exchanges(&self, failure: &str) -> bool {
        failure.starts_with("stream_")
    }

    fn takes_once(&self) -> bool {
        true
    }
}
