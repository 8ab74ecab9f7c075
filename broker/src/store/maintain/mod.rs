//! Care for a store beside the broker: check, salvage, export, copy.
//!
//! Nothing here is on the way of a message. A store file is read without the database engine,
//! page by page, because the engine gives up a whole file for one bad page; what is written goes
//! through the engine, into a new file.

// A module uses modules listed below it, never above.
mod backup;
mod compact;
mod export;
mod salvage;

mod quarantine;
mod rebuild;

mod examine;
mod mend;

mod fill;
mod row;

mod beside;
mod pages;

pub(crate) use self::backup::receive;
pub use self::backup::{BackupError, copy};
pub use self::beside::JournalFindings;
pub use self::compact::{Compacted, compact};
pub use self::examine::{Examination, SessionFindings, TableFindings, examine};
pub use self::export::{ExportError, ExportTable, export};
pub(crate) use self::quarantine::kept;
pub use self::salvage::{Salvage, SalvagedTable};
