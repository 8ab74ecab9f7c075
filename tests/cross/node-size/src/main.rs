//! The least firmware, for its size: a client, frames, and every request that a client can make.
//!
//! It is measured, not run. Every input is one that the compiler knows nothing about, so that
//! nothing of the node can be left out. Without the feature `node` it is what any firmware has: the
//! vectors, the start, and the copying and clearing of memory.
#![no_std]
#![no_main]

use core::hint::black_box;
#[cfg(feature = "node")]
use core::mem::MaybeUninit;

use cortex_m_rt::entry;

#[entry]
fn main() -> ! {
    #[cfg(feature = "node")]
    static mut CLIENT: MaybeUninit<node::Node> = MaybeUninit::uninit();
    #[cfg(feature = "node")]
    static mut DEFRAMER: node::Frames = node::Frames::new();
    #[cfg(feature = "node")]
    static mut RING: [u8; node::RING] = [0; node::RING];
    copy_and_clear();
    #[cfg(feature = "node")]
    node::run(CLIENT, DEFRAMER, RING);
    loop {
        black_box(());
    }
}

/// Pulls in what the compiler takes for arrays.
fn copy_and_clear() {
    let cleared = black_box([0u8; 300]);
    let copied = black_box(cleared);
    black_box(&copied);
    let words = black_box([0u32; 70]);
    let copied = black_box(words);
    black_box(&copied);
}

#[cfg(feature = "node")]
mod node {
    use core::hint::black_box;
    use core::mem::MaybeUninit;

    use weir_node::client::{Client, Config, Event, Message, Output, Topic, TopicIndex, Will};
    use weir_node::frame::{Deframer, encode};
    use weir_node::mqtt_sn_1_2::{QoS, TopicId};
    #[cfg(feature = "will")]
    use weir_node::mqtt_sn_1_2::WillTopic;

    const MTU: usize = 128;
    /// What the size script takes from the static memory: how much may wait is the caller's choice.
    pub(crate) const RING: usize = 256;

    pub(crate) type Node = Client<'static, MTU, 4>;
    pub(crate) type Frames = Deframer<{ MTU + 2 }>;

    const TOPICS: [Topic<'_>; 4] = [
        Topic::Name("$age/site/boiler/state"),
        Topic::Name("site/boiler/+/set"),
        Topic::Predefined(TopicId(3)),
        Topic::Short(*b"ab"),
    ];
    #[cfg(feature = "will")]
    const WILL: Option<Will<'_>> = Some(Will {
        topic: WillTopic { qos: QoS::AtLeastOnce, retain: true, topic: "site/boiler/gone" },
        message: b"gone",
    });
    #[cfg(not(feature = "will"))]
    const WILL: Option<Will<'_>> = None;

    const CONFIG: Config<'_> =
        Config { will: WILL, drops_topic: Some(TopicIndex(0)), ..Config::new("boiler-7") };

    pub(crate) fn run(
        slot: &mut MaybeUninit<Node>,
        deframer: &mut Frames,
        ring: &'static mut [u8; RING],
    ) {
        let Ok(client) = Client::new(black_box(&CONFIG), &TOPICS, ring) else { return };
        let client = slot.write(client);
        loop {
            let now_ms = black_box(0);
            act(client, black_box(0), now_ms);
            if let Some(Ok(datagram)) = deframer.push(black_box(0))
                && let Some(Event::Message(message)) = client.handle_datagram(datagram, now_ms)
            {
                black_box(message.payload);
            }
            match client.poll(now_ms) {
                Output::Broadcast(datagram) | Output::Send(datagram) => {
                    encode(datagram, |byte| {
                        black_box(byte);
                    });
                }
                Output::WaitUntil(until_ms) => {
                    black_box(until_ms);
                }
                Output::Event(_) | Output::Idle => {}
            }
        }
    }

    /// Everything that an application can ask for.
    fn act(client: &mut Node, what: u8, now_ms: u32) {
        let topic = TopicIndex(black_box(0));
        let payload = black_box(&b"21.5"[..]);
        let message = Message { topic, qos: black_box(QoS::AtLeastOnce), retain: false, payload };
        match what {
            0 => client.connect(now_ms),
            1 => client.disconnect(now_ms),
            #[cfg(feature = "sleep")]
            2 => drop(black_box(client.sleep(30, now_ms))),
            #[cfg(feature = "sleep")]
            3 => drop(black_box(client.wake(now_ms))),
            4 => drop(black_box(client.subscribe(topic, QoS::AtLeastOnce))),
            5 => drop(black_box(client.unsubscribe(topic))),
            6 => drop(black_box(client.publish(message, now_ms))),
            7 => drop(black_box(client.publish_without_session(message))),
            #[cfg(feature = "search")]
            8 => drop(black_box(client.search(1, now_ms))),
            #[cfg(feature = "will")]
            9 => drop(black_box(client.set_will(None))),
            _ => {}
        }
    }
}

/// Never called, which is what is measured; there has to be one.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        black_box(());
    }
}
