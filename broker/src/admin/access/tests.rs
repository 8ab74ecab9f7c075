//! Who is let in, without a socket.

use axum::http::Request;

use super::*;
use crate::auth::{ApiTokens, api_tokens};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

/// Lets in a viewer and an operator, whose tokens are given back.
fn access(failures_max: u32) -> (Access, [String; 2]) {
    let (view, first) = api_tokens::make("ann", Role::View).unwrap();
    let (operate, second) = api_tokens::make("bob", Role::Operate).unwrap();
    let tokens = ApiTokens::parse(&format!("{first}{second}"), "tokens").unwrap();
    let tokens = Arc::new(LiveApiTokens::new(Arc::new(tokens)));
    let names = vec!["gateway.local".to_owned()];
    let ban = Duration::from_secs(60);
    (Access::new(None, tokens, names, failures_max, ban), [view, operate])
}

fn parts(method: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri("/x");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// The code of the refusal, or who it is.
fn outcome(
    access: &Access,
    method: &str,
    headers: &[(&str, &str)],
    peer: IpAddr,
    audience: Audience,
) -> String {
    match access.admit(&parts(method, headers), peer, audience, Instant::now()) {
        Ok(caller) => caller.name().to_owned(),
        Err(error) => format!("{} {}", error.status.as_u16(), error.code),
    }
}

#[test]
fn every_audience_lets_in_those_it_is_for() {
    let (access, [view, operate]) = access(10);
    let host = ("host", "127.0.0.1:8080");
    let (view, operate) = (format!("Bearer {view}"), format!("bearer {operate}"));
    let (viewer, operator) = (("authorization", &*view), ("authorization", &*operate));
    let wrong = ("authorization", "Bearer weir_x");
    use Audience::*;
    for (audience, peer, nobody, by_viewer, by_operator, by_wrong) in [
        (Anybody, ELSEWHERE, "none", "none", "none", "none"),
        (Local, HERE, "none", "ann", "bob", "401 wrong_token"),
        (Local, ELSEWHERE, "401 no_token", "ann", "bob", "401 wrong_token"),
        (Viewers, HERE, "401 no_token", "ann", "bob", "401 wrong_token"),
        (Operators, HERE, "401 no_token", "403 view_only", "bob", "401 wrong_token"),
        (Operators, ELSEWHERE, "401 no_token", "403 view_only", "bob", "401 wrong_token"),
    ] {
        let asked = |headers: &[(&str, &str)]| outcome(&access, "GET", headers, peer, audience);
        let found = [
            asked(&[host]),
            asked(&[host, viewer]),
            asked(&[host, operator]),
            asked(&[host, wrong]),
        ];
        assert_eq!(found, [nobody, by_viewer, by_operator, by_wrong], "{audience:?} {peer}");
    }
    assert_eq!(access.refused()["wrong_token"], 5);
    let basic = ("authorization", "Basic eDp5");
    assert_eq!(outcome(&access, "GET", &[host, basic], HERE, Local), "401 wrong_token");
}

#[test]
fn another_name_of_the_host_is_refused_where_no_token_is_shown() {
    let (access, [view, _]) = access(10);
    for (host, expected) in [
        ("127.0.0.1:8080", "none"),
        ("[::1]:8080", "none"),
        ("192.0.2.1", "none"),
        ("LocalHost:8080", "none"),
        ("gateway.local", "none"),
        ("Gateway.local:8080", "none"),
        ("evil.example:8080", "421 unknown_host"),
        ("127.0.0.1.evil.example", "421 unknown_host"),
        ("gateway.local.evil.example", "421 unknown_host"),
        ("", "421 unknown_host"),
    ] {
        let found = outcome(&access, "GET", &[("host", host)], HERE, Audience::Local);
        assert_eq!(found, expected, "{host}");
    }
    let token = format!("Bearer {view}");
    let headers = [("host", "evil.example"), ("authorization", &*token)];
    assert_eq!(outcome(&access, "GET", &headers, HERE, Audience::Viewers), "ann");
}

#[test]
fn a_change_that_another_site_asks_for_is_refused_even_with_a_token() {
    let (access, [_, operate]) = access(10);
    let token = format!("Bearer {operate}");
    let base = [("host", "127.0.0.1:8080"), ("authorization", &*token)];
    for (more, expected) in [
        (("origin", "http://127.0.0.1:8080"), "bob"),
        (("origin", "http://127.0.0.1:9090"), "403 cross_site"),
        (("origin", "http://evil.example"), "403 cross_site"),
        (("origin", "null"), "403 cross_site"),
        (("sec-fetch-site", "same-origin"), "bob"),
        (("sec-fetch-site", "none"), "bob"),
        (("sec-fetch-site", "same-site"), "403 cross_site"),
        (("sec-fetch-site", "cross-site"), "403 cross_site"),
    ] {
        let headers = [&base[..], &[more]].concat();
        let found = outcome(&access, "POST", &headers, HERE, Audience::Operators);
        assert_eq!(found, expected, "{more:?}");
    }
}

#[test]
fn an_address_elsewhere_is_banned_after_too_many_wrong_tokens_and_this_machine_never_is() {
    let (access, [view, _]) = access(3);
    let wrong = [("authorization", "Bearer weir_x")];
    let token = format!("Bearer {view}");
    let right = [("authorization", &*token)];
    for peer in [ELSEWHERE, HERE] {
        for _ in 0..3 {
            let found = outcome(&access, "GET", &wrong, peer, Audience::Viewers);
            assert_eq!(found, "401 wrong_token");
        }
    }
    assert_eq!(outcome(&access, "GET", &right, ELSEWHERE, Audience::Viewers), "429 banned");
    assert_eq!(outcome(&access, "GET", &right, ELSEWHERE, Audience::Anybody), "none");
    assert_eq!(outcome(&access, "GET", &right, HERE, Audience::Viewers), "ann");
    assert_eq!(access.refused()["banned"], 1);
}
