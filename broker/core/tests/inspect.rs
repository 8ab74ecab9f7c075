//! What the operator sees of clients, subscriptions and retained messages, and how a client is made to
//! go.

use crate::support::*;

/// Looks in each shard until the search is over there, and counts the steps of the longest.
fn search<T, S>(
    world: &World,
    begin: &S,
    step: impl Fn(&mut S, &Core) -> Option<Vec<T>>,
) -> (Vec<T>, usize)
where
    S: Clone,
{
    let found = world.look_everywhere(|core| {
        let mut search = begin.clone();
        for steps in 1..100 {
            if let Some(found) = step(&mut search, core) {
                return (found, steps);
            }
        }
        panic!("it does not end");
    });
    let steps = found.iter().map(|(_, steps)| *steps).max();
    (found.into_iter().flat_map(|(found, _)| found).collect(), steps.unwrap_or(0))
}

fn subscriptions(world: &World, begin: &SubscriptionSearch) -> (Vec<SubscriptionView>, usize) {
    let (mut found, steps) = search(world, begin, SubscriptionSearch::step);
    found.sort_by_key(|view| (view.filter.to_string(), view.client_id.to_string()));
    (found, steps)
}

fn ids(
    world: &World,
    prefix: &str,
    after: Option<&str>,
    connected: Option<bool>,
    count: usize,
) -> Vec<String> {
    let clients = ClientSearch::new(prefix.into(), after.map(Into::into), connected, count);
    let (found, _) = search(world, &clients, ClientSearch::step);
    let mut ids: Vec<String> = found.iter().map(|view| view.client_id.to_string()).collect();
    ids.sort();
    ids.truncate(count);
    ids
}

#[test]
fn clients_come_in_the_order_of_their_identifiers_and_page_by_page() {
    let world = World::new();
    let open: Vec<Client> = ["b", "a/2", "c", "a/1", "a/3"].map(|id| world.connect(v5(id))).into();
    let kept = world.connect(v5("a/0").kept());
    kept.hang_up();
    assert_eq!(ids(&world, "", None, None, 10), ["a/0", "a/1", "a/2", "a/3", "b", "c"]);
    assert_eq!(ids(&world, "a/", None, None, 2), ["a/0", "a/1"]);
    assert_eq!(ids(&world, "a/", Some("a/1"), None, 2), ["a/2", "a/3"]);
    assert_eq!(ids(&world, "a/", Some("a/3"), None, 2), [""; 0]);
    assert_eq!(ids(&world, "", None, Some(false), 10), ["a/0"]);
    assert_eq!(ids(&world, "", None, Some(true), 2), ["a/1", "a/2"]);
    drop(open);
}

#[test]
fn a_client_is_shown_with_what_it_does_and_what_waits_for_it() {
    let world = World::new();
    let (client, other) = (world.connect(v5("c").kept()), world.connect(v311("o")));
    client.subscribe("t/+", QOS1);
    other.publish(QOS0, "t/1", "x");
    other.publish(QOS0, "t/2", "y");
    assert_eq!(client.receive_all().len(), 2);
    let view =
        |id: &str| world.look_everywhere(|core| core.client(id)).into_iter().flatten().next();
    let seen = view("c").expect("it has a session");
    assert_eq!((seen.received, seen.sent, seen.subscriptions), (0, 2, 1));
    assert_eq!((seen.version, seen.listener), (Version::V5, Some(ListenerId(0))));
    assert!(seen.connection.is_some() && seen.since_ms.is_some() && seen.keep_alive_s.is_some());
    assert_eq!(view("o").map(|seen| (seen.received, seen.sent)), Some((2, 0)));
    client.hang_up();
    other.publish_acknowledged("t/1", "waits");
    let seen = view("c").expect("its session is kept");
    assert_eq!((seen.connection, seen.keep_alive_s), (None, None));
    assert_eq!((seen.queued_messages, seen.sent), (1, 0));
    assert!(seen.queued_bytes > 0);
    assert!(view("nobody").is_none());
}

#[test]
fn a_long_table_is_looked_at_in_parts_and_nothing_is_missed() {
    in_one_shard();
    let world = World::new();
    let clients: Vec<Client> =
        (0..25).map(|number| world.connect(v5(format!("c{number:02}").leak()))).collect();
    for client in &clients {
        for filter in 0..100 {
            client.subscribe(&format!("f/{filter:02}/+"), QOS0);
        }
    }
    let (found, steps) =
        subscriptions(&world, &SubscriptionSearch::new(String::new(), None, None, 10_000));
    assert_eq!(found.len(), 2_500);
    assert!(steps > 1, "{steps}");
    let key = |view: &SubscriptionView| (view.filter.to_string(), view.client_id.to_string());
    let last = key(&found[1_998]);
    let rest = SubscriptionSearch::new(String::new(), None, Some(last), 2);
    assert_eq!(subscriptions(&world, &rest).0, found[1_999..2_001]);
    let matching = SubscriptionSearch::new("f/".into(), Some("f/07/x".into()), None, 100);
    let (page, _) = subscriptions(&world, &matching);
    assert_eq!(page.len(), 25);
    assert!(page.iter().all(|view| &*view.filter == "f/07/+"));
    let one = SubscriptionSearch::new(String::new(), None, None, 3).of_client("c05".into());
    let (page, _) = subscriptions(&world, &one);
    let filters: Vec<&str> = page.iter().map(|view| &*view.filter).collect();
    assert_eq!(filters, ["f/00/+", "f/01/+", "f/02/+"]);
}

#[test]
fn pages_of_retained_messages_go_on_where_they_ended() {
    let world = World::new();
    let client = world.connect(v5("c"));
    for number in 0..2_100 {
        client.publish_retained(QOS0, &format!("r/{number:04}/x"), "1");
    }
    client.publish_retained(QOS0, "r", "1");
    client.publish_retained(QOS0, "s", "1");
    let pages = |filter: &str, count: usize| {
        let (mut topics, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let filter = TopicFilter::parse(filter).expect("a filter");
            let look = |core: &Core| core.retained_page(filter, after.as_deref(), count);
            let page = world.look_everywhere(look).pop().expect("there is a shard");
            assert!(page.messages.len() <= count);
            topics.extend(page.messages.iter().map(|message| message.topic().to_owned()));
            pages += 1;
            match page.next {
                Some(next) => after = Some(next),
                None => return (topics, pages),
            }
        }
    };
    let (topics, count) = pages("r/#", 100);
    assert_eq!((topics.len(), topics.is_sorted()), (2_101, true));
    assert_eq!(count, 22);
    assert_eq!(pages("r/0007/+", 10).0, ["r/0007/x"]);
    // Few match, so a page may be empty before the last one.
    let (topics, count) = pages("+/2090/x", 10);
    assert_eq!(topics, ["r/2090/x"]);
    assert!(count > 1, "{count}");
    assert_eq!(pages("s", 10), (vec!["s".to_owned()], 1));
    assert_eq!(pages("nothing/#", 10), (Vec::new(), 1));
}

/// [MQTT-3.1.2-8], [MQTT-3.14.2-1]: it is told why, and its will is published.
#[test]
fn an_expelled_client_is_told_and_keeps_its_session_unless_that_is_ended_too() {
    let world = World::new();
    let expel = |client_id, ends_session| world.expel(client_id, ends_session);
    let client = world.connect(v5("c").kept());
    client.subscribe("t", QOS1);
    expel("c", false);
    client.expect_disconnected(ReasonCode::AdministrativeAction);
    assert_eq!(ids(&world, "c", None, Some(false), 10), ["c"]);
    let old = world.connect(v311("old"));
    expel("old", true);
    old.expect_closed();
    // Also one that is away, and it stays away after a crash.
    expel("c", true);
    expel("nobody", true);
    assert_eq!(ids(&world, "", None, None, 10), [""; 0]);
    world.crash();
    assert_eq!(ids(&world, "", None, None, 10), [""; 0]);
}
