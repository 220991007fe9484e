//! What holds on every server, with one key.

use super::*;

#[tokio::test]
async fn records_are_created_changed_and_deleted_under_every_name_that_dns_allows() {
    for server in servers().await {
        let provider = server.provider();
        let long = "a".repeat(63);
        let names = ["@", "*", "www", "x.deep.er", &long, "测试"];
        let fresh = |name: &&str| [to(name, None, &["192.0.2.1"]), to(name, None, &["2001:db8::1"])];
        let changes: Vec<Change> = names.iter().flat_map(fresh).collect();
        let made = provider.apply(&zone(), &changes).await;
        assert_eq!(tally(&made), [("ok", 12)].into(), "{made:#?}");
        let listed = provider.list(&zone()).await.unwrap();
        assert!(listed.limits.lines.contains(&Line::Default));
        for (change, made) in changes.iter().zip(&made) {
            assert_eq!(listed.found.get(&change.key), made.as_ref().unwrap().as_ref(), "{}", change.key);
            assert_eq!(listed.found[&change.key], Found::ours(change.to.clone().unwrap()));
        }
        // Other values, more values, another TTL.
        let from = |at, family| listed.found.get(&key(at, family)).cloned();
        let changes = [
            to("www", from("www", Family::V4), &["192.0.2.2", "192.0.2.3"]),
            change(key("@", Family::V6), from("@", Family::V6), Some(set(&["2001:db8::1"], 600))),
            change(key("*", Family::V4), from("*", Family::V4), None),
            change(key("测试", Family::V6), from("测试", Family::V6), None),
        ];
        assert_eq!(tally(&provider.apply(&zone(), &changes).await), [("ok", 4)].into());
        let long = format!("{long}.example.com");
        let mut right = vec![
            "*.example.com AAAA [default] 2001:db8::1 (ttl 60)".to_owned(),
            "x.deep.er.example.com A [default] 192.0.2.1 (ttl 60)".into(),
            "x.deep.er.example.com AAAA [default] 2001:db8::1 (ttl 60)".into(),
            format!("{long} A [default] 192.0.2.1 (ttl 60)"),
            format!("{long} AAAA [default] 2001:db8::1 (ttl 60)"),
            "example.com A [default] 192.0.2.1 (ttl 60)".into(),
            "example.com AAAA [default] 2001:db8::1 (ttl 600)".into(),
            "www.example.com A [default] 192.0.2.2,192.0.2.3 (ttl 60)".into(),
            "www.example.com AAAA [default] 2001:db8::1 (ttl 60)".into(),
            "xn--0zwm56d.example.com A [default] 192.0.2.1 (ttl 60)".into(),
        ];
        right.sort();
        assert_eq!(rows(&provider).await, right, "{}", server.at);
    }
}

#[tokio::test]
async fn what_is_not_ours_is_as_it_was_even_the_ttl_of_texts_beside_a_mark() {
    for server in servers().await {
        let provider = server.provider();
        let before = provider.list(&zone()).await.unwrap().found;
        let rows: Vec<String> = before.iter().map(|(key, found)| row(key, found)).collect();
        let right = [
            "mail.example.com A [default] 192.0.2.25 (ttl 3600) unmarked",
            "new.example.com A [default] 192.0.2.8 (ttl 3600) external-dns \"prod\"",
            "ns1.example.com A [default] 192.0.2.53 (ttl 3600) unmarked",
            "old.example.com A [default] 192.0.2.7 (ttl 3600) external-dns \"prod\"",
        ];
        let of_default: Vec<&String> = rows.iter().filter(|row| row.contains("[default]")).collect();
        assert_eq!(of_default, right);
        make(&provider, to("@", None, &["192.0.2.1"])).await.unwrap();
        let texts = crate::rfc2136::views::texts(&server, "example.com").await;
        let mut right = ["3600 heritage=cocoasyncer,v=1,owner=it,type=A", "3600 v=spf1 -all"];
        right.sort();
        assert_eq!(texts, right, "one set of texts has one TTL, and it was theirs first");
        let there = found(&provider, &key("@", Family::V4)).await;
        make(&provider, change(key("@", Family::V4), there, None)).await.unwrap();
        assert_eq!(provider.list(&zone()).await.unwrap().found, before);
        assert_eq!(crate::rfc2136::views::texts(&server, "example.com").await, ["3600 v=spf1 -all"]);
    }
}

#[tokio::test]
async fn a_change_that_somebody_made_in_between_is_not_overwritten() {
    for server in servers().await {
        let (ours, other) = (server.provider(), server.provider());
        let created = make(&ours, to("www", None, &["192.0.2.1"])).await.unwrap();
        let moved = make(&other, to("www", created.clone(), &["192.0.2.2"])).await.unwrap();
        let late = [
            to("www", created.clone(), &["192.0.2.3"]),
            to("www", None, &["192.0.2.4"]),
            change(key("www", Family::V4), created, None),
            to("mail", None, &["192.0.2.9"]),
            to("fine", None, &["192.0.2.9"]),
        ];
        let made = ours.apply(&zone(), &late).await;
        assert_eq!(tally(&made), [("conflict", 4), ("ok", 1)].into(), "{made:#?}");
        let error = made[0].as_ref().unwrap_err();
        assert_eq!(error.code.as_deref(), Some("NXRRSET"));
        assert!(error.what.contains("somebody changed www.example.com"), "{error}");
        assert_eq!(made[1].as_ref().unwrap_err().code.as_deref(), Some("YXRRSET"));
        assert_eq!(found(&ours, &key("www", Family::V4)).await, moved);
    }
}

#[tokio::test]
async fn a_record_of_external_dns_is_taken_over_with_its_marks() {
    for server in servers().await {
        let provider = server.provider();
        for (at, mark) in [("old", "old.example.com"), ("new", "a-new.example.com")] {
            let theirs = found(&provider, &key(at, Family::V4)).await.unwrap();
            assert_eq!(theirs.owner, Owner::Foreign("external-dns \"prod\"".into()));
            make(&provider, to(at, Some(theirs), &["192.0.2.1"])).await.unwrap();
            let ours = found(&provider, &key(at, Family::V4)).await;
            assert_eq!(ours, Some(Found::ours(set(&["192.0.2.1"], 60))));
            let texts = crate::rfc2136::views::texts(&server, mark).await;
            assert!(texts.iter().all(|text| !text.contains("external-dns")), "{texts:?}");
        }
        // One made by hand needs a mark only.
        let by_hand = found(&provider, &key("mail", Family::V4)).await.unwrap();
        let same = change(key("mail", Family::V4), Some(by_hand.clone()), Some(by_hand.set.clone()));
        make(&provider, same).await.unwrap();
        assert_eq!(found(&provider, &key("mail", Family::V4)).await, Some(Found::ours(by_hand.set)));
    }
}

#[tokio::test]
async fn a_cname_beside_is_told_and_left_alone() {
    for server in servers().await {
        let provider = server.provider();
        let error = refusal(&provider, to("alias", None, &["192.0.2.1"])).await;
        assert_eq!(error.kind, Kind::Conflict);
        assert!(error.what.contains("CNAME stands at alias.example.com"), "{error}");
        assert!(rows(&provider).await.is_empty());
    }
}

#[tokio::test]
async fn a_mark_without_its_record_is_found_and_removed_or_given_its_record() {
    for server in servers().await {
        let provider = server.provider();
        for end in [None, Some(set(&["192.0.2.1"], 60))] {
            let ours = make(&provider, to("www", None, &["192.0.2.1"])).await.unwrap();
            // The record goes by another hand, the mark stays.
            let unmarked = Found { owner: Owner::Unmarked, ..ours.unwrap() };
            crate::rfc2136::views::delete(&server, "www.example.com", "A").await;
            let orphan = found(&provider, &key("www", Family::V4)).await.unwrap();
            assert!(orphan.is_ours() && orphan.set.values.is_empty(), "{orphan:?}, was {unmarked:?}");
            make(&provider, change(key("www", Family::V4), Some(orphan), end.clone())).await.unwrap();
            assert_eq!(found(&provider, &key("www", Family::V4)).await, end.map(Found::ours));
        }
    }
}

#[tokio::test]
async fn the_longest_zone_that_the_server_has_is_found() {
    for server in servers().await {
        let provider = server.provider();
        for (asked, right) in [
            ("example.com", Some("example.com")),
            ("www.example.com", Some("example.com")),
            ("*.example.com", Some("example.com")),
            ("alias.example.com", Some("example.com")),
            ("a.b.sub.example.com", Some("sub.example.com")),
            ("sub.example.com", Some("sub.example.com")),
            ("www.example.net", None),
        ] {
            let zone = provider.zone_of(&name(asked)).await.unwrap();
            assert_eq!(zone.as_ref().map(DnsName::as_str), right, "{asked} at {}", server.at);
        }
    }
}
