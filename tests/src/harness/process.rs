//! A process whose output is read all the time, so that it never blocks on a full pipe and a test
//! can wait for a line of it.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A running process, killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: Arc<Output>,
}

/// How a process ended and what it had said.
#[derive(Debug)]
pub struct Ended {
    /// The exit code or the signal.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

/// One of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
}

impl Process {
    /// Starts it.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        let output = Arc::new(Output::default());
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        Output::read(&output, Stream::Stdout, stdout);
        Output::read(&output, Stream::Stderr, stderr);
        Self { child, output }
    }

    /// Waits for a line with the text and answers what follows it there; `None` when the process
    /// ended without saying it.
    ///
    /// # Panics
    /// It takes longer than `limit`.
    pub fn wait_for(&self, stream: Stream, text: &str, limit: Duration) -> Option<String> {
        self.output.wait(limit, text, |said| {
            let all = said.of(stream);
            let line = all
                .split_inclusive('\n')
                .find(|line| line.contains(text) && (line.ends_with('\n') || said.open == 0));
            match line.and_then(|line| line.split_once(text)) {
                Some((_, after)) => Some(Some(after.trim_end().to_owned())),
                None if said.open == 0 => Some(None),
                None => None,
            }
        })
    }

    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    #[must_use]
    pub fn said(&self, stream: Stream) -> String {
        self.output.lock().of(stream).clone()
    }

    /// Ends it at once, as a power cut would, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends it a signal, such as `TERM`.
    ///
    /// # Panics
    /// It has ended already.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
        assert!(status.success(), "{kill} failed");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It takes longer than `limit`.
    pub fn wait(mut self, limit: Duration) -> Ended {
        self.output.wait(limit, "its end", |said| (said.open == 0).then_some(()));
        let status = self.child.wait().expect("it is our child");
        let said = self.output.lock();
        Ended { status, stdout: said.stdout.clone(), stderr: said.stderr.clone() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let said = self.output.lock();
            eprintln!("process {} said:\n{}{}", self.id(), said.stdout, said.stderr);
        }
    }
}

/// What a process says, filled by two threads.
#[derive(Debug, Default)]
struct Output {
    said: Mutex<Said>,
    changed: Condvar,
}

#[derive(Debug)]
struct Said {
    stdout: String,
    stderr: String,
    /// Streams that can still bring something.
    open: u32,
}

impl Output {
    fn read(output: &Arc<Self>, stream: Stream, from: impl Read + Send + 'static) {
        let output = output.clone();
        thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                output.lock().of_mut(stream).push_str(&String::from_utf8_lossy(&line));
                output.changed.notify_all();
                line.clear();
            }
            output.lock().open -= 1;
            output.changed.notify_all();
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<T>(&self, limit: Duration, what: &str, ask: impl Fn(&Said) -> Option<T>) -> T {
        let end = Instant::now() + limit;
        let mut said = self.lock();
        loop {
            if let Some(answer) = ask(&said) {
                return answer;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited {limit:?} in vain for {what}");
            let waited = self.changed.wait_timeout(said, left);
            said = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Default for Said {
    fn default() -> Self {
        Self { stdout: String::new(), stderr: String::new(), open: 2 }
    }
}

impl Said {
    fn of(&self, stream: Stream) -> &String {
        match stream {
            Stream::Stderr => &self.stderr,
            Stream::Stdout => &self.stdout,
        }
    }

    fn of_mut(&mut self, stream: Stream) -> &mut String {
        match stream {
            Stream::Stderr => &mut self.stderr,
            Stream::Stdout => &mut self.stdout,
        }
    }
}
