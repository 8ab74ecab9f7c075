//! Messages produced to the topics of Kafka.
//!
//! The part of its protocol that a producer needs is spoken here. Each broker has one request under
//! way with a batch for each partition that it leads, while the next ones gather; what is stored on
//! all replicas is acknowledged. A batch with a wrong message is tried in parts, so that only that one
//! is refused; when a partition has moved to another broker the brokers are asked where it is.
//! Anything that does not pass by itself ends the connection, and what was not stored is sent again
//! on the next one: `id` tells apart what came twice.

mod answer;
mod cluster;
mod connection;
mod login;
mod metadata;
mod partitioner;
mod produce;
mod record;
mod request;
mod scram;
mod topic;
mod topic_name;
mod wire;
mod wrong;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;

use self::answer::{Answer, MOVED_WITHIN, meaning, topic_refused};
use self::cluster::{Cluster, ask, is_of_network};
use self::connection::{Connection, Connector};
use self::login::Login;
use self::metadata::{Metadata, TopicMetadata};
use self::produce::{Outcome, Produced};
use self::record::Record;
use self::request::Request;
use self::topic::{Taken, Topic, Waiting};
use self::wrong::wrong_ones;
use super::desk::Desk;
use super::error::LinkError;
use super::outgoing::Outgoing;
use crate::config::{HostPort, KafkaConfig, TlsClientConfig};

/// Where messages go, and who sends them.
#[derive(Clone, Debug)]
pub(crate) struct KafkaOptions {
    /// What the brokers call this client in their logs.
    pub(crate) name: String,
    /// Where brokers are asked who the others are.
    pub(crate) bootstrap: Vec<HostPort>,
    pub(crate) kafka: KafkaConfig,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) tls: Option<TlsClientConfig>,
}

/// Messages under way at a time.
pub(crate) const WINDOW: u16 = 256;

/// Runs connections until they fail, or nobody sends any more. Begins at an address.
pub(super) async fn run(
    address: HostPort,
    options: KafkaOptions,
    desk: &mut Desk,
) -> Result<(), LinkError> {
    Producer::new(address, options)?.run(desk).await
}

struct Producer {
    config: KafkaConfig,
    connector: Arc<Connector>,
    cluster: Cluster,
    topics: BTreeMap<String, Topic>,
    jobs: JoinSet<Job>,
    /// The connection on which brokers are asked about topics.
    questions: Option<Connection>,
    is_asking: bool,
    /// Messages that wait or are under way.
    held: usize,
}

/// What was done beside.
enum Job {
    Asked(Result<(Connection, Metadata), LinkError>),
    Produced { request: Request, result: Result<(Connection, Produced), LinkError> },
}

impl Producer {
    fn new(address: HostPort, options: KafkaOptions) -> Result<Self, LinkError> {
        let tls = options.tls.map(|tls| tls.load()).transpose()?;
        let sasl = options.kafka.sasl;
        let login =
            options.credentials.map(|(username, password)| Login { sasl, username, password });
        let client_id = options.name.chars().take(CLIENT_ID_CHARS_MAX).collect();
        let mut bootstrap = vec![address];
        for other in options.bootstrap {
            if !bootstrap.contains(&other) {
                bootstrap.push(other);
            }
        }
        Ok(Self {
            config: options.kafka,
            connector: Arc::new(Connector { client_id, login, tls: tls.map(TlsConnector::from) }),
            cluster: Cluster::new(bootstrap),
            topics: BTreeMap::new(),
            jobs: JoinSet::new(),
            questions: None,
            is_asking: false,
            held: 0,
        })
    }

    async fn run(&mut self, desk: &mut Desk) -> Result<(), LinkError> {
        let (connection, found) =
            ask(&self.connector, None, &self.cluster.addresses(), &[]).await?;
        self.cluster.set_brokers(&found.brokers, Instant::now());
        self.questions = Some(connection);
        desk.tell_connected(WINDOW).await;
        let served = self.serve(desk).await;
        if served.is_err() {
            // What is stored meanwhile need not be sent again.
            let rest = async {
                while let Some(job) = self.jobs.join_next().await {
                    // There is an error to tell already.
                    let _ = self.finish(job, desk).await;
                }
            };
            let _ = timeout(FINISH_TIMEOUT, rest).await;
        }
        served
    }

    async fn serve(&mut self, desk: &mut Desk) -> Result<(), LinkError> {
        let mut is_last = false;
        loop {
            let due = self.begin_jobs();
            if is_last && self.held == 0 {
                return Ok(());
            }
            let has_room = !is_last && self.held < usize::from(WINDOW);
            tokio::select! {
                Some(job) = self.jobs.join_next(), if !self.jobs.is_empty() => {
                    self.finish(job, desk).await?;
                }
                message = desk.next(), if has_room => match message {
                    Some(message) => self.take_all(message, desk).await,
                    None => is_last = true,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    /// Takes a message and those that are there already.
    async fn take_all(&mut self, first: Outgoing, desk: &mut Desk) {
        let mut next = Some(first);
        while let Some(outgoing) = next {
            self.take(outgoing, desk).await;
            let has_room = self.held < usize::from(WINDOW);
            next = if has_room { desk.try_next() } else { None };
        }
    }

    async fn take(&mut self, outgoing: Outgoing, desk: &mut Desk) {
        let mut message = desk.number(outgoing).await;
        let name = match &self.config.topic {
            Some(topic) => Ok(topic.clone()),
            None => topic_name::of(&message.outgoing.topic),
        };
        let name = match name {
            Ok(name) => name,
            Err(unfit) => return desk.tell_refused(message.number, unfit.to_string()).await,
        };
        let record = Record::of(&mut message.outgoing, self.config.key);
        if record.bytes() > RECORD_BYTES_MAX {
            let reason = "it is larger than any broker takes".to_owned();
            return desk.tell_refused(message.number, reason).await;
        }
        let now = Instant::now();
        if !self.topics.contains_key(&name) && self.topics.len() >= TOPICS_MAX {
            self.topics.retain(|_, topic| !topic.is_idle());
        }
        let topic = self.topics.entry(name).or_insert_with(|| Topic::new(now));
        if let Some(reason) = topic.forbidden(now) {
            return desk.tell_refused(message.number, reason.to_owned()).await;
        }
        topic.push(Waiting { message, record, is_alone: false });
        self.held += 1;
    }

    /// Sends what can be sent. When there will be more to do although nothing happens.
    fn begin_jobs(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let (asked, produced) = (self.begin_question(now), self.begin_requests(now));
        asked.into_iter().chain(produced).min()
    }

    fn begin_question(&mut self, now: Instant) -> Option<Instant> {
        if self.is_asking {
            return None;
        }
        let mut names = Vec::new();
        let mut due = None;
        for (name, topic) in &mut self.topics {
            match topic.ask_at() {
                Some(at) if at <= now && names.len() < QUESTION_TOPICS_MAX => {
                    topic.asked(now);
                    names.push(name.clone());
                }
                Some(at) => due = due.into_iter().chain([at]).min(),
                None => {}
            }
        }
        if names.is_empty() {
            return due;
        }
        self.is_asking = true;
        let (connector, connection) = (self.connector.clone(), self.questions.take());
        let addresses = self.cluster.addresses();
        self.jobs.spawn(async move {
            Job::Asked(ask(&connector, connection, &addresses, &names).await)
        });
        None
    }

    fn begin_requests(&mut self, now: Instant) -> Option<Instant> {
        let mut due: Option<Instant> = None;
        let mut requests: BTreeMap<i32, Vec<(String, Taken)>> = BTreeMap::new();
        let mut bytes: BTreeMap<i32, usize> = BTreeMap::new();
        for (name, topic) in &mut self.topics {
            let taken = topic.take(|leader, more| {
                let Some(ready_at) = self.cluster.ready_at(leader) else { return false };
                if ready_at > now {
                    due = due.into_iter().chain([ready_at]).min();
                    return false;
                }
                let sum = bytes.entry(leader).or_default();
                let fits = *sum == 0 || *sum + more <= REQUEST_BYTES_MAX;
                *sum += if fits { more } else { 0 };
                fits
            });
            for taken in taken {
                requests.entry(taken.leader).or_default().push((name.clone(), taken));
            }
        }
        for (broker, batches) in requests {
            let (address, connection) = self.cluster.take(broker);
            let request = Request { broker, address, batches };
            let (connector, compression) = (self.connector.clone(), self.config.compression);
            self.jobs.spawn(async move {
                let (request, encoded) = request.encode(compression).await;
                let result = request.send(encoded, &connector, connection).await;
                Job::Produced { request, result }
            });
        }
        due
    }

    async fn finish(
        &mut self,
        job: Result<Job, tokio::task::JoinError>,
        desk: &Desk,
    ) -> Result<(), LinkError> {
        match job.map_err(|error| LinkError::Lost(error.to_string()))? {
            Job::Asked(answer) => {
                self.is_asking = false;
                let (connection, found) = answer?;
                self.questions = Some(connection);
                let now = Instant::now();
                if self.cluster.set_brokers(&found.brokers, now) {
                    self.topics.values_mut().for_each(|topic| topic.ask_again(now));
                }
                for topic in found.topics {
                    self.learn(topic, now, desk).await?;
                }
                Ok(())
            }
            Job::Produced { request, result } => self.settle(request, result, desk).await,
        }
    }

    /// What the brokers say about a topic.
    async fn learn(
        &mut self,
        found: TopicMetadata,
        now: Instant,
        desk: &Desk,
    ) -> Result<(), LinkError> {
        let Some(topic) = self.topics.get_mut(&found.name) else { return Ok(()) };
        match meaning(found.code, None, &found.name) {
            Answer::Stored if found.leaders.is_empty() => {
                let reason = format!("topic `{}` has no partitions", found.name);
                topic.trouble(LinkError::RefusedMessage(reason), MOVED_WITHIN, now)
            }
            Answer::Stored => {
                let known = |leader: Option<i32>| leader.filter(|id| self.cluster.knows(*id));
                let leaders = found.leaders.into_iter().map(known).collect();
                topic.set_leaders(leaders, now).or_else(|partition| {
                    let reason = format!(
                        "no broker has partition {partition} of topic `{}` for now",
                        found.name
                    );
                    topic.trouble(LinkError::RefusedMessage(reason), MOVED_WITHIN, now)
                })
            }
            Answer::Again(error, within) => topic.trouble(error, within, now),
            Answer::Link(error) => Err(error),
            Answer::Message(reason) | Answer::Topic(reason) => {
                if self.config.topic.is_some() {
                    return Err(topic_refused(&found.name, &reason));
                }
                topic.forbid(reason.clone(), now);
                for waiting in topic.drain() {
                    self.held -= 1;
                    desk.tell_refused(waiting.message.number, reason.clone()).await;
                }
                Ok(())
            }
        }
    }

    /// What became of a request.
    async fn settle(
        &mut self,
        request: Request,
        result: Result<(Connection, Produced), LinkError>,
        desk: &Desk,
    ) -> Result<(), LinkError> {
        let Request { broker, address, batches } = request;
        let now = Instant::now();
        let (connection, produced) = match result {
            Ok(answered) => answered,
            Err(error) => {
                self.cluster.give_back(broker, &address, None, now);
                return self.not_produced(broker, &address, batches, &error);
            }
        };
        let pause = Duration::from_millis(produced.throttle_ms.into()).min(THROTTLE_MAX);
        self.cluster.give_back(broker, &address, Some(connection), now + pause);
        let mut outcomes: BTreeMap<(String, i32), Outcome> = produced
            .outcomes
            .into_iter()
            .map(|outcome| ((outcome.topic.clone(), outcome.partition), outcome))
            .collect();
        // All are told of, also behind one that ends the connection.
        let mut ended = Ok(());
        for (name, taken) in batches {
            let told = match outcomes.remove(&(name.clone(), taken.partition)) {
                Some(outcome) => self.settle_batch(&name, taken, outcome, desk).await,
                None => Err(LinkError::Ended(format!("no word about topic `{name}`"))),
            };
            ended = ended.and(told);
        }
        ended
    }

    async fn settle_batch(
        &mut self,
        name: &str,
        taken: Taken,
        outcome: Outcome,
        desk: &Desk,
    ) -> Result<(), LinkError> {
        let topic = self.topics.get_mut(name).expect("what has something under way is kept");
        let Taken { partition, mut messages, bytes, .. } = taken;
        match meaning(outcome.code, outcome.text.as_deref(), name) {
            Answer::Stored => {
                topic.stored(partition);
                self.held -= messages.len();
                for waiting in &messages {
                    desk.tell_acknowledged(&waiting.message).await;
                }
                Ok(())
            }
            Answer::Again(error, within) => {
                topic.give_back(partition, messages);
                topic.settle(partition);
                topic.trouble(error, within, Instant::now())
            }
            Answer::Link(error) => {
                topic.give_back(partition, messages);
                topic.settle(partition);
                Err(error)
            }
            Answer::Topic(reason) if self.config.topic.is_some() => {
                topic.give_back(partition, messages);
                topic.settle(partition);
                Err(topic_refused(name, &reason))
            }
            Answer::Topic(reason) => {
                topic.settle(partition);
                self.held -= messages.len();
                for waiting in &messages {
                    desk.tell_refused(waiting.message.number, reason.clone()).await;
                }
                Ok(())
            }
            Answer::Message(reason) => {
                let wrong = wrong_ones(&mut messages, &outcome.wrong, &reason, outcome.code);
                if answer::is_size(outcome.code) && !messages.is_empty() {
                    topic.too_large(bytes);
                }
                topic.give_back(partition, messages);
                topic.settle(partition);
                self.held -= wrong.len();
                for (waiting, reason) in wrong {
                    desk.tell_refused(waiting.message.number, reason).await;
                }
                Ok(())
            }
        }
    }

    /// A request has come to nothing, or nobody knows to what.
    fn not_produced(
        &mut self,
        broker: i32,
        address: &HostPort,
        batches: Vec<(String, Taken)>,
        error: &LinkError,
    ) -> Result<(), LinkError> {
        let now = Instant::now();
        let mut ended = Ok(());
        for (name, taken) in batches {
            let topic = self.topics.get_mut(&name).expect("what has something under way is kept");
            topic.give_back(taken.partition, taken.messages);
            topic.settle(taken.partition);
            let reason =
                format!("broker {broker} is to be at `{address}`, but there: {}", error.text());
            let help = if is_of_network(error) { HELP_BROKER } else { error.help() };
            let told = LinkError::Refused { reason, help };
            // Others have let this box in: what one of them has against it may be that it is going.
            let passes = !matches!(error, LinkError::Timeout);
            ended =
                ended.and(if passes { topic.trouble(told, MOVED_WITHIN, now) } else { Err(told) });
        }
        ended
    }
}

/// The longest name that is of use in a log.
const CLIENT_ID_CHARS_MAX: usize = 255;
/// After a failure, for what is under way at other brokers.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);
/// Topics about which the brokers are asked at a time.
const QUESTION_TOPICS_MAX: usize = 100;
/// The longest request that a broker reads unless it was told otherwise; a longer one ends the
/// connection, so nothing else would ever be sent.
const RECORD_BYTES_MAX: usize = 100 * 1024 * 1024 - 64 * 1024;
/// Batches of a request together, if there are several.
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest pause that a broker can ask for.
const THROTTLE_MAX: Duration = Duration::from_secs(30);
/// Topics that are remembered when nothing waits for them.
const TOPICS_MAX: usize = 1_000;

const HELP_BROKER: &str = "check that the broker runs, and that this box can reach what its \
                           `advertised.listeners` say";
