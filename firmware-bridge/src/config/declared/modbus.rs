//! The keys of Modbus devices and their registers.

use weir_config::{Form, Initial, Key, Kind, Section};

use super::super::notation::{ADDRESS, LEVEL};
use super::super::settings::{REGISTER_TYPES, WORD_ORDERS};

pub(crate) static MODBUS: Section = Section {
    name: "modbus",
    form: Form::List,
    text: "A Modbus device, over TCP or on a serial line. Devices with the same `tcp` or `serial` \
           share a connection and are asked one after the other.",
    keys: &[
        Key {
            name: "name",
            text: "Name of the device, a level of its topics.",
            kind: LEVEL,
            initial: Initial::Required { example: "\"meter\"" },
        },
        Key {
            name: "tcp",
            text: "Address of a device or converter that speaks Modbus TCP.",
            kind: ADDRESS,
            initial: Initial::Unset { example: "\"192.168.7.20:502\"", meaning: "`serial`" },
        },
        Key {
            name: "serial",
            text: "Serial line for Modbus RTU.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"/dev/ttyUSB0\"", meaning: "`tcp`" },
        },
        Key {
            name: "baud",
            text: "Speed of the serial line, the same for all devices on it.",
            kind: Kind::Whole { min: 300, max: 921_600, unit: "baud" },
            initial: Initial::Default("9600"),
        },
        Key {
            name: "parity",
            text: "Parity of the serial line. With `none` there are two stop bits, as the \
                   standard wants it, unless `stop_bits` says otherwise.",
            kind: Kind::Choice(&["even", "odd", "none"]),
            initial: Initial::Default("\"even\""),
        },
        Key {
            name: "stop_bits",
            text: "Stop bits of the serial line.",
            kind: Kind::Whole { min: 1, max: 2, unit: "bits" },
            initial: Initial::Unset { example: "1", meaning: "1 with parity, 2 without" },
        },
        Key {
            name: "unit",
            text: "Unit id of the device, also called slave address.",
            kind: Kind::Whole { min: 0, max: 255, unit: "" },
            initial: Initial::Default("1"),
        },
        Key {
            name: "timeout_ms",
            text: "How long an answer may take.",
            kind: Kind::Whole { min: 10, max: 60_000, unit: "ms" },
            initial: Initial::Default("1000"),
        },
        Key {
            name: "every_s",
            text: "How often its registers are read.",
            kind: Kind::Seconds { min: 0.1, max: 86_400.0 },
            initial: Initial::Default("10"),
        },
        Key {
            name: "read",
            text: "Registers that are read.",
            kind: Kind::Tables(&READ),
            initial: Initial::Unset {
                example: "[{ name = \"flow\", register = 1 }]",
                meaning: "none",
            },
        },
        Key {
            name: "write",
            text: "Registers that commands write.",
            kind: Kind::Tables(&WRITE),
            initial: Initial::Unset {
                example: "[{ name = \"setpoint_c\", register = 2 }]",
                meaning: "none",
            },
        },
    ],
};

const TABLE: Key = Key {
    name: "table",
    text: "Which of the four tables of the device.",
    kind: Kind::Choice(&["holding", "input", "coil", "discrete"]),
    initial: Initial::Default("\"holding\""),
};
const REGISTER: Key = Key {
    name: "register",
    text: "Address of the register or bit, counted from 0. Manuals that write 40001 or 30001 \
           count from 1: the address is then the rest less 1.",
    kind: Kind::Whole { min: 0, max: 65_535, unit: "" },
    initial: Initial::Required { example: "0" },
};
const TYPE: Key = Key {
    name: "type",
    text: "How the registers are read. Types of 32 bits take two registers; a coil or discrete \
           input is a bit and needs no type.",
    kind: Kind::Choice(&REGISTER_TYPES),
    initial: Initial::Default("\"u16\""),
};
const WORD_ORDER: Key = Key {
    name: "word_order",
    text: "Which of two registers comes first: the one with the high half, or with the low half.",
    kind: Kind::Choice(&WORD_ORDERS),
    initial: Initial::Default("\"high-first\""),
};
const SCALE: Key = Key {
    name: "scale",
    text: "What the number in the register is multiplied with. A command is divided by it.",
    kind: Kind::Number { min: -1e9, max: 1e9, unit: "" },
    initial: Initial::Default("1"),
};

pub(crate) static READ: Section = Section {
    name: "modbus.read",
    form: Form::WithinList,
    text: "A register of the `[[modbus]]` above that is read.",
    keys: &[
        Key {
            name: "name",
            text: "Name of the quantity, with its unit.",
            kind: LEVEL,
            initial: Initial::Required { example: "\"voltage_v\"" },
        },
        TABLE,
        REGISTER,
        TYPE,
        WORD_ORDER,
        SCALE,
        Key {
            name: "unit_name",
            text: "Unit that people read.",
            kind: Kind::Text,
            initial: Initial::Unset { example: "\"V\"", meaning: "no unit" },
        },
        Key {
            name: "every_s",
            text: "How often it is read, when that is not how often the others are.",
            kind: Kind::Seconds { min: 0.1, max: 86_400.0 },
            initial: Initial::Unset { example: "60", meaning: "that of the device" },
        },
    ],
};

pub(crate) static WRITE: Section = Section {
    name: "modbus.write",
    form: Form::WithinList,
    text: "A register of the `[[modbus]]` above that commands at `<device>/<name>/set` write. It \
           is read back, and only then the command has succeeded.",
    keys: &[
        Key {
            name: "name",
            text: "Name of the actuator, a level of its topics.",
            kind: LEVEL,
            initial: Initial::Required { example: "\"setpoint_c\"" },
        },
        TABLE,
        REGISTER,
        TYPE,
        WORD_ORDER,
        SCALE,
        Key {
            name: "unit_name",
            text: "Unit that people read.",
            kind: Kind::Text,
            initial: Initial::Unset { example: "\"°C\"", meaning: "no unit" },
        },
        Key {
            name: "min",
            text: "Least value of a command.",
            kind: Kind::Number { min: -1e12, max: 1e12, unit: "" },
            initial: Initial::Unset { example: "5", meaning: "what the register can hold" },
        },
        Key {
            name: "max",
            text: "Greatest value of a command.",
            kind: Kind::Number { min: -1e12, max: 1e12, unit: "" },
            initial: Initial::Unset { example: "30", meaning: "what the register can hold" },
        },
        Key {
            name: "safe_state",
            text: "What is written at the start, at the end, and when the broker is lost. For a \
                   coil 0 or 1.",
            kind: Kind::Number { min: -1e12, max: 1e12, unit: "" },
            initial: Initial::Unset { example: "5", meaning: "it is left as it is" },
        },
        Key {
            name: "read_back",
            text: "Read the register after it was written and compare. Some devices cannot.",
            kind: Kind::Flag,
            initial: Initial::Default("true"),
        },
    ],
};
