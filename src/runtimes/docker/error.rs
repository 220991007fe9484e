//! What the engine says when it refuses, told as what to do. Its words and its registries' are somebody else's: they are
//! clipped to one line and carried as text only, for a chain of causes could hold what was masked. Pure.

use std::error::Error as _;
use std::io;

use bollard::errors::Error;

use crate::domain::retry::Class;
use crate::runtimes::{Kind, RuntimeError};

/// Longest piece of somebody else's words that is repeated, in characters.
const CLIP: usize = 300;

/// `text` in one line, its end cut off where it is long.
pub fn clip(text: &str) -> String {
    let line: Vec<&str> =
        text.split(|c: char| c.is_control() || c == ' ').filter(|w| !w.is_empty()).collect();
    let line = line.join(" ");
    match line.char_indices().nth(CLIP) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    }
}

/// The status that the engine answered with, if it answered.
pub fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Whether there is no such thing.
pub fn is_absent(error: &Error) -> bool {
    status(error) == Some(404)
}

/// What a failed `what` (`create container blog`) comes to.
pub fn told(what: &str, error: &Error) -> RuntimeError {
    match error {
        Error::DockerResponseServerError { status_code, message } => answered(what, *status_code, message),
        Error::DockerStreamError { error } => answered(what, 500, error),
        Error::DockerContainerWaitError { error, .. } => answered(what, 500, error),
        Error::SocketNotFoundError(path) => unreachable(format!(
            "{what}: there is no Docker engine at {}; start it, or say where it listens",
            clip(path)
        )),
        Error::RequestTimeoutError => {
            unreachable(format!("{what}: the Docker engine does not answer in time; it may be overloaded"))
        }
        Error::HyperLegacyError { .. } | Error::HyperResponseError { .. } | Error::IOError { .. } => {
            match is_denied(error) {
                true => RuntimeError::new(
                    Kind::Rights,
                    Class::Transient,
                    format!(
                        "{what}: no right to the Docker engine's socket; run as root or in the socket's group"
                    ),
                ),
                false => unreachable(format!("{what}: the Docker engine can't be reached; is it running?")),
            }
        }
        other => RuntimeError::new(
            Kind::Other,
            Class::Bug,
            format!("{what}: the Docker engine's answer can't be understood: {}", clip(&other.to_string())),
        ),
    }
}

fn unreachable(what: String) -> RuntimeError {
    RuntimeError::new(Kind::Unreachable, Class::Transient, what)
}

fn is_denied(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::PermissionDenied) {
            return true;
        }
        cause = error.source();
    }
    matches!(error, Error::IOError { err } if err.kind() == io::ErrorKind::PermissionDenied)
}

fn answered(what: &str, status: u16, message: &str) -> RuntimeError {
    let said = clip(message);
    let lower = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let (kind, class, hint) = if has(&["no space left on device", "disk quota exceeded"]) {
        (Kind::NoSpace, Class::Transient, "free some space on the engine's disk")
    } else if has(&["port is already allocated", "address already in use"]) {
        (Kind::PortTaken, Class::Transient, "free the port or choose another one")
    } else if status == 409 && has(&["is already in use", "already exists"]) {
        (Kind::NameTaken, Class::Transient, "the name is somebody else's: remove or rename that")
    } else if has(&["no such image"]) {
        (Kind::ImageUnknown, Class::Transient, "the image went away: it is pulled again")
    } else if status == 400
        || has(&["oci runtime", "mount", "exec format error", "unknown log", "could not select device"])
    {
        (Kind::Refused, Class::User, "the template asks for what this engine can't do")
    } else if matches!(status, 401 | 403) {
        (Kind::Rights, Class::User, "the engine's policy forbids it")
    } else {
        (Kind::Other, Class::Transient, "it is tried again")
    };
    RuntimeError::new(kind, class, format!("{what}: {said} ({hint})"))
}

/// A name of the engine that is not this App's.
pub fn taken(what: &str, name: &str) -> RuntimeError {
    RuntimeError::new(
        Kind::NameTaken,
        Class::User,
        format!(
            "{what} {name} is there already and is not this application's: remove it or choose another name"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_words_say_who_can_mend_it() {
        let table = [
            (
                500,
                "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated",
                Kind::PortTaken,
                Class::Transient,
            ),
            (
                409,
                "Conflict. The container name \"/x\" is already in use by container \"abc\"",
                Kind::NameTaken,
                Class::Transient,
            ),
            (500, "write /var/lib/x: no space left on device", Kind::NoSpace, Class::Transient),
            (404, "No such image: redis:8", Kind::ImageUnknown, Class::Transient),
            (400, "invalid mount config for type \"bind\"", Kind::Refused, Class::User),
            (500, "something odd", Kind::Other, Class::Transient),
            (403, "authorization denied by plugin", Kind::Rights, Class::User),
        ];
        for (status_code, message, kind, class) in table {
            let error = Error::DockerResponseServerError { status_code, message: message.into() };
            let told = told("create container x", &error);
            assert_eq!((told.kind, told.class), (kind, class), "{message}");
            assert!(told.what.starts_with("create container x: "), "{}", told.what);
        }
    }

    #[test]
    fn an_engine_that_is_gone_is_unreachable_and_a_socket_of_others_a_matter_of_rights() {
        let gone = Error::SocketNotFoundError("/nowhere".into());
        assert_eq!(told("x", &gone).kind, Kind::Unreachable);
        assert_eq!(told("x", &Error::RequestTimeoutError).kind, Kind::Unreachable);
        let denied = Error::IOError { err: io::Error::from(io::ErrorKind::PermissionDenied) };
        assert_eq!(told("x", &denied).kind, Kind::Rights);
    }

    #[test]
    fn somebody_elses_words_are_one_short_line() {
        let long = clip(&format!("a\nb\u{1b}[0m {}", "x".repeat(1000)));
        assert!(long.starts_with("a b [0m x") && long.chars().count() == CLIP + 1, "{long}");
    }
}
