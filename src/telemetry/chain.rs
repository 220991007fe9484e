//! An error with all its causes on one line, for the one place at the top of each loop that logs it.

use std::error::Error;
use std::fmt;

use kube::core::Status;

/// Shows an error and its causes, separated by colons; a cause that repeats the text above it is passed over, and of an
/// API server's refusal only its own words are left.
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut above = words(self.0);
        f.write_str(&above)?;
        let mut cause = self.0.source();
        while let Some(err) = cause {
            let text = words(err);
            // Some libraries print their cause themselves.
            if !above.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            above = text;
            cause = err.source();
        }
        Ok(())
    }
}

/// An error's own text, without the dump of a refusal that kube's errors repeat wherever they stand.
fn words(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(status) = refusal(error) {
            text = text.replace(&error.to_string(), said(status));
        }
        next = error.source();
    }
    text
}

/// The refusal that an error is.
fn refusal<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Status> {
    let boxed = error.downcast_ref::<Box<kube::Error>>().map(|boxed| &**boxed);
    match boxed.or_else(|| error.downcast_ref()) {
        Some(kube::Error::Api(status)) => Some(status),
        Some(_) => None,
        None => error.downcast_ref::<Box<Status>>().map(|boxed| &**boxed).or_else(|| error.downcast_ref()),
    }
}

/// An API server may refuse without a message.
fn said(status: &Status) -> &str {
    if status.message.is_empty() { &status.reason } else { &status.message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Step(&'static str, #[source] Option<Box<Step>>);

    #[test]
    fn causes_stand_once_and_in_their_order() {
        let root = Step("connection refused", None);
        let middle = Step("call peer: connection refused", Some(Box::new(root)));
        let top = Step("push to tokyo", Some(Box::new(middle)));
        assert_eq!(Chain(&top).to_string(), "push to tokyo: call peer: connection refused");
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        use kube::runtime::watcher;
        let refused = || {
            kube::Error::Api(Box::new(
                Status::failure("nodes \"a\" is forbidden", "Forbidden").with_code(403),
            ))
        };
        assert_eq!(Chain(&refused()).to_string(), "nodes \"a\" is forbidden");
        let boxed = anyhow::Error::new(Box::new(refused())).context("read it");
        assert_eq!(Chain(boxed.as_ref()).to_string(), "read it: nodes \"a\" is forbidden");
        let watch = watcher::Error::InitialListFailed(refused());
        assert_eq!(
            Chain(&watch).to_string(),
            "failed to perform initial object list: nodes \"a\" is forbidden"
        );
        let silent = kube::Error::Api(Box::new(Status::failure("", "Expired")));
        assert_eq!(Chain(&silent).to_string(), "Expired");
    }
}
