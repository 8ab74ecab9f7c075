//! The keys of what measures: chips on I2C and SPI buses, 1-wire thermometers, the machine itself.

use weir_config::{Form, Initial, Key, Kind, Section};

use super::super::notation::{I2C_BUS, LEVEL, SPI_DEVICE};
use super::super::settings::{DRIVERS, MEASURES};

const NAME: Key = Key {
    name: "name",
    text: "Name of the device, a level of its topics.",
    kind: LEVEL,
    initial: Initial::Required { example: "\"hall\"" },
};
const EVERY: Key = Key {
    name: "every_s",
    text: "How often it is read.",
    kind: Kind::Seconds { min: 0.1, max: 86_400.0 },
    initial: Initial::Default("10"),
};
const BOUNDS: Key = Key {
    name: "bounds",
    text: "Values that can be true at this place, by quantity. A sample with a value outside is \
           discarded and counted.",
    kind: Kind::Bounds("quantity"),
    initial: Initial::Unset {
        example: "{ temperature_c = [-10, 60] }",
        meaning: "what the sensor can measure",
    },
};
const OFFSET: Key = Key {
    name: "offset",
    text: "What is added to each value, by quantity, before the bounds are checked.",
    kind: Kind::Numbers("quantity"),
    initial: Initial::Unset { example: "{ temperature_c = -0.4 }", meaning: "nothing" },
};

pub(crate) static I2C: Section = Section {
    name: "i2c",
    form: Form::List,
    text: "An I2C bus. Each has a thread of its own: a bus that hangs holds up no other.",
    keys: &[Key {
        name: "bus",
        text: "N of /dev/i2c-N, or \"sim\" for chips that are simulated.",
        kind: I2C_BUS,
        initial: Initial::Required { example: "1" },
    }],
};

pub(crate) static SPI: Section = Section {
    name: "spi",
    form: Form::List,
    text: "A place for one chip on an SPI bus. Each bus has a thread of its own.",
    keys: &[
        Key {
            name: "device",
            text: "File of the kernel for the bus and the chip select, /dev/spidevBUS.SELECT, or \
                   \"sim\" for a chip that is simulated, \"sim.1\" for a second one.",
            kind: SPI_DEVICE,
            initial: Initial::Required { example: "\"/dev/spidev0.0\"" },
        },
        Key {
            name: "speed_hz",
            text: "Clock of the bus for this chip. Long wires need a slow one.",
            kind: Kind::Whole { min: 10_000, max: 50_000_000, unit: "Hz" },
            initial: Initial::Default("1000000"),
        },
        Key {
            name: "mode",
            text: "Polarity and phase of the clock: 0 and 3 take data with its rising edge, 1 and \
                   2 with its falling one.",
            kind: Kind::Whole { min: 0, max: 3, unit: "" },
            initial: Initial::Default("0"),
        },
        Key {
            name: "cs_active_high",
            text: "Whether the chip is selected by a high level. The kernel may know better, from \
                   its device tree.",
            kind: Kind::Flag,
            initial: Initial::Default("false"),
        },
    ],
};

pub(crate) static SENSOR: Section = Section {
    name: "sensor",
    form: Form::List,
    text: "A sensor on an I2C or SPI bus.",
    keys: &[
        NAME,
        Key {
            name: "driver",
            text: "The chip.",
            kind: Kind::Choice(&DRIVERS),
            initial: Initial::Required { example: "\"bme280\"" },
        },
        Key {
            name: "bus",
            text: "The bus of an `[[i2c]]`.",
            kind: I2C_BUS,
            initial: Initial::Unset { example: "1", meaning: "`spi`" },
        },
        Key {
            name: "spi",
            text: "The device of an `[[spi]]`.",
            kind: SPI_DEVICE,
            initial: Initial::Unset { example: "\"/dev/spidev0.0\"", meaning: "`bus`" },
        },
        Key {
            name: "address",
            text: "Its address on the I2C bus, such as 0x76.",
            kind: Kind::Whole { min: 0x08, max: 0x77, unit: "" },
            initial: Initial::Unset { example: "0x76", meaning: "the usual one of the chip" },
        },
        EVERY,
        BOUNDS,
        OFFSET,
        Key {
            name: "range_mv",
            text: "Of an ads1115: the greatest voltage that is measured; a smaller one is \
                   measured finer.",
            kind: Kind::Choice(&["6144", "4096", "2048", "1024", "512", "256"]),
            initial: Initial::Default("\"4096\""),
        },
        Key {
            name: "shunt_milliohm",
            text: "Of an ina219: the resistor that the current flows through.",
            kind: Kind::Number { min: 0.1, max: 100_000.0, unit: "milliohm" },
            initial: Initial::Default("100"),
        },
        Key {
            name: "altitude_m",
            text: "Of an scd4x: height above the sea, which its measurement depends on.",
            kind: Kind::Whole { min: 0, max: 3_000, unit: "m" },
            initial: Initial::Default("0"),
        },
    ],
};

pub(crate) static ONEWIRE: Section = Section {
    name: "onewire",
    form: Form::List,
    text: "A DS18B20 thermometer, read through the w1 driver of the kernel.",
    keys: &[
        NAME,
        Key {
            name: "id",
            text: "Its id as the kernel shows it; `weir-bridge scan` lists them.",
            kind: Kind::Text,
            initial: Initial::Required { example: "\"28-0316a2795aff\"" },
        },
        EVERY,
        BOUNDS,
        OFFSET,
    ],
};

pub(crate) static SYSTEM: Section = Section {
    name: "system",
    form: Form::List,
    text: "The machine that the bridge runs on, as a device.",
    keys: &[
        NAME,
        Key {
            name: "measure",
            text: "What is measured: `cpu_c` is the hottest thermal zone, `load_1m` the load, \
                   `memory_pct` memory in use, `disk_pct` the part of `disk` in use.",
            kind: Kind::List { of: &Kind::Choice(&MEASURES), least: 1 },
            initial: Initial::Default("[\"cpu_c\", \"load_1m\", \"memory_pct\", \"disk_pct\"]"),
        },
        Key {
            name: "disk",
            text: "A file or directory on the disk of `disk_pct`.",
            kind: Kind::Path,
            initial: Initial::Default("\"/\""),
        },
        EVERY,
        BOUNDS,
        OFFSET,
    ],
};
