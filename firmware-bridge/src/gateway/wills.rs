//! Wills: given with CONNECT (6.3) and changed later (6.4).

use bytes::Bytes;
use weir_node::mqtt_sn_1_2::{Packet, ReturnCode, WillTopic};

use super::Gateway;
use super::age;
use super::client::{self, ClientKey, Phase, SessionState, Step};
use super::counters::Counter;
use super::outbox::RefusalReason;
use super::topic::check_name;
use crate::session::{Command, Will};

impl Gateway {
    pub(super) fn handle_will_topic(
        &mut self,
        now: u64,
        key: ClientKey,
        will: Option<WillTopic<'_>>,
    ) {
        let (retries, due_at) = (self.options.retries, now + self.options.retry_ms);
        let client = &mut self.clients[key];
        let Phase::Connecting(connecting) = &mut client.phase else { return };
        match (connecting.step, will) {
            (Step::WillTopic, None) => {
                connecting.will_changed = client.will.is_some();
                client.will = None;
                self.begin_session(now, key);
            }
            (Step::WillTopic, Some(will)) => {
                if !self.takes_will(key, &will) {
                    return self.abort_connect(now, key, ReturnCode::NotSupported);
                }
                let Phase::Connecting(connecting) = &mut self.clients[key].phase else { return };
                connecting.will_topic = Some((will.topic.into(), will.qos, will.retain));
                connecting.step = Step::WillMessage;
                connecting.tries_left = retries;
                connecting.due_at = due_at;
                self.ask_for_will(key);
            }
            // A repetition; the request that it answers again may have been lost.
            (Step::WillMessage, Some(_)) => {
                self.out.count(Counter::Duplicates);
                self.ask_for_will(key);
            }
            _ => self.out.count(Counter::Unexpected),
        }
    }

    pub(super) fn handle_will_message(&mut self, now: u64, key: ClientKey, message: &[u8]) {
        let client = &mut self.clients[key];
        let Phase::Connecting(connecting) = &mut client.phase else { return };
        let topic = match connecting.step {
            Step::WillMessage => connecting.will_topic.take(),
            Step::Session | Step::WillTopic => None,
        };
        let Some((topic, qos, retain)) = topic else {
            return self.out.count(Counter::Unexpected);
        };
        let will = client::will(&topic, qos, retain, message);
        connecting.will_changed = client.will.as_ref() != Some(&will);
        client.will = Some(will);
        self.begin_session(now, key);
    }

    pub(super) fn handle_will_topic_update(&mut self, key: ClientKey, will: Option<WillTopic<'_>>) {
        let code = match will {
            Some(will) if !self.takes_will(key, &will) => ReturnCode::NotSupported,
            Some(WillTopic { qos, retain, topic }) => {
                let stored = self.clients[key].will.take();
                let payload = stored.map_or_else(Bytes::new, |will| will.payload);
                let will = Will { topic: topic.into(), payload, qos, retain };
                self.set_will(key, Some(Box::new(will)));
                ReturnCode::Accepted
            }
            None => {
                self.set_will(key, None);
                ReturnCode::Accepted
            }
        };
        self.out.send(&self.clients[key].address, Packet::WillTopicResp(code));
    }

    /// A message without a topic is no will, and is refused.
    pub(super) fn handle_will_message_update(&mut self, key: ClientKey, message: &[u8]) {
        let code = match self.clients[key].will.take() {
            Some(mut will) => {
                will.payload = Bytes::copy_from_slice(message);
                self.set_will(key, Some(will));
                ReturnCode::Accepted
            }
            None => ReturnCode::NotSupported,
        };
        self.out.send(&self.clients[key].address, Packet::WillMsgResp(code));
    }

    fn takes_will(&mut self, key: ClientKey, will: &WillTopic<'_>) -> bool {
        let takes = !age::has_age(will.topic)
            && check_name(will.topic).is_ok()
            && self.may_publish(&self.clients[key].id, will.topic);
        if !takes {
            self.refuse(key, RefusalReason::Publish, Some(will.topic));
        }
        takes
    }

    fn set_will(&mut self, key: ClientKey, will: Option<Box<Will>>) {
        let client = &mut self.clients[key];
        client.will = will;
        if !matches!(client.session.state, SessionState::None | SessionState::Closing) {
            let will = client.will.as_deref().cloned();
            self.out.command(client.session.id, Command::SetWill(will));
        }
        self.save(key);
    }
}
