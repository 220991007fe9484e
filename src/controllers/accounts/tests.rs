//! Which account and zone a service gets, and what happens where an account fails.

use super::*;
use crate::api::SYSTEM_NAMESPACE;
use crate::providers::ProviderError;
use crate::providers::memory::MemoryProvider;

const ALI: PlatformProvider = PlatformProvider::Ali;

fn name(text: &str) -> DnsName {
    DnsName::parse(text, "").unwrap()
}

fn secret(namespace: &str, name: &str) -> ObjectId {
    ObjectId { namespace: namespace.into(), name: name.into() }
}

fn service(domain: &str, record: &str, account: Option<&str>) -> Service {
    let spec = serde_json::json!({
        "serviceName": "x", "domain": domain, "record": record, "platformProvider": "Ali",
        "accountRef": account.map(|name| serde_json::json!({ "name": name })),
    });
    let spec = serde_json::from_value(spec).unwrap();
    let mut object = crate::api::service::ManagedService::new("x", spec);
    object.metadata.namespace = Some("blog".into());
    Service::parse(&object).unwrap()
}

/// A directory with accounts (namespace, name, labelled) that hold these zones, all asked.
fn directory(accounts: &[(&str, &str, bool, &[&str])], of: &Service) -> Directory {
    let mut directory = Directory { system: SYSTEM_NAMESPACE.into(), ready: true, ..Directory::default() };
    for (namespace, secret_name, labelled, zones) in accounts {
        let id = (ALI, secret(namespace, secret_name));
        let provider: Arc<dyn DnsProvider> = Arc::new(MemoryProvider::default());
        let account =
            Account { version: "1".into(), provider: Ok(provider), labelled: *labelled, until: None };
        directory.accounts.insert(id.clone(), account);
        let asked = Ask::of(of).unwrap().name;
        let zones: Vec<DnsName> = zones.iter().map(|zone| name(zone)).collect();
        let answer = crate::providers::longest(&zones, &asked).map_or(Answer::Nowhere, Answer::Held);
        directory.answers.insert((id, asked), (answer, Instant::now()));
    }
    directory
}

fn place(accounts: &[(&str, &str, bool, &[&str])], service: &Service) -> Result<String, Unplaced> {
    match directory(accounts, service).place(service) {
        Place::At(zone) => Ok(format!("{} in {}", zone.zone, zone.account.unwrap())),
        Place::Nowhere(why) => Err(why),
        Place::NotYet => panic!("all has been asked"),
    }
}

#[test]
fn the_longest_zone_of_all_accounts_that_may_be_used_holds_the_name() {
    let www = service("example.com", "www", None);
    let deep = service("example.com", "a.dev", None);
    let both: &[(&str, &str, bool, &[&str])] = &[
        ("blog", "one", true, &["example.com"]),
        (SYSTEM_NAMESPACE, "two", true, &["example.com", "dev.example.com", "example.net"]),
        ("other", "three", true, &["a.dev.example.com"]),
        ("blog", "unlabelled", false, &["dev.example.com"]),
    ];
    assert_eq!(place(both, &www).unwrap(), "example.com in blog/one", "of equals the own namespace's");
    assert_eq!(place(both, &deep).unwrap(), "dev.example.com in cocoasyncer-system/two");
    let named = service("example.com", "a.dev", Some("unlabelled"));
    assert_eq!(place(both, &named).unwrap(), "dev.example.com in blog/unlabelled", "the one that is named");
    let below = service("sub.example.net", "@", None);
    assert_eq!(place(both, &below).unwrap(), "example.net in cocoasyncer-system/two");
}

#[test]
fn what_has_no_place_says_what_to_do() {
    let www = service("example.com", "www", None);
    let none = place(&[("other", "three", true, &["example.com"])], &www).unwrap_err();
    assert_eq!(none.reason, reasons::ACCOUNT_UNKNOWN, "another namespace's account is nobody else's");
    assert!(none.message.contains("provider set Ali"), "{}", none.message);
    let named = service("example.com", "www", Some("gone"));
    let gone = place(&[("blog", "one", true, &["example.com"])], &named).unwrap_err();
    assert!(gone.message.starts_with("spec.accountRef: there is no Secret blog/gone"), "{}", gone.message);
    let elsewhere = place(&[("blog", "one", true, &["example.net"])], &www).unwrap_err();
    assert_eq!(elsewhere.reason, reasons::ZONE_UNKNOWN);
    assert!(elsewhere.message.starts_with("spec.domain: Ali has no zone that holds example.com"));
    assert_eq!(Directory::default().place(&www), Place::NotYet, "before the accounts were read");
}

#[test]
fn a_zone_that_was_found_outlives_an_account_that_fails_for_a_while() {
    let www = service("example.com", "www", None);
    let mut directory = directory(&[("blog", "one", true, &["example.com"])], &www);
    let key = ((ALI, secret("blog", "one")), name("example.com"));
    let fault = || ProviderError::new(Kind::Unreachable, crate::domain::retry::Class::Transient, "no");
    assert!(!directory.learn(key.clone(), Err(fault())), "nothing changed");
    assert!(matches!(directory.place(&www), Place::At(_)));
    assert!(directory.learn(key.clone(), Ok(None)), "it says itself that it is gone");
    assert!(directory.learn(key, Err(fault())));
    let Place::Nowhere(why) = directory.place(&www) else { panic!("it has no zone") };
    assert_eq!(why.reason, reasons::PROVIDER_UNREACHABLE);
}

fn fault(kind: Kind) -> ProviderError {
    ProviderError::new(kind, crate::domain::retry::Class::Transient, "no")
}

#[test]
fn an_account_that_cant_tell_may_hold_the_name_and_hands_it_to_no_other() {
    let www = service("example.com", "www", None);
    let both: &[(&str, &str, bool, &[&str])] =
        &[("blog", "own", true, &[]), (SYSTEM_NAMESPACE, "two", true, &["example.com"])];
    let key = |namespace: &str, account: &str| ((ALI, secret(namespace, account)), name("example.com"));
    let own = key("blog", "own");
    let mut directory = directory(both, &www);
    directory.learn(own.clone(), Err(fault(Kind::Unreachable)));
    assert!(matches!(directory.place(&www), Place::At(_)), "it had no such zone when it answered last");
    directory.answers.remove(&own);
    directory.learn(own.clone(), Err(fault(Kind::Unreachable)));
    let Place::Nowhere(why) = directory.place(&www) else { panic!("its zone may be in either") };
    assert_eq!((why.reason, &*why.message), (reasons::PROVIDER_UNREACHABLE, "Secret blog/own: no"));
    directory.learn(own.clone(), Ok(None));
    assert!(matches!(directory.place(&www), Place::At(_)));
    directory.learn(own.clone(), Ok(Some(name("example.com"))));
    let broken = Err(FieldError::new("data.accessKey", "is missing"));
    directory.accounts.get_mut(&own.0).unwrap().provider = broken;
    let Place::Nowhere(why) = directory.place(&www) else { panic!("a slip of the pen moves no zone") };
    assert_eq!(why.reason, reasons::ACCOUNT_INVALID);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_cant_be_opened_is_not_asked_and_wakes_nobody() {
    let www = service("example.com", "www", None);
    let mut directory = directory(&[("blog", "one", true, &["example.com"])], &www);
    let asks: BTreeSet<Ask> = Ask::of(&www).into_iter().collect();
    tokio::time::advance(FOUND).await;
    assert!(directory.next_question(&asks) <= Duration::from_millis(100), "it is due");
    let account = directory.accounts.values_mut().next().unwrap();
    account.provider = Err(FieldError::new("data.accessKey", "is missing"));
    assert_eq!(directory.next_question(&asks), REFRESH);
}

#[test]
fn a_failure_is_told_with_its_cause() {
    let www = service("example.com", "www", None);
    let mut directory = directory(&[("blog", "one", true, &["example.net"])], &www);
    let error = ProviderError { source: Some("connection refused".into()), ..fault(Kind::Unreachable) };
    directory.learn(((ALI, secret("blog", "one")), name("example.com")), Err(error));
    let Place::Nowhere(why) = directory.place(&www) else { panic!("it failed") };
    assert!(why.message.contains("connection refused"), "{}", why.message);
}

/// Never answers.
struct Silent;

#[async_trait::async_trait]
impl DnsProvider for Silent {
    fn ways(&self) -> crate::providers::Ways {
        crate::providers::Ways { shared: true, marks_after: false, batch: 1 }
    }

    async fn zone_of(&self, _name: &DnsName) -> Result<Option<DnsName>, ProviderError> {
        std::future::pending().await
    }

    async fn list(&self, _zone: &DnsName) -> Result<crate::domain::dns_plan::Listing, ProviderError> {
        std::future::pending().await
    }

    async fn apply(
        &self,
        _zone: &DnsName,
        _changes: &[crate::domain::dns_plan::Change],
    ) -> Vec<Result<Option<crate::domain::dns_plan::Found>, ProviderError>> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_never_answers_holds_up_no_other_and_is_asked_once() {
    let (dead, good) = (service("example.com", "www", Some("dead")), service("example.net", "www", None));
    let mut directory =
        directory(&[("blog", "dead", false, &[]), ("blog", "good", true, &["example.net"])], &good);
    directory.answers.clear();
    let silent: Arc<dyn DnsProvider> = Arc::new(Silent);
    directory.accounts.get_mut(&(ALI, secret("blog", "dead"))).unwrap().provider = Ok(silent);
    let more = service("example.org", "www", Some("dead"));
    let asks: BTreeSet<Ask> = [&dead, &good, &more].into_iter().filter_map(Ask::of).collect();
    let out = watch::Sender::<Arc<Directory>>::default();
    let (mut seen, began) = (out.subscribe(), Instant::now());
    let watching = async {
        seen.changed().await.unwrap();
        assert!(!matches!(seen.borrow().place(&good), Place::NotYet));
        assert_eq!(began.elapsed(), Duration::ZERO);
    };
    tokio::join!(directory.ask(&asks, &out), watching);
    assert_eq!(began.elapsed(), ASK_DEADLINE, "once, not once a name");
    assert!(matches!(directory.place(&dead), Place::Nowhere(_)));
}
