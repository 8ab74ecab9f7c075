//! From a byte span to the line that is shown and the columns that are underlined.
//!
//! Long lines are shown as a window around the place, so that a file of one line stays readable.

use std::ops::Range;

/// The part of a source text that a diagnostic shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1, in the real line.
    pub(super) column: usize,
    /// The line without its end, shortened around the place if it is long.
    pub(super) source: String,
    /// White space as wide as what stands before the place; tabs stay tabs.
    pub(super) padding: String,
    /// Number of characters to underline, at least one.
    pub(super) width: usize,
}

impl Excerpt {
    pub(super) fn new(text: &str, span: Range<usize>) -> Self {
        let start = floor_boundary(text, span.start);
        let end = floor_boundary(text, span.end).max(start);
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let rest = text.get(line_start..).unwrap_or_default();
        let source = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let column = text.get(line_start..start).unwrap_or_default().chars().count();
        let length = source.chars().count();
        let marked = text.get(start..end).unwrap_or_default();
        let first = marked.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let width = first.chars().count().clamp(1, (length.saturating_sub(column)).max(1));
        let (source, padding, width) = clip(source, column, width);
        Self { line, column: column + 1, source, padding, width }
    }
}

/// Cuts a long line to a window around the place.
fn clip(source: &str, column: usize, width: usize) -> (String, String, usize) {
    let length = source.chars().count();
    if length <= LINE_WIDTH_MAX {
        return (source.to_owned(), padding(source.chars().take(column)), width);
    }
    let from = column.saturating_sub(LINE_WIDTH_MAX / 3);
    let shown: String = source.chars().skip(from).take(LINE_WIDTH_MAX).collect();
    let lead = if from > 0 { "..." } else { "" };
    let tail = if from + LINE_WIDTH_MAX < length { "..." } else { "" };
    let space = padding(lead.chars().chain(shown.chars().take(column - from)));
    let width = width.min(LINE_WIDTH_MAX.saturating_sub(column - from)).max(1);
    (format!("{lead}{shown}{tail}"), space, width)
}

fn padding(before: impl Iterator<Item = char>) -> String {
    before.map(|character| if character == '\t' { '\t' } else { ' ' }).collect()
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

const LINE_WIDTH_MAX: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_tabs_stay_tabs() {
        let excerpt = Excerpt::new("a\n\tü = \"x\"\n", 7..10);
        assert_eq!((excerpt.line, excerpt.column, excerpt.width), (2, 5, 3));
        assert_eq!(excerpt.padding, "\t   ");
    }

    #[test]
    fn span_outside_the_text_is_moved_inside() {
        let excerpt = Excerpt::new("ab", 10..20);
        assert_eq!((excerpt.line, excerpt.column, excerpt.width), (1, 3, 1));
        let excerpt = Excerpt::new("", 0..0);
        assert_eq!((excerpt.line, excerpt.column, excerpt.width), (1, 1, 1));
    }

    #[test]
    fn span_over_several_lines_marks_the_first() {
        let excerpt = Excerpt::new("ab = '''x\r\ny'''\n", 5..15);
        assert_eq!((excerpt.source.as_str(), excerpt.width), ("ab = '''x", 4));
    }

    #[test]
    fn long_line_is_shown_around_the_place() {
        let text = format!("{}oops{}", "a".repeat(500), "b".repeat(500));
        let excerpt = Excerpt::new(&text, 500..504);
        assert_eq!(excerpt.column, 501);
        assert!(excerpt.source.len() < 200);
        let at = excerpt.padding.len();
        assert_eq!(&excerpt.source[at..at + 4], "oops");
    }
}
