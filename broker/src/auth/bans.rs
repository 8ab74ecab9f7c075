//! Addresses that sent wrong credentials too often.
//!
//! Failures are counted for each address and forgotten when there was none for as long as a ban
//! lasts. Time is an argument. An IPv6 host has as many addresses as it likes in its network of
//! 64 bits, so that is what is counted there.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::forgetful::Forgetful;

/// Who has failed how often.
#[derive(Debug)]
pub(crate) struct Bans {
    failures_max: u32,
    duration: Duration,
    /// The time is the one of the last failure.
    addresses: Forgetful<IpAddr, u32>,
}

impl Bans {
    /// Bans an address for `duration` after its failure number `failures_max`; 0 = never.
    pub(crate) fn new(failures_max: u32, duration: Duration) -> Self {
        Self { failures_max, duration, addresses: Forgetful::new(ADDRESSES_MAX) }
    }

    /// Whether the address is banned now. Attempts during a ban do not make it longer.
    pub(crate) fn is_banned(&self, address: IpAddr, now: Instant) -> bool {
        self.failures_max > 0 && self.count(counted(address), now) >= self.failures_max
    }

    /// Counts a failure; true when the address is banned by it.
    pub(crate) fn count_failure(&mut self, address: IpAddr, now: Instant) -> bool {
        if self.failures_max == 0 {
            return false;
        }
        let address = counted(address);
        let count = self.count(address, now).saturating_add(1);
        self.addresses.put(address, now, count);
        count == self.failures_max
    }

    /// Failures that are not forgotten.
    fn count(&self, address: IpAddr, now: Instant) -> u32 {
        match self.addresses.get(&address) {
            Some((last, count)) if now.saturating_duration_since(last) < self.duration => *count,
            _ => 0,
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

/// Addresses that are remembered; past it those that have been quiet for longest are forgotten.
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
        assert!(!bans.is_banned(address("192.0.2.1"), now) && bans.addresses.len() == 0);
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
        assert!((ADDRESSES_MAX * 7 / 8..=ADDRESSES_MAX).contains(&bans.addresses.len()));
        assert!(!bans.is_banned(IpAddr::from(0u32.to_be_bytes()), now));
        assert!(bans.is_banned(IpAddr::from((2 * ADDRESSES_MAX as u32 - 1).to_be_bytes()), now));
    }
}
