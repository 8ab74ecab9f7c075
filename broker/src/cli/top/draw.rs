//! A frame: a line on the broker, one with the panes, what the chosen one shows, and one with the
//! keys. Whatever does not fit is left out from the least important on.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline, Wrap};

use super::app::App;
use super::panes::{Fact, Pane};
use super::rates::Rates;
use super::table::{Table, short, time};
use crate::cli::store::size;

/// A curve: its name, its figure of a second, and how that is written.
type Curve = (&'static str, fn(&Rates) -> u64, fn(u64) -> String);

const CURVES: [Curve; 5] = [
    ("received", |rates| rates.received, per_s),
    ("sent", |rates| rates.sent, per_s),
    ("dropped", |rates| rates.dropped, per_s),
    ("commits", |rates| rates.commits, per_s),
    ("written", |rates| rates.bytes_written, |bytes| format!("{}/s", size(bytes))),
];
/// Those of the store.
const STORE_CURVES: [Curve; 2] = [CURVES[3], CURVES[4]];

/// Below it names of panes are cut.
const WIDE: u16 = 60;
/// From here on a curve is two lines high.
const HIGH: u16 = 18;
const NAME_COLUMNS: usize = 13;
const FIGURE_COLUMNS: u16 = 24;

const HELP: &str = "\
1-6 Tab     what is shown
s           sort by the next column
r           the other way round
/           filter by name; Enter keeps it,
            Esc takes it away
up down     scroll; PgUp PgDn Home
p           pause and go on
?           this
q Ctrl-C    end";

/// Draws the state; `unix_ms` is the time by which ages are told.
pub(super) fn draw(app: &App, unix_ms: u64, frame: &mut Frame<'_>) {
    let [head, tabs, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(head_line(app), head);
    frame.render_widget(tabs_line(app, tabs.width), tabs);
    frame.render_widget(foot_line(app, foot.width), foot);
    if app.shows_help {
        frame.render_widget(Paragraph::new(HELP), body);
        return;
    }
    match app.table(unix_ms) {
        Some(table) => draw_table(app, &table, frame, body),
        None => draw_facts(app, frame, body),
    }
}

/// A frame as lines of text, without the empty ones at its end.
pub(super) fn text(buffer: &Buffer) -> String {
    let area = buffer.area;
    let line = |y: u16| {
        let cells = (area.left()..area.right()).map(|x| buffer[(x, y)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    };
    let lines: Vec<String> = (area.top()..area.bottom()).map(line).collect();
    format!("{}\n", lines.join("\n").trim_end())
}

fn head_line(app: &App) -> Line<'static> {
    let status = app.status();
    if let Some((since, reason)) = &app.lost {
        let seconds = time(since.as_secs());
        return Line::styled(format!("no answer for {seconds}, trying again: {reason}"), bad(app));
    }
    let mut spans = vec![Span::styled(format!("weir {}", status.version), strong())];
    spans.push(Span::raw(format!("  {}  up {}", app.admin, time(status.uptime_s))));
    if !status.ready {
        spans.push(Span::styled("  not ready", bad(app)));
    }
    if app.is_paused {
        spans.push(Span::styled("  paused", strong()));
    }
    Line::from(spans)
}

fn tabs_line(app: &App, width: u16) -> Line<'static> {
    let mut spans = Vec::new();
    for (number, pane) in (1..).zip(Pane::ALL) {
        let name = match width < WIDE && pane != app.pane {
            true => &pane.name()[..2],
            false => pane.name(),
        };
        let style = if pane == app.pane { chosen() } else { Style::new() };
        spans.push(Span::styled(format!("{number} {name}"), style));
        spans.push(Span::raw("  "));
    }
    Line::from(spans)
}

fn foot_line(app: &App, width: u16) -> Line<'static> {
    if app.is_typing {
        return Line::from(format!("filter: {}_", app.view.filter));
    }
    let filter = match app.view.filter.as_str() {
        "" => String::new(),
        filter => format!("  filter: {filter}"),
    };
    let keys = match width < WIDE {
        true => "q end  ? help  p pause",
        false => "q end  ? help  p pause  s sort  r reverse  / filter",
    };
    Line::from(format!("{keys}{filter}"))
}

fn draw_facts(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let curves: &[Curve] = match app.pane {
        Pane::Overview => &CURVES,
        Pane::Store => &STORE_CURVES,
        _ => &[],
    };
    let lines = if area.height >= HIGH { 2 } else { 1 };
    let curve_lines = u16::try_from(curves.len()).unwrap_or(0) * lines;
    let [above, below] =
        Layout::vertical([Constraint::Length(curve_lines), Constraint::Min(0)]).areas(area);
    let places = Layout::vertical(curves.iter().map(|_| Constraint::Length(lines))).split(above);
    for (curve, place) in curves.iter().zip(places.iter()) {
        draw_curve(app, *curve, frame, *place);
    }
    let facts = app.facts();
    let longest = facts.iter().map(|fact| fact.name.chars().count() + 1).max().unwrap_or(0);
    let names = longest.max(NAME_COLUMNS);
    let lines: Vec<Line<'_>> = facts.iter().map(|fact| fact_line(app, fact, names)).collect();
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), below);
}

fn draw_curve(app: &App, (name, figure, shown): Curve, frame: &mut Frame<'_>, area: Rect) {
    let [label, curve] =
        Layout::horizontal([Constraint::Length(FIGURE_COLUMNS), Constraint::Min(0)]).areas(area);
    let now = shown(figure(&app.rates()));
    let text =
        Line::from(vec![Span::raw(format!("{name:<NAME_COLUMNS$}")), Span::styled(now, strong())]);
    frame.render_widget(text, label);
    let data = app.curve(usize::from(curve.width), figure);
    let line = Sparkline::default().data(data).style(coloured(app, Color::Cyan));
    frame.render_widget(line, curve);
}

fn fact_line(app: &App, fact: &Fact, name_columns: usize) -> Line<'static> {
    let style = if fact.is_bad { bad(app) } else { strong() };
    Line::from(vec![
        Span::raw(format!("{:<name_columns$}", fact.name)),
        Span::styled(fact.value.clone(), style),
    ])
}

fn draw_table(app: &App, table: &Table, frame: &mut Frame<'_>, area: Rect) {
    if table.rows.is_empty() {
        frame.render_widget(Line::from(table.nothing), area);
        return;
    }
    let columns = table.fitting(area.width);
    let mut lines = vec![header_line(app, table, &columns)];
    let rows = table.seen(&app.view);
    if rows.is_empty() {
        lines.push(Line::from(format!("nothing is named like `{}`", app.view.filter)));
    }
    for row in rows.into_iter().skip(app.offset).take(usize::from(area.height)) {
        let cells = columns.iter().filter_map(|(number, width)| {
            let cell = row.get(*number)?;
            Some(fitted(&cell.text, *width, table.columns[*number].is_number))
        });
        lines.push(Line::from(cells.collect::<Vec<_>>().join(" ")));
    }
    let notes = app.facts();
    if !notes.is_empty() {
        lines.push(Line::default());
    }
    lines.extend(notes.iter().map(|fact| fact_line(app, fact, fact.name.chars().count() + 1)));
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), area);
}

fn header_line(app: &App, table: &Table, columns: &[(usize, u16)]) -> Line<'static> {
    let mut spans = Vec::new();
    for (number, width) in columns {
        let column = table.columns[*number];
        let is_sorted = *number == app.view.column;
        let style = if is_sorted { chosen() } else { strong() };
        if !spans.is_empty() {
            spans.push(Span::raw(" "));
        }
        spans.push(Span::styled(fitted(column.title, *width, column.is_number), style));
    }
    Line::from(spans)
}

/// A text in so many columns, cut if it is longer. Signs that a terminal obeys are left out.
fn fitted(text: &str, width: u16, is_number: bool) -> String {
    let width = usize::from(width);
    let mut text: String = text.chars().filter(|sign| !sign.is_control()).collect();
    if text.chars().count() > width {
        text = text.chars().take(width.saturating_sub(1)).chain(['…']).collect();
    }
    if is_number { format!("{text:>width$}") } else { format!("{text:<width$}") }
}

fn per_s(rate: u64) -> String {
    format!("{}/s", short(rate))
}

fn strong() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn chosen() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}

/// It has to be seen without colours, too.
fn bad(app: &App) -> Style {
    coloured(app, Color::Red).add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
}

fn coloured(app: &App, colour: Color) -> Style {
    if app.has_colour { Style::new().fg(colour) } else { Style::new() }
}
