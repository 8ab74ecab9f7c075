//! Which keys say something else than before, for a broker that reads its file again.

use super::{
    key::{Form, Value},
    tree::Tree,
    values::Values,
};

/// The keys whose values differ, as they are written in the file, without `rules` and upstreams.
pub(crate) fn changes(before: &Tree, after: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (name, values) in before.tables() {
        differences(name, values, after.table(values.section()), &mut found);
    }
    found.retain(|key| key != "rules");
    let listeners = |tree: &Tree| tree.listeners.clone().unwrap_or_default();
    list("[[listener]]", &listeners(before), &listeners(after), &mut found);
    list("[[durability]]", &before.durability, &after.durability, &mut found);
    list("[[history]]", &before.history, &after.history, &mut found);
    found
}

/// Entries have no names: if one comes or goes, all of them may be others.
fn list(name: &str, before: &[Values], after: &[Values], found: &mut Vec<String>) {
    if before.len() != after.len() {
        found.push(name.to_owned());
        return;
    }
    for (number, (before, after)) in before.iter().zip(after).enumerate() {
        differences(&format!("{name} {}:", number + 1), before, after, found);
    }
}

fn differences(place: &str, before: &Values, after: &Values, found: &mut Vec<String>) {
    for key in before.section().keys {
        let full = match (place.is_empty(), before.section().form) {
            (true, _) => key.name.to_owned(),
            (false, Form::List) => format!("{place} {}", key.name),
            (false, _) => format!("{place}.{}", key.name),
        };
        match (before.get(key.name), after.get(key.name)) {
            (Some(Value::Table(before)), Some(Value::Table(after))) => {
                differences(&full, &before, &after, found);
            }
            (before, after) if before != after => found.push(full),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::{Problems, Source};
    use crate::config::tree::lay_file;

    fn tree(text: &str) -> Tree {
        let (mut tree, mut problems) = (Tree::new(), Problems::default());
        let file = Source { name: "weir.toml".into(), text: text.to_owned(), folder: "".into() };
        lay_file(&mut tree, 0, &file, &mut problems);
        assert!(problems.into_diagnostics(&[file]).is_empty(), "{text}");
        tree
    }

    #[test]
    fn keys_that_say_something_else_are_named_as_they_are_written() {
        let before = "rules = [\"a\"]\n[limits]\nmax_qos = 2\n[[listener]]\naddress = \"[::1]:1\"\n\
                      [listener.tls]\ncertfile = \"c\"\nkeyfile = \"k\"\n\
                      [upstream.a]\nkind = \"mqtt\"\naddress = \"x:1\"\n\
                      forward = [{ from = \"a\", to = \"b\" }]\n[upstream.b]\nkind = \"mqtt\"\n";
        // Other places, and a default that is written down, are no change.
        let same =
            format!("\n# A comment.\n{before}").replace("max_qos", "max_topic_alias = 10\nmax_qos");
        assert_eq!(changes(&tree(before), &tree(&same)), [""; 0]);
        let after = before
            .replace("[\"a\"]", "[\"b\"]\npersistence = false")
            .replace("max_qos = 2", "max_qos = 1")
            .replace("\"c\"", "\"d\"")
            .replace("to = \"b\"", "to = \"c\"")
            .replace("upstream.b", "upstream.c")
            + "[[history]]\nfilter = \"#\"\n";
        let expected =
            ["persistence", "limits.max_qos", "[[listener]] 1: tls.certfile", "[[history]]"];
        assert_eq!(changes(&tree(before), &tree(&after)), expected);
    }
}
