//! A broker as the C library of Kafka has it, in this process, which keeps its records while it is
//! away, and does not store others for a while. It does not recognise what comes twice.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use weir_tests::harness::folder::Folder;
use weir_tests::sim::random::Random;

use crate::{FarEnd, campaign};

#[test]
fn kafka_misses_nothing_whatever_fails() {
    let folder = Folder::new("upstream-faults-kafka");
    let plant = Plant::start();
    let address = plant.way.address;
    campaign("kafka", "kafka = { topic = \"far\" }\n", &folder, address, plant);
}

struct Plant {
    broker: MockCluster<'static, DefaultProducerContext>,
    way: Way,
    /// Where each partition is read on.
    next: [i64; PARTITIONS as usize],
}

impl Plant {
    fn start() -> Self {
        let broker = MockCluster::new(1).expect("a broker in this process");
        broker.create_topic("far", PARTITIONS, 1).expect("a new topic");
        let way = Way::start(broker.bootstrap_servers().parse().expect("an address"));
        Self { broker, way, next: [0; PARTITIONS as usize] }
    }

    /// A new one each time: one that is there gives up on a broker that comes and goes.
    fn consumer(&self) -> BaseConsumer {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.broker.bootstrap_servers())
            .set("group.id", "far")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "10")
            .create()
            .expect("a consumer");
        let mut list = TopicPartitionList::new();
        for (partition, offset) in (0..).zip(self.next) {
            let added = list.add_partition_offset("far", partition, Offset::Offset(offset));
            added.expect("a partition");
        }
        consumer.assign(&list).expect("partitions");
        consumer
    }

    fn refuse(&self, error: RDKafkaRespErr, random: &mut Random) {
        let requests = 1 + random.below(3) as usize;
        self.broker.request_errors(RDKafkaApiKey::Produce, &vec![error; requests]);
    }
}

impl FarEnd for Plant {
    fn behind(&mut self, proxy: SocketAddr) {
        self.way.told.store(proxy.port(), Ordering::Release);
    }

    fn arrived(&mut self) -> Vec<(String, u64)> {
        let consumer = self.consumer();
        let end = |partition| consumer.fetch_watermarks("far", partition, LIMIT);
        let ends: Vec<i64> =
            (0..PARTITIONS).map(|partition| end(partition).expect("it is there").1).collect();
        let mut found = Vec::new();
        while self.next.iter().zip(&ends).any(|(next, end)| next < end) {
            let message = consumer.poll(LIMIT).expect("a record in time").expect("a record");
            self.next[message.partition() as usize] = message.offset() + 1;
            found.push(read(&message));
        }
        found
    }

    fn fail(&mut self, random: &mut Random) -> &'static str {
        match random.below(4) {
            0 => {
                self.refuse(RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, random);
                "too_few_replicas"
            }
            1 => {
                self.refuse(RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, random);
                "not_leader"
            }
            _ => {
                self.broker.broker_down(1).expect("it is there");
                self.broker.broker_up(1).expect("it is there");
                "far_end_restarted"
            }
        }
    }
}

fn read(message: &BorrowedMessage<'_>) -> (String, u64) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut headers = message.headers().expect("each has some").iter();
    let id = headers.find(|header| header.key == "id").and_then(|header| header.value);
    let number = text(message.payload().expect("a number")).parse().expect("a number");
    (text(id.expect("each has an id")), number)
}

/// A way to the broker on which its answers say that it is somewhere else: whoever asks it where the
/// brokers are would leave the proxy out.
struct Way {
    address: SocketAddr,
    /// The port that the answers tell.
    told: Arc<AtomicU16>,
}

impl Way {
    /// Listens on a free port of this machine, until the process ends.
    fn start(broker: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let told = Arc::new(AtomicU16::new(address.port()));
        let telling = told.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let told = telling.clone();
                // A connection that breaks is over.
                thread::spawn(move || pass(stream, broker, &told).ok());
            }
        });
        Self { address, told }
    }
}

/// Passes requests and answers on, one after the other.
fn pass(mut here: TcpStream, broker: SocketAddr, told: &AtomicU16) -> io::Result<()> {
    let mut there = TcpStream::connect(broker)?;
    loop {
        let request = frame(&mut here)?;
        send(&mut there, &request)?;
        let mut answer = frame(&mut there)?;
        if request[..2] == METADATA {
            // Behind the number of the question, the pause that is asked for, how many brokers there
            // are, and the number of the only one.
            let host = 16;
            let length = usize::from(u16::from_be_bytes([answer[host], answer[host + 1]]));
            let port = host + 2 + length;
            let told = i32::from(told.load(Ordering::Acquire));
            answer[port..port + 4].copy_from_slice(&told.to_be_bytes());
        }
        send(&mut here, &answer)?;
    }
}

fn frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

fn send(stream: &mut TcpStream, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).expect("frames are short");
    stream.write_all(&[&length.to_be_bytes(), frame].concat())
}

const PARTITIONS: i32 = 3;
const LIMIT: Duration = Duration::from_secs(30);
const METADATA: [u8; 2] = [0, 3];
