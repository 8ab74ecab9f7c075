//! Calls that look at more than one message: aggregates of a window, and what is kept per key.

use std::ops::Range;

use super::Problem;
use super::aggregate::{Call, Extra, Kind};
use super::check::{Checker, compile};
use super::constant;
use super::function::Function;
use super::program::{Op, Program, Special, Type};
use super::scope::{Fold, FoldKind, Stage};
use super::syntax::{Binary, Expression};
use crate::code;
use crate::value::Value;

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

impl Checker<'_, '_> {
    /// `changed(x)`: whether it is another value than that of the message before.
    pub(super) fn changed(&mut self, arguments: &[Expression], span: &Range<usize>) -> Type {
        let [value] = arguments else { return self.wrong_count("changed", "changed(x)", span) };
        let Some(program) = self.kept("changed", value, Type::Any, span) else { return Type::Bool };
        self.expression(value);
        let slot = self.prev_slot(program);
        self.push(Op::Local(slot), span);
        self.push(Op::Binary(Binary::NotEqual), span);
        Type::Bool
    }

    /// `since(condition)`: milliseconds since it became true; null if it is not.
    pub(super) fn since(&mut self, arguments: &[Expression], span: &Range<usize>) -> Type {
        let [condition] = arguments else {
            return self.wrong_count("since", "since(condition)", span);
        };
        let Some(program) = self.kept("since", condition, Type::Bool, span) else {
            return Type::Number;
        };
        let [slot, _] = self.fold_slots(FoldKind::Since, program);
        // condition ? max_of(now - (slot ?? now), 0) : null
        self.expression(condition);
        let branch = self.push(Op::Branch(0, 0), span);
        self.push(Op::Special(Special::Now), span);
        self.push(Op::Local(slot), span);
        let known = self.push(Op::Jump(0), span);
        self.push(Op::Special(Special::Now), span);
        self.patch(known, Op::Coalesce(self.here()));
        self.push(Op::Binary(Binary::Subtract), span);
        self.constant(Value::Number(0.0), Type::Number, span);
        self.push(Op::Call(Function::MaxOf, 2), span);
        let jump = self.push(Op::Jump(0), span);
        let otherwise = self.here();
        self.constant(Value::Null, Type::Null, span);
        let end = self.here();
        self.patch(branch, Op::Branch(otherwise, end));
        self.patch(jump, Op::Jump(end));
        Type::Number
    }

    /// `ewma(x, '1h')` and `ewsd(x, '1h')` outside of windows: of all messages of the key before.
    pub(super) fn decayed(
        &mut self,
        name: &str,
        arguments: &[Expression],
        span: &Range<usize>,
    ) -> Type {
        let [value, half_life] = arguments else {
            return self.wrong_count(name, &format!("{name}(x, '5m')"), span);
        };
        let program = self.kept(name, value, Type::Number, span);
        match (constant::duration(half_life), program) {
            (Err(problem), _) => self.problems.push(problem),
            (Ok(half_life), Some(program)) => {
                let [mean, deviation] = self.fold_slots(FoldKind::Decayed(half_life), program);
                self.push(Op::Local(if name == "ewma" { mean } else { deviation }), span);
            }
            (Ok(_), None) => {}
        }
        Type::Number
    }

    /// The program of a value that is kept per key; `None` if there is a problem.
    fn kept(
        &mut self,
        name: &str,
        tree: &Expression,
        wanted: Type,
        span: &Range<usize>,
    ) -> Option<Program> {
        if self.scope.prev.is_none() || self.scope.stage == Stage::Result {
            let message = format!("`{name}` cannot stand here");
            let label = "only `let`, `where`, `select` and arguments of aggregates know what was";
            self.problem(code::AGGREGATE, message, span.clone(), label);
            return None;
        }
        let problems = self.problems.len();
        let program = compile(tree, self.source, self.scope, self.problems);
        self.require(program.result, wanted, &format!("{name}()"), tree);
        (self.problems.len() == problems).then_some(program)
    }

    /// Where a fold is read; the same fold is kept once.
    fn fold_slots(&mut self, kind: FoldKind, program: Program) -> [u16; 2] {
        let known = self.scope.prev.as_ref().and_then(|kept| {
            let same = |fold: &&Fold| fold.kind == kind && fold.program.same_as(&program);
            kept.folds.iter().find(same).map(|fold| fold.slots)
        });
        known.unwrap_or_else(|| {
            let slots = [self.scope.local(), self.scope.local()];
            if let Some(kept) = &mut self.scope.prev {
                kept.folds.push(Fold { kind, program, slots });
            }
            slots
        })
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
