//! How nodes find the gateway: ADVERTISE and SEARCHGW (6.1), only while there is a broker to be
//! reached through it.

use weir_node::mqtt_sn_1_2::{Advertise, GwInfo, Packet};

use super::Gateway;
use super::address::{Address, LinkId};
use super::counters::Counter;

impl Gateway {
    /// Whoever searches is answered alone: everyone else has not asked.
    pub(super) fn handle_search(&mut self, from: &Address) {
        if self.bridge.is_open() && self.is_address_allowed(from, None) {
            let info = GwInfo { gw_id: self.options.gw_id, gw_address: &[] };
            self.out.send(from, Packet::GwInfo(info));
        }
    }

    pub(super) fn next_advertise(&self) -> Option<u64> {
        if !self.bridge.is_open() {
            return None;
        }
        let links = self.options.links.iter().zip(&self.advertise_at);
        links.filter(|(link, _)| link.advertise_s.is_some()).map(|(_, at)| *at).min()
    }

    pub(super) fn handle_discovery_timer(&mut self, now: u64) {
        if !self.bridge.is_open() {
            return;
        }
        for (place, link) in self.options.links.iter().enumerate() {
            let Some(duration_s) = link.advertise_s else { continue };
            let at = &mut self.advertise_at[place];
            if *at <= now {
                *at = now + u64::from(duration_s.max(1)) * 1_000;
                let advertise = Advertise { gw_id: self.options.gw_id, duration_s };
                self.out.count(Counter::Advertised);
                self.out.broadcast(LinkId(place as u16), Packet::Advertise(advertise));
            }
        }
    }
}
