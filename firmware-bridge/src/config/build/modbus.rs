//! Modbus devices and their registers.

use std::collections::BTreeSet;
use std::time::Duration;

use weir_config::{Tree, Values};

use super::super::declared::MODBUS;
use super::super::settings::{
    ModbusConfig, ModbusEnd, Parity, ReadConfig, RegisterPlace, RegisterType, SerialLine, Table,
    WordOrder, WriteConfig,
};
use super::{Builder, header};

impl Builder<'_> {
    pub(super) fn modbus(&mut self, tree: &Tree) -> Vec<ModbusConfig> {
        let mut devices: Vec<ModbusConfig> = Vec::new();
        for values in tree.list(&MODBUS) {
            let device = self.modbus_device(values);
            self.check_line(values, &device, &devices);
            devices.push(device);
        }
        devices
    }

    fn modbus_device(&mut self, values: &Values) -> ModbusConfig {
        let end = self.end(values);
        let unit = values.whole("unit");
        if matches!(end, ModbusEnd::Serial(_)) && !(1..=247).contains(&unit) {
            let message = format!("unit {unit} cannot answer on a serial line");
            let help = "devices there have 1 to 247; 0 speaks to all and is answered by none";
            self.wrong(values.place("unit"), &message, "1 to 247", help);
        }
        let every = values.duration("every_s");
        let mut names = BTreeSet::new();
        let reads = values.tables("read").iter();
        let reads = reads.map(|read| self.read(read, every, &mut names)).collect::<Vec<_>>();
        let writes = values.tables("write").iter();
        let mut names = BTreeSet::new();
        let writes = writes.map(|write| self.write(write, &mut names)).collect::<Vec<_>>();
        if reads.is_empty() && writes.is_empty() {
            let message = "a Modbus device without registers";
            let help = "add [[modbus.read]] or [[modbus.write]] below it";
            self.wrong(header(values), message, "nothing to do", help);
        }
        let timeout = Duration::from_millis(values.whole("timeout_ms"));
        ModbusConfig { name: self.device(values), end, unit, timeout, reads, writes }
    }

    fn end(&mut self, values: &Values) -> ModbusEnd {
        match (values.optional("tcp", Values::text), values.optional("serial", Values::path)) {
            (Some(tcp), None) => {
                for key in ["baud", "parity", "stop_bits"] {
                    self.only_with(values, key, "serial lines");
                }
                ModbusEnd::Tcp(tcp)
            }
            (None, Some(path)) => {
                let parity = match values.choice("parity") {
                    "none" => Parity::None,
                    "odd" => Parity::Odd,
                    _ => Parity::Even,
                };
                let usual = if parity == Parity::None { 2 } else { 1 };
                let stop_bits = values.optional("stop_bits", Values::whole).unwrap_or(usual);
                let baud = values.whole("baud");
                ModbusEnd::Serial(SerialLine { path, baud, parity, stop_bits })
            }
            (tcp, _) => {
                // A value that was refused has had its message.
                if !values.is_missing("tcp") && tcp.is_none() {
                    return ModbusEnd::Tcp(String::new());
                }
                let message = "a Modbus device has either `tcp` or `serial`";
                let help = "for example tcp = \"192.168.7.20:502\" or serial = \"/dev/ttyUSB0\"";
                self.conflict(header(values), message, "one of them", help);
                ModbusEnd::Tcp(tcp.unwrap_or_default())
            }
        }
    }

    /// Devices on one line share its settings.
    fn check_line(&mut self, values: &Values, device: &ModbusConfig, others: &[ModbusConfig]) {
        let ModbusEnd::Serial(line) = &device.end else { return };
        for other in others {
            let ModbusEnd::Serial(other_line) = &other.end else { continue };
            if other_line.path != line.path {
                continue;
            }
            if other_line != line {
                let message = format!("`{}` has other settings for this line", other.name);
                let help = "baud, parity and stop_bits are the same for all devices of a line";
                self.conflict(values.place("serial"), &message, "two settings", help);
            }
        }
    }

    fn read(
        &mut self,
        values: &Values,
        every: Duration,
        names: &mut BTreeSet<String>,
    ) -> ReadConfig {
        let every = match values.is_given("every_s") {
            true => values.duration("every_s"),
            false => every,
        };
        ReadConfig {
            name: self.register_name(values, names),
            place: self.place(values),
            unit_name: values.optional("unit_name", Values::text).unwrap_or_default(),
            every,
        }
    }

    fn write(&mut self, values: &Values, names: &mut BTreeSet<String>) -> WriteConfig {
        let place = self.place(values);
        if matches!(place.table, Table::Discrete | Table::Input) {
            let message = "this table can only be read";
            let help = "write to \"holding\" or \"coil\"";
            self.wrong(values.place("table"), message, "read only", help);
        }
        let (least, greatest) = place.range();
        let min = values.optional("min", Values::number).unwrap_or(least).max(least);
        let max = values.optional("max", Values::number).unwrap_or(greatest).min(greatest);
        if min > max {
            let message = "no value is between `min` and `max`";
            let help = format!("the register holds {least} to {greatest}");
            self.wrong(values.place("min"), message, "an empty range", &help);
        }
        let safe_state = values.optional("safe_state", Values::number);
        if safe_state.is_some_and(|safe| safe < min || safe > max) {
            let message = "`safe_state` is not between `min` and `max`";
            let help = format!("{min} to {max} can be written");
            self.wrong(values.place("safe_state"), message, "out of range", &help);
        }
        WriteConfig {
            name: self.register_name(values, names),
            place,
            unit_name: values.optional("unit_name", Values::text).unwrap_or_default(),
            min,
            max,
            safe_state,
            read_back: values.flag("read_back"),
        }
    }

    fn register_name(&mut self, values: &Values, names: &mut BTreeSet<String>) -> String {
        let name = values.text("name");
        if !names.insert(name.clone()) && values.is_given("name") {
            let message = format!("`{name}` is there twice");
            self.conflict(values.place("name"), &message, "again", "use another name");
        }
        name
    }

    fn place(&mut self, values: &Values) -> RegisterPlace {
        let table = match values.choice("table") {
            "coil" => Table::Coil,
            "discrete" => Table::Discrete,
            "input" => Table::Input,
            _ => Table::Holding,
        };
        if table.is_bits() {
            for key in ["type", "word_order", "scale"] {
                self.only_with(values, key, "registers");
            }
        }
        let low_first = values.choice("word_order") == "low-first";
        let place = RegisterPlace {
            table,
            register: values.whole("register"),
            type_: RegisterType::of(values.choice("type")),
            word_order: if low_first { WordOrder::LowFirst } else { WordOrder::HighFirst },
            scale: values.number("scale"),
        };
        if u32::from(place.register) + u32::from(place.length()) > 65_536 {
            let message = "the second register would be beyond the last one";
            let help = "65534 is the last place for 32 bits";
            self.wrong(values.place("register"), message, "no room", help);
        }
        if place.scale == 0.0 {
            let message = "`scale` cannot be 0";
            self.wrong(values.place("scale"), message, "all values would be 0", "leave it out");
        }
        place
    }
}
