//! Publishers and subscribers under load: they keep the rules of MQTT, acknowledge what they must,
//! and enter what arrives in the ledger.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use weir_mqtt::{Packet, Version};

use super::{
    failure::BenchError,
    ledger::{Balance, Ledger},
    net::Net,
    options::{Joining, Load, Target},
    percentiles::Latencies,
    publisher::Publisher,
    report::Report,
    wire::Shape,
};

mod receive;

/// Brokers may leave it to the client to close.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// The longest wait for an answer that needs no load.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It has said goodbye.
    Leaving,
    /// Only its answers are counted.
    Other,
    Publisher(usize),
    Subscriber(usize),
}

/// Answers that were counted, to be waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    pub(crate) connacks: usize,
    pub(crate) subacks: usize,
    pub(crate) pingresps: usize,
    /// Of the last CONNACK.
    session_present: bool,
    receive_maximum: Option<u16>,
}

/// All clients of a run.
#[derive(Debug)]
pub(crate) struct Clients {
    target: Target,
    address: SocketAddr,
    version: Version,
    load: Load,
    roles: Vec<Role>,
    pub(crate) publishers: Vec<Publisher>,
    subscribers: usize,
    pub(crate) ledger: Ledger,
    pub(crate) answers: Answers,
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    /// Acknowledged with a reason that says no.
    pub(crate) refused: u64,
    pub(crate) closed: usize,
    pub(crate) latencies: Option<Latencies>,
    start: Instant,
    /// What cannot be gone on with.
    problem: Option<BenchError>,
}

impl Clients {
    pub(crate) fn new(target: &Target, address: SocketAddr, load: Load) -> Self {
        Self {
            target: target.clone(),
            address,
            version: target.version(),
            load,
            roles: Vec::new(),
            publishers: Vec::new(),
            subscribers: 0,
            ledger: Ledger::new(0, 0, 0),
            answers: Answers::default(),
            sent: 0,
            acknowledged: 0,
            refused: 0,
            closed: 0,
            latencies: None,
            start: Instant::now(),
            problem: None,
        }
    }

    /// Begins a connection and does not wait for its CONNACK.
    pub(crate) fn begin(
        &mut self,
        net: &mut Net,
        joining: Joining<'_>,
    ) -> Result<usize, BenchError> {
        let number = net.connect(self.address, joining.receive_buffer_bytes)?;
        self.target.put_connect(joining, &mut net.connections[number].out)?;
        if self.roles.len() <= number {
            self.roles.resize(number + 1, Role::Other);
        }
        self.roles[number] = Role::Other;
        Ok(number)
    }

    /// Connects and waits for the CONNACK.
    pub(crate) fn join(
        &mut self,
        net: &mut Net,
        joining: Joining<'_>,
    ) -> Result<usize, BenchError> {
        let connacks = self.answers.connacks + 1;
        let number = self.begin(net, joining)?;
        self.wait(net, "CONNACK", |clients| clients.answers.connacks >= connacks)?;
        Ok(number)
    }

    /// Whether the broker has gone on with the session of whoever joined last.
    pub(crate) fn is_session_present(&self) -> bool {
        self.answers.session_present
    }

    /// A publisher that uses the topics one after the other, each with the subscriber that it
    /// reaches.
    pub(crate) fn add_publisher(
        &mut self,
        net: &mut Net,
        topics: &[(String, u16)],
        retain: bool,
    ) -> Result<usize, BenchError> {
        let number = self.publishers.len();
        let connection = self.join(net, Joining::clean(&format!("bench-pub-{number}")))?;
        self.roles[connection] = Role::Publisher(number);
        let shape = Shape {
            qos: self.load.qos(),
            retain,
            payload_bytes: self.load.payload,
            version: self.target.version(),
        };
        let number = u16::try_from(number).expect("the command line takes fewer clients");
        let mut publisher = Publisher::new(connection, number, topics, shape)?;
        let receive_maximum = self.answers.receive_maximum.map_or(u32::MAX, u32::from);
        publisher.in_flight_max = self.load.inflight.min(receive_maximum);
        self.publishers.push(publisher);
        Ok(connection)
    }

    pub(crate) fn add_subscriber(
        &mut self,
        net: &mut Net,
        joining: Joining<'_>,
        filters: &[String],
    ) -> Result<usize, BenchError> {
        let connection = self.join(net, joining)?;
        self.take_as_subscriber(connection);
        self.subscribe(net, connection, filters)?;
        Ok(connection)
    }

    /// What arrives at a connection is entered in the ledger from now on.
    pub(crate) fn take_as_subscriber(&mut self, connection: usize) {
        self.roles[connection] = Role::Subscriber(self.subscribers);
        self.subscribers += 1;
    }

    /// Keeps a place in the account for a subscriber who comes later.
    pub(crate) fn reserve_subscriber(&mut self) {
        self.subscribers += 1;
    }

    /// Gives a connection the place that was kept last.
    pub(crate) fn take_reserved(&mut self, connection: usize) {
        self.roles[connection] = Role::Subscriber(self.subscribers - 1);
    }

    /// Subscribes in one packet, and waits for the answer.
    pub(crate) fn subscribe(
        &mut self,
        net: &mut Net,
        connection: usize,
        filters: &[String],
    ) -> Result<(), BenchError> {
        let subacks = self.answers.subacks + 1;
        self.put_subscribe(filters, &mut net.connections[connection].out)?;
        net.flush(connection);
        self.wait(net, "SUBACK", |clients| clients.answers.subacks >= subacks)
    }

    pub(crate) fn put_subscribe(
        &self,
        filters: &[String],
        out: &mut Vec<u8>,
    ) -> Result<(), BenchError> {
        self.target.put_subscribe(filters, self.load.qos(), out)
    }

    /// All have joined: the account begins.
    pub(crate) fn ready(&mut self) {
        let payload_bytes = self.load.payload;
        self.ledger = Ledger::new(self.publishers.len(), self.subscribers, payload_bytes);
    }

    /// Nanoseconds since the clients were made.
    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Puts one message into the output of a publisher.
    #[inline]
    pub(crate) fn put(&mut self, net: &mut Net, publisher: usize, at_ns: u64) {
        let publisher = &mut self.publishers[publisher];
        publisher.append(at_ns, &mut net.connections[publisher.connection].out);
        self.sent += 1;
    }

    /// How the account comes out when so many messages were to arrive.
    pub(crate) fn balance(&self, expected: u64) -> Balance {
        let sent: Vec<u32> = self.publishers.iter().map(|one| one.sent).collect();
        self.ledger.balance(expected, &sent)
    }

    /// The counts, and whether they are right when so many messages were to arrive.
    pub(crate) fn report(&self, expected: u64, report: &mut Report) {
        let balance = self.balance(expected);
        report.count("sent", self.sent);
        let mut is_taken = true;
        if self.load.qos > 0 {
            report.count("acknowledged", self.acknowledged);
            report.count("refused", self.refused);
            is_taken = self.acknowledged == self.sent && self.refused == 0;
        }
        report.balance(&balance);
        report.count("closed", self.closed as u64);
        report.flag("ok", balance.is_right() && is_taken && self.closed == 0);
    }

    /// Sends a PINGREQ and waits for the answer: by then the broker has handled all that the
    /// connection sent before.
    pub(crate) fn ping(&mut self, net: &mut Net, connection: usize) -> Result<(), BenchError> {
        let pingresps = self.answers.pingresps + 1;
        Packet::Pingreq.encode(self.version, &mut net.connections[connection].out)?;
        net.flush(connection);
        self.wait(net, "PINGRESP", |clients| clients.answers.pingresps >= pingresps)
    }

    /// Says goodbye, and gives the broker the time to close.
    pub(crate) fn leave(&mut self, net: &mut Net, connection: usize) -> Result<(), BenchError> {
        self.target.put_disconnect(&mut net.connections[connection].out)?;
        net.flush(connection);
        self.roles[connection] = Role::Leaving;
        let end = Instant::now() + CLOSE_WITHIN;
        while net.connections[connection].is_open() && Instant::now() < end {
            self.turn(net, Duration::from_millis(50))?;
        }
        net.close(connection);
        Ok(())
    }

    /// Waits for an answer; that a connection is closed meanwhile is an error.
    pub(crate) fn wait(
        &mut self,
        net: &mut Net,
        what: &'static str,
        is_done: impl Fn(&Self) -> bool,
    ) -> Result<(), BenchError> {
        let (end, closed) = (Instant::now() + ANSWER_WITHIN, self.closed);
        while !is_done(self) {
            if self.closed > closed {
                return Err(BenchError::Closed { what });
            }
            if Instant::now() > end {
                return Err(BenchError::Silent { what, seconds: ANSWER_WITHIN.as_secs() });
            }
            self.turn(net, Duration::from_millis(50))?;
        }
        Ok(())
    }

    /// Goes on while something arrives: until there is enough, or nothing more has come for so
    /// long. Answers when the last thing came.
    pub(crate) fn settle(
        &mut self,
        net: &mut Net,
        patience: Duration,
        is_enough: impl Fn(&Self) -> bool,
    ) -> Result<Instant, BenchError> {
        let seen = |clients: &Self| (clients.ledger.received(), clients.acknowledged);
        let (mut last, mut at) = (seen(self), Instant::now());
        while !is_enough(self) && at.elapsed() < patience {
            self.turn(net, Duration::from_millis(50).min(patience))?;
            if seen(self) != last {
                (last, at) = (seen(self), Instant::now());
            }
        }
        Ok(at)
    }

    pub(crate) fn turn(&mut self, net: &mut Net, wait: Duration) -> Result<(), BenchError> {
        net.turn(wait, self)?;
        self.problem.take().map_or(Ok(()), Err)
    }
}
