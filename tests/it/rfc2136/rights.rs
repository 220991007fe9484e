//! Keys that are wrong, that may not, zones that aren't there: each tells what to do.

use cocoasyncer::domain::retry::Class;

use super::*;
use crate::support::servers::{provider_at, secret};

/// What a list and a change say.
async fn check(provider: &Rfc2136Provider, zone: &str, kind: Kind, words: &[&str]) {
    let codes = ["BADSIG", "BADKEY", "NOTAUTH", "REFUSED"];
    let zone = name(zone);
    let listed = provider.list(&zone).await.unwrap_err();
    let record = change(
        RecordKey { name: zone.child("www", "").unwrap(), line: Line::Default, family: Family::V4 },
        None,
        Some(set(&["192.0.2.1"], 60)),
    );
    let changes = vec![record; 20];
    let made = provider.apply(&zone, &changes).await;
    assert_eq!(made.len(), 20);
    for error in made.into_iter().map(Result::unwrap_err).chain([listed]) {
        assert_eq!(error.kind, kind, "{error}");
        // PowerDNS says no more than that it refuses.
        assert!(codes.contains(&error.code.as_deref().unwrap()), "{error}");
        for word in words {
            assert!(error.what.contains(word), "{error} lacks {word}");
        }
        let shown = format!("{error} {error:?}");
        assert!(
            ["k-default", "k-idle", "k-none"]
                .iter()
                .all(|key| { *key == "k-none" || !shown.contains(secret(key)) })
        );
    }
}

#[tokio::test]
async fn a_wrong_secret_is_told() {
    for server in servers().await {
        let provider = server.provider_with(&[("accessSecret", "d3Jvbmcgc2VjcmV0")]);
        check(&provider, "example.com", Kind::Credentials, &["accessSecret", "k-default"]).await;
    }
}

#[tokio::test]
async fn an_unknown_key_is_told() {
    for server in servers().await {
        let provider = server.provider_with(&[("accessKey", "k-none")]);
        check(&provider, "example.com", Kind::Credentials, &["accessKey", "k-none"]).await;
    }
}

#[tokio::test]
async fn a_key_without_rights_is_told() {
    for server in servers().await {
        let idle = [("accessKey", "k-idle"), ("accessSecret", secret("k-idle"))];
        let provider = server.provider_with(&idle);
        let listed = provider.list(&zone()).await.unwrap_err();
        let made = refusal(&provider, to("www", None, &["192.0.2.1"])).await;
        for error in [listed, made] {
            // Knot calls a key that may not a bad one.
            assert!(matches!(error.kind, Kind::Rights | Kind::Credentials), "{error}");
            assert_eq!(error.class, Class::User);
            assert!(error.what.contains("k-idle"), "{error}");
        }
    }
}

#[tokio::test]
async fn an_unknown_zone_is_told() {
    for server in servers().await {
        check(
            &server.provider(),
            "example.net",
            Kind::ZoneUnknown,
            &["example.net", "create the zone there"],
        )
        .await;
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told_with_the_difference() {
    for server in servers().await {
        let provider = provider_at(&server.account(), 3_000);
        for error in [
            provider.list(&zone()).await.unwrap_err(),
            refusal(&provider, to("www", None, &["192.0.2.1"])).await,
        ] {
            // PowerDNS doesn't say what is wrong with a signature.
            match error.kind {
                Kind::Credentials => assert!(error.what.contains("this machine's clock"), "{error}"),
                _ => {
                    assert_eq!(error.code.as_deref(), Some("BADTIME"), "{error}");
                    assert_eq!(error.class, Class::Transient);
                    assert!(error.what.contains("s ahead of the server's"), "{error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_passed_over_for_the_next() {
    for server in servers().await {
        // A port that nobody listens on.
        let away = std::net::TcpListener::bind((server.at.ip(), 0)).unwrap().local_addr().unwrap();
        let both = server.provider_with(&[("server", &format!("{away}, {}", server.at))]);
        make(&both, to("www", None, &["192.0.2.1"])).await.unwrap();
        let none = server.provider_with(&[("server", &away.to_string())]);
        let error = none.list(&zone()).await.unwrap_err();
        assert_eq!((error.kind, error.class), (Kind::Unreachable, Class::Transient));
    }
}
