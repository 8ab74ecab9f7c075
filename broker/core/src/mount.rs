//! Mount points: a part in front of every topic of a client that the client does not see.
//!
//! Inside the core topics and filters are whole, so sessions, retained messages, groups and
//! permissions need not know of mount points. A name gets its front when it comes in by a packet
//! and loses it when it goes out. A mount point ends with a slash.

use weir_mqtt::TopicFilter;

/// The whole name of a topic that a client publishes to. What begins with `$` is the broker's
/// everywhere and stays as it is.
pub(crate) fn topic(mount_point: &str, topic: &str) -> String {
    let front = if topic.starts_with('$') { "" } else { mount_point };
    format!("{front}{topic}")
}

/// The whole of a filter: the front stands behind `$share/name/`.
pub(crate) fn filter(mount_point: &str, filter: TopicFilter<'_>) -> String {
    match filter.share_name() {
        Some(name) => format!("$share/{name}/{mount_point}{}", filter.filter()),
        None => format!("{mount_point}{}", filter.filter()),
    }
}

/// The part of a topic that a client sees; none when it cannot see the topic at all.
pub(crate) fn shown<'t>(mount_point: &str, topic: &'t str) -> Option<&'t str> {
    topic.strip_prefix(mount_point).filter(|rest| !rest.is_empty())
}

/// Whether a client sees every topic that a whole filter matches. `#` behind the mount point also
/// matches what stands above it, and `+` a level without a name.
pub(crate) fn shows_whole(mount_point: &str, filter: &str) -> bool {
    let level = filter.strip_prefix(mount_point).and_then(|rest| rest.split('/').next());
    level.is_some_and(|level| !matches!(level, "" | "+" | "#"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_their_front_and_lose_it_again() {
        let whole = |text| filter("a/b/", TopicFilter::parse(text).expect("a filter"));
        assert_eq!(topic("a/b/", "t"), "a/b/t");
        assert_eq!(topic("a/b/", "$t"), "$t");
        assert_eq!(whole("+/#"), "a/b/+/#");
        assert_eq!(whole("$share/g/+/#"), "$share/g/a/b/+/#");
        assert_eq!(whole("$SYS/#"), "a/b/$SYS/#");
        assert_eq!(shown("a/b/", "a/b/t"), Some("t"));
        assert_eq!(shown("a/b/", "a/b//t"), Some("/t"));
        for hidden in ["a/b", "a/b/", "a/c/t", "t"] {
            assert_eq!(shown("a/b/", hidden), None, "{hidden}");
        }
    }

    #[test]
    fn a_filter_that_shows_whole_matches_nothing_hidden() {
        let topics = ["a", "a/", "a//", "a/t", "a/t/u", "b", "b/t"];
        for text in ["a/#", "a/+", "a/+/#", "a//#", "a/t", "a/t/#", "a/t/+", "#", "+/t", "b"] {
            let filter = TopicFilter::parse(text).expect("a filter");
            let mut matched = topics.into_iter().filter(|topic| filter.matches(topic));
            if shows_whole("a/", text) {
                assert!(matched.all(|topic| shown("a/", topic).is_some()), "{text}");
            }
        }
        assert!(shows_whole("a/", "a/t/#"));
    }
}
