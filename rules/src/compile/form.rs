//! The form of what a destination sends.

use super::names::{Names, Part};
use crate::code;
use crate::expression::{Op, Program, Type};
use crate::form::{Column, Form, ValueForm};
use crate::spec::{DestinationSpec, FormatWord, Located, Place, Report, RuleSpec};

/// Checks and compiles the form of one destination. After a problem the form is the usual one.
pub(super) fn compile_form(
    spec: &RuleSpec,
    one: &DestinationSpec,
    names: &mut Names<'_>,
    report: &mut Report<'_>,
) -> Form {
    let form = &one.form;
    let word = form.format.as_ref().map_or(FormatWord::Json, |(word, _)| *word);
    let place = form.format.as_ref().map_or(&one.topic.place, |(_, place)| place).clone();
    check_meta(one, word, report);
    if spec.alert.is_some() && (word != FormatWord::Json || form.value.is_some()) {
        let place = form.value.as_ref().map_or(&place, |value| &value.place);
        let message = "an alert is sent as a JSON object";
        let help = "for one value add a rule that reads this one: from = \"rule:NAME\"";
        let label = "this form has no place for its state";
        report.error_with_help(code::WRONG_VALUE, message, place, label, help);
        return Form::Body;
    }
    if let (Some(measurement), true) = (&form.measurement, word != FormatWord::Influx) {
        let message = "`measurement` belongs to format = \"influx\"";
        report.error(code::WRONG_VALUE, message, &measurement.place, "not used");
    }
    let value_form = match word {
        FormatWord::Cbor => Some(ValueForm::Cbor),
        FormatWord::Csv => Some(ValueForm::Csv),
        FormatWord::Influx => None,
        FormatWord::Json => Some(ValueForm::Json),
        FormatWord::Number => Some(ValueForm::Number),
        FormatWord::Text => Some(ValueForm::Text),
    };
    match (&form.value, value_form) {
        (Some(value), Some(value_form)) => {
            let wanted = wanted(value_form);
            let program = names.compile(value, wanted, Part::Result, report);
            program.map_or(Form::Body, |program| Form::Value(value_form, program))
        }
        (Some(value), None) => {
            let message = "a line of InfluxDB has a name for each value";
            let help = "leave `value` out: all outputs of `select` are sent";
            report.error_with_help(code::WRONG_VALUE, message, &value.place, "not used", help);
            Form::Body
        }
        (None, Some(value_form @ (ValueForm::Number | ValueForm::Text))) => {
            only_value(spec, value_form, names, &place, report)
        }
        (None, _) => all_values(spec, word, form.measurement.as_ref(), names, &place, report),
    }
}

/// Only the JSON object has room for more entries.
fn check_meta(one: &DestinationSpec, word: FormatWord, report: &mut Report<'_>) {
    let Some(place) = &one.meta else { return };
    if word != FormatWord::Json || one.form.value.is_some() {
        let message = "`meta` needs the JSON object of a result";
        let label = "this form has no place for `id` and `rule`";
        report.error(code::WRONG_VALUE, message, place, label);
    }
}

/// The only output, or the value of a payload that is one value.
fn only_value(
    spec: &RuleSpec,
    form: ValueForm,
    names: &mut Names<'_>,
    place: &Place,
    report: &mut Report<'_>,
) -> Form {
    let name = match spec.select.as_deref() {
        None => "value",
        Some([only]) => only.name.as_str(),
        Some(_) => {
            let message = "one value is to be sent, but `select` has several";
            let help = "say which one, for example value = \"temperature\"";
            report.error_with_help(code::MISSING_KEY, message, place, "no `value`", help);
            return Form::Body;
        }
    };
    let known = names.result.iter().find(|known| known.text == name && known.role == "output");
    let program = match known {
        Some(known) => {
            let ops = vec![Op::Local(known.slot)];
            let span = std::iter::once(0..name.len()).collect();
            let (zones, result) = (Vec::new(), known.kind);
            Some(Program { ops, spans: span, zones, source: name.into(), result })
        }
        // An output with a problem of its own is not known.
        None if spec.select.is_some() => None,
        None => names.try_compile(name, Type::Any, Part::Result, &|_| place.clone()).ok(),
    };
    let Some(program) = program else { return Form::Body };
    if !program.result.fits(wanted(form)) {
        let message = format!("`{name}` is {}, not a number", program.result.describe());
        report.error(code::TYPE, message, place, "sends numbers only");
    }
    Form::Value(form, program)
}

/// All group values and outputs.
fn all_values(
    spec: &RuleSpec,
    word: FormatWord,
    measurement: Option<&Located>,
    names: &Names<'_>,
    place: &Place,
    report: &mut Report<'_>,
) -> Form {
    if word == FormatWord::Json {
        return Form::Body;
    }
    if spec.select.is_none() {
        let message = "this format needs a `select`";
        let help = "without `select` the payload is sent as it came";
        let label = "there are no outputs to write";
        report.error_with_help(code::MISSING_KEY, message, place, label, help);
    }
    let with_role = |role| names.result.iter().filter(move |name| name.role == role);
    let columns = with_role("key").chain(with_role("output")).map(|name| Column {
        name: name.text.clone(),
        slot: name.slot,
        is_key: name.role == "key",
    });
    let columns = columns.collect();
    match word {
        FormatWord::Cbor => Form::Cbor(columns),
        FormatWord::Csv => Form::Csv(columns),
        _ => {
            let measurement = measurement.map_or(&spec.name, |text| &text.value).clone();
            Form::Influx { measurement, columns }
        }
    }
}

fn wanted(form: ValueForm) -> Type {
    if form == ValueForm::Number { Type::Number } else { Type::Any }
}
