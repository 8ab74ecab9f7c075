//! A network that loses, doubles and reorders, on virtual time.

use std::vec::Vec;

/// Datagrams under way in one direction.
pub(super) struct Network {
    random: Random,
    faults_percent: u32,
    under_way: Vec<(u64, Vec<u8>)>,
}

impl Network {
    /// Each fault hits so many of a hundred datagrams.
    pub(super) fn new(seed: u64, faults_percent: u32) -> Self {
        Self { random: Random(seed), faults_percent, under_way: Vec::new() }
    }

    pub(super) fn send(&mut self, datagram: Vec<u8>, now_ms: u64) {
        if self.fault() {
            return;
        }
        if self.fault() {
            let late_ms = self.random.below(LATE_MS);
            self.under_way.push((now_ms + TRAVEL_MS + late_ms, datagram.clone()));
        }
        let late_ms = if self.fault() { self.random.below(LATE_MS) } else { 0 };
        self.under_way.push((now_ms + TRAVEL_MS + late_ms, datagram));
    }

    pub(super) fn arrived(&mut self, now_ms: u64) -> Option<Vec<u8>> {
        let arrived = self.under_way.iter().position(|(at_ms, _)| *at_ms <= now_ms)?;
        Some(self.under_way.remove(arrived).1)
    }

    pub(super) fn next_ms(&self) -> Option<u64> {
        self.under_way.iter().map(|(at_ms, _)| *at_ms).min()
    }

    fn fault(&mut self) -> bool {
        self.random.below(100) < u64::from(self.faults_percent)
    }
}

/// splitmix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

const TRAVEL_MS: u64 = 3;
/// Later than several exchanges take; the client remembers eight.
const LATE_MS: u64 = 50;
