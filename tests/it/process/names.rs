//! DNS over the running process: answers per line, serials that only rise, and no wrong word around a restart.

use std::process::Command;
use std::time::Duration;

use cocoasyncer::dns::ask::ask;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;

use crate::support::objects::{node, service};
use crate::support::process::{Site, wait};
use crate::support::ran::run;

const LINES: [(&str, &str); 6] = [
    ("192.0.2.0/26", "203.0.113.1"),
    ("192.0.2.64/26", "203.0.113.2"),
    ("192.0.2.128/26", "203.0.113.2"),
    ("192.0.2.192/26", "203.0.113.1"),
    ("198.51.100.0/24", "203.0.113.1"),
    ("203.0.113.0/24", "203.0.113.1"),
];

async fn serial(site: &Site) -> u64 {
    let reply = site.ask("example.com", "SOA", None).await.unwrap();
    reply.values("SOA")[0].split_whitespace().nth(2).unwrap().parse().unwrap()
}

/// A leader with a living peer on CU and CMCC and the service `www`.
async fn two_sites() -> (Site, Site) {
    let (a, b) = tokio::join!(Site::leader("a", &[]), Site::follower("b", "CU,CMCC", "203.0.113.2", &[]));
    a.apply(crate::support::objects::node_secret("b", &b.secret().await)).await.unwrap();
    let mut peer = node("b", &["CU", "CMCC"], &format!("http://{}", b.at.api), Some("203.0.113.2"));
    // Lost only by a test that waits for it: a busy machine is no dead peer.
    peer["spec"]["liveness"]["lostAfterMisses"] = json!(100);
    a.apply(peer).await.unwrap();
    a.apply(service("www")).await.unwrap();
    for (subnet, address) in LINES {
        a.answers("www.example.com", subnet, address).await;
    }
    (a, b)
}

#[tokio::test]
async fn each_line_gets_its_site_and_a_restart_says_nothing_wrong() {
    let (mut a, b) = two_sites().await;
    a.becomes("www", "Ready", "AsWished").await;
    let before = serial(&a).await;
    let dns = a.at.dns;
    a.kill();
    // From the first moment on: no reply, or the right one. The lines in turn, as fast as they answer.
    let asking = tokio::spawn(async move {
        let (mut silent, mut right) = (0, 0);
        while right < 60 {
            for (subnet, address) in LINES {
                let subnet = subnet.parse().ok();
                match ask(dns, "www.example.com", "A", subnet, Duration::from_millis(250)).await {
                    Err(_) => silent += 1,
                    Ok(reply) => {
                        assert_eq!(reply.rcode, "NOERROR", "{reply:?}");
                        assert_eq!(reply.values("A"), [address], "{subnet:?}: {reply:?}");
                        right += 1;
                    }
                }
            }
        }
        silent
    });
    a.spawn().await;
    asking.await.expect("every answer was right");
    let after = serial(&a).await;
    assert!(before <= after, "the serial fell from {before} to {after}");
    // Every change raises it, and none is lost.
    let mut last = after;
    for step in 0..3 {
        let mut changed = service("www");
        changed["spec"]["ttl"] = json!(100 + step);
        a.apply(changed).await.unwrap();
        last = wait("the serial rises", || async { Some(serial(&a).await).filter(|now| last < *now) }).await;
    }
    wait("the serial is noted, or the clock has caught up", || async {
        let maps: Api<ConfigMap> = Api::namespaced(a.client().await, "cocoasyncer-system");
        let data = maps.get_opt("cocoasyncer-serials").await.unwrap().and_then(|map| map.data);
        let noted: Option<u64> = data.and_then(|data| data.get("example.com")?.parse().ok());
        let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
        (last <= noted.unwrap_or(now).max(now)).then_some(())
    })
    .await;
    a.kill();
    a.start().await;
    assert!(last <= serial(&a).await, "the serial fell across a kill");
    drop(b);
}

#[tokio::test]
async fn the_zone_behaves_as_an_authority_must() {
    let (a, _b) = two_sites().await;
    let www = a.ask("wWw.ExAmPlE.com", "A", Some("192.0.2.64/26")).await.unwrap();
    assert!(www.authoritative && www.rcode == "NOERROR" && www.values("A") == ["203.0.113.2"], "{www:?}");
    assert!(www.scope.is_some_and(|scope| 0 < scope && scope <= 26), "{www:?}");
    assert_eq!(www.answers[0].ttl, 60);
    let none = a.ask("none.example.com", "A", None).await.unwrap();
    assert_eq!((none.rcode.as_str(), none.authority[0].kind.as_str()), ("NXDOMAIN", "SOA"), "{none:?}");
    let nodata = a.ask("www.example.com", "AAAA", None).await.unwrap();
    assert_eq!((nodata.rcode.as_str(), nodata.authority[0].kind.as_str()), ("NOERROR", "SOA"), "{nodata:?}");
    for outside in ["example.org", "com", ".", "example.com.example.org"] {
        let refused = a.ask(outside, "A", None).await.unwrap();
        assert_eq!((refused.rcode.as_str(), refused.answers.len()), ("REFUSED", 0), "{outside}: {refused:?}");
    }
    let servers = a.ask("example.com", "NS", None).await.unwrap().values("NS");
    assert!(!servers.is_empty(), "a zone has name servers");

    let mut any = service("any");
    any["spec"]["record"] = json!("*");
    // Few records, so that taking them away is no mass change.
    any["spec"]["nodes"] = json!(["a"]);
    a.apply(any).await.unwrap();
    let mut apex = service("apex");
    apex["spec"]["record"] = json!("@");
    a.apply(apex).await.unwrap();
    a.answers("whatever.example.com", "192.0.2.0/26", "203.0.113.1").await;
    a.answers("example.com", "192.0.2.64/26", "203.0.113.2").await;
    a.answers("www.example.com", "192.0.2.64/26", "203.0.113.2").await;
    a.cli(&["service", "rm", "any", "--yes"]).await.done();
    wait("the wildcard is gone", || async {
        (a.ask("whatever.example.com", "A", None).await?.rcode == "NXDOMAIN").then_some(())
    })
    .await;

    if Command::new("dig").arg("-v").output().is_err() {
        return;
    }
    let dig = |words: &[&str]| {
        let mut dig = Command::new("dig");
        dig.arg(format!("@{}", a.at.dns.ip()))
            .args(["-p", &a.at.dns.port().to_string(), "+tries=2"])
            .args(words);
        run(dig, "")
    };
    for transport in ["+notcp", "+tcp"] {
        let said = dig(&["www.example.com", "+short", "+subnet=192.0.2.64/26", transport]).await.done();
        assert_eq!(said.trim(), "203.0.113.2");
    }
    let whole = dig(&["www.example.com", "+subnet=192.0.2.64/26", "+norecurse"]).await.done();
    assert!(
        whole.contains("flags: qr aa") && !whole.contains("WARNING") && whole.contains("CLIENT-SUBNET"),
        "{whole}"
    );
    let soa = dig(&["example.com", "SOA", "+short"]).await.done();
    assert!(soa.contains("hostmaster.example.com."), "{soa}");
    let outside = dig(&["example.org"]).await.done();
    assert!(outside.contains("status: REFUSED"), "{outside}");
}

#[tokio::test]
async fn owners_that_share_a_line_are_all_in_the_answer() {
    let (a, _b) = two_sites().await;
    let mut both = node("b", &["default", "CU"], "http://192.0.2.1", Some("203.0.113.2"));
    let peer = a.nodes().await.get("b").await.unwrap();
    both["spec"]["nodeAddress"] = json!(peer.spec.node_address);
    both["spec"]["liveness"]["lostAfterMisses"] = json!(100);
    a.apply(both).await.unwrap();
    a.answers("www.example.com", LINES[0].0, LINES[0].1).await;
    let mut shared = service("www");
    shared["spec"]["weights"] = json!({ "a": 3, "b": 1 });
    a.apply(shared).await.unwrap();
    wait("both are in the answer", || async {
        let reply = a.ask("www.example.com", "A", None).await?;
        let mut values = reply.values("A");
        values.sort();
        (values == ["203.0.113.1", "203.0.113.2"]).then_some(())
    })
    .await;
    let told = wait("it is said that all get equal shares", || async {
        let (reason, message) = a.reason("www", "Ready").await?;
        (reason == "AsWished" && !message.is_empty()).then_some(message)
    })
    .await;
    assert!(told.contains("equal shares"), "{told}");
}
