//! Calls that look at more than one message: aggregates of a window.

use std::ops::Range;

use super::Problem;
use super::aggregate::{Call, Extra, Kind};
use super::check::{Checker, compile};
use super::constant;
use super::program::{Op, Program, Type};
use super::syntax::Expression;
use crate::code;

impl Checker<'_, '_> {
    /// An aggregate of a window.
    pub(super) fn aggregate(
        &mut self,
        kind: Kind,
        name: &str,
        arguments: &[Expression],
        span: &Range<usize>,
    ) -> Type {
        if self.scope.aggregates.is_none() {
            let why = self.scope.no_aggregates;
            let message = format!("aggregate `{name}` cannot stand here");
            let mut problem = Problem::new(code::AGGREGATE, message, span.clone(), why);
            if name == "min" || name == "max" {
                let help = format!("the {name} of several values of one message is {name}_of");
                problem = problem.help(help);
            }
            self.problems.push(problem);
            return Type::Any;
        }
        let (value, extra) = match (arguments, kind.extra()) {
            ([], _) if kind == Kind::Count => (None, None),
            ([value], Extra::Nothing | Extra::Unit) => (Some(value), None),
            ([_, _], Extra::Nothing) => return self.wrong_count(name, &kind.usage(name), span),
            ([value, extra], _) => (Some(value), Some(extra)),
            _ => return self.wrong_count(name, &kind.usage(name), span),
        };
        let argument = value.map(|value| self.message_value(value, kind.argument(), name));
        let second = match (kind, extra) {
            (Kind::ArgMax | Kind::ArgMin, Some(extra)) => {
                Some(self.message_value(extra, Type::Any, name))
            }
            _ => None,
        };
        match extra.map_or(Ok(kind), |extra| with_constant(kind, extra)) {
            Ok(kind) => {
                let slot = self.result_slot(kind, argument, second);
                self.push(Op::Local(slot), span);
            }
            Err(problem) => self.problems.push(problem),
        }
        kind.result()
    }

    /// An argument of an aggregate: it is computed for each message, not for the result.
    fn message_value(&mut self, tree: &Expression, wanted: Type, name: &str) -> Program {
        let stage = std::mem::replace(&mut self.scope.stage, self.scope.message_stage);
        let calls = self.scope.aggregates.take();
        let outer = std::mem::replace(&mut self.scope.no_aggregates, NESTED);
        let program = compile(tree, self.source, self.scope, self.problems);
        self.scope.no_aggregates = outer;
        self.scope.aggregates = calls;
        self.scope.stage = stage;
        self.require(program.result, wanted, &format!("{name}()"), tree);
        program
    }

    /// Where the result of an aggregate goes; the same aggregate is computed once.
    fn result_slot(
        &mut self,
        kind: Kind,
        argument: Option<Program>,
        second: Option<Program>,
    ) -> u16 {
        let same = |left: &Option<Program>, right: &Option<Program>| match (left, right) {
            (Some(left), Some(right)) => left.same_as(right),
            (left, right) => left.is_none() && right.is_none(),
        };
        let known = self.scope.aggregates.as_ref().and_then(|calls| {
            calls.iter().find(|call| {
                call.kind == kind && same(&call.argument, &argument) && same(&call.second, &second)
            })
        });
        if let Some(call) = known {
            return call.slot;
        }
        let slot = self.scope.local();
        if let Some(calls) = &mut self.scope.aggregates {
            calls.push(Call { kind, argument, second, slot });
        }
        slot
    }
}

/// The aggregate with what its constant argument says.
fn with_constant(kind: Kind, extra: &Expression) -> Result<Kind, Problem> {
    Ok(match kind {
        Kind::Collect(_) => Kind::Collect(constant::size(extra)?),
        Kind::Ewma(_) => Kind::Ewma(constant::duration(extra)?),
        Kind::Ewsd(_) => Kind::Ewsd(constant::duration(extra)?),
        Kind::Integral(_) => Kind::Integral(constant::unit(extra)?),
        Kind::Slope(_) => Kind::Slope(constant::unit(extra)?),
        other => other,
    })
}

const NESTED: &str = "aggregates cannot be nested";
