//! One run: clients and broker in trouble, then at rest, then after a last power cut.

mod troubles;

use std::panic::{AssertUnwindSafe, catch_unwind};

use weir_mqtt::QoS;

use super::checker;
use super::client::Client;
use super::disk::{Image, SimulatedDisks};
use super::misbehaviour::Misbehaviour;
use super::model::Problem;
use super::outcome::{Failure, Summary};
use super::outputs::Truth;
use super::process::Process;
use super::random::Random;
use super::reduction::Actor;
use super::rule_set::{self, CLOSED_AFTER_MS};
use super::setup::{Conduct, Kind, Setup};
use super::surroundings::{Event, Surroundings};
use super::trace::{About, Trace};
use super::workload::{Profile, Role};

/// Runs a seed; one that fails is run again to tell how.
///
/// # Errors
/// When something was wrong.
pub fn run(setup: &Setup) -> Result<Summary, Box<Failure>> {
    World::new(setup, false).go().or_else(|_| World::new(setup, true).go())
}

/// Runs a seed once, without the text of what happened, and gives up when more than `events_max`
/// things have happened: that is a failure of its own.
pub(crate) fn attempt(setup: &Setup, events_max: u64) -> Result<Summary, Box<Failure>> {
    World { events_max, ..World::new(setup, false) }.go()
}

struct World {
    around: Surroundings,
    clients: Vec<Client>,
    process: Option<Process>,
    processes: u32,
    /// The disk while no process runs.
    image: Image,
    /// A first start has come to its end.
    has_store: bool,
    disk_operations: u64,
    /// The files hold the rule that comes and goes.
    is_extended: bool,
    setup: Setup,
    events_max: u64,
}

impl World {
    fn new(setup: &Setup, is_recording: bool) -> Self {
        let mut random = Random::new(setup.seed);
        let conduct = Conduct::draw(&mut random, setup);
        let roles = [Role::Watcher, Role::Mourner, Role::Sensor, Role::Sensor].into_iter();
        let roles = roles.chain(std::iter::repeat_n(Role::Worker, conduct.workers));
        let mut profiles: Vec<Profile> =
            (0..conduct.clients).map(|number| Profile::draw(&mut random, number)).collect();
        for role in roles {
            profiles.push(Profile::of_role(&mut random, profiles.len(), role));
        }
        let clients =
            profiles.into_iter().enumerate().map(|(number, p)| Client::new(number, p)).collect();
        let mut around = Surroundings::new(setup, conduct, Trace::new(is_recording));
        around.model.has_small_queues = around.conduct.has_small_queues();
        let text = format!("{:?}", around.conduct);
        around.note(About::ALL, format_args!("{text}"));
        Self {
            around,
            clients,
            process: None,
            processes: 0,
            image: Image::default(),
            has_store: false,
            disk_operations: 0,
            is_extended: false,
            setup: setup.clone(),
            events_max: u64::MAX,
        }
    }

    fn go(mut self) -> Result<Summary, Box<Failure>> {
        let result = catch_unwind(AssertUnwindSafe(|| self.live()));
        let result = result.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            let text = format!("panic: {}", text.unwrap_or("without a text"));
            Err(Problem { about: About::ALL, text })
        });
        let Err(problem) = result else { return Ok(self.summary()) };
        let trace = &self.around.trace;
        let tells_all = self.setup.tells_all;
        Err(Box::new(Failure {
            problem: problem.text,
            excerpt: if tells_all { trace.all() } else { trace.excerpt(problem.about) },
            events: trace.events(),
            at_ms: self.around.now,
            clients: self.clients.len(),
            deeds: self.around.deeds(),
            setup: self.setup,
        }))
    }

    fn live(&mut self) -> Result<(), Problem> {
        self.around.schedule(0, Event::Start);
        for client in 0..self.clients.len() {
            let at = self.around.within(100);
            if !self.setup.reduction.has_no_client(client) {
                self.around.schedule(at, Event::Act(client));
            }
        }
        let conduct = &self.around.conduct;
        let troubles = [
            (conduct.clock_step_ms, Event::ClockStep),
            (conduct.sleep_ms, Event::Sleep),
            (conduct.full_disk_ms, Event::DiskFull),
            (conduct.exchange_ms, Event::Exchange),
            (conduct.expel_ms, Event::Expel),
        ];
        for (ms, event) in troubles {
            if let Some(ms) = ms {
                let at = self.around.within(2 * ms);
                self.around.schedule(at, event);
            }
        }
        while self.around.next_at() < self.around.conduct.trouble_ms {
            self.step()?;
        }
        self.around.now = self.around.now.max(self.around.conduct.trouble_ms);
        self.disk_operations = self.process.as_ref().map_or(0, Process::disk_operations);
        self.around.note(About::ALL, format_args!("the trouble is over"));
        self.around.is_calm = true;
        self.around.conduct.calm();
        self.give_room();
        if self.setup.kind == Kind::Lying {
            return self.live_on();
        }
        self.rest()?;
        self.check_promises()?;
        self.die(true);
        self.rest()?;
        self.check_promises()?;
        self.check_after_power_cut()?;
        self.check_rules()
    }

    /// A broker whose disk has lied goes on, whatever it has lost.
    fn live_on(&mut self) -> Result<(), Problem> {
        for _ in 0..2 {
            let until = self.around.now + LIVE_ON_MS;
            while self.around.next_at() < until {
                self.step()?;
            }
            if self.process.is_none() {
                let text = format!("after {LIVE_ON_MS} ms without trouble no broker runs");
                return Err(Problem { about: About::ALL, text });
            }
            self.die(true);
        }
        Ok(())
    }

    fn check_promises(&mut self) -> Result<(), Problem> {
        self.process.iter_mut().for_each(Process::check_all);
        let names: Vec<&str> =
            self.clients.iter().map(|client| client.profile.name.as_str()).collect();
        checker::check_owed(&mut self.around.model, &names);
        checker::check_shared(&mut self.around.model, &names);
        self.problem()
    }

    /// Lets a new client look at what is retained.
    fn check_after_power_cut(&mut self) -> Result<(), Problem> {
        let number = self.clients.len();
        self.around.enter(Actor::World);
        let profile = Profile::of_probe(&mut self.around.random, number);
        self.clients.push(Client::new(number, profile));
        self.around.schedule(self.around.now, Event::Act(number));
        self.rest()?;
        self.clients[number].subscribe(&mut self.around, "#", QoS::ExactlyOnce);
        self.rest()?;
        if let Some(session) = self.clients[number].session {
            checker::check_retained(&mut self.around.model, session);
        }
        if let Some(process) = &self.process {
            let metrics = process.metrics();
            let present = self.present_clients().count() as u64;
            checker::check_counts(&mut self.around.model, present, &metrics);
        }
        self.problem()
    }

    /// Waits until every window has closed and compares them with the messages.
    fn check_rules(&mut self) -> Result<(), Problem> {
        let until = self.around.now + CLOSED_AFTER_MS;
        while self.around.next_at() < until {
            self.step()?;
        }
        self.rest()?;
        let sensors = self.clients.iter().filter(|client| client.profile.role == Role::Sensor);
        let sensors: Vec<usize> = sensors.map(|client| client.number).collect();
        let around = &self.around;
        let (outputs, model, far_end) = (&around.outputs, &around.model, &around.far_end);
        let truth = Truth {
            model,
            sensors: &sensors,
            reduction: &self.setup.reduction,
            arrivals: &around.arrivals,
            is_steady: around.calendar_moved_ms == 0,
            unix_ms: around.unix_ms(),
        };
        let text = outputs
            .difference(&truth)
            .or_else(|| outputs.difference_upstream(&far_end.results, &truth))
            .or_else(|| far_end.difference(model, &sensors));
        if let Some(text) = text {
            self.around.model.blame(About::ALL, text);
        }
        self.problem()
    }

    /// Goes on until nothing is left to do.
    fn rest(&mut self) -> Result<(), Problem> {
        let since = self.around.now;
        loop {
            let check_at = self.around.now + CHECK_MS;
            // Between two events, so that nothing is under way only because it has just begun.
            while self.around.next_at() < check_at {
                self.step()?;
            }
            self.around.now = check_at;
            let Some(unrest) = self.unrest() else { return Ok(()) };
            if self.around.now > since + REST_MS_MAX {
                let text = format!("after {REST_MS_MAX} ms without trouble: {unrest}");
                return Err(Problem { about: About::ALL, text });
            }
        }
    }

    fn unrest(&self) -> Option<String> {
        let Some(process) = &self.process else { return Some("no broker runs".to_owned()) };
        let clients = self.present_clients().find_map(Client::unrest);
        clients.or_else(|| process.unrest()).or_else(|| self.around.network.unrest())
    }

    fn present_clients(&self) -> impl Iterator<Item = &Client> {
        let reduction = &self.setup.reduction;
        self.clients.iter().filter(|client| !reduction.has_no_client(client.number))
    }

    fn problem(&mut self) -> Result<(), Problem> {
        self.around.model.problem.take().map_or(Ok(()), Err)
    }

    fn step(&mut self) -> Result<(), Problem> {
        if self.around.trace.events() > self.events_max {
            return Err(Problem { about: About::ALL, text: "too long".to_owned() });
        }
        let event = self.around.next().expect("clients always have something to do");
        if event.is_of_broker() && self.around.now < self.around.asleep_until {
            self.around.schedule(self.around.asleep_until, event);
            return Ok(());
        }
        let around = &mut self.around;
        match event {
            Event::Act(client) => {
                let happens = around.begin_deed(Actor::Client(client));
                self.clients[client].act(around, happens);
                if self.process.is_none() {
                    around.network.refuse(around.now);
                }
            }
            Event::Answer(client) => {
                around.enter(Actor::Client(client));
                self.clients[client].answer(around);
            }
            Event::Arrive(link) => {
                let client = around.network.client_of(link);
                around.enter(Actor::Client(client));
                self.clients[client].arrive(around, link);
            }
            Event::ClockStep => self.step_clock(),
            Event::Crash(number) => {
                let is_meant = self.process.as_ref().is_some_and(|process| {
                    process.number == number && (!around.is_calm || process.has_failed())
                });
                if is_meant {
                    self.crash();
                }
            }
            Event::DiskFull => self.fill_disk(),
            Event::DiskRoom => self.give_room(),
            Event::Exchange => self.exchange_rules(),
            Event::Expel => self.expel(),
            Event::Committed(number)
            | Event::Reload(number)
            | Event::Reopen(number)
            | Event::Rules(number)
            | Event::Upstream(number) => {
                let Some(process) = self.process.as_mut().filter(|p| p.number == number) else {
                    return Ok(());
                };
                match event {
                    Event::Committed(_) => {
                        around.enter(Actor::Store);
                        process.end_commit(around);
                    }
                    Event::Reload(_) => {
                        around.enter(Actor::Store);
                        process.reload(around);
                    }
                    Event::Reopen(_) => {
                        around.enter(Actor::Store);
                        process.reopen(around);
                    }
                    Event::Rules(_) => {
                        around.enter(Actor::Rules);
                        process.run_rules(around);
                    }
                    _ => {
                        around.enter(Actor::Upstream);
                        process.run_upstream(around);
                    }
                }
            }
            Event::Sleep => self.sleep(),
            Event::Start => self.start(),
            Event::Turn => {
                around.enter(Actor::Broker);
                if let Some(process) = &mut self.process {
                    process.turn(around, &self.clients);
                }
                for link in std::mem::take(&mut around.closed) {
                    let client = around.network.client_of(link);
                    self.clients[client].broker_left(around, link);
                }
            }
        }
        self.problem()
    }

    /// The process is killed, or loses power, or somebody ends it because its store has failed.
    fn crash(&mut self) {
        let around = &mut self.around;
        let happens = around.begin_deed(Actor::Crash);
        let Some(process) = &self.process else { return };
        let percent = around.conduct.is_power_cut_percent;
        let is_power_cut = around.random.chance(percent) || process.has_no_power();
        if happens || process.has_failed() {
            self.die(is_power_cut);
        } else {
            self.schedule_crash();
        }
    }

    /// The process dies.
    fn die(&mut self, is_power_cut: bool) {
        let Some(process) = self.process.take() else { return };
        let around = &mut self.around;
        around.model.crashes += 1;
        if is_power_cut && around.kind == Kind::Lying {
            around.model.is_excused = true;
        }
        let kind = if is_power_cut { "loses power" } else { "is killed" };
        around.note(About::ALL, format_args!("the broker {kind}"));
        self.image = process.crash(around, is_power_cut);
        around.asleep_until = 0;
        around.network.broker_died(around.now, if is_power_cut { 1_500 } else { 3 });
        for client in &mut self.clients {
            client.broker_died(around);
        }
        let at = around.within(2_000);
        around.schedule(at, Event::Start);
    }

    fn start(&mut self) {
        let around = &mut self.around;
        around.begin_deed(Actor::Start);
        let disks = SimulatedDisks::from_image(std::mem::take(&mut self.image));
        if around.is_disk_full {
            disks.fill();
        }
        let misbehaviour = self.setup.misbehaviour;
        let which = around.random.below(4);
        let is_lying = around.kind == Kind::Lying;
        if misbehaviour == Some(Misbehaviour::CheckpointUnsynced) || is_lying && which != 0 {
            disks.database.let_syncs_lie();
        }
        if misbehaviour == Some(Misbehaviour::JournalUnsynced) || is_lying && which != 1 {
            disks.journal.let_syncs_lie();
        }
        let percent = around.conduct.broken_start_percent;
        let is_broken = self.has_store && around.random.chance(percent);
        if is_broken && !around.is_calm {
            Process::interrupted_start(around, &disks);
            return self.start_again(&disks, "the broker dies while it starts");
        }
        if let Some(operations) = self.setup.power_cuts.get(self.processes as usize) {
            disks.crash_after(*operations);
        }
        self.processes += 1;
        let number = self.processes;
        let plan = rule_set::plan(&self.setup.reduction, self.is_extended);
        // A broker may have begun with fewer.
        let grows = self.setup.seed % 8 >= 4;
        let shards = self.setup.shards;
        let shards =
            if grows { shards.min(u8::try_from(number).unwrap_or(shards)) } else { shards };
        let started = Process::start(around, number, disks.clone(), plan, shards, misbehaviour);
        let (process, recovered) = match started {
            Ok(started) => started,
            Err(_) if disks.have_no_power() => {
                return self.start_again(&disks, "the power fails while the broker starts");
            }
            Err(error) if around.is_disk_full => {
                let text = format!("the broker does not start: {error}");
                return self.start_again(&disks, &text);
            }
            Err(error) if around.model.is_excused => {
                around.note(About::ALL, format_args!("the broker does not start: {error}"));
                // Somebody moves the file away.
                let at = around.within(500);
                return around.schedule(at, Event::Start);
            }
            Err(error) => {
                return around
                    .model
                    .blame(About::ALL, format!("the broker does not start: {error}"));
            }
        };
        around.note(
            About::ALL,
            format_args!(
                "the broker starts with {} sessions, {} messages, {} retained",
                recovered.sessions.len(),
                recovered.log.len(),
                recovered.retained.len()
            ),
        );
        self.process = Some(process);
        self.has_store = true;
        for client in &mut self.clients {
            let sessions = &mut recovered.sessions.iter();
            let session = sessions.find(|s| *s.record.client_id == *client.profile.name);
            if let Some(session) = session {
                client.broker_started(around, session.record.disconnected_at_ms.is_none());
            }
        }
        self.schedule_crash();
    }

    /// A start has come to no end.
    fn start_again(&mut self, disks: &SimulatedDisks, why: &str) {
        let around = &mut self.around;
        around.note(About::ALL, format_args!("{why}"));
        let mut random = Random::new(around.random.number());
        let image = disks.power_cut(&mut random);
        // A file that is not complete yet has another name, and is not looked at again.
        self.image = if self.has_store { image } else { Image::default() };
        disks.crash_after(0);
        let at = around.within(500);
        around.schedule(at, Event::Start);
    }

    fn schedule_crash(&mut self) {
        let around = &mut self.around;
        let (Some(ms), Some(process)) = (around.conduct.crash_ms, &self.process) else { return };
        let at = around.within(2 * ms);
        around.schedule(at, Event::Crash(process.number));
    }

    fn summary(&self) -> Summary {
        Summary {
            trace: self.around.trace.hash(),
            events: self.around.trace.events(),
            messages: self.around.model.messages.len() as u64,
            deliveries: self.around.model.deliveries,
            outputs: self.around.outputs.len() as u64,
            forwarded: self.around.far_end.len() as u64,
            repetitions: self.around.far_end.repetitions,
            crashes: u64::from(self.around.model.crashes),
            disk_operations: self.disk_operations,
            virtual_ms: self.around.now,
        }
    }
}

/// How often it is looked whether all is done.
const CHECK_MS: u64 = 200;
/// How long a broker goes on whose disk has lied.
const LIVE_ON_MS: u64 = 10_000;
/// By then everything that was acknowledged must have come.
const REST_MS_MAX: u64 = 60_000;
