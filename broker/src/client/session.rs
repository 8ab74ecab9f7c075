//! One session of a client in the process: what was asked of it and is not answered, and what its
//! client shares with the thread.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use weir_firmware_bridge::session::{
    Broker as _, Command, Delivery, DeliveryId, Event, QoS as SessionQoS, SessionId, Ticket,
};
use weir_mqtt::QoS;

use super::error::ClientError;
use super::options::{ClientOptions, Publication};
use crate::handout::Handout;
use crate::inside::InsideBroker;

/// What the broker takes from a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) packet_bytes_max: usize,
    pub(super) qos_max: QoS,
    pub(super) retain_available: bool,
}

/// What a client and the thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) id: SessionId,
    pub(super) limits: Limits,
    pub(super) orders: mpsc::UnboundedSender<Order>,
    pub(super) handout: Arc<Handout<Delivery>>,
    pub(super) session_present: AtomicBool,
    /// Messages of QoS 0 that nobody has taken.
    pub(super) dropped: AtomicU64,
    /// Answers that are still to come.
    unanswered: AtomicUsize,
    end: Mutex<Option<ClientError>>,
}

/// What the thread is to do. Those of one client come in their order, and are bounded by it.
#[derive(Debug)]
pub(super) enum Order {
    /// Ends a session once all is done, and says so.
    Close(SessionId, Option<Whole>),
    Do(SessionId, Request),
    Open(ClientOptions, Arc<Shared>, Whole),
    Stop,
}

/// What a session is to do.
#[derive(Debug)]
pub(super) enum Request {
    Acknowledge(DeliveryId),
    Publish(Publication, Asked<()>),
    Subscribe(String, QoS, Asked<QoS>),
    Unsubscribe(String, Asked<()>),
}

/// Who is told when a session has begun or ended.
pub(super) type Whole = oneshot::Sender<Result<(), ClientError>>;

/// Who waits for an answer.
#[derive(Debug)]
pub(super) struct Asked<T> {
    sender: oneshot::Sender<Result<T, ClientError>>,
    place: Place,
}

/// A place among the answers that are still to come.
#[derive(Debug)]
struct Place {
    shared: Arc<Shared>,
    is_within: bool,
}

/// Who waits under a ticket.
enum Waiting {
    /// With a message or the end of a subscription.
    Done(Asked<()>),
    Granted(Asked<QoS>),
}

/// One session on the thread.
pub(super) struct Session {
    shared: Arc<Shared>,
    opened: Option<Whole>,
    closed: Option<Whole>,
    is_closing: bool,
    has_left: bool,
    /// What there was no room for yet, in order.
    requests: VecDeque<Request>,
    answers: BTreeMap<Ticket, Waiting>,
    last_ticket: u64,
    /// How often it was lost since it has last been of use.
    losses: u32,
}

impl Shared {
    pub(super) fn new(
        id: SessionId,
        limits: Limits,
        orders: mpsc::UnboundedSender<Order>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            limits,
            orders,
            handout: Handout::new(),
            session_present: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            unanswered: AtomicUsize::new(0),
            end: Mutex::default(),
        })
    }

    /// Why the session is over.
    pub(super) fn why_ended(&self) -> ClientError {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.clone().unwrap_or(ClientError::Ended)
    }

    /// The session is over; the first reason is the true one.
    pub(super) fn end(&self, reason: ClientError) {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.handout.end();
    }
}

impl<T> Asked<T> {
    pub(super) fn counted(
        sender: oneshot::Sender<Result<T, ClientError>>,
        shared: &Arc<Shared>,
    ) -> Self {
        let before = shared.unanswered.fetch_add(1, Ordering::Relaxed);
        let is_within = before < ClientOptions::REQUESTS_MAX;
        Self { sender, place: Place { shared: shared.clone(), is_within } }
    }

    /// Whether its client may ask for so much at a time.
    pub(super) fn has_room(&self) -> bool {
        self.place.is_within
    }

    pub(super) fn refuse(self, error: ClientError) {
        self.answer(Err(error));
    }

    fn answer(self, answer: Result<T, ClientError>) {
        // Before whoever waits asks for the next thing.
        drop(self.place);
        let _ = self.sender.send(answer);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.unanswered.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Request {
    pub(super) fn refuse(self, error: ClientError) {
        match self {
            Self::Acknowledge(_) => {}
            Self::Publish(_, asked) | Self::Unsubscribe(_, asked) => asked.refuse(error),
            Self::Subscribe(_, _, asked) => asked.refuse(error),
        }
    }

    fn command(&self, ticket: Ticket) -> Command {
        match self {
            Self::Acknowledge(id) => Command::Acknowledge(*id),
            Self::Publish(Publication { topic, payload, qos, retain }, _) => Command::Publish {
                ticket: (*qos > QoS::AtMostOnce).then_some(ticket),
                topic: topic.as_str().into(),
                payload: payload.clone(),
                qos: session_qos(*qos),
                retain: *retain,
            },
            Self::Subscribe(filter, qos, _) => {
                let filter = filter.as_str().into();
                Command::Subscribe { ticket, filter, qos: session_qos(*qos) }
            }
            Self::Unsubscribe(filter, _) => {
                Command::Unsubscribe { ticket, filter: filter.as_str().into() }
            }
        }
    }

    /// Who waits once it is on its way.
    fn given(self) -> Option<Waiting> {
        match self {
            Self::Acknowledge(_) => None,
            Self::Publish(Publication { qos: QoS::AtMostOnce, .. }, asked) => {
                asked.answer(Ok(()));
                None
            }
            Self::Publish(_, asked) | Self::Unsubscribe(_, asked) => Some(Waiting::Done(asked)),
            Self::Subscribe(_, _, asked) => Some(Waiting::Granted(asked)),
        }
    }
}

impl Waiting {
    fn refuse(self, error: ClientError) {
        match self {
            Self::Done(asked) => asked.refuse(error),
            Self::Granted(asked) => asked.refuse(error),
        }
    }
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, opened: Whole) -> Self {
        Self {
            shared,
            opened: Some(opened),
            closed: None,
            is_closing: false,
            has_left: false,
            requests: VecDeque::new(),
            answers: BTreeMap::new(),
            last_ticket: 0,
            losses: 0,
        }
    }

    pub(super) fn ask(&mut self, request: Request) {
        match self.is_closing && !matches!(request, Request::Acknowledge(_)) {
            true => request.refuse(ClientError::Closed),
            false => self.requests.push_back(request),
        }
    }

    /// Ends it once all is done.
    pub(super) fn close(&mut self, closed: Option<Whole>) {
        self.is_closing = true;
        self.closed = closed.or(self.closed.take());
    }

    /// Gives the session what there is room for; whether that was anything.
    pub(super) fn go_on(&mut self, inside: &mut InsideBroker) -> bool {
        let mut has_gone_on = false;
        while !self.has_left
            && let Some(request) = self.requests.front()
        {
            let ticket = Ticket(self.last_ticket + 1);
            if inside.command(self.shared.id, request.command(ticket)).is_err() {
                return has_gone_on;
            }
            self.last_ticket += 1;
            has_gone_on = true;
            let given = self.requests.pop_front().and_then(Request::given);
            self.answers.extend(given.map(|waiting| (ticket, waiting)));
        }
        if self.is_closing && self.answers.is_empty() && !self.has_left {
            self.leave(inside, ClientError::Closed);
            has_gone_on = true;
        }
        has_gone_on
    }

    /// Takes an event of the session; whether it was the last one.
    pub(super) fn handle(&mut self, event: Event, inside: &mut InsideBroker) -> bool {
        match event {
            Event::Closed => {
                self.end(ClientError::Closed);
                return true;
            }
            Event::Connected { session_present } => match self.opened.take() {
                Some(opened) => {
                    self.shared.session_present.store(session_present, Ordering::Relaxed);
                    let _ = opened.send(Ok(()));
                }
                None if session_present => {}
                None => self.leave(inside, ClientError::Lost("its time was over".to_owned())),
            },
            Event::Delivered(delivery) => self.deliver(delivery),
            Event::Lost(reason) => {
                self.losses += 1;
                let error = ClientError::from(reason);
                let is_over = self.opened.is_some()
                    || error == ClientError::TakenOver
                    || self.losses > LOSSES_MAX;
                if is_over {
                    self.leave(inside, error);
                }
            }
            Event::Published(ticket) | Event::Unsubscribed(ticket) => self.done(ticket, Ok(())),
            Event::PublishFailed(ticket) => {
                self.done(ticket, Err(ClientError::Lost("its time was over".to_owned())));
            }
            Event::PublishRefused { ticket, reason } => {
                self.done(ticket, Err(ClientError::RefusedMessage { reason }));
            }
            Event::Refused(reason) => {
                self.end(reason.into());
                return true;
            }
            Event::Subscribed { ticket, granted } => {
                self.losses = 0;
                if let Some(Waiting::Granted(asked)) = self.answers.remove(&ticket) {
                    asked.answer(granted.map(own_qos).ok_or(ClientError::RefusedSubscription));
                }
            }
        }
        false
    }

    /// Leaves the broker, whatever is under way.
    pub(super) fn leave(&mut self, inside: &mut InsideBroker, reason: ClientError) {
        self.has_left = true;
        self.shared.end(reason);
        // There is always room for it.
        let _ = inside.command(self.shared.id, Command::Disconnect { publish_will: false });
    }

    /// It is over: all who wait are told.
    pub(super) fn end(&mut self, reason: ClientError) {
        self.shared.end(reason);
        let reason = self.shared.why_ended();
        self.requests.drain(..).for_each(|request| request.refuse(reason.clone()));
        let answers = std::mem::take(&mut self.answers);
        answers.into_values().for_each(|waiting| waiting.refuse(reason.clone()));
        if let Some(opened) = self.opened.take() {
            let _ = opened.send(Err(reason.clone()));
        }
        if let Some(closed) = self.closed.take() {
            let _ = closed.send(if reason == ClientError::Closed { Ok(()) } else { Err(reason) });
        }
    }

    fn done(&mut self, ticket: Ticket, answer: Result<(), ClientError>) {
        self.losses = 0;
        if let Some(Waiting::Done(asked)) = self.answers.remove(&ticket) {
            asked.answer(answer);
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        self.losses = 0;
        // How many of the others wait is for the session to limit.
        let handout = &self.shared.handout;
        if delivery.qos != SessionQoS::AtMostOnce || handout.has_room(QOS0_BYTES_MAX) {
            let bytes = delivery.topic.len() + delivery.payload.len();
            handout.put(delivery, bytes);
        } else {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn session_qos(qos: QoS) -> SessionQoS {
    match qos {
        QoS::AtMostOnce => SessionQoS::AtMostOnce,
        QoS::AtLeastOnce => SessionQoS::AtLeastOnce,
        QoS::ExactlyOnce => SessionQoS::ExactlyOnce,
    }
}

fn own_qos(qos: SessionQoS) -> QoS {
    match qos {
        SessionQoS::AtMostOnce => QoS::AtMostOnce,
        SessionQoS::AtLeastOnce => QoS::AtLeastOnce,
        SessionQoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// A session that is lost again and again without having been of use is given up.
const LOSSES_MAX: u32 = 3;
/// Messages of QoS 0 are dropped when this much waits.
const QOS0_BYTES_MAX: usize = 1024 * 1024;
