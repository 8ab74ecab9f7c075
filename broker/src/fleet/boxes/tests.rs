//! What is concluded from what boxes say.

use super::*;

const SECOND: u64 = 1_000_000_000;

fn boxes() -> Boxes {
    Boxes::new(
        "a",
        ("mine".into(), 100),
        Some("before".into()),
        Duration::from_secs(3600),
        BTreeMap::new(),
    )
}

fn alive(incarnation: &str, since_ms: u64) -> Alive {
    Alive { incarnation: incarnation.into(), since_ms, version: "1".into(), has_stopped: false }
}

fn wants(filters: &[&str]) -> Wants {
    let filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
    Wants { filters, is_cut: false }
}

#[test]
fn a_box_is_away_when_nothing_is_heard_of_it_and_gone_after_long() {
    let mut boxes = boxes();
    boxes.handle_alive("b", SECOND, alive("b", 1));
    boxes.handle_wants("b", 0, wants(&["t/#"]));
    let here = Notice::Here { name: "b".into(), version: "1".into() };
    assert_eq!(boxes.look(), std::slice::from_ref(&here));
    assert_eq!(boxes.look(), []);
    boxes.handle_alive("a", 16 * SECOND, alive("mine", 100));
    assert_eq!(boxes.look(), []);
    boxes.handle_alive("a", 18 * SECOND, alive("mine", 100));
    assert_eq!(boxes.look(), [Notice::Away { name: "b".into(), has_stopped: false }]);
    assert_eq!(boxes.wanted(&["#".into()]), ["t/#"], "it is wanted on");
    boxes.handle_alive("b", 19 * SECOND, alive("b2", 19));
    assert_eq!(boxes.look(), [here]);
    boxes.handle_alive("a", 19 * SECOND + 3601 * SECOND, alive("mine", 100));
    assert_eq!(boxes.look(), [Notice::Gone { name: "b".into() }]);
    assert!(boxes.wanted(&["#".into()]).is_empty());
}

#[test]
fn a_box_that_says_goodbye_is_away_at_once() {
    let mut boxes = boxes();
    boxes.handle_alive("b", SECOND, alive("b", 1));
    boxes.look();
    boxes.handle_alive("b", 2 * SECOND, Alive { has_stopped: true, ..alive("b", 1) });
    assert_eq!(boxes.look(), [Notice::Away { name: "b".into(), has_stopped: true }]);
}

#[test]
fn what_is_wanted_is_cut_to_what_is_shared() {
    let mut boxes = boxes();
    boxes.take_changed();
    boxes.handle_wants("b", 1, wants(&["#", "x"]));
    boxes.handle_wants("c", 1, wants(&["site/+/temp", "other"]));
    boxes.handle_wants("a", 1, wants(&["own"]));
    assert!(boxes.take_changed() && !boxes.take_changed());
    assert_eq!(boxes.wanted(&["site/1/#".into()]), ["site/1/#"]);
    boxes.handle_wants("b", 2, wants(&[]));
    assert_eq!(boxes.wanted(&["site/1/#".into(), "x".into()]), ["site/1/temp"]);
    boxes.handle_wants("b", 3, wants(&[]));
    assert!(boxes.take_changed() && !boxes.take_changed());
}

#[test]
fn a_name_that_was_this_boxes_own_is_no_other_box() {
    let mut boxes = boxes();
    boxes.connected();
    for own in ["mine", "before"] {
        boxes.handle_alive("a", 1, alive(own, 1));
        assert_eq!(boxes.standing(), Standing::Own, "{own}");
    }
    boxes.handle_alive("a", 2, Alive { has_stopped: true, ..alive("other", 1) });
    assert_eq!(boxes.standing(), Standing::Own);
}

/// The one that comes later waits and sees; it has said nothing by then.
#[test]
fn a_name_is_taken_when_somebody_goes_on_to_use_it() {
    let mut boxes = boxes();
    boxes.connected();
    boxes.handle_alive("a", 1, alive("other", 1));
    assert_eq!(boxes.standing(), Standing::Doubtful);
    boxes.spoke();
    assert_eq!(boxes.standing(), Standing::Own, "nothing more was heard");
    boxes.connected();
    boxes.handle_alive("a", 1, alive("other", 1));
    boxes.handle_alive("a", 2, alive("other", 1));
    assert_eq!(boxes.standing(), Standing::Taken);
}

#[test]
fn of_two_that_come_at_the_same_time_one_stays() {
    let stays = |own: (&str, u64), other: (&str, u64)| {
        let own = (own.0.to_owned(), own.1);
        let mut boxes = Boxes::new("a", own, None, Duration::from_secs(60), BTreeMap::new());
        boxes.connected();
        boxes.spoke();
        boxes.handle_alive("a", 1, alive(other.0, other.1));
        boxes.standing() == Standing::Own
    };
    for (one, other) in [(("x", 1), ("y", 2)), (("x", 2), ("y", 2)), (("y", 1), ("x", 2))] {
        assert!(stays(one, other) && !stays(other, one));
    }
}
