//! The keys of pins: digital inputs and outputs, and PWM.

use weir_config::{Form, Initial, Key, Kind, Section};

use super::super::notation::LEVEL;

pub(crate) static GPIO: Section = Section {
    name: "gpio",
    form: Form::List,
    text: "A line of a GPIO chip. An input publishes its edges, an output takes `ON` and `OFF` at \
           `<name>/switch/set`.",
    keys: &[
        Key {
            name: "name",
            text: "Name of the device, a level of its topics.",
            kind: LEVEL,
            initial: Initial::Required { example: "\"pump\"" },
        },
        Key {
            name: "chip",
            text: "The GPIO chip: a name below /dev, or \"sim\" for one that is simulated.",
            kind: Kind::Text,
            initial: Initial::Default("\"gpiochip0\""),
        },
        Key {
            name: "line",
            text: "Number of the line on the chip; on a Raspberry Pi the BCM number.",
            kind: Kind::Whole { min: 0, max: 1_023, unit: "" },
            initial: Initial::Required { example: "17" },
        },
        Key {
            name: "direction",
            text: "Whether the line is read or driven.",
            kind: Kind::Choice(&["in", "out"]),
            initial: Initial::Required { example: "\"out\"" },
        },
        Key {
            name: "active_low",
            text: "ON is the low level.",
            kind: Kind::Flag,
            initial: Initial::Default("false"),
        },
        Key {
            name: "bias",
            text: "Resistor of an input inside of the chip.",
            kind: Kind::Choice(&["as-is", "disabled", "pull-up", "pull-down"]),
            initial: Initial::Default("\"as-is\""),
        },
        Key {
            name: "debounce_ms",
            text: "An input counts as changed when it has been quiet for so long.",
            kind: Kind::Whole { min: 0, max: 10_000, unit: "ms" },
            initial: Initial::Default("20"),
        },
        Key {
            name: "safe_state",
            text: "What an output is set to at the start, at the end, and when the broker is \
                   lost. `keep` leaves it as it is.",
            kind: Kind::Choice(&["off", "on", "keep"]),
            initial: Initial::Default("\"off\""),
        },
    ],
};

pub(crate) static PWM: Section = Section {
    name: "pwm",
    form: Form::List,
    text: "A PWM channel. It takes a number from 0 to 100 at `<name>/level/set`: the share of the \
           period that it is on.",
    keys: &[
        Key {
            name: "name",
            text: "Name of the device, a level of its topics.",
            kind: LEVEL,
            initial: Initial::Required { example: "\"fan\"" },
        },
        Key {
            name: "chip",
            text: "N of pwmchipN.",
            kind: Kind::Whole { min: 0, max: 255, unit: "" },
            initial: Initial::Default("0"),
        },
        Key {
            name: "channel",
            text: "Channel of the chip.",
            kind: Kind::Whole { min: 0, max: 255, unit: "" },
            initial: Initial::Required { example: "0" },
        },
        Key {
            name: "frequency_hz",
            text: "How often it goes on in a second.",
            kind: Kind::Number { min: 1.0, max: 1_000_000.0, unit: "Hz" },
            initial: Initial::Default("1000"),
        },
        Key {
            name: "safe_pct",
            text: "What it is set to at the start, at the end, and when the broker is lost.",
            kind: Kind::Number { min: 0.0, max: 100.0, unit: "%" },
            initial: Initial::Default("0"),
        },
    ],
};
