//! Waiting for a condition that nobody announces.

use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything takes that works, also on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
///
/// # Panics
/// There is none within [`LIMIT`].
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if let Some(answer) = ask() {
            return answer;
        }
        thread::sleep(PAUSE);
    }
    panic!("waited {LIMIT:?} in vain for {what}");
}

/// Gives something to do at a steady rate: returns when its turn has come, at once if it is late.
pub fn until_turn(start: Instant, turn: u32, rate_per_s: u32) {
    let at = start + Duration::from_secs(1) * turn / rate_per_s;
    thread::sleep(at.saturating_duration_since(Instant::now()));
}

/// Lets time pass until a moment that is random. Nothing is waited for.
pub fn pass(wait: Duration) {
    thread::sleep(wait);
}

const PAUSE: Duration = Duration::from_millis(2);
