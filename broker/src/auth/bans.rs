//! Addresses that sent wrong credentials too often.
//!
//! Failures are counted for each address and forgotten when there was none for as long as a ban
//! lasts. Time is an argument. An IPv6 host has as many addresses as it likes in its network of
//! 64 bits, so that is what is counted there.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Who has failed how often.
#[derive(Debug)]
pub(crate) struct Bans {
    failures_max: u32,
    duration: Duration,
    addresses: HashMap<IpAddr, Failures>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Bans {
    /// Bans an address for `duration` after its failure number `failures_max`; 0 = never.
    pub(crate) fn new(failures_max: u32, duration: Duration) -> Self {
        Self { failures_max, duration, addresses: HashMap::new() }
    }

    /// Whether the address is banned now. Attempts during a ban do not make it longer.
    pub(crate) fn is_banned(&self, address: IpAddr, now: Instant) -> bool {
        let known = self.addresses.get(&counted(address));
        known.is_some_and(|known| known.count >= self.failures_max && !self.is_over(known, now))
    }

    /// Counts a failure; true when the address is banned by it.
    pub(crate) fn count_failure(&mut self, address: IpAddr, now: Instant) -> bool {
        if self.failures_max == 0 {
            return false;
        }
        let address = counted(address);
        if !self.addresses.contains_key(&address) && self.addresses.len() >= ADDRESSES_MAX {
            self.make_room(now);
        }
        let duration = self.duration;
        let known = self.addresses.entry(address).or_insert(Failures { count: 0, last: now });
        if now.saturating_duration_since(known.last) >= duration {
            known.count = 0;
        }
        known.count = known.count.saturating_add(1);
        known.last = now;
        known.count == self.failures_max
    }

    fn is_over(&self, failures: &Failures, now: Instant) -> bool {
        now.saturating_duration_since(failures.last) >= self.duration
    }

    /// Forgets what is over, or else the address that has been quiet for longest.
    fn make_room(&mut self, now: Instant) {
        let duration = self.duration;
        self.addresses.retain(|_, known| now.saturating_duration_since(known.last) < duration);
        if self.addresses.len() >= ADDRESSES_MAX {
            let oldest = self.addresses.iter().min_by_key(|(_, known)| known.last);
            if let Some(address) = oldest.map(|(address, _)| *address) {
                self.addresses.remove(&address);
            }
        }
    }
}

/// The address under which failures are counted.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

/// Addresses that are remembered; past it the one that has been quiet for longest is forgotten.
const ADDRESSES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const BAN: Duration = Duration::from_secs(600);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_banned_at_its_limit_and_for_its_time() {
        let (mut bans, start) = (Bans::new(3, BAN), Instant::now());
        let (bad, good) = (address("192.0.2.1"), address("192.0.2.2"));
        assert!(!bans.count_failure(bad, start) && !bans.count_failure(bad, start));
        assert!(!bans.is_banned(bad, start));
        assert!(bans.count_failure(bad, start));
        assert!(bans.is_banned(bad, start) && !bans.is_banned(good, start));
        assert!(bans.is_banned(bad, start + BAN - Duration::from_millis(1)));
        assert!(!bans.is_banned(bad, start + BAN));
        // After the ban it may fail as often again.
        let later = start + BAN;
        assert!(!bans.count_failure(bad, later) && !bans.is_banned(bad, later));
    }

    #[test]
    fn failures_are_forgotten_after_a_quiet_time() {
        let (mut bans, mut now) = (Bans::new(2, BAN), Instant::now());
        for _ in 0..10 {
            assert!(!bans.count_failure(address("192.0.2.1"), now));
            now += BAN;
        }
        assert!(!bans.count_failure(address("192.0.2.1"), now));
        assert!(bans.count_failure(address("192.0.2.1"), now + BAN / 2));
    }

    #[test]
    fn a_limit_of_zero_bans_nobody() {
        let mut bans = Bans::new(0, BAN);
        let now = Instant::now();
        assert!((0..100).all(|_| !bans.count_failure(address("192.0.2.1"), now)));
        assert!(!bans.is_banned(address("192.0.2.1"), now) && bans.addresses.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_and_both_forms_of_ipv4_count_as_one() {
        let (mut bans, now) = (Bans::new(2, BAN), Instant::now());
        bans.count_failure(address("2001:db8::1"), now);
        assert!(bans.count_failure(address("2001:db8::ffff:2"), now));
        assert!(!bans.is_banned(address("2001:db8:0:1::1"), now));
        bans.count_failure(address("192.0.2.1"), now);
        assert!(bans.count_failure(address("::ffff:192.0.2.1"), now));
    }

    #[test]
    fn many_addresses_take_bounded_memory() {
        let (mut bans, mut now) = (Bans::new(1, BAN), Instant::now());
        for number in 0..2 * ADDRESSES_MAX as u32 {
            now += Duration::from_micros(1);
            bans.count_failure(IpAddr::from(number.to_be_bytes()), now);
        }
        assert_eq!(bans.addresses.len(), ADDRESSES_MAX);
        assert!(!bans.is_banned(IpAddr::from(0u32.to_be_bytes()), now));
        assert!(bans.is_banned(IpAddr::from((2 * ADDRESSES_MAX as u32 - 1).to_be_bytes()), now));
    }
}
