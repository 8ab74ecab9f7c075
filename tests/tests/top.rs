//! `weir top` in a real terminal, which tmux draws: keys, a broker that goes and comes back, the end.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign;
use weir_tests::harness::ports::free_port;
use weir_tests::harness::wait::until;
use weir_tests::harness::weir::{Weir, binary};

const TEST: &str = "top_in_a_terminal";

/// A terminal of its own.
struct Terminal {
    tmux: PathBuf,
    socket: PathBuf,
}

impl Terminal {
    fn start(tmux: PathBuf, folder: &Folder, size: [&str; 2], command: &str) -> Self {
        let terminal = Self { tmux, socket: folder.path().join("tmux") };
        let [columns, lines] = size;
        let started = terminal.tmux(&["new-session", "-d", "-x", columns, "-y", lines, command]);
        assert!(started.status.success(), "{started:?}");
        terminal
    }

    fn tmux(&self, words: &[&str]) -> Output {
        let mut command = Command::new(&self.tmux);
        command.arg("-S").arg(&self.socket).args(["-f", "/dev/null"]).args(words);
        command.env("LC_ALL", "C.UTF-8").output().unwrap()
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).into_owned()
    }

    fn press(&self, keys: &[&str]) {
        let sent = self.tmux(&[&["send-keys"], keys].concat());
        assert!(sent.status.success(), "{sent:?}");
    }

    #[track_caller]
    fn shows(&self, part: &str) -> String {
        until(part, || Some(self.screen()).filter(|screen| screen.contains(part)))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn config(folder: &Folder, admin: u16) -> PathBuf {
    let rule = "[rule.room-average]\nfrom = \"room/{room}\"\ndecode = \"number\"\nby = [\"room\"]\n\
                window = \"tumbling 10s\"\nselect = { mean = \"avg(value)\" }\nto = \"agg/{room}\"\n";
    folder.write("rule.toml", rule);
    let text = format!(
        "data_dir = \"data\"\nrules = [\"rule.toml\"]\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [admin]\naddress = \"127.0.0.1:{admin}\"\n"
    );
    folder.write("weir.toml", text)
}

/// The command for a shell in the terminal; what comes of it is written into files.
fn top(folder: &Folder, admin: u16, more: &str) -> String {
    let (weir, here) = (binary().display(), folder.path().display());
    format!(
        "sh -c 'echo $$ > {here}/process; exec {weir} top --admin 127.0.0.1:{admin} \
         --data-dir {here}/data {more}'; echo ended $? > {here}/end; stty -a > {here}/end.stty; cat"
    )
}

fn ended(folder: &Folder) -> String {
    let end = folder.path().join("end");
    let read = |path: &Path| std::fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'));
    let code = until("the end of weir top", || read(&end));
    let modes = until("the modes of the terminal", || read(&end.with_extension("stty")));
    assert!(modes.contains(" icanon") && modes.contains(" echo "), "{modes}");
    code.trim().to_owned()
}

#[test]
fn top_in_a_terminal_follows_keys_and_the_broker() {
    let Some(tmux) = foreign::program(TEST, "tmux") else { return };
    let folder = Folder::new("top");
    let admin = free_port();
    let config = config(&folder, admin);
    let broker = Weir::start(&config);
    let terminal = Terminal::start(tmux, &folder, ["80", "24"], &top(&folder, admin, ""));
    // The last line is drawn last.
    let first = terminal.shows("q end");
    assert!(first.starts_with("weir "), "{first}");
    assert!(first.contains("1 overview") && first.contains("received"), "{first}");
    terminal.press(&["3"]);
    terminal.shows("room-average");
    terminal.press(&["/", "n", "o", "Enter"]);
    terminal.shows("nothing is named like `no`");
    terminal.press(&["?"]);
    terminal.shows("pause and go on");
    terminal.press(&["1"]);
    terminal.press(&["1"]);
    terminal.shows("connections");

    broker.kill();
    let lost = terminal.shows("no answer for");
    assert!(lost.contains("trying again"), "{lost}");
    let broker = Weir::start(&config);
    until("the broker to be taken up again", || {
        Some(terminal.screen()).filter(|screen| screen.starts_with("weir "))
    });
    terminal.press(&["q"]);
    assert_eq!(ended(&folder), "ended 0");
    broker.stop();
}

#[test]
fn top_leaves_a_small_terminal_as_it_was_when_it_is_told_to_end() {
    let Some(tmux) = foreign::program(TEST, "tmux") else { return };
    let folder = Folder::new("top-small");
    let admin = free_port();
    let broker = Weir::start(&config(&folder, admin));
    let command = top(&folder, admin, "--pane rules");
    let terminal = Terminal::start(tmux, &folder, ["40", "12"], &format!("NO_COLOR=1 {command}"));
    let screen = terminal.shows("room-average");
    assert!(screen.lines().count() <= 12 && screen.contains("3 rules"), "{screen}");
    let process = std::fs::read_to_string(folder.path().join("process")).unwrap();
    assert!(Command::new("kill").arg(process.trim()).status().unwrap().success());
    assert_eq!(ended(&folder), "ended 0");
    broker.stop();
}
