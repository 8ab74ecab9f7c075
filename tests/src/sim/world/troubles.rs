//! What happens to the machine, and what those do who look after it.

use super::World;
use crate::sim::reduction::Actor;
use crate::sim::rule_set;
use crate::sim::surroundings::Event;
use crate::sim::trace::About;

impl World {
    /// Somebody, or the network time, sets the calendar.
    pub(super) fn step_clock(&mut self) {
        let around = &mut self.around;
        let Some(ms) = around.conduct.clock_step_ms else { return };
        let happens = around.begin_deed(Actor::Calendar);
        let step = around.random.below(6_000) as i64 - 3_000;
        if happens {
            around.calendar_ms += step;
            around.calendar_moved_ms += step.unsigned_abs();
            around.note(About::ALL, format_args!("the calendar is moved by {step} ms"));
            if let Some(process) = &mut self.process {
                process.run_rules(around);
            }
        }
        let at = around.within(2 * ms);
        around.schedule(at, Event::ClockStep);
    }

    /// The machine sleeps, and the clock of the process stands still, or only the process stands
    /// still and its clock goes on.
    pub(super) fn sleep(&mut self) {
        let around = &mut self.around;
        let Some(ms) = around.conduct.sleep_ms else { return };
        let happens = around.begin_deed(Actor::Sleep);
        let length = 100 + around.random.below(6_000);
        let is_machine = around.random.chance(50);
        if let Some(process) = &mut self.process
            && happens
            && around.now >= around.asleep_until
        {
            around.asleep_until = around.now + length;
            let who = if is_machine { "machine" } else { "process" };
            around.note(About::ALL, format_args!("the {who} sleeps for {length} ms"));
            if is_machine {
                process.sleep(length);
                around.slept_ms += length;
            }
        }
        let at = around.within(2 * ms);
        around.schedule(at, Event::Sleep);
    }

    pub(super) fn fill_disk(&mut self) {
        let around = &mut self.around;
        let Some(ms) = around.conduct.full_disk_ms else { return };
        if around.begin_deed(Actor::Disk) {
            around.is_disk_full = true;
            around.note(About::ALL, format_args!("the disk is full"));
            if let Some(process) = &self.process {
                process.set_room(false);
            }
        }
        let at = around.within(4_000);
        around.schedule(at, Event::DiskRoom);
        let at = around.within(2 * ms) + 4_000;
        around.schedule(at, Event::DiskFull);
    }

    pub(super) fn give_room(&mut self) {
        let around = &mut self.around;
        if std::mem::take(&mut around.is_disk_full) {
            around.note(About::ALL, format_args!("the disk has room again"));
            if let Some(process) = &self.process {
                process.set_room(true);
            }
        }
    }

    /// Somebody adds a rule to the files, or takes it away, and lets the broker read them again.
    pub(super) fn exchange_rules(&mut self) {
        let around = &mut self.around;
        let Some(ms) = around.conduct.exchange_ms else { return };
        if around.begin_deed(Actor::Operator) {
            self.is_extended = !self.is_extended;
            let what = if self.is_extended { "comes" } else { "goes" };
            around.note(About::ALL, format_args!("a rule {what}"));
            if let Some(process) = &mut self.process {
                let plan = rule_set::plan(&self.setup.reduction, self.is_extended);
                process.exchange_rules(around, plan);
            }
        }
        let at = around.within(2 * ms);
        around.schedule(at, Event::Exchange);
    }

    /// Somebody sends a client away, which may come back and finds its session.
    pub(super) fn expel(&mut self) {
        let around = &mut self.around;
        let Some(ms) = around.conduct.expel_ms else { return };
        let happens = around.begin_deed(Actor::Warden);
        let client = around.random.below(self.clients.len() as u64) as usize;
        if let Some(process) = &mut self.process
            && happens
        {
            around.note(About::client(client), format_args!("client {client} is sent away"));
            process.expel(around, &self.clients[client].profile.name);
        }
        let at = around.within(2 * ms);
        around.schedule(at, Event::Expel);
    }
}
