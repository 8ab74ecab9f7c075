//! What `weir completions` and `weir man` write, in real shells and a real `man`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;
use std::process::Command;

use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign;
use weir_tests::harness::weir::weir;

fn completions(folder: &Folder, shell: &str, program: &str) -> String {
    let ended = weir(&["completions", shell, program]);
    assert!(ended.status.success(), "{}", ended.stderr);
    folder.write(&format!("{program}.{shell}"), ended.stdout).display().to_string()
}

/// What bash offers for the last of these words.
fn offered(bash: &Path, script: &str, words: &[&str]) -> Vec<String> {
    let (last, before, program) = (words[words.len() - 1], words[words.len() - 2], words[0]);
    let line = format!(
        "source '{script}'; COMP_WORDS=({}); COMP_CWORD={}; \
         $(complete -p {program} | sed 's/.*-F \\([^ ]*\\) .*/\\1/') {program} '{last}' '{before}'; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}' ")).collect::<String>(),
        words.len() - 1,
    );
    let ended = Command::new(bash).args(["--norc", "-c", &line]).output().unwrap();
    assert!(ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_their_values() {
    let Some(bash) = foreign::program("bash_completes_commands", "bash") else { return };
    let folder = Folder::new("completions-bash");
    let script = completions(&folder, "bash", "weir");
    assert_eq!(offered(&bash, &script, &["weir", "comp"]), ["completions"]);
    assert_eq!(offered(&bash, &script, &["weir", "rules", "rep"]), ["replay"]);
    assert_eq!(offered(&bash, &script, &["weir", "run", "--da"]), ["--data-dir"]);
    assert_eq!(offered(&bash, &script, &["weir", "completions", "z"]), ["zsh"]);
    assert_eq!(offered(&bash, &script, &["weir", "nothing-like-it"]), [""; 0]);
    let script = completions(&folder, "bash", "weir-bridge");
    assert_eq!(offered(&bash, &script, &["weir-bridge", "sc"]), ["scan"]);
    assert_eq!(offered(&bash, &script, &["weir-bridge", "run", "--sim"]), ["--simulate"]);
}

#[test]
fn other_shells_read_their_completions() {
    let folder = Folder::new("completions-others");
    let shells = [("zsh", "-n"), ("fish", "--no-execute")];
    let both = shells.map(|shell| [(shell, "weir"), (shell, "weir-bridge")]);
    for ((shell, option), program) in both.into_iter().flatten() {
        let script = completions(&folder, shell, program);
        let Some(shell) = foreign::program("other_shells_read_their_completions", shell) else {
            continue;
        };
        let ended = Command::new(shell).args([option, &script]).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        assert!(ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
}

#[test]
fn shell_that_is_not_known_is_refused_with_those_that_are() {
    let ended = weir(&["completions", "tcsh"]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("bash, fish, zsh"), "{}", ended.stderr);
}

#[test]
fn manual_has_a_page_for_every_command_that_help_lists() {
    let folder = Folder::new("man");
    let directory = folder.path().join("deep/man1");
    let ended = weir(&["man", "--output", directory.to_str().unwrap()]);
    assert!(ended.status.success(), "{}", ended.stderr);
    let help = weir(&["--help"]).stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let mut count = 0;
    for name in commands.filter_map(|line| line.split_whitespace().next()) {
        assert!(directory.join(format!("weir-{name}.1")).is_file(), "{name}");
        count += 1;
    }
    assert!(count > 10, "{help}");
    for page in ["weir-rules-try", "weir-bridge", "weir-bridge-run", "weir-bridge-scan"] {
        assert!(directory.join(format!("{page}.1")).is_file(), "{page}");
    }
    let printed = weir(&["man", "rules", "try"]).stdout;
    assert_eq!(printed, fs::read_to_string(directory.join("weir-rules-try.1")).unwrap());
    assert!(printed.contains("weir rules try"), "{printed}");
    let printed = weir(&["man", "weir-bridge", "run"]).stdout;
    assert_eq!(printed, fs::read_to_string(directory.join("weir-bridge-run.1")).unwrap());
    let wrong = weir(&["man", "weir-bridge", "rnu"]);
    assert!(wrong.stderr.contains("there is no `rnu` in `weir-bridge`"), "{}", wrong.stderr);
    let wrong = weir(&["man", "rules", "tri"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(wrong.stderr.contains("there is no `tri` in `weir rules`"), "{}", wrong.stderr);

    let Some(man) = foreign::program("manual_has_a_page", "man") else { return };
    for page in fs::read_dir(&directory).unwrap() {
        let page = page.unwrap().path();
        let mut shown = Command::new(&man);
        shown
            .args(["--warnings=all,w", "-l"])
            .arg(&page)
            .env("MANPAGER", "cat")
            .env("LC_ALL", "C.UTF-8");
        let shown = shown.env("MANWIDTH", "80").output().unwrap();
        let warnings = String::from_utf8_lossy(&shown.stderr);
        assert!(shown.status.success() && warnings.is_empty(), "{}: {warnings}", page.display());
        assert!(shown.stdout.len() > 200, "{}", page.display());
    }
}
