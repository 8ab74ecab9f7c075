//! Three boxes and a server that are simulated, around everything of the fleet that decides:
//! connections are lost with what is on them, boxes start again, clocks are wrong, the server has no
//! room, and what is on its way takes any time. When all is quiet the model knows what must be where.
//!
//! The core and the store are a small model here, and a box is driven by [`one_box`] as the shell
//! would drive it. `WEIR_FLEET_SEEDS` says how many seeds, `WEIR_FLEET_SEED` which one alone.

mod one_box;
mod server;

use std::collections::BTreeMap;

use weir_core::RetainedVersion;
use weir_mqtt::TopicFilter;

use self::one_box::OneBox;
use self::server::Server;

const SEEDS: u64 = 300;
const BOXES: usize = 3;
const STEPS: u64 = 1_500;
/// Messages that every second server has room for at least, and how many more at most.
const ROOM_MIN: usize = 3;
const ROOM_MORE: u64 = 60;
const TOPICS: [&str; 4] = ["hall/1", "hall/2", "yard/1", "yard/gate/2"];
const FILTERS: [&str; 5] = ["hall/+", "yard/#", "#", "hall/1", "yard/1"];

/// Numbers from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

fn matches(filter: &str, topic: &str) -> bool {
    TopicFilter::parse(filter).expect("a filter of the test").matches(topic)
}

struct World {
    random: Random,
    now_ms: u64,
    server: Server,
    boxes: Vec<OneBox>,
    /// The last value of each topic that anybody has retained.
    latest: BTreeMap<String, RetainedVersion>,
    /// Who is to get which message, since his filters were known when it was published.
    owed: Vec<(usize, String)>,
    published: u64,
    /// Where messages were published that are not retained, and which boxes were known to want them.
    origins: BTreeMap<String, (usize, Vec<String>)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let skew_ms = |random: &mut Random| random.below(20_000);
        let boxes = (0..BOXES).map(|n| OneBox::new(&format!("box-{n}"), skew_ms(&mut random)));
        let boxes = boxes.collect();
        let room = match random.below(2) {
            0 => usize::MAX,
            _ => ROOM_MIN + random.below(ROOM_MORE) as usize,
        };
        let server = Server::new(room);
        Self {
            random,
            now_ms: 1_700_000_000_000,
            server,
            boxes,
            latest: BTreeMap::new(),
            owed: Vec::new(),
            published: 0,
            origins: BTreeMap::new(),
        }
    }

    fn step(&mut self) {
        self.now_ms += self.random.below(20);
        let n = self.random.below(BOXES as u64) as usize;
        match self.random.below(100) {
            0..12 => self.publish(n),
            12..14 => {
                let filter = self.random.one(&FILTERS).to_owned();
                self.boxes[n].subscribe(&filter);
            }
            14 => self.boxes[n].disconnect(),
            15 => self.boxes[n].restart(),
            16..20 => self.boxes[n].connect(&self.server),
            20..50 => _ = self.boxes[n].work(self.now_ms),
            50..52 => self.boxes[n].report(),
            _ => _ = self.carry(n),
        }
    }

    fn publish(&mut self, n: usize) {
        self.published += 1;
        let topic = self.random.one(&TOPICS);
        let kind = self.random.below(4);
        let payload = match kind {
            0 => String::new(),
            _ => self.published.to_string(),
        };
        let is_retained = kind < 3;
        let known = self.boxes[n].wanting(topic);
        let version = self.boxes[n].publish(self.now_ms, topic, &payload, is_retained);
        if !is_retained {
            self.origins.insert(payload.clone(), (n, known.clone()));
        }
        if is_retained {
            let latest = self.latest.entry(topic.to_owned()).or_insert(version);
            *latest = version.max(*latest);
        }
        // A removal has no name by which it could be known.
        if !payload.is_empty() {
            let others = (0..BOXES).filter(|other| known.contains(&self.boxes[*other].name));
            self.owed.extend(others.map(|other| (other, payload.clone())));
        }
    }

    /// Carries something one way or the other; false when there is nothing.
    fn carry(&mut self, n: usize) -> bool {
        let one = &mut self.boxes[n];
        match self.random.below(2) {
            0 => self.server.take(one) || one.take(self.now_ms),
            _ => one.take(self.now_ms) || self.server.give(one) || self.server.take(one),
        }
    }

    /// Nothing fails any more, until nothing happens any more.
    fn settle(&mut self) {
        let mut idle = 0;
        while idle < 50 {
            self.now_ms += 1;
            let mut has_happened = false;
            for n in 0..BOXES {
                self.boxes[n].connect(&self.server);
                has_happened |= self.boxes[n].work(self.now_ms);
                self.boxes[n].report();
                while self.carry(n) {
                    has_happened = true;
                }
            }
            idle = if has_happened { 0 } else { idle + 1 };
        }
    }

    fn check(&self) {
        for (n, one) in self.boxes.iter().enumerate() {
            one.check_rest();
            for (topic, latest) in &self.latest {
                let here = one.retained_version(topic);
                let expected = (!latest.is_removal).then_some(*latest);
                assert_eq!(here, expected, "what {} retains of {topic}", one.name);
                if !latest.is_removal && one.wants(topic) {
                    assert_eq!(one.seen(topic), Some(*latest), "{} has seen {topic}", one.name);
                }
            }
            for (_, payload) in self.owed.iter().filter(|(owed, _)| *owed == n) {
                assert!(one.has_got(payload), "{} has not got {payload}", one.name);
            }
            // What was under way when there was no room may have overtaken something.
            if self.server.without_room == 0 {
                self.check_order(one);
            }
        }
    }

    /// Messages of each box have come in their order. One that nobody here was known to want is not
    /// among them: a process that has just begun may send it to more boxes than the one before did.
    fn check_order(&self, one: &OneBox) {
        let mut last = [0; BOXES];
        for payload in one.order() {
            let Some((origin, known)) = self.origins.get(payload) else { continue };
            if !known.contains(&one.name) {
                continue;
            }
            let number: u64 = payload.parse().expect("a number");
            assert!(number > last[*origin], "{} has got {number} of box {origin} late", one.name);
            last[*origin] = number;
        }
    }
}

#[test]
fn when_all_is_quiet_every_box_has_what_it_is_to_have() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("WEIR_FLEET_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WEIR_FLEET_SEEDS").unwrap_or(SEEDS),
    };
    let (mut deliveries, mut repeated, mut without_room) = (0, 0, 0);
    for seed in seeds {
        let mut world = World::new(seed);
        let run = std::panic::AssertUnwindSafe(|| {
            (0..STEPS).for_each(|_| world.step());
            world.settle();
            world.check();
            let counts = world.boxes.iter().map(OneBox::counts);
            counts.fold((0, 0, world.server.without_room), |a, b| (a.0 + b.0, a.1 + b.1, a.2))
        });
        match std::panic::catch_unwind(run) {
            Ok((got, twice, none)) => {
                deliveries += got;
                repeated += twice;
                without_room += none;
            }
            Err(panic) => {
                eprintln!("WEIR_FLEET_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!(
        "{deliveries} deliveries, {repeated} of them repeated; {without_room} times without room"
    );
    assert!(deliveries > 0 && without_room > 0);
}
