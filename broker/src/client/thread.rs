//! The thread on which the sessions of all clients of the process run. It begins with the first
//! client.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use weir_firmware_bridge::session::{Broker as _, Credentials, Event, SessionId, SessionOptions};
use weir_mqtt::TopicError;

use super::Client;
use super::answer::Answer;
use super::error::ClientError;
use super::options::ClientOptions;
use super::session::{Limits, Order, Session, Shared, Whole};
use crate::config::{Config, ListenerConfig};
use crate::inside::{Door, InsideBroker};

/// The clients of the process.
pub(crate) struct Clients {
    door: Door,
    limits: Limits,
    last_session: AtomicU64,
    running: Mutex<Option<Running>>,
}

struct Running {
    orders: mpsc::UnboundedSender<Order>,
    thread: JoinHandle<()>,
}

/// What runs there.
struct Sessions {
    inside: InsideBroker,
    sessions: BTreeMap<SessionId, Session>,
    events: Vec<(SessionId, Event)>,
}

impl Clients {
    /// None yet; they come in by this door.
    pub(crate) fn new(config: &Config, door: Door) -> Self {
        let limits = Limits::of(config);
        Self { door, limits, last_session: AtomicU64::new(0), running: Mutex::default() }
    }

    /// A session of the broker; waits until it is there.
    pub(crate) fn open(&self, options: ClientOptions) -> Result<Client, ClientError> {
        check_client_id(&options.client_id).map_err(ClientError::ClientId)?;
        let orders = self.orders().map_err(|error| ClientError::Thread(error.to_string()))?;
        let id = SessionId(self.last_session.fetch_add(1, Ordering::Relaxed) + 1);
        let shared = Shared::new(id, self.limits, orders.clone());
        let (opened, answer) = Answer::new();
        let order = Order::Open(options, shared.clone(), opened);
        orders.send(order).map_err(|_| ClientError::Ended)?;
        // A client that was not waited for ends with this value.
        let client = Client::new(shared);
        answer.wait(OPEN_PATIENCE).map(|()| client)
    }

    /// Ends all sessions.
    pub(crate) fn stop(&self) {
        let Some(Running { orders, thread }) = self.lock().take() else { return };
        // The thread may have ended already.
        let _ = orders.send(Order::Stop);
        if thread.join().is_err() {
            tracing::error!("the thread of the clients in the process panicked");
        }
    }

    fn orders(&self) -> io::Result<mpsc::UnboundedSender<Order>> {
        let mut running = self.lock();
        if let Some(Running { orders, .. }) = &*running {
            return Ok(orders.clone());
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (sender, orders) = mpsc::unbounded_channel();
        let door = self.door.clone();
        let run = move || run(&runtime, door, orders);
        let thread = thread::Builder::new().name("weir-clients".to_owned()).spawn(run)?;
        *running = Some(Running { orders: sender.clone(), thread });
        Ok(sender)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Limits {
    fn of(config: &Config) -> Self {
        let inside = ListenerConfig::inside();
        let qos_max = config.limits.max_qos.min(inside.max_qos);
        Self {
            packet_bytes_max: config.limits.max_packet_size as usize,
            qos_max: qos_max.try_into().unwrap_or_default(),
            retain_available: config.limits.retain_available && inside.retain_available,
        }
    }
}

impl Sessions {
    /// Does what it is told; false when that is to end.
    fn obey(&mut self, order: Order) -> bool {
        match order {
            Order::Close(id, closed) => match self.sessions.get_mut(&id) {
                Some(session) => session.close(closed),
                None => drop(closed.map(|closed| closed.send(Err(ClientError::Closed)))),
            },
            Order::Do(id, request) => match self.sessions.get_mut(&id) {
                Some(session) => session.ask(request),
                None => request.refuse(ClientError::Closed),
            },
            Order::Open(options, shared, opened) => self.open(options, shared, opened),
            Order::Stop => return false,
        }
        true
    }

    fn open(&mut self, options: ClientOptions, shared: Arc<Shared>, opened: Whole) {
        let ClientOptions { client_id, user, is_kept } = options;
        let id = shared.id;
        let credentials = Some(Credentials { user: user.into(), password: None });
        let options = SessionOptions {
            client_id: client_id.into(),
            clean_session: !is_kept,
            keep_alive_s: 0,
            will: None,
            credentials,
        };
        let mut session = Session::new(shared, opened);
        let has_room = self.sessions.len() < ClientOptions::CLIENTS_MAX;
        if !has_room || self.inside.open(id, options).is_err() {
            return session.end(ClientError::TooMany);
        }
        self.sessions.insert(id, session);
    }

    /// Waits until something has happened, and deals with it.
    async fn go_on(&mut self) {
        let Self { inside, sessions, events } = self;
        poll_fn(|context| {
            loop {
                if inside.poll_events(context, events).is_ready() {
                    return Poll::Ready(());
                }
                // What was written has made room for more.
                let mut has_gone_on = false;
                for session in sessions.values_mut() {
                    has_gone_on |= session.go_on(inside);
                }
                if !has_gone_on {
                    return Poll::Pending;
                }
            }
        })
        .await;
        for (id, event) in self.events.drain(..) {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            if session.handle(event, &mut self.inside) {
                self.sessions.remove(&id);
            }
        }
    }

    /// Says goodbye for all.
    async fn end(mut self) {
        for session in self.sessions.values_mut() {
            session.leave(&mut self.inside, ClientError::Ended);
        }
        let until = Instant::now() + GOODBYE_PATIENCE;
        while !self.sessions.is_empty() && timeout_at(until, self.go_on()).await.is_ok() {}
        self.sessions.values_mut().for_each(|session| session.end(ClientError::Ended));
    }
}

fn run(runtime: &Runtime, door: Door, mut orders: mpsc::UnboundedReceiver<Order>) {
    runtime.block_on(async move {
        let mut sessions = Sessions {
            inside: InsideBroker::new(door),
            sessions: BTreeMap::new(),
            events: Vec::new(),
        };
        loop {
            tokio::select! {
                order = orders.recv() => {
                    if !order.is_some_and(|order| sessions.obey(order)) {
                        break;
                    }
                }
                () = sessions.go_on() => {}
            }
        }
        sessions.end().await;
        // Whoever has asked meanwhile.
        orders.close();
        while let Some(order) = orders.recv().await {
            match order {
                Order::Do(_, request) => request.refuse(ClientError::Ended),
                Order::Close(_, Some(asked)) | Order::Open(_, _, asked) => {
                    let _ = asked.send(Err(ClientError::Ended));
                }
                Order::Close(_, None) | Order::Stop => {}
            }
        }
    });
}

fn check_client_id(text: &str) -> Result<(), TopicError> {
    match text.len() {
        0 => Err(TopicError::Empty),
        length if length > CLIENT_ID_BYTES_MAX => Err(TopicError::TooLong),
        _ if text.contains('\0') => Err(TopicError::HasNul),
        _ => Ok(()),
    }
}

/// What a text of MQTT can have.
const CLIENT_ID_BYTES_MAX: usize = u16::MAX as usize;
/// How long the broker may take to answer a client that comes.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);
/// How long sessions may take to end with the broker.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(1);
