//! "Did you mean": the candidate that a mistyped name most likely stands for.

/// The candidate nearest to `name`, if one is near enough to be worth suggesting.
///
/// Counts inserted, removed, replaced and swapped characters, without regard to case; ties go to
/// the candidate named first.
///
/// ```
/// assert_eq!(weir_config::nearest("temprature", ["humidity", "temperature"]), Some("temperature"));
/// assert_eq!(weir_config::nearest("pressure", ["humidity", "temperature"]), None);
/// ```
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.chars().take(NAME_MAX).flat_map(char::to_lowercase).collect();
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let other: Vec<char> =
            candidate.chars().take(NAME_MAX).flat_map(char::to_lowercase).collect();
        let allowed = wanted.len().max(other.len()).div_ceil(3);
        let distance = distance(&wanted, &other);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Edit distance with swaps of neighbours, kept in three rows.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; right.len() + 1];
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut row = last.clone();
    for (i, a) in left.iter().enumerate() {
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            row[j + 1] = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            let swapped = i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b;
            if swapped {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        std::mem::swap(&mut before, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[right.len()]
}

/// Longer names are compared by their beginning: the cost is quadratic.
const NAME_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_letters_are_one_step() {
        assert_eq!(nearest("retian", ["retain", "remain"]), Some("retain"));
        assert_eq!(nearest("fi", ["if"]), Some("if"));
    }

    #[test]
    fn far_names_are_not_suggested() {
        assert_eq!(nearest("zzz", ["avg", "sum"]), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn case_does_not_count() {
        assert_eq!(nearest("AVG", ["sum", "avg"]), Some("avg"));
    }
}
