//! The thread of one Modbus connection: its devices are asked one after the other, and commands go
//! before polls.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::timeout;

use super::super::command::{ActuatorId, OrderId};
use super::super::core::{Input, Report, Trouble};
use super::super::device::DeviceId;
use super::super::wall::Clock;
use crate::config::{ModbusConfig, ModbusEnd};
use crate::modbus::{Answer, Fault, Line, Poller, Request, SimulatedDevices};
use crate::probe::Availability;
use crate::simulate::Surroundings;

/// What a register is to be.
#[derive(Debug)]
pub(super) struct ModbusOrder {
    pub(super) id: OrderId,
    /// Place among the devices of the connection.
    pub(super) device: usize,
    /// Place among the writes of the device.
    pub(super) write: usize,
    pub(super) value: f64,
}

/// The devices of one connection.
#[derive(Debug)]
pub(super) struct Devices {
    line: Line,
    devices: Vec<(DeviceId, ModbusConfig, Poller)>,
    clock: Clock,
    /// What was told last of devices that are only written to.
    told: BTreeMap<usize, Availability>,
}

/// Nobody listens any more.
struct Ended;

impl Devices {
    /// With `surroundings` they are simulated, whatever end they have.
    pub(super) fn new(
        end: ModbusEnd,
        surroundings: Option<Surroundings>,
        devices: Vec<(DeviceId, ModbusConfig)>,
        clock: Clock,
    ) -> Self {
        let now_ms = clock.now().uptime_ms;
        let line = match surroundings {
            None => Line::new(end),
            Some(surroundings) => {
                let configs = devices.iter().map(|(_, config)| config.clone()).collect();
                let devices = SimulatedDevices::new(surroundings, configs);
                Line::simulated(devices, time_of_simulation)
            }
        };
        let devices = devices.into_iter();
        let devices = devices.map(|(device, config)| {
            let poller = Poller::new(&config, now_ms);
            (device, config, poller)
        });
        Self { line, devices: devices.collect(), clock, told: BTreeMap::new() }
    }

    /// Polls and carries out orders until nobody gives any.
    pub(super) fn run(mut self, mut orders: Receiver<ModbusOrder>, inputs: &Sender<Input>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(self.serve(&mut orders, inputs)),
            Err(error) => tracing::error!(%error, "Modbus cannot be started"),
        }
    }

    async fn serve(&mut self, orders: &mut Receiver<ModbusOrder>, inputs: &Sender<Input>) {
        for place in 0..self.devices.len() {
            // Nothing else tells of a device that is only written to.
            let is_silent = self.devices[place].1.reads.is_empty();
            if is_silent && self.tell(place, Ok(()), inputs).await.is_err() {
                return;
            }
        }
        loop {
            let due = self.devices.iter().enumerate().filter_map(|(place, (_, _, poller))| {
                poller.next_due_ms().map(|due_ms| (due_ms, place))
            });
            let next = due.min();
            let now_ms = self.clock.now().uptime_ms;
            let wait_ms = next.map_or(IDLE_MS, |(due_ms, _)| due_ms.saturating_sub(now_ms));
            // An order that waits goes before a poll that is due.
            match timeout(Duration::from_millis(wait_ms), orders.recv()).await {
                Ok(None) => return,
                Ok(Some(order)) => {
                    let result = self.write(&order).await;
                    let outcome = result.as_ref().map(|_| ()).map_err(Clone::clone);
                    let told = inputs.send(Input::Answered(order.id, result)).await;
                    if told.is_err() || self.tell(order.device, outcome, inputs).await.is_err() {
                        return;
                    }
                }
                Err(_) => {
                    let Some((_, place)) = next else { continue };
                    let report = self.poll(place).await;
                    let is_back = report.change == Some(Availability::Online);
                    if inputs.send(Input::Reported(report)).await.is_err() {
                        return;
                    }
                    if is_back && self.look(place, inputs).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Tells what the actuators of a device are: somebody may have set them by hand.
    async fn look(&mut self, place: usize, inputs: &Sender<Input>) -> Result<(), Ended> {
        let (device, config, _) = &self.devices[place];
        for (actuator, write) in config.writes.iter().enumerate() {
            if !write.read_back {
                continue;
            }
            // What cannot be read is told of when it is written to.
            if let Ok(value) = self.line.held(config.unit, write, config.timeout).await {
                let id = ActuatorId { device: *device, actuator };
                inputs.send(Input::Found(id, value)).await.map_err(|_| Ended)?;
            }
        }
        Ok(())
    }

    /// Tells of a device that is only written to whether it is there.
    async fn tell(
        &mut self,
        place: usize,
        outcome: Result<(), String>,
        inputs: &Sender<Input>,
    ) -> Result<(), Ended> {
        let (device, config, _) = &self.devices[place];
        if !config.reads.is_empty() {
            return Ok(());
        }
        let change = if outcome.is_ok() { Availability::Online } else { Availability::Offline };
        if self.told.insert(place, change) == Some(change) {
            return Ok(());
        }
        let trouble = outcome.err().map(|text| Trouble { kind: "lost", text });
        let report = Report {
            device: *device,
            at: self.clock.now(),
            values: Vec::new(),
            change: Some(change),
            troubles: trouble.into_iter().collect(),
            counters: Vec::new(),
        };
        inputs.send(Input::Reported(report)).await.map_err(|_| Ended)?;
        if change == Availability::Online { self.look(place, inputs).await } else { Ok(()) }
    }

    async fn write(&mut self, order: &ModbusOrder) -> Result<f64, String> {
        let (_, config, _) = self.devices.get(order.device).ok_or("no such device")?;
        let write = config.writes.get(order.write).ok_or("no such register")?;
        self.line.write(config.unit, write, order.value, config.timeout).await
    }

    async fn poll(&mut self, place: usize) -> Report {
        let at = self.clock.now();
        let (device, config, poller) = &mut self.devices[place];
        for (number, request) in poller.begin(at.uptime_ms) {
            let answer = read(&mut self.line, config, poller, request).await;
            if !poller.handle(number, answer) {
                break;
            }
        }
        let report = poller.end(self.clock.now().uptime_ms);
        Report {
            device: *device,
            at,
            values: report.values,
            change: report.change,
            troubles: report
                .troubles
                .into_iter()
                .map(|(kind, text)| Trouble { kind, text })
                .collect(),
            counters: report.counters,
        }
    }
}

/// Simulated surroundings follow the time of day.
fn time_of_simulation() -> u64 {
    let now = Clock.now();
    now.wall_ms.unwrap_or(now.uptime_ms)
}

/// Tries a few times.
async fn read(
    line: &mut Line,
    config: &ModbusConfig,
    poller: &mut Poller,
    request: Request,
) -> Result<Answer, Fault> {
    let mut answer = Err(Fault::Timeout { timeout_ms: 0 });
    for _ in 0..poller.tries() {
        answer = line.read(config.unit, request, config.timeout).await;
        poller.count(&answer);
        if answer.as_ref().err().is_none_or(Fault::is_answer) {
            break;
        }
    }
    answer
}

/// How long a connection with nothing to read waits for orders before it looks again.
const IDLE_MS: u64 = 60_000;
