//! Sleeping nodes (6.14), and the end of a connection that is said (6.13).

use weir_node::mqtt_sn_1_2::Packet;

use super::Gateway;
use super::client::{Awake, ClientKey, Phase};
use super::counters::Counter;

impl Gateway {
    /// With a duration the node goes to sleep, without one it leaves.
    pub(super) fn handle_disconnect(&mut self, now: u64, key: ClientKey, duration_s: Option<u16>) {
        let client = &mut self.clients[key];
        match duration_s.filter(|duration_s| *duration_s > 0) {
            Some(duration_s) if client.is_here() => {
                let was_asleep = matches!(client.phase, Phase::Asleep { duration_s: was }
                    | Phase::Awake(Awake { duration_s: was, .. }) if was == duration_s);
                client.phase = Phase::Asleep { duration_s };
                self.out.send(&client.address, Packet::Disconnect(None));
                if !was_asleep {
                    self.save(key);
                    self.announce(key);
                }
            }
            _ => {
                self.out.send(&client.address, Packet::Disconnect(None));
                self.go_away(now, key, false);
            }
        }
    }

    /// A sign of life, or a sleeper that collects its messages.
    pub(super) fn handle_ping(&mut self, now: u64, key: ClientKey, client_id: Option<&str>) {
        let client = &mut self.clients[key];
        if client_id.is_some_and(|id| id != &*client.id) {
            self.out.count(Counter::UnknownSender);
            return self.out.send(&client.address, Packet::Disconnect(None));
        }
        match client.phase {
            Phase::Asleep { duration_s } if client_id.is_some() => {
                client.phase = Phase::Awake(Awake { duration_s, given: 0, quiet_at: now });
                self.restart_current(now, key);
                self.pump(now, key);
            }
            // Being given its messages, it will have its answer at the end.
            Phase::Awake(_) => self.out.count(Counter::Duplicates),
            _ => self.out.send(&client.address, Packet::Pingresp),
        }
    }

    /// Lets a sleeper sleep again once it has all its messages.
    pub(super) fn settle(&mut self, now: u64, key: ClientKey) {
        let client = &self.clients[key];
        let Phase::Awake(awake) = client.phase else { return };
        let has_all = client.downlink.is_empty() && (awake.quiet_at <= now || !client.is_open());
        let has_enough =
            awake.given >= self.options.messages_per_wake && client.downlink.current().is_none();
        if has_all || has_enough {
            self.fall_asleep(now, key, true);
        }
    }

    /// `answers`: the node is there and waits for the end. If not, it is left to its sleep: what
    /// it has not acknowledged is sent first when it wakes up.
    pub(super) fn fall_asleep(&mut self, now: u64, key: ClientKey, answers: bool) {
        let client = &mut self.clients[key];
        let Phase::Awake(Awake { duration_s, .. }) = client.phase else { return };
        client.phase = Phase::Asleep { duration_s };
        if answers {
            // Its sleep begins anew.
            client.heard_at = now;
            self.out.send(&client.address, Packet::Pingresp);
        }
    }
}
