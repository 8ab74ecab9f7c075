//! Rules that keep every kind of state.

/// Everything but `from`, `by` and `to`.
pub(crate) const RULES: &[&str] = &[
    r#"window = "tumbling 5s"
       select = { n = "count()", avg = "avg(v)", sd = "stddev(v)", last = "last(w)" }"#,
    r#"window = "sliding 20s every 2s"
       select = { p90 = "p90(v)", words = "distinct(w)", first = "first(v)", range = "range(v)" }"#,
    r#"window = "sliding 10s every 5s"
       time   = { field = "ts", unit = "ms", late = "1s", idle = "3s" }
       emit   = { late = "update" }
       select = { n = "count()", median = "median(v)", w = "first(w)" }"#,
    r#"window = "sliding 8s"
       select = { max = "max(v)", n = "count()" }"#,
    r#"window = "sliding 8s"
       time   = { field = "ts", unit = "ms", late = "2s", idle = "5s" }
       select = { sum = "sum(v)" }
       having = "sum > 0""#,
    r#"let    = { step = "v - (prev.v ?? v)", before = "prev.w" }
       where  = "step != 0"
       select = { step = "step", before = "before" }"#,
    r#"window = "tumbling 4s"
       emit   = { empty = true }
       limits = { expire = "30s" }
       select = { n = "count()", v = "last(v)" }"#,
    r#"window = "tumbling 10s"
       time   = { field = "ts", unit = "ms", late = "500ms", per = "source" }
       select = { n = "count()" }"#,
    // The limits are reached: what is refused must not depend on restarts.
    r#"window = "sliding 30s every 1s"
       limits = { memory = "4 KiB" }
       select = { p50 = "p50(v)", w = "last(w)" }"#,
    r#"window = "tumbling 3s"
       limits = { keys = 2 }
       select = { mixed = "sum(v > 0 ? v : w)" }"#,
    r#"window = "count 6 every 4"
       emit   = { early = "3s" }
       select = { sum = "sum(v)", p50 = "p50(v)", w = "last(w)" }"#,
    r#"window = "session 2s max 20s"
       select = { n = "count()", p50 = "p50(v)", w = "first(w)" }"#,
    r#"window = "session 2s"
       time   = { field = "ts", unit = "ms", late = "3s", idle = "5s" }
       emit   = { late = "topic", early = "2s" }
       select = { n = "count()", p50 = "p50(v)", words = "distinct(w)", w = "first(w)",
           area = "integral(v)", latest = "collect(v, 2)", often = "mode(w)", tw = "twavg(v)" }"#,
    r#"window = "while v > 0"
       emit   = { early = "2s" }
       select = { n = "count()", p50 = "p50(v)", w = "last(w)" }"#,
    r#"window = "while v > -500"
       time   = { field = "ts", unit = "ms", late = "3s", per = "source" }
       select = { n = "count()", p50 = "p50(v)", w = "last(w)", rate = "rate(v)",
           latest = "collect(w, 3)", ew = "ewma(v, '2s')" }"#,
    r#"window = "tumbling 1h at 00:00 Australia/Lord_Howe"
       emit   = { early = "10s", empty = true }
       limits = { expire = "3h" }
       select = { n = "count()", sum = "sum(v)" }"#,
    r#"window = "sliding 12s every 3s"
       time   = { field = "ts", unit = "ms", late = "1s" }
       emit   = { late = "update" }
       select = { area = "integral(v)", tw = "twavg(v)", rate = "rate(v)", delta = "delta(v)",
           slope = "slope(v)", latest = "collect(w, 3)", some = "collect(v, 2)" }"#,
    r#"window = "sliding 9s every 3s"
       select = { area = "integral(v, 'h')", ew = "ewma(v, '2s')", sd = "ewsd(v, '2s')",
           often = "mode(w)", mode = "mode(v)", top = "argmax(v, w)", low = "argmin(v, v)" }"#,
    r#"window = "sliding 8s"
       time   = { field = "ts", unit = "ms", late = "2s", idle = "5s" }
       select = { tw = "twavg(v)", rate = "rate(v)", latest = "collect(v, 2)", w = "argmin(v, w)" }"#,
    r#"let    = { base = "ewma(v, '10s')", sd = "ewsd(v, '10s')" }
       where  = "v > 0 || changed(w)"
       select = { base = "base", sd = "sd", high = "since(v > 0)", was = "prev.base" }"#,
    r#"time   = { field = "ts", unit = "ms" }
       select = { base = "ewma(v, '2s')", sd = "ewsd(v, '2s')", new = "changed(w)" }"#,
    r#"let    = { off = "v - ewma(v, '3s')" }
       window = "tumbling 4s"
       select = { off = "max(off)", high = "max(since(v > 0))" }"#,
    // The payload as bytes: the last digit of its time.
    r#"decode = { bytes = { digit = "u8@17", odd = "bool@17.0" } }
       where  = "odd || digit > prev.digit"
       window = "sliding 10s every 5s"
       select = { n = "count()", sum = "sum(digit)", odd = "last(odd)" }"#,
    r#"select = { w = "w" }
       limits = { memory = "4 KiB" }
       [rule.r.alert]
       when      = "v > 0"
       for       = "4s"
       clear_for = "3s"
       silent    = "20s"
       message   = "{key} at {v:.1}, {w}""#,
    r#"time   = { field = "ts", unit = "ms" }
       [rule.r.alert]
       when   = "v > prev.v"
       for    = "1s"
       clear  = "v < 0"
       repeat = "2d""#,
    r#"window = "sliding 10s every 2s"
       time   = { field = "ts", unit = "ms", late = "1s", per = "source" }
       emit   = { empty = true }
       select = { n = "count()" }
       [rule.r.alert]
       when   = "n > 2"
       for    = "6s"
       silent = "90s"
       value  = "last(w)""#,
    r#"let    = { other = "first.v - v" }
       select = { other = "other", w = "first.w", own = "same.w ?? prev.w" }
       join.first = { topic = "in/0", max_age = "20s" }
       join.same  = { topic = "in/{w}" }"#,
    r#"window = "tumbling 5s"
       limits = { keys = 1 }
       select = { n = "sum(v < own.v ? 1 : 0)", w = "last(own.w)" }
       join.own = { topic = "in/{key}" }"#,
    r#"window = "while v > 0"
       limits = { expire = "30s" }
       [rule.r.alert]
       when = "sum(v) > 100"
       for  = "4s""#,
    r#"window = "count 3 every 2"
       limits = { expire = "20s" }
       [rule.r.alert]
       when   = "avg(v) > 10"
       silent = "15s""#,
    r#"window = "session 2s max 20s"
       time   = { field = "ts", unit = "ms", late = "3s" }
       limits = { expire = "20s" }
       [rule.r.alert]
       when      = "count() > 2"
       clear_for = "2s"
       message   = "{last(w)}""#,
    r#"dedupe = { key = ["w", "v"], within = "5s" }
       limits = { keys = 6 }
       [rule.r.alert]
       when      = "v > 0"
       for       = "4s"
       clear_for = "3s""#,
    r#"let    = { over = "v - other.v" }
       change = { field = "over", by = 10, at_most_every = "5s" }
       select = { over = "over", w = "other.w" }
       limits = { expire = "30s" }
       join.other = { topic = "in/0", max_age = "20s" }"#,
    r#"change = { field = ["v", "w"], by = 20, or_percent = 5, at_least_every = "20s", at_most_every = "3s" }
       select = { v = "v", w = "w", before = "prev.v" }
       limits = { expire = "30s" }"#,
    r#"change = { field = "v", by = 50, at_most_every = "30s" }
       limits = { expire = "10s", memory = "4 KiB" }"#,
    r#"window = "tumbling 4s"
       change = { field = "w" }
       select = { n = "count()", w = "last(w)" }"#,
    r#"window = "sliding 8s"
       time   = { field = "ts", unit = "ms", late = "2s", idle = "5s" }
       change = { by = 10, at_least_every = "9s" }
       select = { sum = "sum(v)" }"#,
    r#"dedupe = { key = ["w", "key"], within = "5s" }
       limits = { keys = 6 }"#,
    r#"dedupe = { key = "w", within = "7s", keep = "last" }
       select = { v = "v", before = "prev.v" }
       limits = { keys = 4, expire = "30s" }"#,
    r#"dedupe = { key = ["v"], within = "20s", keep = "last" }
       limits = { memory = "4 KiB" }"#,
    r#"dedupe = { key = ["w"], within = "3s" }
       window = "sliding 10s every 5s"
       limits = { memory = "4 KiB" }
       select = { n = "count()", w = "last(w)" }"#,
];

/// A file with one of them.
pub(crate) fn rule(text: &str) -> String {
    let head = "[rule.r]\nfrom = \"in/{key}\"\nby = [\"key\"]\nto = \"out/{key}\"";
    format!("{head}\n{text}")
}
