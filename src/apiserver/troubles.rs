//! What an API server's answers say is wrong between it and us: the server, the credentials, a right, a kind.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use http::StatusCode;

use crate::api::GROUP;
use crate::apiserver::asked::{Asked, Verb};
use crate::telemetry::chain::Chain;
use crate::telemetry::troubles::Troubles;

/// Calls without an answer, in a row, from which on the server counts as lost: a single one may be chance.
const LOST: u32 = 3;
const SERVER: &str = "server";
const CREDENTIALS: &str = "credentials";
const WAY: &str = "way";

/// Reads answers.
pub struct Reader {
    troubles: Troubles,
    unanswered: AtomicU32,
    /// What was refused for want of a right, by its trouble's name.
    refused: Mutex<BTreeMap<String, Asked>>,
}

impl Reader {
    /// Tells `troubles`.
    pub fn new(troubles: Troubles) -> Self {
        Self { troubles, unanswered: AtomicU32::new(0), refused: Mutex::default() }
    }

    /// The server answered; `words` are those of a refusal.
    pub fn answered(&self, asked: &Asked, status: StatusCode, words: Option<&str>) {
        self.unanswered.store(0, Ordering::Relaxed);
        if status.is_success() && self.troubles.is_empty() {
            return;
        }
        self.troubles.over(SERVER);
        if status == StatusCode::UNAUTHORIZED {
            let words = "credentials: the API server doesn't take them: has the token expired, or is the kubeconfig another cluster's?";
            return self.troubles.comes(CREDENTIALS.to_owned(), words.to_owned());
        }
        self.troubles.over(CREDENTIALS);
        let resource = &asked.resource;
        let kind = format!("kind {resource}");
        if is_granted(status) {
            self.granted(asked);
        }
        match status {
            StatusCode::FORBIDDEN
                if !is_optional(asked) && words.is_some_and(|words| words.contains("cannot ")) =>
            {
                let right = right(asked);
                self.with(|refused| refused.insert(right.clone(), asked.clone()));
                self.troubles.comes(right, refused(asked));
            }
            StatusCode::NOT_FOUND if is_unknown_kind(asked) => {
                let words = format!("crds: {resource} is missing: kubectl apply -f crds/");
                self.troubles.comes(kind, words);
            }
            status if status.is_success() => self.troubles.over(&kind),
            _ => {}
        }
    }

    /// The account may do this.
    pub fn granted(&self, asked: &Asked) {
        let right = right(asked);
        self.with(|refused| refused.remove(&right));
        self.troubles.over(&right);
    }

    /// What was refused for want of a right, and not granted since.
    pub fn refused(&self) -> Vec<Asked> {
        self.with(|refused| refused.values().cloned().collect())
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Asked>) -> T) -> T {
        act(&mut self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// No answer came.
    pub fn unanswered(&self, error: &(dyn Error + 'static)) {
        if LOST <= self.unanswered.fetch_add(1, Ordering::Relaxed).saturating_add(1) {
            let words = format!("control-plane: no answer: {}", Chain(error));
            self.troubles.comes(SERVER.to_owned(), words);
        }
    }

    /// The way was made anew.
    pub fn opened(&self) {
        self.troubles.over(WAY);
    }

    /// It could not be.
    pub fn not_opened(&self, error: &(dyn Error + 'static)) {
        self.troubles.comes(WAY.to_owned(), format!("kubeconfig: {}", Chain(error)));
    }
}

fn right(Asked { verb, resource, namespace, .. }: &Asked) -> String {
    format!("right {} {resource} {namespace:?}", verb.as_str())
}

/// Whether the server came as far as to look for the object: rights are asked before. It need not be there, and what it
/// is asked for once may be never asked for again.
fn is_granted(status: StatusCode) -> bool {
    let before =
        matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS);
    !before && !status.is_server_error()
}

/// What the cluster's nodes have left is told to who may look; nobody needs it.
fn is_optional(asked: &Asked) -> bool {
    asked.verb == Verb::List && asked.namespace.is_none() && matches!(&*asked.resource, "nodes" | "pods")
}

/// A single object may be missing; all of a kind are only where the kind is.
fn is_unknown_kind(asked: &Asked) -> bool {
    asked.resource.ends_with(&format!(".{GROUP}")) && matches!(asked.verb, Verb::List | Verb::Watch)
}

fn refused(Asked { verb, resource, namespace, .. }: &Asked) -> String {
    let place = match namespace {
        Some(namespace) => format!("in the namespace {namespace}"),
        None => "in the cluster".to_owned(),
    };
    format!("rights: may not {} {resource} {place}: grant it to the operator's account", verb.as_str())
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn asked(path: &str) -> Asked {
        Asked::of(&Method::GET, &path.parse().unwrap())
    }

    #[test]
    fn each_trouble_is_named_with_what_to_do_and_ends_with_the_same_calls_success() {
        let troubles = Troubles::default();
        let reader = Reader::new(troubles.clone());
        let secrets = asked("/api/v1/namespaces/ops/secrets");
        let other = asked("/api/v1/namespaces/blog/secrets");
        let forbidden = Some(r#"secrets is forbidden: User "x" cannot list resource "secrets""#);
        reader.answered(&secrets, StatusCode::FORBIDDEN, forbidden);
        reader.answered(&other, StatusCode::OK, None);
        let words = troubles.words();
        assert_eq!(
            words,
            ["rights: may not list secrets in the namespace ops: grant it to the operator's account"]
        );
        reader.answered(&secrets, StatusCode::OK, None);
        assert!(troubles.words().is_empty());
        reader.answered(&secrets, StatusCode::FORBIDDEN, forbidden);
        for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::INTERNAL_SERVER_ERROR] {
            reader.answered(&secrets, status, None);
            assert_eq!(troubles.words(), words, "it may have been said before rights were asked");
        }
        reader.answered(&secrets, StatusCode::NOT_FOUND, None);
        assert!(troubles.words().is_empty(), "who is told that there is none may look");
        reader.answered(&secrets, StatusCode::FORBIDDEN, Some("exceeded quota"));
        assert!(troubles.words().is_empty(), "a quota is no right");
    }

    #[test]
    fn a_kind_that_is_missing_is_told_from_an_object_that_is() {
        let troubles = Troubles::default();
        let reader = Reader::new(troubles.clone());
        let all = asked("/apis/cocoasyncer.io/v1alpha1/managedservices?limit=1");
        reader.answered(&all, StatusCode::NOT_FOUND, Some("404 page not found"));
        assert_eq!(
            troubles.words(),
            ["crds: managedservices.cocoasyncer.io is missing: kubectl apply -f crds/"]
        );
        reader.answered(&all, StatusCode::OK, None);
        let one = asked("/apis/cocoasyncer.io/v1alpha1/namespaces/a/managedservices/www");
        reader.answered(&one, StatusCode::NOT_FOUND, Some(r#"{"reason":"NotFound"}"#));
        assert!(troubles.words().is_empty());
    }

    #[test]
    fn a_server_is_lost_after_some_calls_in_a_row_and_credentials_at_once() {
        let troubles = Troubles::default();
        let reader = Reader::new(troubles.clone());
        let error = std::io::Error::other("connection refused");
        for _ in 0..2 {
            reader.unanswered(&error);
        }
        reader.answered(&asked("/api/v1/secrets"), StatusCode::OK, None);
        for _ in 0..3 {
            assert!(troubles.words().is_empty());
            reader.unanswered(&error);
        }
        assert_eq!(troubles.words(), ["control-plane: no answer: connection refused"]);
        reader.answered(&asked("/api/v1/secrets"), StatusCode::UNAUTHORIZED, None);
        assert!(troubles.words()[0].starts_with("credentials: "), "{:?}", troubles.words());
    }
}
