use proptest::prelude::*;

use super::distinct::Distinct;
use super::quantile::Quantile;
use crate::hash::mix;
use crate::limits::{EXACT_DISTINCT_MAX, EXACT_VALUES_MAX};

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

proptest! {
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
