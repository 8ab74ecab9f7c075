//! Plays of random bytes: see `play`. A failure names its seed.

use crate::play::play;
use crate::support::Chance;

/// Short scripts reach the end of things often, long ones go deep.
fn script(seed: u64) -> Vec<u8> {
    let mut chance = Chance(seed);
    let length = [100, 600, 3000][chance.below(3) as usize];
    (0..length).map(|_| chance.below(256) as u8).collect()
}

fn run(seeds: std::ops::Range<u64>) -> usize {
    let mut steps = 0;
    for seed in seeds {
        let played = std::panic::catch_unwind(|| play(&script(seed)));
        assert!(played.is_ok(), "seed {seed}");
        steps += played.unwrap_or_default();
    }
    steps
}

#[test]
fn whatever_is_sent_every_invariant_holds() {
    run(0..3000);
}

/// For long runs: `SEEDS=100000 cargo test -p weir-core --test protocol -- --ignored plays`.
#[test]
#[ignore = "takes as long as it is told to"]
#[allow(clippy::print_stdout, reason = "whoever starts it wants to know how much it was")]
fn many_plays() {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(10_000);
    let steps = run(3000..3000 + seeds);
    println!("{steps} steps");
}
