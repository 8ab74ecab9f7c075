//! More boxes than two.

use super::*;

const BOXES: usize = 6;
const MESSAGES: usize = 20;

/// A message that came from another box goes to no box again, and to each client once.
#[tokio::test]
async fn six_boxes_that_want_everything_come_to_rest() {
    let Some(server) = NatsServer::start("") else { return };
    let names: Vec<String> = (0..BOXES).map(|n| format!("box-{n}")).collect();
    let directories: Vec<Directory> = names.iter().map(|name| Directory::new(name)).collect();
    let members: Vec<Member> = names
        .iter()
        .zip(&directories)
        .map(|(name, directory)| Member::start(directory, name, &server))
        .collect();
    let mut clients = Vec::new();
    for member in &members {
        let mut client = Client::connect(&member.here, "everything");
        client.subscribe("#").await;
        clients.push(client);
    }
    for (member, own) in members.iter().zip(&names) {
        for other in names.iter().filter(|name| *name != own) {
            member.knows(other, 1).await;
        }
    }
    let mut expected = Vec::new();
    for n in 0..MESSAGES {
        for (client, name) in clients.iter().zip(&names) {
            client.publish(&format!("of/{name}"), 1 + (n % 2) as u8, &n.to_string());
            expected.push((format!("of/{name}"), n.to_string()));
        }
    }
    expected.sort();
    for client in &mut clients {
        let mut arrived = Vec::new();
        while arrived.len() < expected.len() {
            let message = client.next().await;
            arrived.push((message.topic, message.payload));
        }
        // Those of one box have come in their order, at each QoS.
        for name in &names {
            let topic = format!("of/{name}");
            let of_box = arrived.iter().filter(|(found, _)| *found == topic);
            let numbers = of_box.map(|(_, number)| number.parse::<usize>().expect("a number"));
            let (even, odd): (Vec<usize>, Vec<usize>) = numbers.partition(|n| n % 2 == 0);
            assert!(even.is_sorted() && odd.is_sorted(), "{even:?} {odd:?}");
        }
        arrived.sort();
        assert_eq!(arrived, expected);
    }
    let others = ((BOXES - 1) * MESSAGES) as u64;
    for (member, client) in members.iter().zip(&mut clients) {
        let is_at_rest = |status: &FleetStatus| status.depth == 0 && status.received == others;
        let status = member.until("it rests", is_at_rest).await;
        let counts = (status.sent, status.acknowledged, status.repeated);
        assert_eq!(counts, (others, others, 0), "{status:?}");
        assert!(status.dropped.is_empty() && client.try_next().is_none());
    }
}

/// Whoever has published it, and whoever removes it.
#[tokio::test]
async fn six_boxes_have_the_same_values() {
    let Some(server) = NatsServer::start("") else { return };
    let directories: Vec<Directory> = (0..BOXES).map(|_| Directory::new("box")).collect();
    let members: Vec<Member> = directories
        .iter()
        .enumerate()
        .map(|(n, directory)| Member::start(directory, &format!("box-{n}"), &server))
        .collect();
    for (n, member) in members.iter().enumerate() {
        member.until("it is connected", |status| status.is_connected).await;
        let client = Client::connect(&member.here, "here");
        client.retain(&format!("own/{n}"), "x");
        client.retain("common", &n.to_string());
        let is_written = |status: &FleetStatus| status.depth == 0 && status.retained_sent > 0;
        member.until("it is written", is_written).await;
    }
    let own: Vec<String> = (0..BOXES).map(|n| format!("own/{n}")).collect();
    let last = (BOXES - 1).to_string();
    let mut expected = vec![("common", last.as_str())];
    expected.extend(own.iter().map(|topic| (topic.as_str(), "x")));
    for member in &members {
        member.until_retained(&expected).await;
    }
    let removes = Client::connect(&members[2].here, "here");
    removes.retain("common", "");
    for member in &members {
        member.until_retained(&expected[1..]).await;
    }
}

/// The value is still at the server, and comes to the box before the server has what the box has to
/// say. A process that has just begun took it, and it stayed on this box alone.
#[tokio::test]
async fn what_was_removed_before_a_restart_without_the_server_stays_removed() {
    let Some(mut server) = NatsServer::start("") else { return };
    let directories = [Directory::new("a"), Directory::new("b")];
    let a = Member::start(&directories[0], "a", &server);
    let b = Member::start(&directories[1], "b", &server);
    let here = Client::connect(&a.here, "here");
    here.retain("goes", "1");
    here.retain("stays", "1");
    b.until_retained(&[("goes", "1"), ("stays", "1")]).await;
    server.kill();
    here.retain("goes", "");
    a.until_retained(&[("stays", "1")]).await;
    drop((here, a));
    let a = Member::start(&directories[0], "a", &server);
    server.resume();
    b.until_retained(&[("stays", "1")]).await;
    a.until("it has told", |a| a.retained_sent == 1 && a.depth == 0).await;
    // Everything that the bucket holds has come and is compared.
    let here = Client::connect(&a.here, "here");
    here.retain("end", "1");
    b.until_retained(&[("end", "1"), ("stays", "1")]).await;
    a.until_retained(&[("end", "1"), ("stays", "1")]).await;
}
