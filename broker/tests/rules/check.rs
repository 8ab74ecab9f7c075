//! `weir rules check --live`: fields that no message has.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use crate::support::{Device, Folder};

const RULES: &str = "\
[rule.mean]
from   = \"site/{room}/climate\"
where  = \"humidity > 0\"
select = { temp = \"temprature\" }
to     = \"out\"

[rule.other]
from   = \"quiet/+\"
select = { x = \"x\" }
to     = \"other\"
";

#[test]
fn fields_are_held_against_live_messages() {
    let folder = Folder::new("check-live");
    let broker = folder.start("");
    let file = folder.0.join("rules.toml");
    std::fs::write(&file, RULES).unwrap();
    let address = broker.addresses()[0];
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(["rules", "check", "--live", "1s"]).arg(&file);
    command.args(["-h", "127.0.0.1", "-p", &address.port().to_string()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    assert_eq!(line, "looks at site/+/climate, quiet/+ for 1 s\n");
    let mut device = Device::connect(&broker, "device");
    device.publish("site/a/climate", "{\"temperature\":20,\"humidity\":40}");
    let (mut out, mut told) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    errors.read_to_string(&mut told).unwrap();
    assert!(child.wait().unwrap().success());
    let expected = format!(
        "nothing came on quiet/+: fields of its messages are not checked\n\
         warning[R012]: unknown field `temprature`\n  --> {}:4:20\n\
         4 | select = {{ temp = \"temprature\" }}\n  |                    ^^^^^^^^^^ \
         not in the 1 message seen on site/+/climate\n  \
         = help: did you mean `temperature`? fields seen: humidity, temperature\n",
        file.display()
    );
    assert_eq!((out.as_str(), told), ("ok (2 rules in 1 file)\n", expected));
    broker.shutdown();
}
