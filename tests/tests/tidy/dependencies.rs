//! Dependencies point one way, between crates and inside of them.

use crate::{assert_none, files, read};

/// Each crate and those of ours that it may use.
const CRATES: [(&str, &[&str]); 9] = [
    (
        "broker",
        &[
            "weir-config",
            "weir-core",
            "weir-firmware-bridge",
            "weir-mqtt",
            "weir-node",
            "weir-rules",
            "weir-tls",
        ],
    ),
    ("broker/config", &[]),
    ("broker/core", &["weir-mqtt"]),
    ("broker/mqtt", &[]),
    ("broker/tls", &[]),
    ("firmware-bridge", &["weir-config", "weir-node", "weir-tls"]),
    ("firmware-bridge/core", &[]),
    // Of configurations only how a file is said to be wrong.
    ("rules", &["weir-config", "weir-mqtt"]),
    (
        "tests",
        &[
            "weir-broker",
            "weir-core",
            "weir-firmware-bridge",
            "weir-mqtt",
            "weir-node",
            "weir-rules",
        ],
    ),
];

/// Built by themselves: with another compiler, or for a microcontroller.
const NOT_OF_WORKSPACE: [&str; 3] = [
    "firmware-bridge/demo-node/Cargo.toml",
    "tests/cross/node-size/Cargo.toml",
    "tests/fuzz/Cargo.toml",
];

/// What only some places may name.
const CONFINED: [(&str, &[&str]); 10] = [
    (
        "async_nats",
        &[
            "broker/src/fleet/jetstream.rs",
            "broker/src/upstream/nats.rs",
            "broker/src/upstream/nats/",
        ],
    ),
    ("async_rs", &["broker/src/upstream/amqp/", "broker/src/upstream/amqp.rs"]),
    ("crc32c", &["broker/src/upstream/kafka/"]),
    (
        "flate2",
        &[
            "broker/build.rs",
            "broker/src/admin/packed.rs",
            "broker/src/upstream/http/",
            "broker/src/upstream/kafka/",
        ],
    ),
    ("lapin", &["broker/src/upstream/amqp/", "broker/src/upstream/amqp.rs"]),
    ("lz4_flex", &["broker/src/upstream/kafka/"]),
    ("nkeys", &["broker/src/upstream/nats/"]),
    ("redb", &["broker/src/store/", "firmware-bridge/src/agent/queue.rs", "tests/"]),
    (
        "rumqttc",
        &[
            "broker/src/cli/",
            "broker/src/upstream/mqtt/",
            "broker/src/upstream/mqtt.rs",
            "firmware-bridge/benches/",
            "firmware-bridge/src/",
            "tests/",
        ],
    ),
    ("snap", &["broker/src/upstream/kafka/"]),
];

/// Modules that need each other and are one module in several files.
const ONE_MODULE: [(&str, &[&str]); 2] = [
    // What starts there answers with the same error.
    ("broker", &["broker", "control"]),
    // The `impl Core` blocks, as its `lib.rs` says.
    (
        "broker/core",
        &[
            "acknowledge",
            "authenticate",
            "bounds",
            "connect",
            "core",
            "dead_letter",
            "delayed",
            "deliver",
            "disconnect",
            "drops",
            "expel",
            "expiry",
            "fleet",
            "handover",
            "history",
            "inspect",
            "invariants",
            "level",
            "memory",
            "paging",
            "publish",
            "queue",
            "readers",
            "receive",
            "recover",
            "reply",
            "request",
            "room",
            "router",
            "shards",
            "subscribe",
            "sys",
            "throttle",
            "turn",
        ],
    ),
];

#[test]
fn crates_use_only_those_below() {
    let mut problems = Vec::new();
    for (crate_, allowed) in CRATES {
        for used in dependencies(&read(&format!("{crate_}/Cargo.toml"))) {
            if used.starts_with("weir-") && !allowed.contains(&used.as_str()) {
                problems.push(format!("{crate_} depends on {used}"));
            }
        }
    }
    assert_none(&problems);
    let manifests = files(&["/Cargo.toml"]);
    let of_workspace = manifests.iter().filter(|name| !NOT_OF_WORKSPACE.contains(&name.as_str()));
    assert_eq!(of_workspace.count(), CRATES.len(), "a crate that this test does not know");
}

/// The names below `[dependencies]`, without those for tests only.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut is_inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_inside = line == "[dependencies]" || line.ends_with(".dependencies]");
        } else if is_inside && let Some(end) = line.find(['.', ' ', '=']) {
            names.push(line[..end].to_owned());
        }
    }
    names
}

#[test]
fn confined_crates_are_named_only_where_they_may_be() {
    let mut problems = Vec::new();
    for name in files(&[".rs"]) {
        for (confined, places) in CONFINED {
            if places.iter().any(|place| name.starts_with(place)) || name.contains("/tests/") {
                continue;
            }
            let uses = format!("{confined}::");
            for (number, line) in read(&name).lines().enumerate() {
                if line.contains(&uses) {
                    problems.push(format!("{name}:{}: {confined}", number + 1));
                }
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn modules_use_only_those_listed_below_them() {
    let mut problems = Vec::new();
    for (crate_, _) in CRATES.iter().filter(|(crate_, _)| *crate_ != "tests") {
        let listed = modules(&read(&format!("{crate_}/src/lib.rs")));
        let one_module = ONE_MODULE.iter().find(|(name, _)| name == crate_);
        let one_module = one_module.map_or(&[][..], |(_, names)| names);
        for name in files(&[".rs"]) {
            let Some(inside) = name.strip_prefix(&format!("{crate_}/src/")) else { continue };
            let module = inside.split('/').next().unwrap().trim_end_matches(".rs");
            let Some(place) = listed.iter().position(|listed| listed == module) else { continue };
            // Tests may look from everywhere.
            if inside.ends_with("/tests.rs") || inside.contains("/tests/") {
                continue;
            }
            let text = read(&name);
            let code = text.split("#[cfg(test)]").next().unwrap();
            for used in used_modules(code) {
                let above = listed.iter().position(|listed| *listed == used);
                let is_one = one_module.contains(&module) && one_module.contains(&used.as_str());
                if above.is_some_and(|above| above < place) && !is_one {
                    problems.push(format!("{name}: {module} uses {used}, which is above it"));
                }
            }
        }
    }
    problems.dedup();
    assert_none(&problems);
}

/// The modules of a `lib.rs` in their order.
fn modules(text: &str) -> Vec<String> {
    let words = text.lines().filter_map(|line| {
        let line = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    words.map(str::to_owned).collect()
}

/// What follows `crate::` in code, also inside of braces.
fn used_modules(code: &str) -> Vec<String> {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = lines.collect::<Vec<_>>().join("\n");
    let mut used = Vec::new();
    for (place, _) in code.match_indices("crate::") {
        let is_own = code[..place].chars().next_back().is_none_or(|c| !c.is_alphanumeric());
        let rest = &code[place + "crate::".len()..];
        if !is_own {
            continue;
        }
        match rest.strip_prefix('{') {
            None => used.extend(word(rest)),
            Some(list) => {
                let mut depth = 0;
                let mut at_start = true;
                for (place, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => at_start = true,
                        _ if at_start && !c.is_whitespace() => {
                            used.extend(word(&list[place..]));
                            at_start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    used
}

fn word(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}
