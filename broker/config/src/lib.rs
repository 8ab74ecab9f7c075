//! Configurations in TOML: keys that are declared once, and all that follows from that.
//!
//! A program declares its tables and keys as data, as a [`Declared`]. Their reading with every
//! problem told at once, ranges, defaults and limits, what differs between two readings, the page of
//! the reference and a file to start from come from there; what the values mean is left to the
//! program. A [`Diagnostic`] is what the operator reads, about rules and other files, too.
//!
//! This crate knows texts. It reads no file but the one that it is told to, with [`Source::read`]; a
//! [`FileStamp`] says whether a file that was read is to be read again.
//!
//! ```
//! use weir_config::{
//!     Codes, Declared, Form, Initial, Key, Kind, Limits, Problems, Section, Source, Tree,
//! };
//!
//! static LAMP: Section = Section {
//!     name: "lamp",
//!     form: Form::List,
//!     text: "A lamp.",
//!     keys: &[
//!         Key {
//!             name: "name",
//!             text: "What it is called.",
//!             kind: Kind::Text,
//!             initial: Initial::Required { example: "\"hall\"" },
//!         },
//!         Key {
//!             name: "watts",
//!             text: "What it takes.",
//!             kind: Kind::Whole { min: 1, max: 100, unit: "W" },
//!             initial: Initial::Default("8"),
//!         },
//!     ],
//! };
//! static DECLARED: Declared = Declared {
//!     sections: &[&LAMP],
//!     codes: Codes {
//!         not_toml: "L1",
//!         unknown: "L2",
//!         value: "L3",
//!         range: "L4",
//!         missing: "L5",
//!         limit: "L6",
//!         later: "L7",
//!     },
//!     limits: Limits { text_bytes: 1024, elements: 64, entries: 100 },
//!     later: &[],
//!     service: "lamps.service",
//! };
//!
//! let text = "[[lamp]]\nname = \"hall\"\n[[lamp]]\nwats = 5\n".to_owned();
//! let source = Source { name: "lamps.toml".into(), text, folder: "".into() };
//! let (mut tree, mut problems) = (Tree::new(&DECLARED), Problems::default());
//! tree.lay(0, &source, &mut problems);
//! tree.check_required(&mut problems);
//!
//! let lamps = tree.list(&LAMP);
//! assert_eq!((lamps[0].text("name"), lamps[0].whole::<u8>("watts")), ("hall".to_owned(), 8));
//! let told = problems.into_diagnostics(&[source]);
//! assert_eq!(told.len(), 2);
//! assert_eq!(
//!     told[1].to_string(),
//!     "error[L2]: unknown key `wats` in [[lamp]]\n  --> lamps.toml:4:1\n4 | wats = 5\n  | \
//!      ^^^^ no such key\n  = help: did you mean `watts`?\n"
//! );
//! ```

// A module uses only modules that stand below it.
mod reference;

mod changes;

mod places;

mod tree;

mod values;

mod declared;

mod problem;

mod credential;

mod file_stamp;

mod unit;

mod diagnostic;

pub use changes::{Difference, differences};
pub use declared::{Codes, Declared, Form, Given, Initial, Key, Kind, Limits, Notation, Section};
pub use diagnostic::{Diagnostic, Severity, nearest};
pub use file_stamp::FileStamp;
pub use places::{Place, Places};
pub use problem::{Origin, Problems, Refusal, Source, did_you_mean};
pub use tree::{Assignment, Tree};
pub use unit::{format_duration, parse_duration};
pub use values::{Placed, Value, Values};
