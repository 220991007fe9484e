//! The test of the stand-in for Alidns: Ali's own SDK is its client, forged requests and bad keys are refused as the
//! vendor refuses them.

mod behaviour;
mod client;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use jiff::{SignedDuration, Timestamp};

use self::client::{ask, code, forged, refused, send};
use crate::support::ali::FakeAli;
use crate::support::ali::signature::Scheme;
use crate::support::ali::world::Standing;
use crate::support::ali::zones::{Edition, Record};
use crate::support::ran;

const ZONE: &str = "example.com";

/// A fake with the key `testid` of an account with one free zone.
async fn fake() -> FakeAli {
    let fake = FakeAli::start().await;
    fake.add_key("main", "testid", "testsecret");
    fake.add_zone("main", ZONE, Edition::Free);
    fake
}

/// Where a Python with Ali's SDK is, if one can be had.
fn sdk() -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/ali_sdk.sh");
    let output = Command::new(&script).output().expect("tests/tools/ali_sdk.sh runs");
    if !output.status.success() {
        // Not the macro, whose words the harness keeps to itself.
        let why = String::from_utf8_lossy(&output.stderr);
        let _ = writeln!(std::io::stderr(), "SKIPPED, Ali's own SDK proved nothing: {why}");
        return None;
    }
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[tokio::test]
async fn alis_own_sdk_lists_adds_changes_and_deletes() {
    let Some(python) = sdk() else { return };
    for (scheme, name) in [(Scheme::Acs3, "acs3"), (Scheme::V1, "v1")] {
        let fake = fake().await;
        fake.plant(ZONE, Record::new("@", "TXT", "default", "v=spf1 -all"));
        let mut command = Command::new(&python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/ali_sdk.py"));
        command.args([fake.endpoint().trim_start_matches("http://"), "testid", "testsecret", name, ZONE]);
        let said = ran::run(command, "").await.done();
        let expect = include_str!("../golden/ali-sdk.jsonl");
        for (said, expect) in said.lines().zip(expect.lines()) {
            assert_eq!(said, expect, "{name}");
        }
        assert_eq!(said.lines().count(), expect.lines().count(), "{name}");
        assert_eq!(
            fake.texts(ZONE),
            ["*.例子 A telecom 192.0.2.2 1200 paused", "@ TXT default v=spf1 -all 600"]
        );
        assert!(fake.calls().iter().all(|call| call.scheme == Some(scheme)), "{name}");
        assert_eq!(fake.count("AddDomainRecord"), 4, "{name}");
    }
}

const BOTH: [Scheme; 2] = [Scheme::Acs3, Scheme::V1];

#[tokio::test]
async fn bytes_altered_on_the_way_spoil_the_signature() {
    let fake = fake().await;
    let names = [("DomainName", ZONE), ("RRKeyWord", "a b*~/例")];
    for scheme in BOTH {
        let signed = ask(scheme, "DescribeDomainRecords", &names);
        assert_eq!(code(send(&fake, &signed).await).await, "200 OK", "{scheme:?}");
        let signed = ask(scheme, "DescribeDomainRecords", &names);
        let spoilt = forged(&fake, &signed, |query, _| *query = query.replace("example", "exbmple")).await;
        assert_eq!(code(spoilt).await, "400 SignatureDoesNotMatch", "{scheme:?}");
        let mut signed = ask(scheme, "DescribeDomainRecords", &names);
        signed.secret = "testsecreT";
        assert_eq!(code(send(&fake, &signed).await).await, "400 SignatureDoesNotMatch", "{scheme:?}");
    }
    for name in
        ["x-acs-action", "x-acs-date", "x-acs-signature-nonce", "x-acs-version", "x-acs-content-sha256"]
    {
        let signed = ask(Scheme::Acs3, "DescribeDomains", &[]);
        let spoilt = forged(&fake, &signed, |_, headers| {
            let (_, value) = headers.iter_mut().find(|(found, _)| *found == name).unwrap();
            // Of a date that is the second: all stay well formed.
            let at = value.len() - 2;
            let other = if &value[at..=at] == "5" { "6" } else { "5" };
            value.replace_range(at..=at, other);
        });
        assert_eq!(code(spoilt.await).await, "400 SignatureDoesNotMatch", "{name}");
    }
    let signed = ask(Scheme::Acs3, "DescribeDomains", &[]);
    let unsigned = forged(&fake, &signed, |_, headers| headers.push(("x-acs-unsigned", "1".into()))).await;
    assert_eq!(code(unsigned).await, "400 SignatureDoesNotMatch");
    assert!(fake.calls().iter().all(|call| !format!("{call:?}").contains("testsecret")));
}

#[tokio::test]
async fn a_clock_may_be_off_by_fifteen_minutes() {
    let fake = fake().await;
    for scheme in BOTH {
        for (seconds, expect) in [
            (890, "200 OK"),
            (-890, "200 OK"),
            (910, "InvalidTimeStamp.Expired"),
            (-910, "InvalidTimeStamp.Expired"),
        ] {
            let mut signed = ask(scheme, "DescribeDomains", &[]);
            signed.at = Timestamp::now() + SignedDuration::from_secs(seconds);
            let code = code(send(&fake, &signed).await).await;
            assert!(code.ends_with(expect), "{scheme:?} {seconds} s: {code}");
        }
    }
    fake.set_clock_ahead(1000);
    assert_eq!(refused(&fake, "DescribeDomains", &[]).await, "400 InvalidTimeStamp.Expired");
}

#[tokio::test]
async fn a_request_works_only_once() {
    let fake = fake().await;
    for scheme in BOTH {
        let signed = ask(scheme, "DescribeDomains", &[]);
        assert_eq!(code(send(&fake, &signed).await).await, "200 OK");
        assert_eq!(code(send(&fake, &signed).await).await, "400 SignatureNonceUsed");
    }
}

#[tokio::test]
async fn a_key_is_refused_for_what_is_wrong_with_it() {
    let fake = fake().await;
    for (key, standing) in [
        ("inactive", Standing::Disabled),
        ("suspended", Standing::Suspended),
        ("overdue", Standing::Overdue),
        ("session", Standing::Active),
        ("past", Standing::Expired),
        ("denied", Standing::Active),
    ] {
        fake.add_key("main", key, "testsecret");
        fake.set_standing(key, standing);
    }
    fake.set_token("session", "token");
    fake.set_token("past", "token");
    fake.deny("denied", "DescribeDomains");
    for (key, token, expect) in [
        ("testid", None, "200 OK"),
        ("stranger", None, "404 InvalidAccessKeyId.NotFound"),
        ("inactive", None, "400 InvalidAccessKeyId.Inactive"),
        ("suspended", None, "403 Forbidden.RiskControl"),
        ("overdue", None, "400 InsufficientBalance"),
        ("session", None, "404 InvalidAccessKeyId.NotFound"),
        ("session", Some("other"), "400 InvalidSecurityToken.MismatchWithAccessKey"),
        ("session", Some("token"), "200 OK"),
        ("past", Some("token"), "400 InvalidSecurityToken.Expired"),
        ("denied", None, "400 Forbidden.RAM"),
    ] {
        for scheme in BOTH {
            let mut signed = ask(scheme, "DescribeDomains", &[]);
            (signed.key, signed.token) = (key, token);
            assert_eq!(code(send(&fake, &signed).await).await, expect, "{key} {scheme:?}");
        }
    }
}
