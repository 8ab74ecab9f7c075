use std::path::Path;

use super::{Imported, Weight, convert, parse};

fn import(text: &str) -> Imported {
    convert(&parse(Path::new("mosquitto.conf"), text))
}

/// The tables of the new file as values.
fn toml_of(text: &str) -> toml::Table {
    let imported = import(text);
    assert_eq!(imported.notes, [], "{}", imported.toml);
    imported.toml.parse().unwrap_or_else(|error| panic!("{error}:\n{}", imported.toml))
}

/// The lines that are told for a file, without the reasons.
fn told(text: &str) -> Vec<String> {
    let notes = import(text).notes;
    let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
    notes.iter().map(|note| first_line(note.to_string())).collect()
}

#[test]
fn nothing_becomes_an_empty_file() {
    assert!(toml_of("# only a comment\n\n   \t\n").is_empty());
}

#[test]
fn listeners_have_the_options_behind_them() {
    let found = toml_of(
        "port 1884\nmax_connections 5\n\
         listener 8883 0.0.0.0\ncertfile /c.pem\nkeyfile /k.pem\nrequire_certificate true\n\
         cafile /ca.pem\nuse_identity_as_username true\ntls_version tlsv1.3\n\
         listener 9001\nprotocol websockets\nsocket_domain ipv4\naccept_protocol_versions 4, 5\n\
         listener 0 /run/mqtt.sock\nmount_point site/\nmax_qos 1\n\
         listener 1885 ::1\nallow_zero_length_clientid false\n",
    );
    let expected: toml::Table = r#"
        [[listener]]
        address = "[::]:1884"
        max_connections = 5
        [[listener]]
        address = "0.0.0.0:8883"
        [listener.tls]
        certfile = "/c.pem"
        keyfile = "/k.pem"
        require_certificate = true
        cafile = "/ca.pem"
        use_identity_as_username = true
        tls_version = "1.3"
        [[listener]]
        address = "0.0.0.0:9001"
        protocol = "websocket"
        accept_protocol_versions = ["3.1.1", "5.0"]
        [[listener]]
        path = "/run/mqtt.sock"
        mount_point = "site/"
        max_qos = 1
        [[listener]]
        address = "[::1]:1885"
        allow_zero_length_clientid = false
    "#
    .parse()
    .unwrap();
    assert_eq!(found, expected);
}

#[test]
fn options_of_the_broker_hold_wherever_they_stand() {
    let found = toml_of(
        "listener 1883 localhost\nallow_anonymous true\npassword_file /etc/passwd file\n\
         acl_file /etc/acl\nmax_inflight_messages 0\nmax_packet_size 0\nmax_queued_messages 0\n\
         max_queued_bytes 4096\nmax_keepalive 600\npersistence false\nretain_available false\n\
         persistent_client_expiration 2w\nlog_type error\nlog_type debug\nlog_type notice\n\
         queue_qos0_messages false\nsys_interval 30\n\
         max_inflight_bytes 65536\nupgrade_outgoing_qos true\n",
    );
    let expected: toml::Table = r#"
        persistence = false
        sys_interval = 30
        [auth]
        allow_anonymous = true
        password_file = "/etc/passwd file"
        acl_file = "/etc/acl"
        [limits]
        max_inflight_messages = 65535
        max_packet_size = "256MB"
        max_queued_messages = 0
        max_queued_bytes = 4096
        max_keepalive = 600
        retain_available = false
        persistent_client_expiration = "14d"
        max_inflight_bytes = 65536
        queue_qos0_messages = false
        upgrade_outgoing_qos = true
        [log]
        level = "debug"
        [[listener]]
        address = "localhost:1883"
    "#
    .parse()
    .unwrap();
    assert_eq!(found, expected);
}

#[test]
fn each_listener_has_its_own_anonymous_clients_when_it_is_said_so() {
    let imported = import("per_listener_settings true\nlistener 1883\nallow_anonymous true\n");
    assert!(
        imported.toml.contains("[[listener]]\naddress = \"[::]:1883\"\nallow_anonymous = true")
    );
    assert!(!imported.toml.contains("[auth]"), "{}", imported.toml);
}

#[test]
fn bridges_become_upstreams() {
    let found = toml_of(
        "connection cloud.example\naddress far.example 10.0.0.1:1884\ntopic sensors/# out 1 a/ b/\n\
         topic \"\" in 0 here there\nremote_username box\nremote_password p\\\"w #1\nclientid gw\n\
         keepalive_interval 30\nrestart_timeout 5 60\ncleansession false\nstart_type automatic\n\
         round_robin true\n\
         connection second\naddress [::1]:1885\nbridge_protocol_version mqttv50\ntopic x/# both\n\
         restart_timeout 7\nbridge_cafile /ca.pem\nbridge_certfile /box.pem\n\
         bridge_keyfile /box.key\nbridge_insecure true\nbridge_tls_version tlsv1.3\n",
    );
    let expected: toml::Table = r#"
        [upstream.cloud_example]
        bridge_protocol_version = "mqttv311"
        address = ["far.example:1883", "10.0.0.1:1884"]
        username = "box"
        password = 'p\"w #1'
        remote_clientid = "gw"
        keepalive_interval = 30
        restart_timeout = "5s 60s"
        start_type = "automatic"
        round_robin = true
        topics = ["sensors/# out 1 a/ b/", "\"\" in 0 here there"]
        [upstream.second]
        bridge_protocol_version = "mqttv50"
        address = ["[::1]:1885"]
        restart_timeout = "7s 7s"
        topics = ["x/# both"]
        [upstream.second.tls]
        cafile = "/ca.pem"
        certfile = "/box.pem"
        keyfile = "/box.key"
        insecure = true
        tls_version = "1.3"
    "#
    .parse()
    .unwrap();
    assert_eq!(found, expected);
}

/// With what cannot be converted left out, it would have sent its password in clear.
#[test]
fn a_bridge_that_speaks_tls_never_becomes_one_that_does_not() {
    for option in ["bridge_capath /certs", "bridge_tls_version tlsv1.1", "bridge_psk 12"] {
        let imported = import(&format!("connection a\naddress far:8883\ntopic x out\n{option}\n"));
        assert_eq!(imported.notes.len(), 1, "{option}");
        let found: toml::Table = imported.toml.parse().unwrap();
        let tls = found["upstream"]["a"].get("tls").expect("it speaks TLS");
        assert_eq!(tls, &toml::Value::Table(toml::Table::new()), "{option}");
    }
}

#[test]
fn what_is_lost_and_what_is_not_needed_is_told_with_its_line() {
    let told = told(
        "autosave_interval 60\nplugin /x.so\nper_listener_settings true\nlistener 1883\n\
         http_dir /www\nno_such_option 1\nmax_keepalive many\ntopic a out\nconnection lonely\n\
         bridge_psk 1234\nremote_password secret\n",
    );
    assert_eq!(
        told,
        [
            "mosquitto.conf:1: not needed: autosave_interval 60",
            "mosquitto.conf:2: not converted: plugin /x.so",
            "mosquitto.conf:3: not converted: per_listener_settings true",
            "mosquitto.conf:5: not converted: http_dir /www",
            "mosquitto.conf:6: not converted: no_such_option 1",
            "mosquitto.conf:7: not converted: max_keepalive many",
            "mosquitto.conf:8: not converted: topic a out",
            "mosquitto.conf:10: not converted: bridge_psk 1234",
            "mosquitto.conf:9: not converted: connection lonely",
        ]
    );
}

#[test]
fn a_password_is_not_repeated_in_a_note() {
    let notes = import("connection a\nlocal_password hunter2\naddress b\n").notes;
    assert_eq!(notes[0].weight, Weight::Needless);
    assert!(!notes[0].to_string().contains("hunter2"), "{}", notes[0]);
}

/// Every option that the manual of mosquitto 2.0 names is known: none is answered with "no such
/// option".
#[test]
fn every_option_of_the_manual_is_known() {
    for option in include_str!("options.txt").split_whitespace() {
        let text = match option {
            "connection" => "connection a\naddress b\n".to_owned(),
            option => format!("connection a\naddress b\n{option} 1\n"),
        };
        for note in import(&text).notes {
            assert!(!note.to_string().contains("no such option"), "{note}");
        }
    }
}
