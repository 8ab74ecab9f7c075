//! Sets of topic filters: what two of them have in common, and how many become few.
//!
//! Pure. What is exchanged between boxes is bounded: beyond the limit filters are cut to what they
//! begin with, which asks for more than is wanted and never for less.

use std::collections::BTreeSet;

use weir_mqtt::TopicFilter;

/// The topics that both filters match, as one filter; none if there are none. Filters that begin
/// with `$` have nothing in common with those that begin with a wildcard.
pub(super) fn intersection(one: &str, other: &str) -> Option<String> {
    let is_of_broker = |filter: &str| filter.starts_with('$');
    let is_wild = |filter: &str| filter.starts_with(['+', '#']);
    if (is_of_broker(one) && is_wild(other)) || (is_of_broker(other) && is_wild(one)) {
        return None;
    }
    let (mut ones, mut others) = (one.split('/').peekable(), other.split('/').peekable());
    let mut levels: Vec<&str> = Vec::new();
    loop {
        match (ones.peek(), others.peek()) {
            (Some(&"#"), _) => {
                levels.extend(others);
                break;
            }
            (_, Some(&"#")) => {
                levels.extend(ones);
                break;
            }
            (None, None) => break,
            (Some(&level), Some(&"+")) | (Some(&"+"), Some(&level)) => levels.push(level),
            (Some(one), Some(other)) if one == other => levels.push(one),
            _ => return None,
        }
        ones.next();
        others.next();
    }
    Some(levels.join("/"))
}

/// The filters without those that another one covers.
pub(super) fn reduced(filters: BTreeSet<String>) -> BTreeSet<String> {
    let wide: Vec<TopicFilter<'_>> = filters
        .iter()
        .filter(|filter| filter.contains(['+', '#']))
        .filter_map(|filter| TopicFilter::parse(filter).ok())
        .collect();
    if wide.is_empty() {
        return filters;
    }
    let is_covered = |filter: &&String| {
        let parsed = TopicFilter::parse(filter).ok();
        parsed.is_some_and(|narrow| {
            let mut wider = wide.iter().filter(|wide| wide.as_str() != narrow.as_str());
            // Of two that match the same the first in order stays.
            wider.any(|wide| {
                let is_same = narrow.covers(*wide);
                wide.covers(narrow) && (!is_same || wide.as_str() < narrow.as_str())
            })
        })
    };
    filters.iter().filter(|filter| !is_covered(filter)).cloned().collect()
}

/// No more filters than `max`, in no more than `bytes_max`; answers too whether some were cut.
pub(super) fn bounded(
    filters: BTreeSet<String>,
    max: usize,
    bytes_max: usize,
) -> (BTreeSet<String>, bool) {
    let fits = |filters: &BTreeSet<String>| {
        filters.len() <= max && filters.iter().map(|one| one.len() + 3).sum::<usize>() <= bytes_max
    };
    // Before the look at which one covers another, which costs the square of their number.
    let is_many = filters.len() > COMPARED_MAX;
    let mut filters = if is_many { filters } else { reduced(filters) };
    let mut depth = filters.iter().map(|one| one.split('/').count()).max().unwrap_or_default();
    let mut is_cut = false;
    while !fits(&filters) && depth > 0 {
        depth -= 1;
        is_cut = true;
        filters = filters.into_iter().map(|filter| cut(filter, depth)).collect();
        if filters.len() <= COMPARED_MAX {
            filters = reduced(filters);
        }
    }
    (filters, is_cut)
}

/// The filter of everything that begins with so many levels of this one.
fn cut(filter: String, depth: usize) -> String {
    let levels = filter.split('/').count();
    if levels <= depth || (levels == depth + 1 && filter.ends_with('#')) {
        return filter;
    }
    let kept: Vec<&str> = filter.split('/').take(depth).chain(["#"]).collect();
    kept.join("/")
}

/// How many filters are compared with each other.
const COMPARED_MAX: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    const FILTERS: [&str; 15] = [
        "#", "+", "+/+", "/", "/+", "a", "a/#", "a/+", "a/+/c", "a/b", "a/b/#", "a//c", "$x/#",
        "+/b/#", "+/#",
    ];
    const TOPICS: [&str; 14] = [
        "a", "a/b", "a/b/c", "a/x/c", "a//c", "/", "/a", "b", "$x", "$x/x", "$x/b/x", "x/b/y/z",
        "a/", "b/b",
    ];

    fn matches(filter: &str, topic: &str) -> bool {
        TopicFilter::parse(filter).expect("a valid filter").matches(topic)
    }

    #[test]
    fn the_intersection_matches_what_both_match() {
        for (one, other) in FILTERS.iter().flat_map(|one| FILTERS.map(|other| (*one, other))) {
            let both = intersection(one, other);
            assert_eq!(both.is_some(), intersection(other, one).is_some(), "{one} {other}");
            for topic in TOPICS {
                let expected = matches(one, topic) && matches(other, topic);
                let found = both.as_deref().is_some_and(|both| matches(both, topic));
                assert_eq!(found, expected, "{one} and {other} are {both:?}: {topic}");
            }
        }
    }

    fn set(filters: &[&str]) -> BTreeSet<String> {
        filters.iter().map(|filter| (*filter).to_owned()).collect()
    }

    #[test]
    fn what_another_filter_covers_is_left_out() {
        assert_eq!(
            reduced(set(&["a", "a/b", "a/#", "b/+", "b/c", "c"])),
            set(&["a/#", "b/+", "c"])
        );
        assert_eq!(reduced(set(&FILTERS)), set(&["#", "$x/#"]));
        assert_eq!(reduced(set(&["a", "b"])), set(&["a", "b"]));
    }

    #[test]
    fn what_is_cut_asks_for_more_and_never_for_less() {
        let many: BTreeSet<String> =
            (0..1000).map(|n| format!("site/{}/sensor/{n}", n % 10)).collect();
        for (max, expected) in [(1000, 1000), (999, 10), (10, 10), (9, 1), (1, 1)] {
            let (few, is_cut) = bounded(many.clone(), max, usize::MAX);
            assert_eq!((few.len(), is_cut), (expected, expected < 1000), "{max}");
            for filter in &many {
                assert!(few.iter().any(|wide| matches(wide, filter)), "{filter} in {few:?}");
            }
        }
        assert_eq!(bounded(set(&["a/b", "c"]), 1, 99), (set(&["#"]), true));
        assert_eq!(
            bounded(set(&["a/b/c", "b/b/d", "c"]), 9, 16),
            (set(&["a/#", "b/#", "c"]), true)
        );
        assert_eq!(bounded(set(&["a/#", "b"]), 2, 99), (set(&["a/#", "b"]), false));
    }
}
