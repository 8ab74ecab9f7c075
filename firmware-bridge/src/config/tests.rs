use std::{env, fs};

use weir_tls::TlsVersion;

use super::*;
use crate::tls::TlsOptions;

fn problems(text: &str) -> Vec<String> {
    match parse("bridge.toml", text, Path::new("/etc/weir")) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// The one problem of a text.
#[track_caller]
fn problem(text: &str) -> String {
    let found = problems(text);
    assert_eq!(found.len(), 1, "{}", found.join("\n"));
    found.into_iter().next().unwrap()
}

fn config(text: &str) -> Config {
    let read = parse("bridge.toml", text, Path::new("/etc/weir"));
    read.unwrap_or_else(|problems| panic!("{}", problems[0]))
}

#[test]
fn empty_file_is_a_bridge_without_devices() {
    let config = config("");
    assert_eq!(config.bridge.id, "gateway");
    assert_eq!(config.bridge.broker, "127.0.0.1:1883");
    assert_eq!(config.bridge.queue_bytes_max, 64 << 20);
    assert!(config.sensors.is_empty() && config.buses.is_empty());
}

#[test]
fn example_is_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/bridge.toml");
    let config = load(&path).unwrap();
    assert_eq!(config.buses, [BusName::Device(1)]);
    let place = SensorPlace::I2c { bus: BusName::Device(1), address: 0x76 };
    assert_eq!(config.sensors[0].place, place);
    assert_eq!(config.sensors[0].rules.bounds, [("temperature_c".to_owned(), -10_000, 60_000)]);
    assert_eq!(config.sensors[0].rules.offset, [("temperature_c".to_owned(), -400)]);
    let write = &config.modbus[1].writes[0];
    assert_eq!((write.min, write.max, write.safe_state), (5.0, 30.0, Some(17.0)));
    assert_eq!(config.modbus[0].reads[0].every.as_secs(), 10);
    assert_eq!(config.modbus[0].reads[1].every.as_secs(), 60);
}

#[test]
fn every_problem_of_a_file_is_told_at_once_with_its_place() {
    let text = "[bridge]\nid = \"a/b\"\nlayuot = \"flat\"\n\n[[sensor]]\nname = \"hall\"\n\
                driver = \"bme208\"\nbus = 1\nevery_s = 0\n\n[[gpoi]]\nname = \"x\"\n";
    let found = problems(text);
    let first_lines: Vec<_> = found.iter().map(|text| text.lines().next().unwrap()).collect();
    assert_eq!(
        first_lines,
        [
            "error[D003]: `id` cannot be `a/b`",
            "error[D002]: unknown key `layuot` in [bridge]",
            "error[D003]: `driver` cannot be `bme208`",
            "error[D003]: bus 1 is not declared",
            "error[D004]: `every_s` cannot be 0",
            "error[D002]: unknown table `gpoi`",
        ]
    );
    assert!(found[1].contains("--> bridge.toml:3:1"), "{}", found[1]);
    assert!(found[1].contains("did you mean `layout`?"), "{}", found[1]);
    assert!(found[2].contains("did you mean `bme280`?"), "{}", found[2]);
    assert!(found[5].contains("did you mean `gpio`?"), "{}", found[5]);
}

#[test]
fn key_of_another_table_is_told_where_it_belongs() {
    let found = problem("[bridge]\nfrequency_hz = 5\n");
    assert!(found.contains("`frequency_hz` belongs in [[pwm]]"), "{found}");
    let found = problem("baud = 9600\n");
    assert!(found.contains("`baud` belongs in [[modbus]] or in [[link]]"), "{found}");
}

#[test]
fn chips_on_spi_are_where_and_how_they_can_be() {
    let spi = |keys: &str| format!("[[spi]]\ndevice = \"/dev/spidev0.0\"\n{keys}\n");
    let sensor = |name: &str, driver: &str, keys: &str| {
        format!("[[sensor]]\nname = \"{name}\"\ndriver = \"{driver}\"\n{keys}\n")
    };
    let at = "spi = \"/dev/spidev0.0\"";
    let read = config(&(spi("speed_hz = 500_000\nmode = 3") + &sensor("a", "bme280", at)));
    let SensorPlace::Spi(place) = &read.sensors[0].place else { panic!() };
    assert_eq!((place.speed_hz, place.mode, place.cs_active_high), (500_000, 3, false));
    assert_eq!(place.device.bus(), "/dev/spidev0");

    for (text, expected) in [
        (sensor("a", "bme280", at), "SPI device \"/dev/spidev0.0\" is not declared"),
        (spi("") + &sensor("a", "sht4x", at), "`sht4x` is not for SPI"),
        (spi("mode = 1") + &sensor("a", "bme280", at), "`bme280` does not speak in mode 1"),
        (
            spi("speed_hz = 8_000_000") + &sensor("a", "max31855", at),
            "8000000 Hz are too fast for `max31855`",
        ),
        (
            spi("") + &sensor("a", "bme280", &format!("{at}\naddress = 0x76")),
            "`address` has no meaning here",
        ),
        (spi("") + &sensor("a", "bme280", ""), "either `bus` or `spi`"),
        (
            format!("[[i2c]]\nbus = 1\n{}", sensor("a", "max31855", "bus = 1")),
            "`max31855` is not for I2C",
        ),
        (
            spi("") + &sensor("a", "bme280", at) + &sensor("b", "max31855", at),
            "two sensors at \"/dev/spidev0.0\"",
        ),
        (spi("") + &spi(""), "SPI device \"/dev/spidev0.0\" is there twice"),
        ("[[spi]]\ndevice = \"sim.16\"\n".to_owned(), "`device` cannot be `sim.16`"),
        ("[[spi]]\ndevice = \"spidev0.0\"\n".to_owned(), "`device` cannot be `spidev0.0`"),
        ("[[spi]]\ndevice = \"sim\"\nmode = 4\n".to_owned(), "`mode` cannot be 4"),
    ] {
        let found = problem(&text);
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn names_and_places_are_taken_once() {
    let sensor = |name: &str, address: &str| {
        format!("[[sensor]]\nname = \"{name}\"\ndriver = \"sht4x\"\nbus = \"sim\"\n{address}\n")
    };
    let bus = "[[i2c]]\nbus = \"sim\"\n";
    let found = problem(&(bus.to_owned() + &sensor("a", "") + &sensor("a", "address = 0x45")));
    assert!(found.contains("two devices are called `a`"), "{found}");
    let found = problem(&(bus.to_owned() + &sensor("a", "") + &sensor("b", "address = 0x44")));
    assert!(found.contains("two sensors at 0x44 of bus \"sim\""), "{found}");
    assert!(found.contains("`a` is there already"), "{found}");
    let found = problem(&(bus.to_owned() + bus));
    assert!(found.contains("is there twice"), "{found}");
    let found = problem(&(bus.to_owned() + &sensor("bridge", "")));
    assert!(found.contains("cannot be called `bridge`"), "{found}");
    let line = |name: &str| format!("[[gpio]]\nname = \"{name}\"\nline = 4\ndirection = \"in\"\n");
    let found = problem(&(line("a") + &line("b")));
    assert!(found.contains("line 4 is used twice"), "{found}");
}

#[test]
fn what_a_chip_cannot_do_is_refused() {
    let sensor = |driver: &str, keys: &str| {
        let bus = "[[i2c]]\nbus = 1\n[[sensor]]\nname = \"a\"\nbus = 1\n";
        format!("{bus}driver = \"{driver}\"\n{keys}\n")
    };
    let found = problem(&sensor("bme280", "address = 0x44"));
    assert!(found.contains("0x44 cannot be the address of `bme280`"), "{found}");
    assert!(found.contains("0x76, 0x77"), "{found}");
    let found = problem(&sensor("scd4x", "every_s = 2"));
    assert!(found.contains("`every_s = 5` is the most often"), "{found}");
    let found = problem(&sensor("sht4x", "range_mv = \"256\""));
    assert!(found.contains("only for `ads1115`"), "{found}");
    let found = problem(&sensor("sht4x", "bounds = { temprature_c = [0, 1] }"));
    assert!(found.contains("did you mean `temperature_c`?"), "{found}");
    let found = problem(&sensor("sht4x", "bounds = { temperature_c = [1, 0] }"));
    assert!(found.contains("two numbers: [least, greatest]"), "{found}");
}

#[test]
fn modbus_device_is_one_thing_in_one_place() {
    let read = "[[modbus.read]]\nname = \"x\"\nregister = 0\n";
    let found = problem(&format!("[[modbus]]\nname = \"m\"\n{read}"));
    assert!(found.contains("either `tcp` or `serial`"), "{found}");
    let found = problem(&format!("[[modbus]]\nname = \"m\"\ntcp = \"h:1\"\nbaud = 9600\n{read}"));
    assert!(found.contains("`baud` has no meaning here"), "{found}");
    let found = problem("[[modbus]]\nname = \"m\"\ntcp = \"h:1\"\n");
    assert!(found.contains("without registers"), "{found}");
    let line = |name: &str, baud: u32| {
        format!("[[modbus]]\nname = \"{name}\"\nserial = \"/dev/x\"\nbaud = {baud}\n{read}")
    };
    let found = problem(&(line("a", 9600) + &line("b", 19200)));
    assert!(found.contains("`a` has other settings for this line"), "{found}");
    let found = problem(
        "[[modbus]]\nname = \"m\"\ntcp = \"h:1\"\n[[modbus.write]]\nname = \"w\"\nregister = 0\n\
         table = \"input\"\n",
    );
    assert!(found.contains("read only"), "{found}");
    let found = problem(
        "[[modbus]]\nname = \"m\"\ntcp = \"h:1\"\n[[modbus.read]]\nname = \"w\"\n\
         register = 65535\ntype = \"f32\"\n",
    );
    assert!(found.contains("no room"), "{found}");
    let found = problem(
        "[[modbus]]\nname = \"m\"\ntcp = \"h:1\"\n[[modbus.write]]\nname = \"w\"\nregister = 0\n\
         max = 10\nsafe_state = 11\n",
    );
    assert!(found.contains("`safe_state` is not between"), "{found}");
}

#[test]
fn links_say_who_may_speak() {
    let config = config(
        "[[link]]\nkind = \"udp\"\nbind = \"0.0.0.0:1885\"\nsources = \"10.0.0.0/8\"\n\
         [[link]]\nkind = \"serial\"\npath = \"/dev/ttyS0\"\nframing = \"raw\"\n",
    );
    let LinkKind::Udp { sources, .. } = &config.links[0].kind else { panic!() };
    assert_eq!(*sources, Some(("10.0.0.0".parse().unwrap(), 8)));
    let LinkKind::Serial { framing, .. } = &config.links[1].kind else { panic!() };
    assert_eq!(*framing, Framing::Raw);
    assert!(problem("[[link]]\nkind = \"serial\"\n").contains("needs `path`"));
    let found = problem("[[link]]\nkind = \"udp\"\nsources = \"10.0.0.0/33\"\n");
    assert!(found.contains("not a range of addresses"), "{found}");
}

#[test]
fn predefined_topic_may_carry_an_age_and_no_other_topic_of_the_broker() {
    let one = |topic: &str| format!("[[predefined]]\nid = 1\ntopic = \"{topic}\"\n");
    assert_eq!(config(&one("$age/site/boiler")).predefined[0].topic, "$age/site/boiler");
    assert_eq!(config(&one("site/boiler")).predefined[0].client, None);
    for topic in ["$SYS/broker", "$age/$SYS/x", "$age/", "a//b", "a/#"] {
        assert!(problem(&one(topic)).contains("cannot be"), "{topic}");
    }
    assert!(problem("[bridge]\nroot = \"$age/x\"\n").contains("cannot be"));
}

#[test]
fn tls_is_there_if_its_table_is() {
    assert_eq!(config("").tls, None);
    assert_eq!(config("[tls]\n").tls, Some(TlsOptions::default()));
    let read = config(
        "[tls]\ncafile = \"ca.pem\"\ncertfile = \"a.pem\"\nkeyfile = \"a.key\"\n\
         server_name = \"broker.example\"\ntls_version = \"1.3\"\n",
    );
    let tls = read.tls.unwrap();
    assert_eq!(tls.server_name.as_deref(), Some("broker.example"));
    let tls = tls.client;
    assert_eq!(tls.cafile.as_deref(), Some(Path::new("/etc/weir/ca.pem")));
    assert!(tls.certificate.is_some() && !tls.insecure);
    assert_eq!(tls.tls_version, TlsVersion::V13);
    assert!(problem("[tls]\ncertfile = \"a.pem\"\n").contains("a certificate without its key"));
    assert!(problem("[tls]\nkeyfile = \"a.key\"\n").contains("a key without its certificate"));
    assert!(problem("[tls]\nca_file = \"x\"\n").contains("did you mean `cafile`?"));
}

#[test]
fn text_that_is_not_toml_has_one_message() {
    let found = problem("[bridge\nid = 1\n[[sensor]]\n");
    assert!(found.starts_with("error[D001]"), "{found}");
}

#[test]
fn relative_paths_start_at_the_file() {
    let config = config("[bridge]\nusername = \"x\"\npassword_file = \"secret\"\n");
    assert_eq!(config.bridge.password_file.unwrap(), Path::new("/etc/weir/secret"));
}

#[test]
fn reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/devices-configuration.md");
    if env::var_os("WEIR_WRITE_REFERENCE").is_some() {
        fs::write(&path, reference_page()).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == reference_page(),
        "docs/devices-configuration.md is old: run this test with WEIR_WRITE_REFERENCE=1"
    );
}

#[test]
fn every_declared_default_and_example_can_be_read() {
    let faults = DECLARED.faults();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
