//! The protocol state machine of the Weir broker, pure and deterministic.
//!
//! A [`Core`] owns the sessions of one shard. It reads no clock, opens no socket and writes no
//! file: it is handed inputs with the time at which they happened, and answers with effects and
//! with bytes in outbound buffers. Whoever drives it, the broker or a simulator, sees the same
//! behaviour for the same inputs.
//!
//! ```
//! use weir_core::{
//!     ConnectionId, Core, Effect, Input, Instant, Limits, ListenerId, Now, Recovered,
//! };
//!
//! let now = Now { monotonic: Instant(0), unix_ms: 1_700_000_000_000 };
//! let mut core =
//!     Core::new(Limits::default(), Vec::new(), Recovered::default(), 1, now);
//! let connection = ConnectionId { slot: 0, generation: 0 };
//! core.handle(now, Input::Opened { connection, listener: ListenerId(0) });
//! let connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a";
//! core.handle(now, Input::Received { connection, bytes: connect });
//! let mut effects = Vec::new();
//! core.drain(|effect| effects.push(effect));
//! assert_eq!(effects[0], Effect::Flush { connection });
//! let outbound = core.outbound(connection).expect("it is open");
//! assert_eq!(outbound.bytes(), b"\x20\x02\x00\x00");
//! ```

// A module uses modules listed below it, never above, but for the `impl Core` blocks, which
// together are one module in several files.
mod core;

mod acknowledge;
mod authenticate;
mod bounds;
mod connect;
mod dead_letter;
mod delayed;
mod deliver;
mod disconnect;
mod drops;
mod expel;
mod expiry;
mod fleet;
mod handover;
mod history;
mod inspect;
mod invariants;
mod level;
mod memory;
mod paging;
mod publish;
mod queue;
mod readers;
mod receive;
mod recover;
mod reply;
mod request;
mod room;
mod router;
mod shards;
mod subscribe;
mod sys;
mod throttle;
mod turn;

mod explanation;

mod connection;

mod admission;
mod alias;
mod frames;
mod gate;
mod log;
mod outbound;
mod sys_tree;

mod peers;
mod released;

mod filter_table;
mod held;
mod retained;
mod schedule;
mod subscriptions;
mod timer;

mod clients;
mod session;

mod identifiers;
mod inflight;
mod mount;
mod shared;

mod effect;
mod input;
mod limits;

mod forwards;
mod surroundings;

mod metrics;
mod placement;

mod durability;
mod rates;

mod bucket;
mod episode;
mod topic_watch;

mod recovered;

mod authorize;
mod change;
mod reader_config;

mod clock;
mod identity;
mod interest;
mod key;
mod message;
mod pressure;
mod random;
mod rare;
mod share_mark;
mod store_room;

pub use authorize::{Access, Acl, Credential, Identity, Rule, Ruling, Validity, is_of_broker};
pub use change::{
    Batch, Change, Cursor, Destination, InflightState, Link, Links, SessionRecord,
    SubscriptionRecord, Target, WillRecord,
};
pub use clock::{Instant, Now};
pub use core::Core;
pub use durability::{Durability, DurabilityLevels};
pub use effect::{
    AuthenticationRequest, Denial, DropNotice, Effect, Exchange, HistoryRequest, Occasion, Records,
    ThrottleNotice,
};
pub use filter_table::FilterTable;
pub use forwards::Forwards;
pub use identity::{ConnectionId, ListenerId, ReaderId, Sequence, SessionId, ShardId};
pub use input::{Input, Outcome, Publication, Route};
pub use inspect::{ClientSearch, ClientView, RetainedPage, SubscriptionSearch, SubscriptionView};
pub use interest::InterestChange;
pub use limits::{Limits, ListenerLimits, QueueFull, ShareStrategy};
pub use message::{Message, MessageParts, RecordError, RetainedVersion, parse as parse_message};
pub use metrics::{DropReason, Drops, Metrics};
pub use outbound::Outbound;
pub use placement::Placement;
pub use pressure::MemoryPressure;
pub use rates::{ClientRates, RateLimit, Throttles};
pub use reader_config::{ReaderConfig, ReaderKind};
pub use recovered::{LogRecord, QueuedRecord, Recovered, RecoveredSession};
pub use store_room::StoreRoom;
pub use surroundings::{Memory, RuleFacts, StoreFacts, Surroundings, UpstreamFacts};
pub use topic_watch::{TopicNews, TopicSeen};
