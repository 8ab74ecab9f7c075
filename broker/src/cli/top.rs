//! `weir top`: a running broker, live. This file is the shell: it asks the broker once a second, reads
//! keys and draws. What is shown and what a key does is decided in [`app`], without a terminal.

mod app;
mod clients;
mod draw;
mod panes;
mod rates;
mod table;

use std::error::Error as _;
use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::running::{AdminServer, Running};
use super::stop::Stop;
use super::{Answer, CliError, runtime, say, status};
use crate::clock::unix_ms;
use crate::status::Status;
use app::{App, Key, Step};
use clients::Clients;
use panes::Pane;
use rates::Rates;

/// Between two questions.
const EVERY: Duration = Duration::from_secs(1);
/// Between two looks at the keys.
const KEYS_EVERY: Duration = Duration::from_millis(50);
/// Of a frame that does not go to a terminal.
const COLUMNS: u16 = 80;
const LINES: u16 = 24;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Keys: 1 to 6 or Tab choose what is shown, s and r sort, / filters, p pauses, ? helps, q ends.
NO_COLOR=1 in the environment leaves colours out.

Exit code: 0 = ended by you, 2 = no answer at the start, or no terminal.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    broker: Running,
    /// What is shown first
    #[arg(long, value_name = "NAME", default_value = "overview")]
    pane: Pane,
    /// Print one frame as text, and end
    #[arg(long)]
    once: bool,
    /// Print a line of JSON each second, with the status and what happens in a second
    #[arg(long)]
    json: bool,
}

/// A line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    unix_ms: u64,
    rates: Rates,
    status: &'a Status,
}

/// What came of a question, and when.
struct Told {
    at: Instant,
    status: Result<Status, String>,
    /// None when nobody wants to see them.
    clients: Option<Result<Clients, String>>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let server = arguments.broker.server()?;
    // Before the screen is taken: what is wrong from the start can be read.
    let mut app = App::new(server.address.to_string(), arguments.pane, has_colour());
    let (first, _) = status::fetch(&server.address, &server.access)?;
    app.take(Instant::now(), Ok(first));
    match (arguments.json, arguments.once) {
        (true, once) => lines(&server, &mut app, once),
        (false, true) => frame(&server, &mut app),
        (false, false) if !io::stdout().is_terminal() => Err(CliError::Argument {
            argument: "weir top",
            reason: "the standard output is no terminal".to_owned(),
            help: "--once prints one frame as text, --json a line each second".to_owned(),
        }),
        (false, false) => live(server, app),
    }
}

/// See <https://no-color.org>.
fn has_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn lines(server: &AdminServer, app: &mut App, once: bool) -> Result<Answer, CliError> {
    loop {
        thread::sleep(EVERY);
        let (status, _) = status::fetch(&server.address, &server.access)?;
        app.take(Instant::now(), Ok(status));
        let (status, rates) = (app.status(), app.rates());
        let line = Line { unix_ms: unix_ms(), rates, status };
        let json = serde_json::to_string(&line).expect("numbers and texts are JSON");
        say(&format!("{json}\n"))?;
        if once {
            return Ok(Answer::Yes);
        }
    }
}

/// One frame, as a terminal of the usual size would show it, and longer if there is more.
fn frame(server: &AdminServer, app: &mut App) -> Result<Answer, CliError> {
    let first = ask_once(server, app.pane == Pane::Clients);
    app.take_clients(first.at, first.clients);
    thread::sleep(EVERY);
    let told = ask_once(server, app.pane == Pane::Clients);
    app.take_clients(told.at, told.clients);
    let (status, _) = status::fetch(&server.address, &server.access)?;
    app.take(Instant::now(), Ok(status));
    let columns = crossterm::terminal::size().map_or(COLUMNS, |(columns, _)| columns);
    let backend = TestBackend::new(columns, LINES.max(app.lines_wanted()));
    let Ok(mut terminal) = Terminal::new(backend);
    let Ok(_) = terminal.draw(|frame| draw::draw(app, unix_ms(), frame));
    say(&draw::text(terminal.backend().buffer())).map(|()| Answer::Yes)
}

fn live(server: AdminServer, mut app: App) -> Result<Answer, CliError> {
    let wants_clients = Arc::new(AtomicBool::new(app.pane == Pane::Clients));
    let told = ask(server, wants_clients.clone());
    let runtime = runtime()?;
    let mut stop = {
        let _context = runtime.enter();
        Stop::listen()?
    };
    let mut terminal = ratatui::try_init().map_err(CliError::Output)?;
    let ended = runtime.block_on(async {
        let mut ticks = interval(KEYS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        terminal.draw(|frame| draw::draw(&app, unix_ms(), frame))?;
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                _ = ticks.tick() => {}
            }
            let step = turn(&mut app, &told)?;
            wants_clients.store(app.pane == Pane::Clients, Ordering::Relaxed);
            match step {
                Step::End => return Ok(()),
                Step::Draw => {
                    terminal.draw(|frame| draw::draw(&app, unix_ms(), frame))?;
                }
                Step::Nothing => {}
            }
        }
    });
    ratatui::restore();
    ended.map(|()| Answer::Yes).map_err(CliError::Output)
}

/// All that has come since the last turn.
fn turn(app: &mut App, told: &Receiver<Told>) -> io::Result<Step> {
    let mut step = Step::Nothing;
    for Told { at, status, clients } in told.try_iter() {
        step = step.or(app.take(at, status));
        app.take_clients(at, clients);
    }
    while event::poll(Duration::ZERO)? {
        step = step.or(match event::read()? {
            Event::Key(pressed) if pressed.kind != KeyEventKind::Release => {
                key(pressed).map_or(Step::Nothing, |key| app.press(key))
            }
            Event::Resize(..) => Step::Draw,
            _ => Step::Nothing,
        });
    }
    Ok(step)
}

fn key(pressed: KeyEvent) -> Option<Key> {
    let is_control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    Some(match pressed.code {
        KeyCode::Char('c') if is_control => Key::End,
        KeyCode::Char(_) if is_control => return None,
        KeyCode::Char(sign) => Key::Sign(sign),
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Tab | KeyCode::Right => Key::Next,
        KeyCode::BackTab | KeyCode::Left => Key::Previous,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        _ => return None,
    })
}

fn ask_once(server: &AdminServer, wants_clients: bool) -> Told {
    let told = |error: CliError| match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    let status = status::fetch(&server.address, &server.access).map(|(status, _)| status);
    let clients = wants_clients.then(|| clients::fetch(server).map_err(told));
    Told { at: Instant::now(), status: status.map_err(told), clients }
}

/// Asks again and again, on a thread of its own: a broker that is gone lets one wait.
fn ask(server: AdminServer, wants_clients: Arc<AtomicBool>) -> Receiver<Told> {
    let (sender, told) = mpsc::sync_channel(1);
    thread::spawn(move || {
        loop {
            thread::sleep(EVERY);
            let told = ask_once(&server, wants_clients.load(Ordering::Relaxed));
            if sender.send(told).is_err() {
                return;
            }
        }
    });
    told
}

#[cfg(test)]
mod tests;
