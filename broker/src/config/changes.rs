//! Which keys say something else than before, for a broker that reads its file again, and which of
//! them hold at once.

use weir_config::{Tree, differences};

use super::declared::UPSTREAM;

/// A key of the configuration that says something else than before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyChange {
    /// As it is written in the file, such as `limits.max_qos`.
    pub key: String,
    /// What it said; the default where it said nothing, and "not set" where there is none.
    pub before: String,
    /// What it says.
    pub after: String,
    /// It holds from the next start on; otherwise it holds after the reload.
    pub needs_restart: bool,
}

/// The keys whose values differ, those of upstreams last. `since_start` is what the broker was
/// started with, `before` what was read last: what needs a restart is told until there was one.
pub(crate) fn changes(since_start: &Tree, before: &Tree, after: &Tree) -> Vec<KeyChange> {
    let changed = |before: &Tree, needs_restart: bool| {
        let found = differences(before, after).into_iter();
        let found = found.filter(move |found| {
            let holds_at_once =
                found.section == UPSTREAM.name || AT_ONCE.contains(&found.key.as_str());
            holds_at_once != needs_restart
        });
        found.map(move |found| KeyChange {
            key: found.key,
            before: found.before,
            after: found.after,
            needs_restart,
        })
    };
    changed(since_start, true).chain(changed(before, false)).collect()
}

/// The keys before the first table that hold after a reload: they name files that it reads.
const AT_ONCE: [&str; 2] = ["bridge", "rules"];

#[cfg(test)]
mod tests {
    use weir_config::{Problems, Source};

    use super::*;
    use crate::config::declared::DECLARED;

    fn tree(text: &str) -> Tree {
        let (mut tree, mut problems) = (Tree::new(&DECLARED), Problems::default());
        let file = Source { name: "weir.toml".into(), text: text.to_owned(), folder: "".into() };
        tree.lay(0, &file, &mut problems);
        assert!(problems.into_diagnostics(&[file]).is_empty(), "{text}");
        tree
    }

    #[test]
    fn keys_that_say_something_else_are_named_as_they_are_written() {
        const TEXT: &str = "rules = [\"a\"]\n[limits]\nmax_qos = 2\n[[listener]]\naddress = \"[::1]:1\"\n\
                      [listener.tls]\ncertfile = \"c\"\nkeyfile = \"k\"\n\
                      [upstream.a]\nkind = \"mqtt\"\naddress = \"x:1\"\n\
                      password = \"old\"\n\
                      forward = [{ from = \"a\", to = \"b\" }]\n[upstream.b]\nkind = \"mqtt\"\n";
        let before = TEXT;
        // Other places, and a default that is written down, are no change.
        let same =
            format!("\n# A comment.\n{before}").replace("max_qos", "max_topic_alias = 10\nmax_qos");
        let before = tree(before);
        assert_eq!(changes(&before, &before, &tree(&same)), []);
        let before = TEXT;
        let after = before
            .replace("[\"a\"]", "[\"b\"]\npersistence = false")
            .replace("max_qos = 2", "max_qos = 1")
            .replace("\"c\"", "\"d\"")
            .replace("to = \"b\"", "to = \"c\"")
            .replace("\"old\"", "\"new\"")
            .replace("upstream.b", "upstream.c")
            + "[[history]]\nfilter = \"#\"\n";
        let change = |key: &str, before: &str, after: &str, needs_restart| KeyChange {
            key: key.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
            needs_restart,
        };
        let expected = [
            change("persistence", "true", "false", true),
            change("limits.max_qos", "2", "1", true),
            change("[[listener]] 1: tls.certfile", "\"c\"", "\"d\"", true),
            change("[[history]]", "0 entries", "1 entry", true),
            change("rules", "[\"a\"]", "[\"b\"]", false),
            change("upstream.a.password", "a secret", "a secret", false),
            change(
                "upstream.a.forward",
                "[{ from = \"a\", to = \"b\" }]",
                "[{ from = \"a\", to = \"c\" }]",
                false,
            ),
        ];
        let (before, after) = (tree(before), tree(&after));
        let mut found = changes(&before, &before, &after);
        let order = |change: &KeyChange| expected.iter().position(|one| one.key == change.key);
        found.sort_by_key(order);
        assert_eq!(found, expected);
        // What was read meanwhile holds, and what needs a restart still does.
        let found = changes(&before, &after, &after);
        assert!(found.len() == 4 && found.iter().all(|change| change.needs_restart), "{found:?}");
    }
}
