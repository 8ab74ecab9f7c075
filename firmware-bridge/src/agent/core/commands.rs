//! What a command does.
//!
//! A command is acknowledged to the broker, and its result published, only after the pin or
//! register was written and, where that is possible, read back. One that comes twice with the same
//! correlation within a minute is carried out once and answered twice.

use super::super::clock::Now;
use super::super::command::{ActuatorId, Command, Done, Order, OrderId, Parsed, parse};
use super::super::device::{Actuator, DeviceId};
use super::{Agent, Effect, retained, told};
use crate::json::JsonObject;
use crate::session::Delivery;

impl Agent {
    /// Whether the delivery was a command for one of our actuators; it is then acknowledged when
    /// it has ended.
    pub(super) fn handle_command(&mut self, now: Now, delivery: &Delivery) -> bool {
        let Some(id) = self.actuator_of(&delivery.topic) else { return false };
        let Some(actuator) = self.actuator(id) else { return false };
        let Parsed { value, correlation } = parse(&delivery.payload, &actuator.kind);
        if let Some(known) = correlation.as_deref().and_then(|known| actuator.known(known, now)) {
            match known {
                Known::Ended(result) => {
                    self.publish_result(id, result);
                    self.effects.push_back(Effect::Acknowledge(delivery.id));
                }
                Known::Running(command) if command.deliveries.len() < DELIVERIES_MAX => {
                    command.deliveries.push(delivery.id);
                }
                Known::Running(_) => self.effects.push_back(Effect::Acknowledge(delivery.id)),
            }
            return true;
        }
        let is_full = actuator.orders.len() >= ORDERS_MAX;
        let command = Command { correlation, deliveries: vec![delivery.id] };
        let refused = match value {
            _ if delivery.retain => Err("a retained command is not carried out: it may be old"),
            _ if is_full => Err("too many commands are waiting"),
            Ok(value) => Ok(value),
            Err(ref reason) => Err(reason.as_str()),
        };
        match refused {
            Ok(value) => self.order(now, id, value, Some(command)),
            Err(reason) => self.end_command(now, id, command, Err(reason.to_owned())),
        }
        true
    }

    pub(super) fn handle_answer(&mut self, now: Now, order: OrderId, result: Result<f64, String>) {
        let Some((id, place)) = self.find_order(order) else { return };
        let Some(actuator) = self.actuator(id) else { return };
        let order = place.map(|place| actuator.orders.remove(place));
        if let Ok(value) = &result {
            actuator.achieved = Some(*value);
            self.publish_achieved(id.device.0, id.actuator);
        }
        let is_waited_for = order.as_ref().is_some_and(|order| order.deadline_ms.is_some());
        match (order.and_then(|order| order.command), result) {
            (Some(command), result) => self.end_command(now, id, command, result),
            (None, Err(text)) if is_waited_for => {
                // Nobody asked for a safe state, but somebody must know that it failed.
                let text = format!("safe state: {text}");
                self.end_command_silently(now, id, text);
            }
            (None, _) => {}
        }
    }

    pub(super) fn handle_found(&mut self, id: ActuatorId, value: f64) {
        if let Some(actuator) = self.actuator(id) {
            actuator.achieved = Some(value);
            self.publish_achieved(id.device.0, id.actuator);
        }
    }

    /// Sends every actuator to its safe state.
    pub(super) fn order_safe_states(&mut self, now: Now) {
        for device in 0..self.devices.len() {
            for actuator in 0..self.devices[device].actuators.len() {
                if let Some(value) = self.devices[device].actuators[actuator].safe {
                    let id = ActuatorId { device: DeviceId(device), actuator };
                    self.order(now, id, value, None);
                }
            }
        }
    }

    /// Ends commands that were not answered in time.
    pub(super) fn expire_orders(&mut self, now: Now) {
        for device in 0..self.devices.len() {
            for actuator in 0..self.devices[device].actuators.len() {
                let orders = self.devices[device].actuators[actuator].orders.iter_mut();
                let is_late = |order: &&mut Order| {
                    order.deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now.uptime_ms)
                };
                // The answer may come later, and then says what the actuator is.
                let late = orders.filter(is_late).map(|order| {
                    order.deadline_ms = None;
                    order.command.take()
                });
                let late: Vec<Option<Command>> = late.collect();
                let id = ActuatorId { device: DeviceId(device), actuator };
                for command in late {
                    let text = "the device did not answer in time".to_owned();
                    match command {
                        Some(command) => self.end_command(now, id, command, Err(text)),
                        None => self.end_command_silently(now, id, text),
                    }
                }
            }
        }
    }

    pub(super) fn publish_achieved(&mut self, device: usize, actuator: usize) {
        let device = &self.devices[device];
        let actuator = &device.actuators[actuator];
        if let Some(value) = actuator.achieved {
            let topic = self.topics.device(&device.name, &actuator.name);
            self.publish(retained(topic, actuator.shown(value)));
        }
    }

    fn order(&mut self, now: Now, id: ActuatorId, value: f64, command: Option<Command>) {
        let order = OrderId(self.next_order);
        self.next_order += 1;
        let Some(actuator) = self.actuator(id) else { return };
        let deadline_ms = now.uptime_ms.saturating_add(actuator.timeout_ms);
        actuator.orders.push(Order { id: order, deadline_ms: Some(deadline_ms), command });
        self.effects.push_back(Effect::Order { id: order, actuator: id, value });
    }

    fn end_command(
        &mut self,
        now: Now,
        id: ActuatorId,
        command: Command,
        result: Result<f64, String>,
    ) {
        let Some(actuator) = self.actuator(id) else { return };
        let mut object = JsonObject::new().field("ok", result.is_ok());
        object = match &result {
            Ok(value) => object.field("value", actuator.json(*value)),
            Err(text) => object.text("error", text),
        };
        if let Some(correlation) = &command.correlation {
            object = object.text("correlation", correlation);
        }
        let payload = object.end();
        if let Some(correlation) = command.correlation {
            if actuator.done.len() >= DONE_MAX {
                actuator.done.pop_front();
            }
            let (at_ms, result) = (now.uptime_ms, payload.clone());
            actuator.done.push_back(Done { correlation, at_ms, result });
        }
        match result {
            Ok(_) => self.counters.commands += 1,
            Err(_) => self.counters.commands_failed += 1,
        }
        self.publish_result(id, payload);
        self.effects.extend(command.deliveries.into_iter().map(Effect::Acknowledge));
    }

    /// An order of our own that failed.
    fn end_command_silently(&mut self, now: Now, id: ActuatorId, text: String) {
        let trouble = super::Trouble { kind: "lost", text };
        let counters = self.devices[id.device.0].counters.clone();
        self.handle_report(
            now,
            super::Report {
                device: id.device,
                at: now,
                values: Vec::new(),
                change: None,
                troubles: vec![trouble],
                counters,
            },
        );
    }

    fn publish_result(&mut self, id: ActuatorId, payload: String) {
        let device = &self.devices[id.device.0];
        let topic = self.topics.result(&device.name, &device.actuators[id.actuator].name);
        self.publish(told(topic, payload));
    }

    fn actuator_of(&self, topic: &str) -> Option<ActuatorId> {
        let (device, actuator) = self.topics.parse_command(topic)?;
        let place = self.devices.iter().position(|known| known.name == device)?;
        let mut actuators = self.devices[place].actuators.iter();
        let actuator = actuators.position(|known| known.name == actuator)?;
        Some(ActuatorId { device: DeviceId(place), actuator })
    }

    fn actuator(&mut self, id: ActuatorId) -> Option<&mut Actuator> {
        self.devices.get_mut(id.device.0)?.actuators.get_mut(id.actuator)
    }

    /// The actuator of an order, and its place there.
    fn find_order(&self, order: OrderId) -> Option<(ActuatorId, Option<usize>)> {
        for (device, known) in self.devices.iter().enumerate() {
            for (actuator, known) in known.actuators.iter().enumerate() {
                if let Some(place) = known.orders.iter().position(|known| known.id == order) {
                    let id = ActuatorId { device: DeviceId(device), actuator };
                    return Some((id, Some(place)));
                }
            }
        }
        None
    }
}

/// A command that came before.
enum Known<'a> {
    Ended(String),
    Running(&'a mut Command),
}

impl Actuator {
    fn known(&mut self, correlation: &str, now: Now) -> Option<Known<'_>> {
        self.done.retain(|done| now.uptime_ms < done.at_ms.saturating_add(REMEMBERED_MS));
        if let Some(done) = self.done.iter().find(|done| done.correlation == correlation) {
            return Some(Known::Ended(done.result.clone()));
        }
        let commands = self.orders.iter_mut().filter_map(|order| order.command.as_mut());
        let mut same =
            commands.filter(|command| command.correlation.as_deref() == Some(correlation));
        same.next().map(Known::Running)
    }
}

/// How long the result of a command is known.
const REMEMBERED_MS: u64 = 60_000;
/// Results that are known of one actuator.
const DONE_MAX: usize = 64;
/// Commands that wait for one actuator.
const ORDERS_MAX: usize = 16;
/// Deliveries of one command.
const DELIVERIES_MAX: usize = 16;
