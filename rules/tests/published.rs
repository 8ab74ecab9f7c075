//! Examples that the documents of other engines give, with the results that stand there.
//!
//! Where the same words mean the same, the same results must come out. What differs is said at the
//! example.

use weir_rules::{Source, run_cases};

fn check(text: &str) {
    match run_cases(&[Source::new("published.toml", text)]) {
        Ok(report) => assert!(report.passed() && !report.cases.is_empty(), "{report}"),
        Err(problems) => panic!("{}", problems[0]),
    }
}

/// Minute after 08:00 on 2020-04-15, price and item.
type Bid = (i64, &'static str, &'static str);

/// A rule over bids in their order, which come a while after they were made.
fn bids(lines: &str, bids: &[Bid], expect: &[String]) {
    let play = bids.iter().enumerate().map(|(position, (minute, price, item))| {
        let payload = format!(
            "{{ bidtime = \"2020-04-15T08:{minute:02}:00Z\", price = {price}, item = \"{item}\" }}"
        );
        format!("{{ at = \"20m{position}s\", topic = \"bid\", payload = {payload} }}")
    });
    let play: Vec<String> = play.collect();
    check(&format!(
        r#"
        [rule.bids]
        from   = "bid"
        {lines}
        select = {{ total = "sum(price)", bids = "count()" }}
        limits = {{ expire = "1d" }}
        to     = "total"

        [[rule.bids.test]]
        name   = "as published"
        start  = "2020-04-15T08:00:00Z"
        play   = [{}]
        expect = [{}, {{ times = {} }}]
        "#,
        play.join(", "),
        expect.join(", "),
        expect.len()
    ));
}

/// The table Bid, of which none is late.
fn ordered_bids(window: &str, expect: &[String]) {
    let table = [
        (5, "4.00", "C"),
        (7, "2.00", "A"),
        (9, "5.00", "D"),
        (11, "3.00", "B"),
        (13, "1.00", "E"),
        (17, "6.00", "F"),
    ];
    let time = "time = { field = \"bidtime\", unit = \"rfc3339\", late = \"1s\" }";
    bids(&format!("{time}\nwindow = \"{window}\""), &table, expect);
}

fn result(start: &str, end: &str, total: &str) -> String {
    format!(
        "{{ where = \"window.start == '2020-04-15T{start}:00.000Z' && window.end == \
         '2020-04-15T{end}:00.000Z' && total == {total}\", times = 1 }}"
    )
}

/// Flink, "Windowing table-valued functions", TUMBLE of ten minutes over the table Bid.
#[test]
fn flink_tumble() {
    let expect = [result("08:00", "08:10", "11"), result("08:10", "08:20", "10")];
    ordered_bids("tumbling 10m", &expect);
}

/// The same page, HOP of ten minutes by five.
#[test]
fn flink_hop() {
    let expect = [
        result("08:00", "08:10", "11"),
        result("08:05", "08:15", "15"),
        result("08:10", "08:20", "10"),
        result("08:15", "08:25", "6"),
    ];
    ordered_bids("hopping 10m every 5m", &expect);
}

/// The same page, SESSION with a gap of five minutes, by item and over all. The second bid is out of
/// order there, so the lateness must cover it.
fn sessions(by: &str, expect: &[String]) {
    let table =
        [(7, "4.00", "A"), (6, "2.00", "A"), (9, "5.00", "B"), (8, "3.00", "A"), (17, "1.00", "B")];
    let time = "time = { field = \"bidtime\", unit = \"rfc3339\", late = \"2m\" }";
    bids(&format!("{time}\n{by}\nwindow = \"session 5m\""), &table, expect);
}

#[test]
fn flink_session_by_item() {
    let expect = [
        result("08:06", "08:13", "9 && item == 'A' && bids == 3"),
        result("08:09", "08:14", "5 && item == 'B'"),
        result("08:17", "08:22", "1 && item == 'B'"),
    ];
    sessions("by = [\"item\"]", &expect);
}

#[test]
fn flink_session_over_all() {
    let expect = [result("08:06", "08:14", "14 && bids == 4"), result("08:17", "08:22", "1")];
    sessions("", &expect);
}

/// eKuiper, "Windows": COUNTWINDOW(5), COUNTWINDOW(5,1) and COUNTWINDOW(5,2). The last gives nothing
/// with the events 2 and 4, since there are fewer than five, and with the sixth the last five.
#[test]
fn ekuiper_count_windows() {
    let count = |window: &str, expect: &str| {
        check(&format!(
            r#"
            [rule.count]
            from   = "demo"
            window = "{window}"
            select = {{ first = "first(temperature)", last = "last(temperature)", n = "count()" }}
            to     = "out"

            [[rule.count.test]]
            name   = "as published"
            play   = [{{ at = "0s", topic = "demo", payload = {{ temperature = "${{n}}" }}, repeat = 11, every = "1s" }}]
            expect = [{expect}]
            "#
        ));
    };
    let full = |first: u32| {
        format!("{{ where = \"first == {first} && last == {} && n == 5\", times = 1 }}", first + 4)
    };
    count("count 5", &format!("{}, {}, {{ times = 2 }}", full(0), full(5)));
    let each: Vec<String> = (0..7).map(full).collect();
    count("count 5 every 1", &format!("{}, {{ times = 7 }}", each.join(", ")));
    count("count 5 every 2", &format!("{}, {}, {}, {{ times = 3 }}", full(1), full(3), full(5)));
}

/// eKuiper, "Windows": a session lasts as long as events come within the timeout, and is closed at
/// its maximum. There the maximum is looked at on a grid of its own length; here it counts from the
/// first message of the session.
#[test]
fn ekuiper_session_window() {
    check(
        r#"
        [rule.session]
        from   = "demo"
        window = "session 1m max 2m"
        select = { n = "count()" }
        to     = "out"

        [[rule.session.test]]
        name   = "as described"
        play   = [
            { at = "0s", topic = "demo", payload = {}, repeat = 7, every = "30s" },
            { at = "10m", topic = "demo", payload = {} },
        ]
        expect = [
            { where = "n == 4 && window.end == '2026-01-01T00:02:00.000Z'", times = 1 },
            { where = "n == 3 && window.start == '2026-01-01T00:02:00.000Z' && window.end == '2026-01-01T00:04:00.000Z'", times = 1 },
            { where = "n == 1", times = 1 },
            { times = 3 },
        ]
        "#,
    );
}

/// Flink, "Windows", allowed lateness: a window that has fired fires again for each late element
/// that comes before its end plus the lateness, and what comes after that goes to a side output.
/// Here a corrected result carries a revision.
#[test]
fn flink_allowed_lateness_and_side_output() {
    let rule = |emit: &str, expect: &str| {
        check(&format!(
            r#"
            [rule.late]
            from   = "in"
            time   = {{ field = "ts", unit = "s" }}
            window = "tumbling 10s"
            emit   = {emit}
            select = {{ n = "count()" }}
            limits = {{ expire = "1h" }}
            to     = "out"

            [[rule.late.test]]
            name   = "one late, one too late"
            play   = [
                {{ at = "1m", topic = "in", payload = {{ ts = 1767225605 }} }},
                {{ at = "2m", topic = "in", payload = {{ ts = 1767225612 }} }},
                {{ at = "3m", topic = "in", payload = {{ ts = 1767225606 }} }},
                {{ at = "4m", topic = "in", payload = {{ ts = 1767225635 }} }},
                {{ at = "5m", topic = "in", payload = {{ ts = 1767225607 }} }},
            ]
            expect = [{expect}]
            "#
        ));
    };
    rule(
        "{ late = \"update\" }",
        r#"{ where = "n == 1 && window.end == '2026-01-01T00:00:10.000Z' && window.rev == 0", times = 1 },
           { where = "n == 2 && window.end == '2026-01-01T00:00:10.000Z' && window.rev == 1", times = 1 },
           { where = "window.rev > 0", times = 1 }"#,
    );
    rule(
        "{ late = \"topic\" }",
        r#"{ topic = "$rules/late/late", payload = { ts = 1767225606 }, times = 1 },
           { topic = "$rules/late/late", payload = { ts = 1767225607 }, times = 1 },
           { topic = "out", where = "window.rev > 0", times = 0 }"#,
    );
}
