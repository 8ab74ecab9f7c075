use proptest::prelude::*;

use super::decayed::Decayed;
use super::distinct::Distinct;
use super::line::Line;
use super::mode::Mode;
use super::quantile::Quantile;
use super::side::SideKind;
use super::trail::{self, Trail};
use crate::hash::mix;
use crate::limits::{EXACT_DISTINCT_MAX, EXACT_VALUES_MAX, MODE_VALUES_MAX, TRAIL_POINTS_MAX};

fn filled(values: impl IntoIterator<Item = f64>) -> Quantile {
    let mut quantile = Quantile::default();
    values.into_iter().for_each(|value| quantile.insert(value));
    quantile
}

/// The value at a rank, between two values in proportion.
fn plain(values: &[f64], rank: f64) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let position = rank * (sorted.len() - 1) as f64;
    (sorted[position.floor() as usize], sorted[position.ceil() as usize])
}

#[test]
fn few_values_give_exact_quantiles() {
    let mut quantile = filled([4.0, 1.0, 3.0, 2.0]);
    assert_eq!(quantile.quantile(5000), Some(2.5));
    assert_eq!(quantile.quantile(0), Some(1.0));
    assert_eq!(quantile.quantile(10_000), Some(4.0));
    assert_eq!(Quantile::default().quantile(5000), None);
    let most = filled((0..EXACT_VALUES_MAX).map(|number| number as f64));
    assert!(most.is_exact());
}

#[test]
fn many_values_give_quantiles_within_one_percent() {
    let values: Vec<f64> =
        (0..20_000u64).map(|n| (mix(n) >> 40) as f64 / 1000.0 - 2000.0).collect();
    let mut quantile = filled(values.iter().copied());
    assert!(!quantile.is_exact());
    for rank in [100, 2500, 5000, 9000, 9500, 9990] {
        let found = quantile.quantile(rank).unwrap();
        let (low, high) = plain(&values, f64::from(rank) / 10_000.0);
        let allowed = low.abs().max(high.abs()) * 0.01;
        assert!(found >= low - allowed && found <= high + allowed, "{rank}: {found} {low}");
    }
}

#[test]
fn buckets_are_bounded_and_large_values_keep_their_precision() {
    let mut quantile = filled((0..EXACT_VALUES_MAX + 10).map(|_| 1e300));
    for exponent in -300..300 {
        for part in 1..40 {
            quantile.insert(f64::from(part) * 10f64.powi(exponent));
            quantile.insert(-f64::from(part) * 10f64.powi(exponent));
        }
    }
    assert!(quantile.bytes() <= 2048 * 8);
    let top = quantile.quantile(10_000).unwrap();
    assert!((top / 3.9e300 - 1.0).abs() < 0.02, "{top}");
}

#[test]
fn distinct_is_exact_then_near() {
    let mut set = Distinct::default();
    for number in 0..EXACT_DISTINCT_MAX as u64 {
        set.insert(mix(number));
        set.insert(mix(number));
    }
    assert_eq!(set.estimate(), EXACT_DISTINCT_MAX as f64);
    for (count, from) in [(1000.0, 64), (50_000.0, 1000)] {
        (from..count as u64).for_each(|number| set.insert(mix(number)));
        let error = (set.estimate() / count - 1.0).abs();
        assert!(error < 0.1, "{count}: {}", set.estimate());
    }
}

/// The trail of some points, in the order given.
fn trail_of(points: &[(i64, f64)]) -> Trail {
    let (mut cells, mut side) = (Trail::EMPTY, SideKind::Points.start());
    for (time, value) in points {
        trail::add(&mut cells, Some(&mut side), *time, *value);
    }
    trail::whole(&cells, Some(&side)).expect("there are points")
}

#[test]
fn more_points_than_are_kept_are_exact_unless_they_come_very_late() {
    let value = |number: i64| (mix(number as u64) >> 40) as f64;
    let ordered: Vec<(i64, f64)> =
        (0..3 * TRAIL_POINTS_MAX as i64).map(|number| (number * 10, value(number))).collect();
    let mut mixed = ordered.clone();
    mixed.chunks_mut(TRAIL_POINTS_MAX / 2).for_each(|chunk| chunk.reverse());
    assert_eq!(trail_of(&mixed), trail_of(&ordered));
    // As if it had not come.
    mixed.push((5, 1e6));
    assert_eq!(trail_of(&mixed), trail_of(&ordered));
}

#[test]
fn rare_values_are_forgotten_but_frequent_ones_are_not() {
    let (mut parts, mut whole) = (vec![Mode::default(); 8], Mode::default());
    for number in 0..8000u64 {
        // Every hundredth is the same, the others are all different.
        let value = if number % 100 == 0 { -1.0 } else { number as f64 };
        parts[(number % 8) as usize].insert(value.to_bits(), None);
        whole.insert(value.to_bits(), None);
    }
    let mut merged = Mode::default();
    parts.iter().for_each(|part| merged.merge(part));
    for mode in [&whole, &merged] {
        assert_eq!(mode.most().map(|most| f64::from_bits(most.bits)), Some(-1.0));
        assert!(mode.counts().len() <= MODE_VALUES_MAX);
        assert!(mode.most().is_some_and(|most| most.count <= 80));
    }
}

#[test]
fn a_mean_that_forgets_begins_again_after_numbers_too_large_to_compute_with() {
    let huge = Decayed::of(0, 1e300).merge(Decayed::of(1, -1e300), 1000);
    assert_eq!(huge, Decayed::of(1, -1e300));
    let after = huge.merge(Decayed::of(1_000_000, 5.0), 1000);
    assert_eq!((after.mean(), after.deviation().is_nan()), (5.0, true));
}

fn points() -> impl Strategy<Value = Vec<(i64, f64)>> {
    proptest::collection::vec((0i64..100_000, -1e6f64..1e6), 1..60)
}

fn near(left: f64, right: f64, scale: f64) -> bool {
    (left.is_nan() && right.is_nan()) || (left - right).abs() <= 1e-9 * scale
}

/// The deviation of two values is their distance over the root of two, whatever their weights.
#[test]
fn a_value_of_little_weight_does_not_make_a_deviation_rough() {
    for half_lives in 0..40 {
        let pair = Decayed::of(0, 1.0).merge(Decayed::of(half_lives * 1000, 3.0), 1000);
        let error = pair.deviation() - std::f64::consts::SQRT_2;
        assert!(error.abs() < 1e-14, "{half_lives}: {error}");
    }
    let alone = Decayed::of(0, 1.0).merge(Decayed::of(41_000, 3.0), 1000);
    assert!(alone.deviation().is_nan());
}

proptest! {
    #[test]
    fn trails_do_not_depend_on_the_order_of_arrival_or_the_cut(
        points in points(), cut: prop::sample::Index,
    ) {
        let mut ordered = points.clone();
        ordered.sort_by_key(|(time, _)| *time);
        ordered.dedup_by_key(|(time, _)| *time);
        let mut mixed = ordered.clone();
        mixed.sort_by_key(|(time, _)| mix(*time as u64));
        let whole = trail_of(&ordered);
        prop_assert_eq!(trail_of(&mixed), whole);
        let (mut cells, mut side) = (Trail::EMPTY, SideKind::Points.start());
        let at = cut.index(mixed.len());
        for part in [&mixed[at..], &mixed[..at]] {
            let (mut other, mut other_side) = (Trail::EMPTY, SideKind::Points.start());
            for (time, value) in part {
                trail::add(&mut other, Some(&mut other_side), *time, *value);
            }
            trail::merge(&mut cells, Some(&mut side), &other, Some(&other_side));
        }
        prop_assert_eq!(trail::whole(&cells, Some(&side)), Some(whole));
        // By arrival nothing but the sums is kept.
        let mut cells = Trail::EMPTY;
        for (time, value) in &ordered {
            trail::add(&mut cells, None, *time, *value);
        }
        prop_assert_eq!(trail::whole(&cells, None), Some(whole));
    }

    #[test]
    fn moments_of_time_do_not_depend_on_the_order_or_the_cut(
        points in points(), half_life in 1i64..100_000, cut: prop::sample::Index,
    ) {
        let decayed = |points: &[(i64, f64)]| {
            let single = points.iter().map(|(time, value)| Decayed::of(*time, *value));
            single.reduce(|left, right| left.merge(right, half_life))
        };
        let line = |points: &[(i64, f64)]| {
            let start = Line::load(&[0; Line::CELLS]);
            points.iter().fold(start, |line, (time, value)| line.add(*time, *value))
        };
        let (left, right) = points.split_at(cut.index(points.len()));
        let mut ordered = points.clone();
        ordered.sort_by_key(|(time, _)| *time);
        let (whole, merged) = (line(&ordered).slope(), line(right).merge(line(left)).slope());
        prop_assert!(near(whole, merged, 1e6), "{whole} {merged}");
        let (Some(whole), Some(right)) = (decayed(&ordered), decayed(right)) else {
            panic!("there are points");
        };
        let merged = decayed(left).map_or(right, |left| right.merge(left, half_life));
        prop_assert!(near(whole.mean(), merged.mean(), 1e6), "{whole:?} {merged:?}");
        let (a, b) = (whole.deviation(), merged.deviation());
        // Where all weight is on one value, the limit may fall on either side.
        prop_assert!(a.is_nan() || b.is_nan() || near(a, b, 1e6), "{whole:?} {merged:?}");
    }

    #[test]
    fn merged_quantiles_do_not_depend_on_the_cut(
        values in proptest::collection::vec(-1e6f64..1e6, 1..300), cut: prop::sample::Index,
    ) {
        let at = cut.index(values.len());
        let mut merged = filled(values[..at].iter().copied());
        merged.merge(&filled(values[at..].iter().copied()));
        for rank in [0, 3000, 5000, 9500, 10_000] {
            let (low, high) = plain(&values, f64::from(rank) / 10_000.0);
            let found = merged.quantile(rank).unwrap();
            prop_assert!(low <= found && found <= high, "{} {} {}", low, found, high);
        }
    }

    #[test]
    fn merged_sets_do_not_depend_on_the_cut(count in 0u64..500, cut in 0u64..500) {
        let fill = |range: std::ops::Range<u64>| {
            let mut set = Distinct::default();
            range.for_each(|number| set.insert(mix(number)));
            set
        };
        let mut merged = fill(0..cut.min(count));
        merged.merge(&fill(cut.min(count)..count));
        prop_assert_eq!(merged, fill(0..count));
    }
}
