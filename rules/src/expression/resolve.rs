//! What names and paths mean: locals, fields, parts of the message, the message before.

use std::ops::Range;

use weir_config::nearest;

use super::Problem;
use super::check::Checker;
use super::program::{Op, Program, Special, Type};
use super::scope::{JoinField, KnownField, Name, Prev, Stage};
use super::syntax::path_text;
use crate::code;
use crate::payload::Step;

impl Checker<'_, '_> {
    /// A name with or without steps.
    pub(super) fn path(&mut self, name: &str, steps: &[&Step], span: &Range<usize>) -> Type {
        let whole = path_text(name, steps);
        if let Some(found) = self.scope.names().iter().find(|known| known.text == whole) {
            let (slot, kind) = (found.slot, found.kind);
            self.push(Op::Local(slot), span);
            return kind;
        }
        if self.has_columns(name) {
            self.unknown_column(name, &whole, span);
            return Type::Any;
        }
        match (name, steps) {
            ("prev", [Step::Field(head), rest @ ..]) => return self.prev(head, rest, span),
            ("prev", _) => {
                let label = "write prev.name";
                self.problem(code::UNKNOWN_NAME, "`prev` needs a name", span.clone(), label);
                return Type::Any;
            }
            ("payload", [_, ..]) if self.scope.stage == Stage::Json => {
                return self.field(steps.iter().map(|step| (*step).clone()).collect(), span);
            }
            ("payload", []) if self.scope.stage == Stage::Json => {
                let label = "name a field: payload.name or payload[\"odd name\"]";
                self.problem(code::TYPE, "the payload is not one value", span.clone(), label);
                return Type::Any;
            }
            _ => {}
        }
        let join = self.scope.joins.iter().position(|join| join.name == name);
        if let (Some(join), true) = (join, self.scope.stage != Stage::Result) {
            return self.joined(join, steps, span);
        }
        if let Some(found) = self.scope.names().iter().find(|known| known.text == name) {
            let message = format!("`{name}` is a {}, it has no fields", found.role);
            let help = format!("a field of that name is payload.{whole}");
            let problem = Problem::new(code::TYPE, message, span.clone(), "not an object");
            self.problems.push(problem.help(help));
            return Type::Any;
        }
        if steps.is_empty()
            && self.scope.stage != Stage::Result
            && let Some((_, special, kind)) = SPECIALS.iter().find(|known| known.0 == name)
        {
            if *special == Special::Client {
                self.scope.fields.name_client();
            }
            self.push(Op::Special(*special), span);
            return *kind;
        }
        if self.scope.stage == Stage::Json {
            let head = std::iter::once(Step::Field(name.to_owned()));
            return self
                .field(head.chain(steps.iter().map(|step| (*step).clone())).collect(), span);
        }
        self.unknown_name(name, &whole, span);
        Type::Any
    }

    /// A value of a join.
    fn joined(&mut self, join: usize, steps: &[&Step], span: &Range<usize>) -> Type {
        let Some(names) = self.scope.joins.get(join) else { return Type::Any };
        let (name, value) = (names.name.clone(), names.value);
        let source = match (value, steps) {
            (Some(_), [Step::Field(only)]) if only == "value" => None,
            (None, [_, ..]) => {
                let path: Vec<Step> = steps.iter().map(|step| (*step).clone()).collect();
                match self.scope.fields.slot(&path) {
                    Ok(slot) => Some(slot),
                    Err(reason) => {
                        let message = "too many payload fields";
                        self.problem(code::LIMIT, message, span.clone(), reason);
                        return Type::Any;
                    }
                }
            }
            _ => {
                let message = format!("join `{name}` is not one value by itself");
                let (label, help) = match value {
                    Some(_) => ("its payload is one value", format!("write {name}.value")),
                    None => ("its payload has fields", format!("write {name}.NAME")),
                };
                let problem = Problem::new(code::UNKNOWN_NAME, message, span.clone(), label);
                self.problems.push(problem.help(help));
                return Type::Any;
            }
        };
        let known = self.scope.joins[join].fields.iter().find(|known| known.source == source);
        let local = known.map(|known| known.local).unwrap_or_else(|| {
            let (path, local) = (path_text("", steps), self.scope.local());
            self.scope.joins[join].fields.push(JoinField { path, source, local });
            local
        });
        self.push(Op::Local(local), span);
        value.unwrap_or(Type::Any)
    }

    /// Whether a name is that of a table with columns.
    fn has_columns(&self, name: &str) -> bool {
        self.scope.names().iter().any(|known| column_of(known, name).is_some())
    }

    fn unknown_column(&mut self, table: &str, whole: &str, span: &Range<usize>) {
        let names = self.scope.names();
        let columns: Vec<&str> = names.iter().filter_map(|known| column_of(known, table)).collect();
        let list = columns.join(", ");
        let wanted = whole.get(table.len() + 1..).unwrap_or_default();
        let help = match nearest(wanted, columns.iter().copied()) {
            Some(near) => format!("did you mean `{table}.{near}`? columns: {list}"),
            None => format!("columns: {list}"),
        };
        let (message, label) = match wanted {
            "" => (format!("`{table}` is a table"), "name a column of it"),
            _ => (format!("unknown column `{whole}`"), "not in the file"),
        };
        let problem = Problem::new(code::UNKNOWN_NAME, message, span.clone(), label);
        self.problems.push(problem.help(help));
    }

    fn field(&mut self, path: Vec<Step>, span: &Range<usize>) -> Type {
        let kind = match self.scope.known {
            None => Type::Any,
            Some(known) => match self.known_field(known, &path, span) {
                Some(kind) => kind,
                None => return Type::Any,
            },
        };
        if let (Some(known), Some(Step::Field(name))) = (self.scope.linked, path.first())
            && !known.contains(name)
        {
            self.unknown_field(name, known, span);
            return Type::Any;
        }
        match self.scope.fields.slot(&path) {
            Ok(slot) => {
                self.push(Op::Field(slot), span);
                if let Some(mentions) = &mut self.scope.mentions {
                    mentions.push((path, span.clone()));
                }
            }
            Err(reason) => {
                self.problem(code::LIMIT, "too many payload fields", span.clone(), reason);
            }
        }
        kind
    }

    /// The kind of one of the fields that the payload has; `None` if it is none of them.
    fn known_field(
        &mut self,
        known: &[KnownField],
        path: &[Step],
        span: &Range<usize>,
    ) -> Option<Type> {
        let [Step::Field(name), rest @ ..] = path else { return None };
        let problem = match known.iter().find(|field| field.name == *name) {
            Some(field) if rest.is_empty() => return Some(field.kind),
            Some(_) => {
                let message = format!("`{name}` is one value, it has no fields");
                Problem::new(code::TYPE, message, span.clone(), "not an object")
            }
            None => {
                let names = known.iter().map(|field| field.name.as_str());
                let list = names.clone().filter(|name| !name.is_empty()).collect::<Vec<_>>();
                let list = list.join(", ");
                let help = match nearest(name, names) {
                    Some(near) => format!("did you mean `{near}`? fields here: {list}"),
                    None => format!("fields here: {list}"),
                };
                let message = format!("unknown name `{name}`");
                let label = "not a field that `decode` gives";
                Problem::new(code::UNKNOWN_NAME, message, span.clone(), label).help(help)
            }
        };
        self.problems.push(problem);
        None
    }

    fn unknown_field(&mut self, name: &str, known: &[String], span: &Range<usize>) {
        let message = format!("unknown field `{name}`");
        let label = "not in the results of the rule that is read";
        let mut names: Vec<&str> = known.iter().map(String::as_str).collect();
        names.dedup();
        let list = names.join(", ");
        let help = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? fields: {list}"),
            None => format!("fields: {list}"),
        };
        let problem = Problem::new(code::UNKNOWN_NAME, message, span.clone(), label);
        self.problems.push(problem.help(help));
    }

    fn prev(&mut self, head: &str, rest: &[&Step], span: &Range<usize>) -> Type {
        if self.scope.prev.is_none() || self.scope.stage == Stage::Result {
            let label = "only `let`, `where`, `select` and arguments of aggregates know it";
            self.problem(code::UNKNOWN_NAME, "`prev` cannot stand here", span.clone(), label);
            return Type::Any;
        }
        let (mut ops, mut spans) = (Vec::new(), Vec::new());
        std::mem::swap(&mut self.ops, &mut ops);
        std::mem::swap(&mut self.spans, &mut spans);
        let kind = self.path(head, rest, span);
        std::mem::swap(&mut self.ops, &mut ops);
        std::mem::swap(&mut self.spans, &mut spans);
        let program =
            Program { ops, spans, source: self.source.into(), result: kind, zones: Vec::new() };
        let slot = self.prev_slot(program);
        self.push(Op::Local(slot), span);
        kind
    }

    /// Where the value that a program gave for the message before is read.
    pub(super) fn prev_slot(&mut self, program: Program) -> u16 {
        let known = self.scope.prev.as_ref().and_then(|kept| {
            kept.prev.iter().find(|prev| prev.program.same_as(&program)).map(|prev| prev.slot)
        });
        known.unwrap_or_else(|| {
            let slot = self.scope.local();
            if let Some(kept) = &mut self.scope.prev {
                kept.prev.push(Prev { program, slot });
            }
            slot
        })
    }

    fn unknown_name(&mut self, name: &str, whole: &str, span: &Range<usize>) {
        let names: Vec<&str> = self.scope.names().iter().map(|known| known.text.as_str()).collect();
        let list = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let near = nearest(whole, names.iter().copied());
        let message = format!("unknown name `{whole}`");
        let problem = if self.scope.stage == Stage::Result {
            let label = "a result has only keys, outputs and aggregates";
            let help = match near {
                Some(near) => format!("did you mean `{near}`? names here: {list}"),
                None if SPECIALS.iter().any(|known| known.0 == name) => {
                    format!("`{name}` belongs to a message: use it inside an aggregate")
                }
                None => format!("for a field of the last message write last({whole})"),
            };
            Problem::new(code::UNKNOWN_NAME, message, span.clone(), label).help(help)
        } else {
            let label = "this payload is one value, named `value`";
            let help = match near {
                Some(near) => format!("did you mean `{near}`? names here: {list}"),
                None => format!("names here: {list}; fields need decode = \"json\""),
            };
            Problem::new(code::UNKNOWN_NAME, message, span.clone(), label).help(help)
        };
        self.problems.push(problem);
    }
}

/// The column of a table that a name stands for.
fn column_of<'n>(name: &'n Name, table: &str) -> Option<&'n str> {
    let column = name.text.strip_prefix(table)?.strip_prefix('.')?;
    (name.role == "column").then_some(column)
}

const SPECIALS: [(&str, Special, Type); 5] = [
    ("client", Special::Client, Type::Text),
    ("now", Special::Now, Type::Number),
    ("qos", Special::Qos, Type::Number),
    ("retain", Special::Retain, Type::Bool),
    ("topic", Special::Topic, Type::Text),
];

/// Names that always stand for a part of the message, so that nothing else can be called so.
pub(crate) const RESERVED: [&str; 13] = [
    "and", "client", "false", "not", "now", "null", "or", "payload", "prev", "qos", "retain",
    "topic", "true",
];
