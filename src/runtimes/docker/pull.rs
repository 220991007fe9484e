//! Pulls an image, tells how far it is by layer, and says of a failure whose fault it is. Dropping the future ends the
//! pull: the engine gives up when nobody listens.

use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt;
use tokio::time::timeout;

use super::engine::Engine;
use super::error::{clip, status, told};
use crate::domain::app::registry::{Credentials, Login};
use crate::domain::retry::Class;
use crate::runtimes::{Aid, Kind, Progress, RuntimeError};

/// How long a pull may say nothing.
const SILENCE: Duration = Duration::from_secs(300);

/// Pulls `image` for `platform`.
pub async fn pull(
    engine: &Engine,
    image: &str,
    platform: Option<&str>,
    aid: &Aid<'_>,
) -> Result<(), RuntimeError> {
    let (from, tag) = parts(image);
    let login = login(aid.credentials, image, &engine.index);
    let mut options = CreateImageOptionsBuilder::new().from_image(from);
    if let Some(tag) = tag {
        options = options.tag(tag);
    }
    if let Some(platform) = platform {
        options = options.platform(platform);
    }
    let sent = login.map(|login| DockerCredentials {
        username: Some(login.user.clone()),
        password: Some(login.password.expose().to_owned()),
        serveraddress: Some(host(image).unwrap_or(&engine.index).to_owned()),
        ..DockerCredentials::default()
    });
    let mut progress = Progress { what: format!("pulling {image}"), ..Progress::default() };
    (aid.progress)(progress.clone());
    let mut stream = engine.docker.create_image(Some(options.build()), None, sent);
    loop {
        let said = match timeout(SILENCE, stream.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(said)) => said,
            Err(_) => {
                let what = format!("pull {image}: nothing came for {} s; try again", SILENCE.as_secs());
                return Err(RuntimeError::new(Kind::RegistryUnreachable, Class::Transient, what));
            }
        };
        match said {
            Ok(info) => {
                if let Some(error) = info.error_detail.as_ref().and_then(|detail| detail.message.as_ref()) {
                    return Err(failed(image, 500, error, login));
                }
                if take(&mut progress, &info) {
                    (aid.progress)(progress.clone());
                }
            }
            Err(Error::DockerStreamError { error }) => return Err(failed(image, 500, &error, login)),
            Err(Error::DockerResponseServerError { status_code, message }) => {
                return Err(failed(image, status_code, &message, login));
            }
            Err(error) => return Err(told(&format!("pull {image}"), &error)),
        }
    }
}

/// The part before the tag, and the tag: `latest` where none is said, for without one the engine pulls them all.
fn parts(image: &str) -> (&str, Option<&str>) {
    if image.contains('@') {
        return (image, None);
    }
    match image.rsplit_once(':') {
        Some((from, tag)) if !tag.contains('/') => (from, Some(tag)),
        _ => (image, Some("latest")),
    }
}

/// The registry that an image names.
fn host(image: &str) -> Option<&str> {
    let (first, _) = image.split_once('/')?;
    (first.contains(['.', ':']) || first == "localhost").then_some(first)
}

/// The login for an image; `index` is the engine's own key for images that name no registry.
fn login<'a>(credentials: &'a Credentials, image: &str, index: &str) -> Option<&'a Login> {
    let of = |key: &str| credentials.logins.get(key);
    match host(image) {
        Some(host) => of(host),
        None => of(index).or_else(|| {
            let bare = index.split_once("://").map_or(index, |(_, rest)| rest);
            of(bare.split('/').next().unwrap_or_default())
        }),
    }
}

/// Takes what the engine says of a layer; whether it tells something new.
fn take(progress: &mut Progress, info: &CreateImageInfo) -> bool {
    let (Some(id), Some(status)) = (&info.id, &info.status) else { return false };
    let octets = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
    let detail = info.progress_detail.as_ref();
    let (done, total) = (octets(detail.and_then(|d| d.current)), octets(detail.and_then(|d| d.total)));
    let at = progress.layers.iter().position(|(known, _, _)| known == id);
    let known = at.and_then(|at| progress.layers.get(at)).map(|(_, done, total)| (*done, *total));
    let next = match status.as_str() {
        "Pulling fs layer" | "Waiting" => known.unwrap_or_default(),
        "Downloading" => (done, total.max(done)),
        // Unpacking counts octets of its own; the download is what takes long and is over by then.
        "Verifying Checksum" | "Download complete" | "Extracting" | "Pull complete" => {
            let total = known.map_or(0, |(_, total)| total);
            (total, total)
        }
        "Already exists" => (0, 0),
        // What is said of the image as a whole carries its tag as the id.
        _ => return false,
    };
    if known == Some(next) {
        return false;
    }
    match at.and_then(|at| progress.layers.get_mut(at)) {
        Some(layer) => (layer.1, layer.2) = next,
        None => progress.layers.push((id.clone(), next.0, next.1)),
    }
    progress.done = progress.layers.iter().map(|(_, done, _)| done).sum();
    progress.total = progress.layers.iter().map(|(_, _, total)| total).sum();
    true
}

/// Whose fault it is, by the engine's and the registry's words; there is no other sign.
fn failed(image: &str, status: u16, message: &str, login: Option<&Login>) -> RuntimeError {
    let lower = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let (kind, class, hint) = if has(&["no space left", "disk quota"]) {
        (Kind::NoSpace, Class::Transient, "free some space on the engine's disk")
    } else if has(&["may require 'docker login'", "access denied", "requested access to the resource"]) {
        // A registry doesn't tell a stranger whether there is such an image.
        match login {
            Some(_) => (
                Kind::Credentials,
                Class::User,
                "the login has no right to it, or there is no such image: check spec.pullSecretRef and the image",
            ),
            None => (
                Kind::ImageUnknown,
                Class::User,
                "there is no such image, or it is private: check its name, or give spec.pullSecretRef",
            ),
        }
    } else if has(&[
        "unauthorized",
        "authentication required",
        "incorrect username",
        "denied",
        "no basic auth",
    ]) {
        (Kind::Credentials, Class::User, "the registry wants another login: check spec.pullSecretRef")
    } else if has(&["no matching manifest"]) {
        (Kind::ImageUnknown, Class::User, "the image is not made for this host's platform")
    } else if has(&["toomanyrequests", "too many requests", "rate limit"]) {
        (Kind::RegistryUnreachable, Class::Transient, "the registry limits pulls: give a login, or wait")
    } else if has(&[
        "manifest unknown",
        "name unknown",
        "name_unknown",
        "not found: ",
        "no such image",
        "invalid reference",
    ]) || has(&["manifest for"]) && has(&["not found"])
        || matches!(status, 400 | 404)
    {
        (Kind::ImageUnknown, Class::User, "there is no such image or tag: check the version")
    } else {
        let hint =
            "the registry can't be reached or does not answer: check the network, a mirror and the proxy";
        (Kind::RegistryUnreachable, Class::Transient, hint)
    };
    let mut said = clip(message);
    if let Some(login) = login.filter(|login| !login.password.is_empty()) {
        said = said.replace(login.password.expose(), "***");
    }
    RuntimeError::new(kind, class, format!("pull {image}: {said} ({hint})"))
}

/// Whether the engine has no such image, as a removal tells it.
pub fn is_gone(error: &Error) -> bool {
    status(error) == Some(404)
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;
    use crate::domain::secret::Secret;

    #[test]
    fn a_reference_is_parted_and_never_means_all_tags() {
        let table = [
            ("redis:8.2", ("redis", Some("8.2"))),
            ("redis", ("redis", Some("latest"))),
            ("host.example:5000/a/b", ("host.example:5000/a/b", Some("latest"))),
            ("host.example:5000/a/b:1", ("host.example:5000/a/b", Some("1"))),
            ("a@sha256:00", ("a@sha256:00", None)),
        ];
        for (image, expect) in table {
            assert_eq!(parts(image), expect, "{image}");
        }
        assert_eq!(host("host.example:5000/a"), Some("host.example:5000"));
        assert_eq!((host("library/redis"), host("redis")), (None, None));
    }

    #[test]
    fn a_login_is_found_by_the_registry_or_by_the_engines_key() {
        let login_of = |user: &str| Login { user: user.into(), password: Secret::new("p") };
        let logins = [
            ("host.example".to_owned(), login_of("a")),
            ("https://index.example/v1/".to_owned(), login_of("b")),
        ];
        let credentials = Credentials { logins: logins.into() };
        let user = |image, index| login(&credentials, image, index).map(|login| login.user.as_str());
        assert_eq!(user("host.example/x", "https://index.example/v1/"), Some("a"));
        assert_eq!(user("redis:8", "https://index.example/v1/"), Some("b"));
        assert_eq!(user("redis:8", "https://host.example/v1/"), Some("a"));
        assert_eq!(user("other.example/x", "https://index.example/v1/"), None);
    }

    #[test]
    fn progress_is_summed_over_layers_and_never_goes_back() {
        let mut progress = Progress::default();
        let say = |id: &str, status: &str, at: (i64, i64)| CreateImageInfo {
            id: Some(id.into()),
            status: Some(status.into()),
            progress_detail: Some(ProgressDetail { current: Some(at.0), total: Some(at.1) }),
            ..CreateImageInfo::default()
        };
        assert!(!take(&mut progress, &say("8.2", "Pulling from library/redis", (0, 0))));
        assert!(take(&mut progress, &say("aa", "Pulling fs layer", (0, 0))));
        assert!(take(&mut progress, &say("bb", "Already exists", (0, 0))));
        assert!(take(&mut progress, &say("aa", "Downloading", (10, 100))));
        assert_eq!((progress.done, progress.total), (10, 100));
        assert!(take(&mut progress, &say("aa", "Download complete", (0, 0))));
        assert!(!take(&mut progress, &say("aa", "Extracting", (5, 400))));
        assert_eq!((progress.done, progress.total), (100, 100));
        assert_eq!(progress.layers.len(), 2);
    }

    #[test]
    fn a_failure_says_whose_fault_it_is_and_hides_the_password() {
        let login = Login { user: "u".into(), password: Secret::new("hunter22") };
        let table = [
            ("manifest for redis:99 not found: manifest unknown: manifest unknown", None, Kind::ImageUnknown),
            (
                "pull access denied for x, repository does not exist or may require 'docker login'",
                None,
                Kind::ImageUnknown,
            ),
            (
                "pull access denied for x, repository does not exist or may require 'docker login'",
                Some(&login),
                Kind::Credentials,
            ),
            (
                "Get https://h/v2/: unauthorized: incorrect username or password",
                Some(&login),
                Kind::Credentials,
            ),
            ("Get https://h/v2/: dial tcp: lookup h: no such host", None, Kind::RegistryUnreachable),
            ("Get https://h/v2/: net/http: TLS handshake timeout", None, Kind::RegistryUnreachable),
            ("received unexpected HTTP status: 500 Internal Server Error", None, Kind::RegistryUnreachable),
            ("toomanyrequests: You have reached your pull rate limit", None, Kind::RegistryUnreachable),
            ("write /var/lib/docker/tmp/x: no space left on device", None, Kind::NoSpace),
            (
                "no matching manifest for linux/arm64/v8 in the manifest list entries",
                None,
                Kind::ImageUnknown,
            ),
            ("invalid reference format", None, Kind::ImageUnknown),
        ];
        for (message, login, kind) in table {
            assert_eq!(failed("x", 500, message, login).kind, kind, "{message}");
        }
        let told = failed("x", 500, "bad auth u:hunter22", Some(&login));
        assert!(!told.what.contains("hunter22"), "{told}");
    }
}
