//! Buses, and what measures.

use weir_config::{Tree, Values, nearest};

use super::super::declared::{I2C, ONEWIRE, SENSOR, SPI, SYSTEM};
use super::super::notation::{bus_of, spi_of};
use super::super::settings::{
    BusName, Driver, Measure, OneWireConfig, SensorConfig, SensorPlace, SensorRules, SpiConfig,
    SpiName, SystemConfig,
};
use super::{Builder, header, milli};

impl Builder<'_> {
    pub(super) fn buses(&mut self, tree: &Tree) -> Vec<BusName> {
        let mut buses = Vec::new();
        for values in tree.list(&I2C) {
            let bus = bus_of(values, "bus");
            if buses.contains(&bus) && values.is_given("bus") {
                let message = format!("bus {bus} is there twice");
                self.conflict(values.place("bus"), &message, "again", "remove one `[[i2c]]`");
            } else {
                buses.push(bus);
            }
        }
        buses
    }

    pub(super) fn spi(&mut self, tree: &Tree) -> Vec<SpiConfig> {
        let mut places: Vec<SpiConfig> = Vec::new();
        for values in tree.list(&SPI) {
            let device = spi_of(values, "device");
            if places.iter().any(|place| place.device == device) && values.is_given("device") {
                let message = format!("SPI device {device} is there twice");
                self.conflict(values.place("device"), &message, "again", "remove one `[[spi]]`");
                continue;
            }
            places.push(SpiConfig {
                device,
                speed_hz: values.whole("speed_hz"),
                mode: values.whole("mode"),
                cs_active_high: values.flag("cs_active_high"),
            });
        }
        places
    }

    pub(super) fn sensors(
        &mut self,
        tree: &Tree,
        buses: &[BusName],
        spi: &[SpiConfig],
    ) -> Vec<SensorConfig> {
        let mut sensors: Vec<SensorConfig> = Vec::new();
        for values in tree.list(&SENSOR) {
            let driver = Driver::of(values.choice("driver")).expect("a declared choice");
            let name = self.device(values);
            let Some(place) = self.sensor_place(values, driver, buses, spi) else { continue };
            let sensor = self.sensor(values, name, driver, place);
            if let Some(other) = sensors.iter().find(|other| other.place == sensor.place)
                && values.is_given("driver")
            {
                self.refuse_taken_place(values, &sensor.place, &other.name);
            }
            sensors.push(sensor);
        }
        sensors
    }

    /// Where a sensor is; `None` if that cannot be said.
    fn sensor_place(
        &mut self,
        values: &Values,
        driver: Driver,
        buses: &[BusName],
        spi: &[SpiConfig],
    ) -> Option<SensorPlace> {
        match (values.optional("bus", bus_of), values.optional("spi", spi_of)) {
            (Some(bus), None) => Some(self.i2c_place(values, driver, bus, buses)),
            (None, Some(device)) => self.spi_place(values, driver, &device, spi),
            (None, None) if !values.is_missing("bus") || !values.is_missing("spi") => None,
            _ => {
                let message = "a sensor has either `bus` or `spi`";
                let help = match values.is_given("driver").then(|| driver.spi()).flatten() {
                    Some(_) if driver.addresses().is_empty() => "spi = \"/dev/spidev0.0\"",
                    Some(_) => "bus = 1 for I2C, or spi = \"/dev/spidev0.0\"",
                    None => "bus = 1",
                };
                let help = format!("for example {help}");
                self.conflict(header(values), message, "one of them", &help);
                None
            }
        }
    }

    fn i2c_place(
        &mut self,
        values: &Values,
        driver: Driver,
        bus: BusName,
        buses: &[BusName],
    ) -> SensorPlace {
        if !buses.contains(&bus) {
            let message = format!("bus {bus} is not declared");
            let help = format!("add\n      [[i2c]]\n      bus = {bus}");
            self.wrong(values.place("bus"), &message, "no such bus", &help);
        }
        let addresses = driver.addresses();
        let given: Option<u8> = values.optional("address", Values::whole);
        let is_known = values.is_given("driver");
        let Some(usual) = addresses.first() else {
            if is_known {
                let message = format!("`{}` is not for I2C", driver.name());
                let help = "write `spi` in the place of `bus`";
                self.wrong(values.place("bus"), &message, "only SPI", help);
            }
            return SensorPlace::I2c { bus, address: given.unwrap_or_default() };
        };
        let address = given.unwrap_or(*usual);
        if !addresses.contains(&address) && is_known {
            let message = format!("0x{address:02x} cannot be the address of `{}`", driver.name());
            let possible: Vec<_> = addresses.iter().map(|one| format!("0x{one:02x}")).collect();
            let help = format!("its pins can choose {}", possible.join(", "));
            self.wrong(values.place("address"), &message, "another chip", &help);
        }
        SensorPlace::I2c { bus, address }
    }

    fn spi_place(
        &mut self,
        values: &Values,
        driver: Driver,
        device: &SpiName,
        places: &[SpiConfig],
    ) -> Option<SensorPlace> {
        self.only_with(values, "address", "sensors on I2C");
        let Some(place) = places.iter().find(|place| place.device == *device) else {
            let message = format!("SPI device {device} is not declared");
            let help = format!("add\n      [[spi]]\n      device = {device}");
            self.wrong(values.place("spi"), &message, "no such device", &help);
            return None;
        };
        let name = driver.name();
        match driver.spi() {
            _ if !values.is_given("driver") => {}
            None => {
                let message = format!("`{name}` is not for SPI");
                let help = "write `bus` in the place of `spi`";
                self.wrong(values.place("spi"), &message, "only I2C", help);
            }
            Some((modes, speed_hz_max)) => {
                if !modes.contains(&place.mode) {
                    let message = format!("`{name}` does not speak in mode {}", place.mode);
                    let possible: Vec<_> = modes.iter().map(u8::to_string).collect();
                    let help = format!("write mode = {} in its `[[spi]]`", possible.join(" or "));
                    self.wrong(values.place("spi"), &message, "another mode", &help);
                }
                if place.speed_hz > speed_hz_max {
                    let message = format!("{} Hz are too fast for `{name}`", place.speed_hz);
                    let help = format!("speed_hz = {speed_hz_max} is the most in its `[[spi]]`");
                    self.wrong(values.place("spi"), &message, "too fast", &help);
                }
            }
        }
        Some(SensorPlace::Spi(place.clone()))
    }

    fn refuse_taken_place(&mut self, values: &Values, place: &SensorPlace, other: &str) {
        let (key, message) = match place {
            SensorPlace::I2c { bus, address } => {
                let key = if values.is_given("address") { "address" } else { "driver" };
                (key, format!("two sensors at 0x{address:02x} of bus {bus}"))
            }
            SensorPlace::Spi(place) => ("spi", format!("two sensors at {}", place.device)),
        };
        let help = format!("`{other}` is there already");
        self.conflict(values.place(key), &message, "taken", &help);
    }

    fn sensor(
        &mut self,
        values: &Values,
        name: String,
        driver: Driver,
        place: SensorPlace,
    ) -> SensorConfig {
        self.check_keys_of_drivers(values, driver);
        let rules = self.rules(values, driver.quantities());
        if rules.every < driver.every_min() && values.is_given("driver") {
            let least = driver.every_min().as_secs_f64();
            let message = format!("`{}` cannot be read so often", driver.name());
            let help = format!("`every_s = {least}` is the most often");
            self.wrong(values.place("every_s"), &message, "too often", &help);
        }
        SensorConfig {
            name,
            driver,
            place,
            rules,
            range_mv: values.choice("range_mv").parse().expect("a declared choice"),
            shunt_microohm: (values.number("shunt_milliohm") * 1_000.0).round() as u32,
            altitude_m: values.whole("altitude_m"),
        }
    }

    fn check_keys_of_drivers(&mut self, values: &Values, driver: Driver) {
        for (key, of) in [
            ("range_mv", Driver::Ads1115),
            ("shunt_milliohm", Driver::Ina219),
            ("altitude_m", Driver::Scd4x),
        ] {
            if driver != of {
                self.only_with(values, key, &format!("`{}`", of.name()));
            }
        }
    }

    pub(super) fn onewire(&mut self, tree: &Tree) -> Vec<OneWireConfig> {
        let mut thermometers: Vec<OneWireConfig> = Vec::new();
        for values in tree.list(&ONEWIRE) {
            let id = values.text("id");
            let is_id = id.strip_prefix("28-").is_some_and(|serial| {
                serial.len() == 12 && serial.bytes().all(|byte| byte.is_ascii_hexdigit())
            });
            if !is_id {
                let message = format!("`{id}` is not the id of a DS18B20");
                let help = "it is 28- and twelve hexadecimal digits; `weir-bridge scan` lists them";
                self.wrong(values.place("id"), &message, "not an id", help);
            }
            if thermometers.iter().any(|other| other.id == id) && values.is_given("id") {
                let message = format!("`{id}` is there twice");
                self.conflict(values.place("id"), &message, "again", "remove one of them");
            }
            let name = self.device(values);
            let rules = self.rules(values, &["temperature_c"]);
            thermometers.push(OneWireConfig { name, id, rules });
        }
        thermometers
    }

    pub(super) fn system(&mut self, tree: &Tree) -> Vec<SystemConfig> {
        let entries = tree.list(&SYSTEM).iter();
        entries
            .map(|values| {
                let mut measure: Vec<Measure> = Vec::new();
                let named = values.choices("measure").into_iter().filter_map(Measure::of);
                for one in named {
                    if !measure.contains(&one) {
                        measure.push(one);
                    }
                }
                let names: Vec<&str> = measure.iter().map(|measure| measure.name()).collect();
                SystemConfig {
                    name: self.device(values),
                    disk: values.path("disk"),
                    rules: self.rules(values, &names),
                    measure,
                }
            })
            .collect()
    }

    fn rules(&mut self, values: &Values, quantities: &[&str]) -> SensorRules {
        let bounds = values.bounds("bounds");
        let offset = values.numbers("offset");
        let named = bounds.iter().map(|(name, _, _)| ("bounds", name));
        for (key, name) in named.chain(offset.iter().map(|(name, _)| ("offset", name))) {
            if !quantities.contains(&name.as_str()) {
                let message = format!("`{name}` in `{key}` is not measured here");
                let help = match nearest(name, quantities.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it measures {}", quantities.join(", ")),
                };
                self.wrong(values.place(key), &message, "no such quantity", &help);
            }
        }
        SensorRules {
            every: values.duration("every_s"),
            bounds: bounds
                .into_iter()
                .map(|(name, min, max)| (name, milli(min), milli(max)))
                .collect(),
            offset: offset.into_iter().map(|(name, value)| (name, milli(value))).collect(),
        }
    }
}
