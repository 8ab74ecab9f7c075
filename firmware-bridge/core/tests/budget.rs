//! What a node takes of a microcontroller.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(dead_code, reason = "not every test needs all of its support")]

mod support;

/// Flash, static memory and panics, for Cortex-M0+ and Cortex-M4F: the script says what is above
/// the budget.
#[test]
fn node_stays_within_its_budget_and_cannot_panic() {
    let Some(printed) = support::script("budget of a node", "node-budget", &["--fetched-only"])
    else {
        return;
    };
    assert_eq!(printed.lines().count(), 6, "{printed}");
}
