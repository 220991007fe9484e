//! What the cluster's refusals mean.

use crate::domain::retry::Class;
use crate::runtimes::{Kind, RuntimeError};

/// What the cluster said to `what`, in its words as `mask` leaves them.
pub fn failed(what: impl Into<String>, error: kube::Error, mask: impl Fn(&str) -> String) -> RuntimeError {
    let what = what.into();
    let (kind, class, said) = match &error {
        kube::Error::Api(status) => {
            let (kind, class, advice) = match status.code {
                401 | 403 => (Kind::Rights, Class::Transient, ": give the operator's account this right"),
                404 => (Kind::Refused, Class::Transient, ": the cluster doesn't have that"),
                409 => (Kind::Other, Class::Transient, ""),
                422 | 400 => (Kind::Refused, Class::User, ""),
                429 | 500.. => (Kind::Unreachable, Class::Transient, ""),
                _ => (Kind::Other, Class::Transient, ""),
            };
            (kind, class, format!("{}{advice}", mask(&status.message)))
        }
        other => (Kind::Unreachable, Class::Transient, mask(&other.to_string())),
    };
    // The cause may repeat what was sent: its words are above, masked.
    RuntimeError::new(kind, class, format!("{what}: {said}"))
}

/// For calls that send no secret.
pub fn plainly(what: &str) -> impl FnOnce(kube::Error) -> RuntimeError {
    let what = what.to_owned();
    move |error| failed(what, error, str::to_owned)
}
