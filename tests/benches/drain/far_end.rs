//! The far end of each kind, which is away until the backlog is full.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use weir_mqtt::Version;
use weir_tests::harness::amqp::AmqpClient;
use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::program;
use weir_tests::harness::http_service::HttpService;
use weir_tests::harness::jetstream::JetStream;
use weir_tests::harness::mosquitto::Mosquitto;
use weir_tests::harness::nats_server::NatsServer;
use weir_tests::harness::ports::free_address;
use weir_tests::harness::rabbitmq::RabbitMq;
use weir_tests::harness::subscriber::{Arrival, Subscriber};
use weir_tests::harness::wait::LIMIT;

use crate::ledger::Ledger;

/// Where the backlog goes.
pub(crate) trait FarEnd {
    /// Its kind, its address, and more lines of configuration.
    fn upstream(&self) -> (&'static str, SocketAddr, &'static str);
    fn leave(&mut self);
    fn come_back(&mut self);
    /// Takes what would become too much to keep until the end.
    fn take_early(&mut self, _ledger: &mut Ledger) {}
    /// Takes everything, after the backlog is empty: until then it keeps it, as it would for others.
    fn take_all(&mut self, ledger: &mut Ledger);
}

/// A real mosquitto with a session that is away.
pub(crate) struct MqttEnd {
    mosquitto: Mosquitto,
    subscriber: Subscriber,
}

impl MqttEnd {
    pub(crate) fn start(folder: &Folder) -> Option<Self> {
        let mosquitto = Mosquitto::start(program("drain", "mosquitto")?, folder, "");
        let mut subscriber = Subscriber::new("far", Version::V5, "far/#");
        subscriber.connect(mosquitto.address()).unwrap();
        subscriber.disconnect();
        Some(Self { mosquitto, subscriber })
    }
}

impl FarEnd for MqttEnd {
    fn upstream(&self) -> (&'static str, SocketAddr, &'static str) {
        ("mqtt", self.mosquitto.address(), "")
    }

    fn leave(&mut self) {
        self.mosquitto.stop();
    }

    fn come_back(&mut self) {
        self.mosquitto.start_again();
    }

    fn take_all(&mut self, ledger: &mut Ledger) {
        self.subscriber.connect(self.mosquitto.address()).unwrap();
        while !ledger.is_full() {
            let arrival = self.subscriber.receive(LIMIT);
            let Arrival::Message(message) = arrival else { panic!("{arrival:?}") };
            let id = message.user_properties.iter().find(|(name, _)| name == "id").unwrap();
            ledger.take(&id.1, &message.payload);
        }
    }
}

/// A service in this process, which takes up to 500 messages in a request.
pub(crate) struct HttpEnd {
    address: SocketAddr,
    service: Option<HttpService>,
}

impl HttpEnd {
    pub(crate) fn new() -> Self {
        Self { address: free_address(), service: None }
    }
}

impl FarEnd for HttpEnd {
    fn upstream(&self) -> (&'static str, SocketAddr, &'static str) {
        ("http", self.address, "http = { batch = 500 }\n")
    }

    fn leave(&mut self) {}

    fn come_back(&mut self) {
        self.service = Some(HttpService::start_at(self.address));
    }

    fn take_early(&mut self, ledger: &mut Ledger) {
        self.take_all(ledger);
    }

    fn take_all(&mut self, ledger: &mut Ledger) {
        for object in self.service.as_ref().unwrap().taken() {
            let payload = object["payload"].as_str().unwrap();
            ledger.take(object["id"].as_str().unwrap(), payload.as_bytes());
        }
    }
}

/// A broker as the C library of Kafka has it, in this process. It keeps five megabytes for each
/// partition, so there are many, and records go to all of them in turn.
pub(crate) struct KafkaEnd {
    broker: MockCluster<'static, DefaultProducerContext>,
    gzip: bool,
}

impl KafkaEnd {
    pub(crate) fn start(gzip: bool) -> Self {
        let broker = MockCluster::new(1).unwrap();
        broker.create_topic("far", PARTITIONS, 1).unwrap();
        Self { broker, gzip }
    }

    fn consumer(&self) -> BaseConsumer {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.broker.bootstrap_servers())
            .set("group.id", "far")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset("far", partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        consumer
    }
}

impl FarEnd for KafkaEnd {
    fn upstream(&self) -> (&'static str, SocketAddr, &'static str) {
        let address = self.broker.bootstrap_servers().parse().unwrap();
        let more = match self.gzip {
            false => "kafka = { topic = \"far\", key = \"none\" }\n",
            true => "kafka = { topic = \"far\", key = \"none\", compression = \"gzip\" }\n",
        };
        ("kafka", address, more)
    }

    fn leave(&mut self) {
        self.broker.broker_down(1).unwrap();
    }

    fn come_back(&mut self) {
        self.broker.broker_up(1).unwrap();
    }

    fn take_all(&mut self, ledger: &mut Ledger) {
        let (consumer, start) = (self.consumer(), Instant::now());
        while !ledger.is_full() {
            if let Some(record) = consumer.poll(Duration::from_millis(100)) {
                let record = record.unwrap();
                let mut headers = record.headers().unwrap().iter();
                let id = headers.find(|header| header.key == "id").unwrap().value.unwrap();
                ledger.take(&String::from_utf8_lossy(id), record.payload().unwrap());
            }
            assert!(start.elapsed() < 2 * LIMIT, "records are missing at the far end");
        }
    }
}

const PARTITIONS: i32 = 64;

/// A real nats-server with a stream in files.
pub(crate) struct NatsEnd {
    server: NatsServer,
    stream: JetStream,
}

impl NatsEnd {
    pub(crate) fn start(folder: &Folder) -> Option<Self> {
        let server = NatsServer::start(program("drain", "nats-server")?, folder);
        let stream = JetStream::create(server.address(), "FAR", "far.>");
        Some(Self { server, stream })
    }
}

impl FarEnd for NatsEnd {
    fn upstream(&self) -> (&'static str, SocketAddr, &'static str) {
        ("nats", self.server.address(), "")
    }

    fn leave(&mut self) {
        self.server.kill();
    }

    fn come_back(&mut self) {
        self.server.start_again();
    }

    fn take_all(&mut self, ledger: &mut Ledger) {
        for message in self.stream.stored() {
            ledger.take(message.header("id").unwrap(), &message.payload);
        }
    }
}

/// A real RabbitMQ with a durable queue.
pub(crate) struct AmqpEnd(RabbitMq);

impl AmqpEnd {
    pub(crate) fn start(folder: &Folder) -> Option<Self> {
        let (names, _) = (program("drain", "epmd")?, program("drain", "rabbitmq-server")?);
        let server = RabbitMq::start(&names, folder);
        AmqpClient::connect(server.address()).unwrap().queue(QUEUE, "far.#").unwrap();
        Some(Self(server))
    }
}

impl FarEnd for AmqpEnd {
    fn upstream(&self) -> (&'static str, SocketAddr, &'static str) {
        ("amqp", self.0.address(), "")
    }

    fn leave(&mut self) {
        self.0.kill();
    }

    fn come_back(&mut self) {
        self.0.start_again();
    }

    fn take_all(&mut self, ledger: &mut Ledger) {
        let mut consumer = AmqpClient::connect(self.0.address()).unwrap();
        consumer.consume(QUEUE).unwrap();
        while !ledger.is_full() {
            let message = consumer.receive(Duration::from_secs(30)).unwrap().expect("another one");
            ledger.take(&message.id, &message.payload);
        }
    }
}

const QUEUE: &str = "far";
