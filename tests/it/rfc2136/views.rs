//! BIND with six views: a line is a view, and nothing leaks from one into another.

use cocoasyncer::dns::ask::ask;

use super::*;
use crate::support::process::LONG;
use crate::support::servers::{nsupdate, secret};

/// The texts at a name as everyone sees them, with their TTLs.
pub async fn texts(server: &NameServer, name: &str) -> Vec<String> {
    let reply = ask(server.at, name, "TXT", None, LONG).await.unwrap();
    let own = reply.answers.iter().filter(|found| found.name == format!("{name}."));
    let mut texts: Vec<String> = own.map(|found| format!("{} {}", found.ttl, found.value)).collect();
    texts.sort();
    texts
}

/// Deletes by another client.
pub async fn delete(server: &NameServer, name: &str, kind: &str) {
    let script = format!("update delete {name} {kind}\nsend\n");
    nsupdate(server, &script).await;
}

#[tokio::test]
async fn each_line_is_a_view_of_its_own() {
    let Some(server) = bind::with_views().await else { return };
    let provider = server.provider();
    let lines = provider.list(&zone()).await.unwrap().limits.lines;
    assert_eq!(lines, Line::ALL.into());
    let values: Vec<String> = (1..=6).map(|index| format!("192.0.2.{index}")).collect();
    let changes: Vec<Change> = Line::ALL
        .into_iter()
        .zip(&values)
        .map(|(line, value)| to(&format!("www/{line}"), None, &[value]))
        .collect();
    assert_eq!(tally(&provider.apply(&zone(), &changes).await), [("ok", 6)].into());
    let right: Vec<String> = Line::ALL
        .into_iter()
        .zip(&values)
        .map(|(line, value)| format!("www.example.com A [{line}] {value} (ttl 60)"))
        .collect();
    assert_eq!(rows(&provider).await, right);
    let gone = change(key("www/CU", Family::V4), found(&provider, &key("www/CU", Family::V4)).await, None);
    make(&provider, gone).await.unwrap();
    assert_eq!(rows(&provider).await.len(), 5);
}

#[tokio::test]
async fn a_line_with_a_wrong_key_holds_up_no_other_and_one_without_a_key_is_told() {
    let Some(server) = bind::with_views().await else { return };
    let provider = server.provider_with(&[("accessSecret.CT", "d3Jvbmcgc2VjcmV0")]);
    let changes = ["www/CT", "www", "api/CT", "api/CU"].map(|at| to(at, None, &["192.0.2.1"]));
    let made = provider.apply(&zone(), &changes).await;
    assert_eq!(made.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, false, true]);
    assert_eq!(tally(&made), [("credentials", 2), ("ok", 2)].into());
    assert!(made[0].as_ref().unwrap_err().what.contains("[CT]"), "{made:?}");
    let mut data = server.account();
    data.retain(|key, _| !key.contains('.'));
    let one = crate::support::servers::provider(&data);
    assert_eq!(one.list(&zone()).await.unwrap().limits.lines, [Line::Default].into());
    let error = refusal(&one, to("www/CT", None, &["192.0.2.1"])).await;
    assert_eq!(error.kind, Kind::LineNotAllowed);
    assert!(error.what.contains("accessKey.CT"), "{error}");
}

#[tokio::test]
async fn one_bad_record_among_many_goes_alone() {
    let Some(server) = bind::with_views().await else { return };
    let provider = server.provider();
    let mut changes: Vec<Change> =
        (0..300).map(|index| to(&format!("n{index}"), None, &["192.0.2.1"])).collect();
    changes[17] = to("alias", None, &["192.0.2.1"]);
    changes[171] = to("mail", None, &["192.0.2.1"]);
    // The key may not write this name.
    changes[172] = to("ns1", Some(found(&provider, &key("ns1", Family::V4)).await.unwrap()), &["192.0.2.1"]);
    // A host name has no underscore, BIND says.
    changes[0] = to("_x", None, &["192.0.2.1"]);
    let made = provider.apply(&zone(), &changes).await;
    assert_eq!(tally(&made), [("conflict", 2), ("ok", 296), ("other", 2)].into());
    for (index, code) in [(0, "REFUSED"), (17, "YXRRSET"), (171, "YXRRSET"), (172, "REFUSED")] {
        assert_eq!(made[index].as_ref().unwrap_err().code.as_deref(), Some(code));
    }
    assert_eq!(rows(&provider).await.len(), 296);
}

#[tokio::test]
async fn the_documented_settings_are_enough_and_no_more() {
    let servers = [bind::as_documented().await, knot::as_documented().await];
    for server in servers.into_iter().flatten() {
        let provider = server.provider();
        let lines = &server.lines;
        let at = |line: &Line| format!("www/{line}");
        let new: Vec<Change> = lines.iter().map(|line| to(&at(line), None, &["192.0.2.1"])).collect();
        assert_eq!(tally(&provider.apply(&zone(), &new).await), [("ok", lines.len())].into());
        assert_eq!(rows(&provider).await.len(), lines.len());
        for line in lines {
            let stands = found(&provider, &key(&at(line), Family::V4)).await;
            make(&provider, change(key(&at(line), Family::V4), stands, None)).await.unwrap();
        }
        assert!(rows(&provider).await.is_empty());
        let stray = server.provider_with(&[("accessKey", "k-idle"), ("accessSecret", secret("k-idle"))]);
        assert!(stray.list(&zone()).await.is_err());
    }
}
