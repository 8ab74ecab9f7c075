//! The state of `weir top`: what the broker said last, what is shown of it, and what a key does.

use std::time::{Duration, Instant};

use super::clients::Clients;
use super::panes::{self, Fact, Pane};
use super::rates::{self, ClientRates, Curves, Rates};
use super::table::{Table, View};
use crate::status::Status;

/// A key that means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Backspace,
    Down,
    End,
    Enter,
    Escape,
    Home,
    Next,
    PageDown,
    PageUp,
    Previous,
    Sign(char),
    Up,
}

/// What is to be done after something has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Draw,
    End,
    Nothing,
}

/// Everything that a frame shows.
#[derive(Debug)]
pub(super) struct App {
    pub(super) admin: String,
    pub(super) has_colour: bool,
    pub(super) pane: Pane,
    pub(super) view: View,
    /// Rows that are above the screen.
    pub(super) offset: usize,
    pub(super) is_paused: bool,
    pub(super) shows_help: bool,
    /// Letters go into the filter.
    pub(super) is_typing: bool,
    /// Since when the broker does not answer, and why.
    pub(super) lost: Option<(Duration, String)>,
    status: Status,
    at: Instant,
    curves: Curves,
    /// The clients when they were asked for last, or why they were not told.
    clients: Option<Result<Clients, String>>,
    clients_at: Instant,
    client_rates: ClientRates,
}

/// Of a filter; no name that anybody can type is longer.
const FILTER_MAX: usize = 64;
/// Rows that a page key moves by.
const PAGE: usize = 10;
/// Lines around the rows of a pane.
const FRAME_LINES: usize = 5;

impl App {
    pub(super) fn new(admin: String, pane: Pane, has_colour: bool) -> Self {
        Self {
            admin,
            has_colour,
            pane,
            view: View::default(),
            offset: 0,
            is_paused: false,
            shows_help: false,
            is_typing: false,
            lost: None,
            status: Status::default(),
            at: Instant::now(),
            curves: Curves::default(),
            clients: None,
            clients_at: Instant::now(),
            client_rates: ClientRates::new(),
        }
    }

    /// The broker has answered, or it has not. While it is paused nothing on the screen changes but
    /// whether the broker is there.
    pub(super) fn take(&mut self, at: Instant, told: Result<Status, String>) -> Step {
        match told {
            Err(reason) => {
                let since = at.saturating_duration_since(self.at);
                self.lost = Some((since, reason));
            }
            Ok(_) if self.is_paused => self.lost = None,
            Ok(status) => {
                // The first look has nothing to be held against; one after a pause is too far away.
                if self.status.version.is_empty() {
                    self.curves.push(Rates::default());
                } else {
                    let time = at.saturating_duration_since(self.at);
                    self.curves.push(Rates::between(&self.status, &status, time));
                }
                (self.status, self.at, self.lost) = (status, at, None);
            }
        }
        Step::Draw
    }

    /// The clients have been told, if they were asked for.
    pub(super) fn take_clients(&mut self, at: Instant, told: Option<Result<Clients, String>>) {
        let Some(told) = told.filter(|_| !self.is_paused) else { return };
        if let (Some(Ok(before)), Ok(after)) = (&self.clients, &told) {
            let time = at.saturating_duration_since(self.clients_at);
            self.client_rates = rates::of_clients(&before.clients, &after.clients, time);
        }
        (self.clients, self.clients_at) = (Some(told), at);
    }

    pub(super) fn press(&mut self, key: Key) -> Step {
        if key == Key::End {
            return Step::End;
        }
        if self.is_typing {
            self.type_in(key);
            return Step::Draw;
        }
        if std::mem::take(&mut self.shows_help) {
            // Whatever it is, it takes the help away.
            return Step::Draw;
        }
        match key {
            Key::Sign('q') => return Step::End,
            Key::Escape if self.view.filter.is_empty() => return Step::End,
            Key::Escape => self.view.filter.clear(),
            Key::Sign('?' | 'h') => self.shows_help = true,
            Key::Sign('p' | ' ') => self.is_paused = !self.is_paused,
            Key::Sign('/') => self.is_typing = true,
            Key::Sign('s') => self.sort_by_next(),
            Key::Sign('r') => self.view.is_reversed = !self.view.is_reversed,
            Key::Sign(digit @ '1'..='6') => {
                self.show(Pane::ALL[digit.to_digit(10).map_or(0, |digit| digit as usize - 1)]);
            }
            Key::Next => self.show(self.pane.moved(1)),
            Key::Previous => self.show(self.pane.moved(Pane::ALL.len() - 1)),
            Key::Down | Key::Sign('j') => self.scroll(self.offset + 1),
            Key::Up | Key::Sign('k') => self.scroll(self.offset.saturating_sub(1)),
            Key::PageDown => self.scroll(self.offset + PAGE),
            Key::PageUp => self.scroll(self.offset.saturating_sub(PAGE)),
            Key::Home => self.scroll(0),
            Key::Backspace | Key::End | Key::Enter | Key::Sign(_) => return Step::Nothing,
        }
        Step::Draw
    }

    pub(super) fn status(&self) -> &Status {
        &self.status
    }

    pub(super) fn rates(&self) -> Rates {
        self.curves.now()
    }

    pub(super) fn curve(&self, count: usize, figure: fn(&Rates) -> u64) -> Vec<u64> {
        self.curves.last(count, figure)
    }

    pub(super) fn table(&self, unix_ms: u64) -> Option<Table> {
        if let (Pane::Clients, Some(Ok(found))) = (self.pane, &self.clients) {
            return Some(panes::clients(&found.clients, &self.client_rates));
        }
        self.pane.table(&self.status, &self.rates(), unix_ms)
    }

    /// What stands alone in the pane, or below its table.
    pub(super) fn facts(&self) -> Vec<Fact> {
        match (self.pane, &self.clients) {
            (Pane::Clients, Some(Ok(found))) => panes::more(found),
            (Pane::Clients, Some(Err(reason))) => {
                let mut facts = self.pane.facts(&self.status);
                facts.push(panes::untold(reason));
                facts
            }
            _ => self.pane.facts(&self.status),
        }
    }

    /// How high a screen would have to be for all rows.
    pub(super) fn lines_wanted(&self) -> u16 {
        let rows = self.table(0).map_or(0, |table| table.rows.len());
        let facts = self.facts().len();
        u16::try_from(rows + facts + FRAME_LINES).unwrap_or(u16::MAX)
    }

    fn type_in(&mut self, key: Key) {
        match key {
            Key::Sign(sign) if self.view.filter.chars().count() < FILTER_MAX => {
                self.view.filter.push(sign);
            }
            Key::Backspace => drop(self.view.filter.pop()),
            Key::Enter => self.is_typing = false,
            Key::Escape => {
                self.is_typing = false;
                self.view.filter.clear();
            }
            _ => {}
        }
        self.offset = 0;
    }

    fn show(&mut self, pane: Pane) {
        self.pane = pane;
        self.view = View::default();
        self.offset = 0;
    }

    fn sort_by_next(&mut self) {
        let columns = self.table(0).map_or(1, |table| table.columns.len());
        self.view.column = (self.view.column + 1) % columns;
    }

    fn scroll(&mut self, to: usize) {
        let rows = self.table(0).map_or(0, |table| table.seen(&self.view).len());
        self.offset = to.min(rows.saturating_sub(1));
    }
}

impl Step {
    /// The one that asks for more.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::End, _) | (_, Self::End) => Self::End,
            (Self::Draw, _) | (_, Self::Draw) => Self::Draw,
            _ => Self::Nothing,
        }
    }
}
