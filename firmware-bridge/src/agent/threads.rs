//! The threads that block: one for each bus, one for pins that are driven, one for each chip whose
//! pins are read, one for each Modbus connection.
//!
//! A thread has its devices for itself. It tells the agent through a channel, and ends when it is
//! told to or when nobody listens any more.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;

use super::command::{ActuatorId, OrderId};
use super::core::{Input, Report, Trouble};
use super::device::DeviceId;
use super::hardware::Hardware;
use super::pins::{Change, Inputs};
use super::plan::{OutputPlan, Plan};
use super::round::Round;
use super::wall::Clock;
use crate::config::{ModbusConfig, ModbusEnd};
use crate::json::Value;
use crate::probe::Availability;

mod modbus;
mod outputs;

use modbus::ModbusOrder;
use outputs::PinOrder;

/// The threads of a bridge.
#[derive(Debug)]
pub(crate) struct Threads {
    stop: Stop,
    handles: Vec<JoinHandle<()>>,
    pins: Option<SyncSender<PinOrder>>,
    modbus: Vec<Sender<ModbusOrder>>,
    routes: BTreeMap<ActuatorId, Route>,
}

/// Which thread carries out the orders of an actuator, and what it calls it.
#[derive(Clone, Copy, Debug)]
enum Route {
    Modbus { thread: usize, device: usize, write: usize },
    Pin(usize),
}

impl Threads {
    /// Starts the threads of a plan.
    pub(crate) fn start(
        plan: Plan,
        hardware: &Hardware,
        clock: Clock,
        inputs: &Sender<Input>,
    ) -> Self {
        let mut threads = Self {
            stop: Stop::default(),
            handles: Vec::new(),
            pins: None,
            modbus: Vec::new(),
            routes: BTreeMap::new(),
        };
        for round in plan.rounds {
            let (name, round) = hardware.round(round, clock.now());
            let (stop, sender) = (threads.stop.clone(), inputs.clone());
            let loss = Loss { devices: round.devices(), inputs: inputs.clone(), clock };
            threads.spawn(&name, loss, move || poll_round(round, clock, &stop, &sender));
        }
        for (chip, watched) in plan.inputs {
            let (stop, sender) = (threads.stop.clone(), inputs.clone());
            let (devices, configs): (Vec<_>, Vec<_>) = watched.into_iter().unzip();
            let open = hardware.inputs(chip);
            let loss = Loss { devices: devices.clone(), inputs: inputs.clone(), clock };
            threads.spawn("gpio-in", loss, move || {
                watch(&devices, || open(configs.clone()), clock, &stop, &sender);
            });
        }
        threads.start_pins(plan.outputs, hardware, clock, inputs);
        for (end, devices) in plan.modbus {
            threads.start_modbus(end, devices, hardware, clock, inputs);
        }
        threads
    }

    /// Hands an order to its thread.
    pub(crate) fn order(
        &self,
        id: OrderId,
        actuator: ActuatorId,
        value: f64,
    ) -> Result<(), String> {
        let busy = || "too much is waiting for this device".to_owned();
        match self.routes.get(&actuator) {
            None => Err("nothing drives this actuator".to_owned()),
            Some(Route::Pin(place)) => {
                let order = PinOrder { id, place: *place, value };
                let pins = self.pins.as_ref().ok_or_else(busy)?;
                pins.try_send(order).map_err(|_| busy())
            }
            Some(Route::Modbus { thread, device, write }) => {
                let order = ModbusOrder { id, device: *device, write: *write, value };
                self.modbus[*thread].try_send(order).map_err(|_| busy())
            }
        }
    }

    /// Ends the threads. One that hangs in its bus is left behind: it ends with the process.
    pub(crate) fn stop(mut self, patience: Duration) {
        self.stop.set();
        self.pins = None;
        self.modbus.clear();
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline && self.handles.iter().any(|handle| !handle.is_finished()) {
            thread::sleep(JOIN_PAUSE);
        }
        let left = self.handles.iter().filter(|handle| !handle.is_finished()).count();
        if left > 0 {
            tracing::debug!(threads = left, "a bus did not give its thread back");
        }
    }

    fn start_pins(
        &mut self,
        outputs: Vec<(ActuatorId, OutputPlan)>,
        hardware: &Hardware,
        clock: Clock,
        inputs: &Sender<Input>,
    ) {
        if outputs.is_empty() {
            return;
        }
        let (sender, receiver): (_, Receiver<PinOrder>) = sync_channel(ORDERS_MAX);
        let routes = outputs.iter().enumerate();
        self.routes.extend(routes.map(|(place, (id, _))| (*id, Route::Pin(place))));
        let devices = outputs.iter().map(|(id, _)| id.device).collect();
        let loss = Loss { devices, inputs: inputs.clone(), clock };
        let pins = outputs::Pins::new(outputs, hardware);
        let inputs = inputs.clone();
        self.spawn("outputs", loss, move || pins.run(&receiver, &inputs));
        self.pins = Some(sender);
    }

    fn start_modbus(
        &mut self,
        end: ModbusEnd,
        devices: Vec<(DeviceId, ModbusConfig)>,
        hardware: &Hardware,
        clock: Clock,
        inputs: &Sender<Input>,
    ) {
        let thread = self.modbus.len();
        for (place, (device, config)) in devices.iter().enumerate() {
            for write in 0..config.writes.len() {
                let id = ActuatorId { device: *device, actuator: write };
                self.routes.insert(id, Route::Modbus { thread, device: place, write });
            }
        }
        let (sender, receiver) = tokio::sync::mpsc::channel(ORDERS_MAX);
        let ids = devices.iter().map(|(device, _)| *device).collect();
        let loss = Loss { devices: ids, inputs: inputs.clone(), clock };
        let inputs = inputs.clone();
        let line = modbus::Devices::new(end, hardware.simulation(), devices, clock);
        self.spawn("modbus", loss, move || line.run(receiver, &inputs));
        self.modbus.push(sender);
    }

    /// Starts a thread. If it panics, its devices are told to be offline: nobody reads them.
    fn spawn(&mut self, name: &str, loss: Loss, body: impl FnOnce() + Send + 'static) {
        // Names of threads are cut after 15 bytes.
        let builder = thread::Builder::new().name(name.to_owned());
        let guarded = move || {
            // What the body owns is gone with it, whatever state it was in.
            if catch_unwind(AssertUnwindSafe(body)).is_err() {
                loss.tell();
            }
        };
        match builder.spawn(guarded) {
            Ok(handle) => self.handles.push(handle),
            Err(error) => tracing::error!(name, %error, "a thread cannot be started"),
        }
    }
}

/// What is told when a thread has failed.
struct Loss {
    devices: Vec<DeviceId>,
    inputs: Sender<Input>,
    clock: Clock,
}

impl Loss {
    fn tell(self) {
        tracing::error!(
            "a thread has failed; its devices are offline until the bridge is restarted"
        );
        for device in self.devices {
            let text = "the program has failed here, see its log".to_owned();
            let report = Report {
                change: Some(Availability::Offline),
                troubles: vec![Trouble { kind: "lost", text }],
                ..empty_report(device, self.clock)
            };
            self.inputs.blocking_send(Input::Reported(report)).ok();
        }
    }
}

/// Tells threads to end, and lets them wait until then.
#[derive(Clone, Debug, Default)]
struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    fn set(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// Waits; whether it is time to end.
    fn wait(&self, patience: Duration) -> bool {
        let is_set = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.1.wait_timeout_while(is_set, patience, |is_set| !*is_set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Polls the sensors of a bus until it is told to end.
fn poll_round(mut round: Round, clock: Clock, stop: &Stop, inputs: &Sender<Input>) {
    while let Some(due_ms) = round.next_due_ms() {
        let wait_ms = due_ms.saturating_sub(clock.now().uptime_ms);
        if stop.wait(Duration::from_millis(wait_ms)) {
            return;
        }
        if let Some(report) = round.poll_next(clock.now())
            && inputs.blocking_send(Input::Reported(report)).is_err()
        {
            return;
        }
    }
}

/// Reports the changes of inputs until it is told to end. A chip that fails is opened again.
fn watch(
    devices: &[DeviceId],
    open: impl Fn() -> Result<Box<dyn Inputs>, String>,
    clock: Clock,
    stop: &Stop,
    inputs: &Sender<Input>,
) {
    let mut was_told = false;
    loop {
        let failure = match open() {
            Ok(chip) => {
                was_told = false;
                match watch_chip(chip, devices, clock, stop, inputs) {
                    Some(failure) => failure,
                    None => return,
                }
            }
            Err(failure) => failure,
        };
        for device in devices.iter().filter(|_| !was_told) {
            let trouble = Trouble { kind: "lost", text: failure.clone() };
            let report = Report {
                change: Some(Availability::Offline),
                troubles: vec![trouble],
                ..empty_report(*device, clock)
            };
            if inputs.blocking_send(Input::Reported(report)).is_err() {
                return;
            }
        }
        was_told = true;
        if stop.wait(REOPEN_PAUSE) {
            return;
        }
    }
}

/// Why the chip cannot be watched any longer; nothing if it is time to end.
fn watch_chip(
    mut chip: Box<dyn Inputs>,
    devices: &[DeviceId],
    clock: Clock,
    stop: &Stop,
    inputs: &Sender<Input>,
) -> Option<String> {
    for (place, device) in devices.iter().enumerate() {
        let is_on = match chip.is_on(place) {
            Ok(is_on) => is_on,
            Err(failure) => return Some(failure),
        };
        let report = Report {
            values: vec![(0, Value::Flag(is_on))],
            change: Some(Availability::Online),
            ..empty_report(*device, clock)
        };
        inputs.blocking_send(Input::Reported(report)).ok()?;
    }
    let mut edges = vec![0; devices.len()];
    loop {
        if stop.wait(Duration::ZERO) {
            return None;
        }
        let Change { place, is_on, uptime_ms } = match chip.wait(EDGE_PATIENCE) {
            Ok(None) => continue,
            Ok(Some(change)) => change,
            Err(failure) => return Some(failure),
        };
        let Some(device) = devices.get(place) else { continue };
        edges[place] += 1;
        let mut report = empty_report(*device, clock);
        // The edge was when the kernel says, and not when this thread had its turn.
        report.at.wall_ms = report.at.wall_ms_at(uptime_ms);
        report.at.uptime_ms = uptime_ms;
        report.values = vec![(0, Value::Flag(is_on))];
        report.counters = vec![("edges", edges[place])];
        inputs.blocking_send(Input::Reported(report)).ok()?;
    }
}

fn empty_report(device: DeviceId, clock: Clock) -> Report {
    Report {
        device,
        at: clock.now(),
        values: Vec::new(),
        change: None,
        troubles: Vec::new(),
        counters: Vec::new(),
    }
}

const ORDERS_MAX: usize = 64;
const JOIN_PAUSE: Duration = Duration::from_millis(5);
const REOPEN_PAUSE: Duration = Duration::from_secs(10);
/// How long a thread may take to see that it is to end.
const EDGE_PATIENCE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
