//! What each look makes of what it finds, and the files that it looks at for real.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::finding::{Finding, Verdict};
use super::{certificates, clock, disk, limits, network, permissions, ports, running};
use crate::config::{Config, HostPort, Overrides, UpstreamConfig, load};
use crate::status::{Status, UpstreamStatus};
use crate::stream::ServerChain;

const NOW_MS: u64 = 1_800_000_000_000;
const DAY_MS: u64 = 86_400_000;

#[track_caller]
fn is(found: &Finding, verdict: Verdict, part: &str) {
    assert_eq!(found.verdict, verdict, "{found:?}");
    assert!(found.what.contains(part), "{part} in {found:?}");
    assert_eq!(found.help.is_some(), verdict != Verdict::Ok, "{found:?}");
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weir-doctor-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn permissions_of(folder: &Folder, password_mode: u32, config_mode: u32) -> Vec<Finding> {
    let data = folder.0.join("data");
    fs::create_dir_all(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o750)).unwrap();
    folder.file("users", "", password_mode);
    let text = "data_dir = \"data\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
                [auth]\npassword_file = \"users\"\n\
                [upstream.far]\naddress = [\"127.0.0.1:1\"]\nusername = \"a\"\npassword = \"b\"\n";
    let file = folder.file("weir.toml", text, config_mode);
    let config = load(Some(&file), &Overrides::default()).unwrap().config;
    permissions::look(Some(&file), &config)
}

#[test]
fn secrets_that_others_can_read_are_problems_and_those_that_they_cannot_are_not() {
    let folder = Folder::new("secrets");
    let found = permissions_of(&folder, 0o600, 0o640);
    assert_eq!(found.len(), 1, "{found:?}");
    is(&found[0], Verdict::Ok, "nobody else");
    let found = permissions_of(&folder, 0o644, 0o640);
    is(&found[0], Verdict::Problem, "can read a secret");
    assert!(
        found[0].place.as_ref().unwrap().ends_with("users (mode 0644) by `auth.password_file`")
    );
    // A password stands in the configuration itself.
    is(&permissions_of(&folder, 0o600, 0o644)[0], Verdict::Problem, "can read a secret");
    is(&permissions_of(&folder, 0o600, 0o642)[0], Verdict::Problem, "can change what weir does");
    is(&permissions_of(&folder, 0o660, 0o640)[0], Verdict::Warning, "can change a secret");
}

#[test]
fn data_directory_for_everybody_is_told() {
    let folder = Folder::new("data");
    let data = folder.0.join("data");
    let config = Config { data_dir: data.clone(), ..Config::default() };
    is(&permissions::look(None, &config)[0], Verdict::Ok, "nobody else");
    fs::create_dir(&data).unwrap();
    for (mode, verdict, part) in [
        (0o757, Verdict::Problem, "can change the store"),
        (0o755, Verdict::Warning, "can list"),
        (0o750, Verdict::Ok, "nobody else"),
    ] {
        fs::set_permissions(&data, fs::Permissions::from_mode(mode)).unwrap();
        is(&permissions::look(None, &config)[0], verdict, part);
    }
    fs::write(data.join("admin.key"), "x").unwrap();
    fs::set_permissions(data.join("admin.key"), fs::Permissions::from_mode(0o644)).unwrap();
    is(&permissions::look(None, &config)[0], Verdict::Problem, "can read a secret");
    let config = Config { data_dir: data.join("admin.key"), ..config };
    is(&permissions::look(None, &config)[0], Verdict::Problem, "is a file");
}

#[test]
fn clock_that_cannot_be_right_is_told() {
    let facts = |now_ms, stored_ms| clock::Facts { now_ms, stored_ms, is_synchronised: Some(true) };
    is(&clock::judge(facts(1_000, None)), Verdict::Problem, "never set");
    let ahead = Some(NOW_MS + 2 * 3_600_000);
    is(&clock::judge(facts(NOW_MS, ahead)), Verdict::Problem, "2 h from now");
    let long_ago = Some(NOW_MS - 500 * DAY_MS);
    is(&clock::judge(facts(NOW_MS, long_ago)), Verdict::Warning, "500 days ago");
    is(&clock::judge(facts(NOW_MS, Some(NOW_MS - DAY_MS))), Verdict::Ok, "synchronised");
    let adrift = clock::Facts { is_synchronised: Some(false), ..facts(NOW_MS, None) };
    is(&clock::judge(adrift), Verdict::Warning, "not synchronised");
    let unknown = clock::Facts { is_synchronised: None, ..facts(NOW_MS, None) };
    is(&clock::judge(unknown), Verdict::Ok, "not known");
}

#[test]
fn file_of_a_clock_that_is_not_set_is_told() {
    let clock_file = Some(PathBuf::from("/nowhere/clock"));
    let config = Config { clock_file, persistence: false, ..Config::default() };
    let found = clock::look(&config, NOW_MS);
    is(&found[1], Verdict::Warning, "`clock_file`");
}

#[test]
fn file_systems_that_forget_are_told() {
    is(&disk::kind(0x0102_1994), Verdict::Problem, "tmpfs");
    is(&disk::kind(0x4d44), Verdict::Problem, "FAT");
    is(&disk::kind(0x794c_7630), Verdict::Warning, "container");
    is(&disk::kind(0x6969), Verdict::Warning, "remote");
    // Some systems have the number with a sign.
    is(&disk::kind(0xffff_ffff_ff53_4d42), Verdict::Warning, "remote");
    is(&disk::kind(0xef53), Verdict::Ok, "ext4");
    is(&disk::kind(0x1234), Verdict::Ok, "0x1234");
}

#[test]
fn room_is_held_against_what_the_store_may_become() {
    const MB: u64 = 1 << 20;
    is(&disk::room(10 * MB, 0, Some(MB), Some(20 * MB)), Verdict::Problem, "min_free_disk");
    is(&disk::room(90 * MB, 10 * MB, Some(256 * MB), None), Verdict::Warning, "grow by 246.0 MB");
    is(&disk::room(90 * MB, 200 * MB, Some(256 * MB), None), Verdict::Ok, "enough");
    is(&disk::room(90 * MB, 0, None, None), Verdict::Warning, "take them all");
}

#[test]
fn slow_disk_is_told_with_what_it_means() {
    let times = |ms: &[u64]| ms.iter().map(|ms| Duration::from_millis(*ms)).collect();
    let found = disk::pace(times(&[4, 40, 5, 5, 6]));
    is(&found, Verdict::Ok, "5.0 ms, the longest of 5 took 40.0 ms");
    assert!(found.what.contains("gets 200 a second"), "{found:?}");
    is(&disk::pace(times(&[150; 3])), Verdict::Warning, "gets 7 a second");
    is(&disk::pace(times(&[2_000])), Verdict::Problem, "gets 1 a second");
    is(&disk::pace(Vec::new()), Verdict::Warning, "not timed");
}

#[test]
fn disk_is_timed_and_nothing_is_left_there() {
    let folder = Folder::new("timed");
    let config = Config { data_dir: folder.0.clone(), ..Config::default() };
    let found = disk::look(&config, None);
    assert!(found.iter().any(|one| one.what.contains("a flush takes")), "{found:?}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn wear_of_a_card_is_estimated_from_what_was_written() {
    const GB: u64 = 1 << 30;
    // 8 GB, 1,000 times, four times as much as was asked for: 2,000 GB. 1 GB a day: 5.5 years.
    is(&disk::wear(GB, 86_400, 8 * GB), Verdict::Ok, "1.0 GB a day");
    is(&disk::wear(GB, 86_400, 8 * GB), Verdict::Ok, "last some 5 years");
    is(&disk::wear(5 * GB, 86_400, 8 * GB), Verdict::Warning, "last some 1 years");
    is(&disk::wear(0, 86_400, 8 * GB), Verdict::Ok, "more than 100 years");
    is(&disk::wear(5 * GB, 60, 8 * GB), Verdict::Ok, "not run for long enough");
}

#[test]
fn limits_are_held_against_those_of_the_system() {
    const MB: u64 = 1 << 20;
    let wanted = limits::Wanted { connections: Some(1000), memory: Some(128 * MB), queues: MB };
    let given =
        |files, memory| limits::Given { files: Some(files), memory: Some(memory), group: None };
    is(&limits::files(given(1024, MB), wanted), Verdict::Problem, "too few for 1000");
    is(&limits::files(given(1064, MB), wanted), Verdict::Ok, "1064 files");
    let any = limits::Wanted { connections: None, ..wanted };
    is(&limits::files(given(256, MB), any), Verdict::Warning, "only 256");
    is(&limits::files(limits::Given::default(), any), Verdict::Ok, "any number");

    is(&limits::memory(given(0, 512 * MB), wanted), Verdict::Ok, "the machine has 512.0 MB");
    is(&limits::memory(given(0, 100 * MB), wanted), Verdict::Problem, "killed before it");
    is(&limits::memory(given(0, 140 * MB), wanted), Verdict::Warning, "little is left");
    let small = limits::Wanted { memory: Some(48 * MB), ..wanted };
    is(&limits::memory(given(0, 72 * MB), small), Verdict::Warning, "little is left");
    let smaller = limits::Wanted { memory: Some(40 * MB), ..wanted };
    is(&limits::memory(given(0, 72 * MB), smaller), Verdict::Ok, "the machine has 72.0 MB");
    let grouped = limits::Given { group: Some(64 * MB), ..given(0, 512 * MB) };
    is(&limits::memory(grouped, wanted), Verdict::Problem, "the control group has 64.0 MB");
    // As the unit of the package has it.
    let packaged = limits::Given { group: Some(160 * MB), ..given(0, 512 * MB) };
    is(&limits::memory(packaged, wanted), Verdict::Ok, "the control group has 160.0 MB");
    let unlimited = limits::Wanted { memory: None, ..wanted };
    is(&limits::memory(given(0, 512 * MB), unlimited), Verdict::Warning, "no memory_limit");
    let queues = limits::Wanted { queues: 200 * MB, ..wanted };
    is(&limits::memory(given(0, 512 * MB), queues), Verdict::Warning, "queued_memory");
}

#[test]
fn limits_of_the_system_are_read_as_the_kernel_writes_them() {
    let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                Max open files            1024                 1048576              files     \n";
    assert_eq!(limits::open_files(text), Some(1024));
    assert_eq!(limits::open_files("Max open files            unlimited  unlimited  files\n"), None);
    assert_eq!(limits::total("MemTotal:         948304 kB\nMemFree: 1 kB\n"), Some(948_304 * 1024));
    let root = Folder::new("cgroup");
    let service = root.0.join("system.slice/weir.service");
    fs::create_dir_all(&service).unwrap();
    fs::write(service.join("memory.max"), "max\n").unwrap();
    fs::write(root.0.join("system.slice/memory.max"), "1000\n").unwrap();
    assert_eq!(limits::group("0::/system.slice/weir.service\n", &root.0), Some(1000));
    assert_eq!(limits::group("1:memory:/x\n", &root.0), None);
}

#[test]
fn who_listens_is_told() {
    let holder = |port, by| ports::Holder { address: HostPort::new("127.0.0.1", port), by };
    let by = |name: &str| ports::Taken::By { process: 7, name: name.to_owned() };
    is(&ports::judge(&holder(1883, by("weir")), true, false), Verdict::Ok, "weir listens");
    let other = ports::judge(&holder(1883, by("mosquitto")), false, false);
    is(&other, Verdict::Problem, "mosquitto (process 7) listens on 127.0.0.1:1883");
    let somebody = holder(1883, ports::Taken::BySomebody);
    is(&ports::judge(&somebody, false, false), Verdict::Warning, "another user");
    is(&ports::judge(&somebody, true, false), Verdict::Ok, "a broker is running");
    is(
        &ports::judge(&holder(883, ports::Taken::Free), false, false),
        Verdict::Warning,
        "privilege",
    );
    is(&ports::judge(&holder(883, ports::Taken::Free), false, true), Verdict::Ok, "is free");
}

#[test]
fn process_that_listens_is_found_in_proc() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::default();
    let address = HostPort::new("127.0.0.1", listener.local_addr().unwrap().port());
    config.listeners[0].address = address.into();
    let found = ports::holders(&config);
    let ports::Taken::By { process, .. } = found[0].by else { panic!("{found:?}") };
    assert_eq!(process, std::process::id());
    drop(listener);
    assert_eq!(ports::holders(&config)[0].by, ports::Taken::Free);
}

#[test]
fn certificates_are_judged_by_time_names_and_order() {
    let now = NOW_MS / 1000;
    let good = ServerChain {
        not_after_s: now + 90 * 86_400,
        not_after: "2027-04-15".to_owned(),
        names: vec!["gate.local".to_owned()],
        ..ServerChain::default()
    };
    let address = HostPort::new("0.0.0.0", 8883);
    let judge = |chain: &ServerChain| certificates::judge(chain, Some(&address), now);
    is(&judge(&good)[0], Verdict::Ok, "gate.local and holds until 2027-04-15");
    let soon = ServerChain { not_after_s: now + 10 * 86_400, ..good.clone() };
    is(&judge(&soon)[0], Verdict::Warning, "in 10 days");
    let expired = ServerChain { not_after_s: now - 1, ..good.clone() };
    is(&judge(&expired)[0], Verdict::Problem, "has expired");
    let nameless = ServerChain { names: Vec::new(), ..good.clone() };
    is(&judge(&nameless)[0], Verdict::Warning, "names no host");
    let mixed = ServerChain { out_of_order: 1, ..good.clone() };
    is(&judge(&mixed)[0], Verdict::Problem, "has not signed");
    let own = ServerChain { is_self_signed: true, ..good.clone() };
    is(&judge(&own)[0], Verdict::Warning, "signed itself");
    let elsewhere = HostPort::new("10.0.0.1", 8883);
    let found = certificates::judge(&good, Some(&elsewhere), now);
    is(&found[0], Verdict::Warning, "not for 10.0.0.1");
}

#[test]
fn chain_is_read_from_the_file_of_a_listener() {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    let folder = Folder::new("chain");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["gate.local".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "gate");
    let server = params.signed_by(&key, &authority).unwrap();
    let (server, authority) = (server.pem(), authority.pem());
    let chain = |text: String| crate::stream::server_chain(&folder.file("c.pem", &text, 0o600));
    let right = chain(format!("{server}{authority}")).unwrap();
    assert_eq!((right.names.join(" ").as_str(), right.out_of_order), ("gate.local", 0));
    assert!(!right.is_self_signed);
    let wrong = chain(format!("{authority}{server}")).unwrap();
    assert_eq!((wrong.is_self_signed, wrong.out_of_order), (true, 1));
    assert!(chain("no certificate".to_owned()).is_none());
}

#[test]
fn upstreams_are_tried_when_that_is_wanted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = HostPort::new("127.0.0.1", listener.local_addr().unwrap().port());
    let mut config = Config::default();
    assert!(network::look(&config, true).is_empty());
    config.upstreams.push(UpstreamConfig::new("far", there.clone()));
    is(&network::look(&config, false)[0], Verdict::Ok, "--network");
    is(&network::look(&config, true)[0], Verdict::Ok, "is reached");
    drop(listener);
    is(&network::look(&config, true)[0], Verdict::Problem, "is not reached");
    let nowhere = HostPort::new("no-such-host.invalid", 1);
    is(&network::reach("far", &nowhere), Verdict::Problem, "has no address");
}

#[test]
fn running_broker_is_asked_how_it_is() {
    let mut status = Status { version: "9.9.9".to_owned(), ready: true, ..Status::default() };
    is(&running::judge(&status, "9.9.9")[0], Verdict::Ok, "all is well");
    is(&running::judge(&status, "9.9.8")[0], Verdict::Warning, "weir 9.9.9, and this is 9.9.8");
    status.ready = false;
    status.store.status = "full".to_owned();
    status.store.problem = Some("no room".to_owned());
    let error = Some("refused".to_owned());
    status.upstreams.push(UpstreamStatus {
        name: "far".into(),
        last_error: error,
        ..Default::default()
    });
    let found = running::judge(&status, "9.9.9");
    is(&found[0], Verdict::Problem, "not ready");
    is(&found[1], Verdict::Problem, "the store is full: no room");
    is(&found[2], Verdict::Warning, "upstream far: refused");
    let config = Config::default();
    is(&running::look(&config, None)[0], Verdict::Ok, "broker");
}

#[test]
fn wrong_files_are_findings_with_their_place() {
    let folder = Folder::new("wrong");
    let rule = "[[rule]]\nname = \"x\"\nfrom = \"a/#\"\nselect = \"nonsense(\"\nto = \"b\"\n";
    folder.file("rule.toml", rule, 0o644);
    let text = "rules = [\"rule.toml\"]\nretian = true\n";
    let file = folder.file("weir.toml", text, 0o644);
    let Err(crate::config::ConfigError::Invalid { problems }) =
        load(Some(Path::new(&file)), &Overrides::default())
    else {
        panic!("it is wrong")
    };
    let found: Vec<Finding> = problems.iter().map(Finding::of_file).collect();
    assert!(found.iter().any(|one| one.check == "config" && one.verdict == Verdict::Problem));
    assert!(
        found.iter().any(|one| one.check == "rules" && one.verdict == Verdict::Problem),
        "{found:?}"
    );
    assert!(found.iter().all(|one| one.place.is_some() && one.help.is_some()), "{found:?}");
    let open = "[[listener]]\naddress = \"0.0.0.0:0\"\n[auth]\nallow_anonymous = true\n\
                [admin]\naddress = \"0.0.0.0:8080\"\n";
    let file = folder.file("open.toml", open, 0o644);
    let loaded = load(Some(&file), &Overrides::default()).unwrap();
    let found: Vec<Finding> = loaded.warnings.iter().map(Finding::of_file).collect();
    assert_eq!(found.iter().filter(|one| one.check == "exposure").count(), 2, "{found:?}");
}
