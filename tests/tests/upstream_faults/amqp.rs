//! A real RabbitMQ with a durable queue: it refuses messages, because another queue that is to get
//! them is full, and it is killed now and then, since it takes seconds to start.

use std::time::Duration;

use weir_tests::harness::amqp::{AmqpClient, Delivered};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::program;
use weir_tests::harness::rabbitmq::RabbitMq;
use weir_tests::sim::random::Random;

use crate::{FarEnd, campaign};

#[test]
fn amqp_misses_nothing_whatever_fails() {
    let Some(names) = program("upstream, faults", "epmd") else { return };
    let Some(_) = program("upstream, faults", "rabbitmq-server") else { return };
    let folder = Folder::new("upstream-faults-amqp");
    let server = RabbitMq::start(&names, &folder);
    let address = server.address();
    let (control, consumer) = clients(&server);
    campaign("amqp", "", &folder, address, Plant { server, control, consumer, is_full: false });
}

struct Plant {
    server: RabbitMq,
    control: AmqpClient,
    consumer: AmqpClient,
    is_full: bool,
}

fn clients(server: &RabbitMq) -> (AmqpClient, AmqpClient) {
    let mut control = AmqpClient::connect(server.address()).unwrap();
    control.queue(QUEUE, KEY).unwrap();
    let mut consumer = AmqpClient::connect(server.address()).unwrap();
    consumer.consume(QUEUE).unwrap();
    (control, consumer)
}

impl FarEnd for Plant {
    fn arrived(&mut self) -> Vec<(String, u64)> {
        let read = |message: Delivered| {
            (message.id, String::from_utf8_lossy(&message.payload).parse().unwrap())
        };
        let next = || self.consumer.receive(Duration::from_millis(1)).unwrap();
        std::iter::from_fn(next).map(read).collect()
    }

    fn fail(&mut self, random: &mut Random) -> &'static str {
        if random.chance(8) {
            self.server.kill();
            self.server.start_again();
            (self.control, self.consumer) = clients(&self.server);
            return "far_end_killed";
        }
        self.control.full_queue(FULL, KEY).unwrap();
        self.is_full = true;
        "refused"
    }

    fn recover(&mut self) {
        if std::mem::take(&mut self.is_full) {
            self.control.delete(FULL).unwrap();
        }
    }
}

const QUEUE: &str = "far";
const FULL: &str = "full";
const KEY: &str = "far.#";
