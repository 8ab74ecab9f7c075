//! One run: clients and broker in trouble, then at rest, then after a last power cut.

use std::fmt;
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};

use weir_mqtt::QoS;
use weir_rules::{Plan, Source};

use super::checker;
use super::client::Client;
use super::disk::{Image, Random};
use super::model::Problem;
use super::outputs::{CLOSED_AFTER_MS, RULES};
use super::process::Process;
use super::setup::{Conduct, Setup};
use super::surroundings::{Event, Surroundings};
use super::trace::{About, Trace};
use super::workload::{Profile, Role};

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// Stands for everything that happened.
    pub trace: u64,
    /// Things that happened.
    pub events: u64,
    /// Messages that were published.
    pub messages: u64,
    /// Messages that came to applications.
    pub deliveries: u64,
    /// Results of rules.
    pub outputs: u64,
    /// Records that went upstream.
    pub forwarded: u64,
    /// How often one of them came again.
    pub repetitions: u64,
    /// How often the broker died.
    pub crashes: u64,
    /// How long it was, by its own clock.
    pub virtual_ms: u64,
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.trace ^= other.trace;
        self.events += other.events;
        self.messages += other.messages;
        self.deliveries += other.deliveries;
        self.outputs += other.outputs;
        self.forwarded += other.forwarded;
        self.repetitions += other.repetitions;
        self.crashes += other.crashes;
        self.virtual_ms += other.virtual_ms;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events, {} messages, {} deliveries, {} results of rules, {} records \
             upstream and {} repetitions, {} crashes, {} s of virtual time",
            self.events,
            self.messages,
            self.deliveries,
            self.outputs,
            self.forwarded,
            self.repetitions,
            self.crashes,
            self.virtual_ms / 1000
        )
    }
}

/// A run in which something was wrong.
#[derive(Debug)]
pub struct Failure {
    /// Repeats the run.
    pub seed: u64,
    /// What was wrong.
    pub problem: String,
    /// What happened around it.
    pub excerpt: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.problem)?;
        self.excerpt.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        let seed = self.seed;
        write!(f, "again: WEIR_SIM_SEED={seed} cargo test -p weir-tests --test simulation one_seed")
    }
}

/// Runs a seed; one that fails is run again to tell how.
///
/// # Errors
/// When something was wrong.
pub fn run(setup: &Setup) -> Result<Summary, Box<Failure>> {
    let (result, _) = World::new(setup, false).go();
    result.or_else(|_| {
        let (result, trace) = World::new(setup, true).go();
        match result {
            Ok(summary) => Ok(summary),
            Err(problem) => Err(Box::new(Failure {
                seed: setup.seed,
                problem: problem.text,
                excerpt: if setup.tells_all { trace.all() } else { trace.excerpt(problem.about) },
            })),
        }
    })
}

struct World {
    around: Surroundings,
    clients: Vec<Client>,
    process: Option<Process>,
    processes: u32,
    /// The disk while no process runs.
    image: Image,
    plan: Plan,
    setup: Setup,
}

impl World {
    fn new(setup: &Setup, is_recording: bool) -> Self {
        let mut random = Random::new(setup.seed);
        let conduct = Conduct::draw(&mut random);
        let mut profiles: Vec<Profile> =
            (0..conduct.clients).map(|number| Profile::draw(&mut random, number)).collect();
        for role in [Role::Watcher, Role::Sensor, Role::Sensor] {
            profiles.push(Profile::of_rules(&mut random, profiles.len(), role));
        }
        let clients =
            profiles.into_iter().enumerate().map(|(number, p)| Client::new(number, p)).collect();
        let plan = weir_rules::compile(&[Source::new("rules.toml", RULES)]).expect("valid rules");
        let mut around = Surroundings::new(random, conduct, Trace::new(is_recording));
        let text = format!("{:?}", around.conduct);
        around.note(About::ALL, format_args!("{text}"));
        Self {
            around,
            clients,
            process: None,
            processes: 0,
            image: Image::default(),
            plan,
            setup: setup.clone(),
        }
    }

    fn go(mut self) -> (Result<Summary, Problem>, Trace) {
        let result = catch_unwind(AssertUnwindSafe(|| self.live()));
        let result = result.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            let text = format!("panic: {}", text.unwrap_or("without a text"));
            Err(Problem { about: About::ALL, text })
        });
        (result.map(|()| self.summary()), self.around.trace)
    }

    fn live(&mut self) -> Result<(), Problem> {
        self.around.schedule(0, Event::Start);
        for client in 0..self.clients.len() {
            let at = self.around.within(100);
            self.around.schedule(at, Event::Act(client));
        }
        if let Some(ms) = self.around.conduct.clock_step_ms {
            let at = self.around.within(2 * ms);
            self.around.schedule(at, Event::ClockStep);
        }
        while self.around.now < self.around.conduct.trouble_ms {
            self.step()?;
        }
        self.around.note(About::ALL, format_args!("the trouble is over"));
        self.around.is_calm = true;
        self.around.conduct.calm();
        self.rest()?;
        checker::check_owed(&mut self.around.model);
        self.problem()?;
        self.die(true);
        self.rest()?;
        checker::check_owed(&mut self.around.model);
        self.check_after_power_cut()?;
        self.check_rules()
    }

    /// Lets a new client look at what is retained.
    fn check_after_power_cut(&mut self) -> Result<(), Problem> {
        let number = self.clients.len();
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
            checker::check_counts(&mut self.around.model, &self.clients, &metrics);
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
        let (outputs, model) = (&self.around.outputs, &self.around.model);
        let is_steady = self.around.calendar_moved_ms == 0;
        let far_end = &self.around.far_end;
        let text = outputs
            .difference(model, &sensors, is_steady)
            .or_else(|| outputs.difference_upstream(&far_end.results, model, &sensors))
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
        let clients = self.clients.iter().find_map(Client::unrest);
        clients.or_else(|| process.unrest()).or_else(|| self.around.network.unrest())
    }

    fn problem(&mut self) -> Result<(), Problem> {
        self.around.model.problem.take().map_or(Ok(()), Err)
    }

    fn step(&mut self) -> Result<(), Problem> {
        let event = self.around.next().expect("clients always have something to do");
        let around = &mut self.around;
        match event {
            Event::Act(client) => {
                self.clients[client].act(around);
                if self.process.is_none() {
                    around.network.refuse(around.now);
                }
            }
            Event::Answer(client) => self.clients[client].answer(around),
            Event::Arrive(link) => {
                let client = around.network.client_of(link);
                self.clients[client].arrive(around, link);
            }
            Event::ClockStep => self.step_clock(),
            Event::Committed(number) => {
                if let Some(process) = self.process.as_mut().filter(|p| p.number == number) {
                    process.end_commit(around);
                }
            }
            Event::Crash(number) => {
                let is_meant = self.process.as_ref().is_some_and(|process| {
                    process.number == number && (!around.is_calm || process.has_failed())
                });
                if is_meant {
                    let percent = around.conduct.is_power_cut_percent;
                    let is_power_cut = around.random.chance(percent);
                    self.die(is_power_cut);
                }
            }
            Event::Rules(number) => {
                if let Some(process) = self.process.as_mut().filter(|p| p.number == number) {
                    process.run_rules(around);
                }
            }
            Event::Start => self.start(),
            Event::Upstream(number) => {
                if let Some(process) = self.process.as_mut().filter(|p| p.number == number) {
                    process.run_upstream(around);
                }
            }
            Event::Turn => {
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

    /// The process dies.
    fn die(&mut self, is_power_cut: bool) {
        let Some(process) = self.process.take() else { return };
        let around = &mut self.around;
        around.model.crashes += 1;
        let kind = if is_power_cut { "loses power" } else { "is killed" };
        around.note(About::ALL, format_args!("the broker {kind}"));
        self.image = process.crash(around, is_power_cut);
        around.network.broker_died(around.now, if is_power_cut { 1_500 } else { 3 });
        for client in &mut self.clients {
            client.broker_died(around);
        }
        let at = around.within(2_000);
        around.schedule(at, Event::Start);
    }

    fn start(&mut self) {
        let around = &mut self.around;
        // A file that is not complete yet has another name, and is not looked at again.
        if !around.is_calm && self.processes > 0 && around.random.chance(8) {
            let image = std::mem::take(&mut self.image);
            self.image = Process::interrupted_start(around, image);
            around.note(About::ALL, format_args!("the broker dies while it starts"));
            let at = around.within(500);
            return around.schedule(at, Event::Start);
        }
        self.processes += 1;
        let image = std::mem::take(&mut self.image);
        let (number, plan) = (self.processes, self.plan.clone());
        let started = Process::start(around, number, image, plan, self.setup.misbehaviour);
        let (process, recovered) = match started {
            Ok(started) => started,
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
        for client in &mut self.clients {
            let sessions = &mut recovered.sessions.iter();
            let session = sessions.find(|s| *s.record.client_id == *client.profile.name);
            if let Some(session) = session {
                client.broker_started(around, session.record.disconnected_at_ms.is_none());
            }
        }
        if let Some(ms) = around.conduct.crash_ms {
            let at = around.within(2 * ms);
            around.schedule(at, Event::Crash(number));
        }
    }

    /// Somebody, or the network time, sets the calendar.
    fn step_clock(&mut self) {
        let around = &mut self.around;
        let Some(ms) = around.conduct.clock_step_ms else { return };
        let step = around.random.below(6_000) as i64 - 3_000;
        around.calendar_ms += step;
        around.calendar_moved_ms += step.unsigned_abs();
        around.note(About::ALL, format_args!("the calendar is moved by {step} ms"));
        if let Some(process) = &mut self.process {
            process.run_rules(around);
        }
        let at = around.within(2 * ms);
        around.schedule(at, Event::ClockStep);
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
            virtual_ms: self.around.now,
        }
    }
}

/// How often it is looked whether all is done.
const CHECK_MS: u64 = 200;
/// By then everything that was acknowledged must have come.
const REST_MS_MAX: u64 = 60_000;
