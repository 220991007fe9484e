//! Pulls by a real engine from a registry of our own: progress, logins, whose fault a failure is, and giving up.

use std::sync::Mutex;
use std::time::Duration;

use bollard::query_parameters::RemoveImageOptionsBuilder;
use cocoasyncer::domain::app::instance::Instance;
use cocoasyncer::domain::app::plan::Step;
use cocoasyncer::domain::app::registry::{Credentials, Login};
use cocoasyncer::domain::retry::Class;
use cocoasyncer::domain::secret::Secret;
use cocoasyncer::runtimes::{Aid, Clear, Kind, Progress, Runtime, RuntimeError};

use super::registry::{LOGIN, Registry};
use crate::support::engine::{Lab, Setting, lab};

fn made(lab: &Lab, image: &str, name: &str) -> Instance {
    let compose = format!("services:\n  web:\n    image: {image}\n    expose: ['80']\n");
    lab.composed(&compose, &[], name, Setting::default())
}

async fn pull(
    lab: &Lab,
    image: &str,
    name: &str,
    login: Option<(&str, &str)>,
) -> Result<Vec<Progress>, RuntimeError> {
    let mut credentials = Credentials::default();
    if let Some((user, password)) = login {
        let host = image.split('/').next().unwrap().to_owned();
        let login = Login { user: user.into(), password: Secret::new(password) };
        credentials.logins.insert(host, login);
    }
    let heard = Mutex::new(Vec::new());
    let hear = |progress| heard.lock().unwrap().push(progress);
    let aid = Aid { credentials: &credentials, progress: &hear };
    let made = made(lab, image, name);
    lab.runtime.step(&made, &Step::Pull(image.to_owned()), aid).await?;
    Ok(heard.into_inner().unwrap())
}

async fn forget(lab: &Lab, image: &str) {
    let options = RemoveImageOptionsBuilder::new().build();
    lab.docker.remove_image(image, Some(options), None).await.unwrap();
}

#[tokio::test]
async fn a_pull_tells_how_far_it_is_and_is_remembered_for_the_uninstall() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name();
    let registry = Registry::start(&name).await;
    let image = registry.image("good");
    let heard = pull(&lab, &image, &name, Some(LOGIN)).await.unwrap();
    let last = heard.last().unwrap();
    assert_eq!((last.what.as_str(), last.layers.len()), (format!("pulling {image}").as_str(), 1));
    assert!(last.total > 0 && last.done == last.total, "{last:?}");
    let made = made(&lab, &image, &name);
    assert!(lab.runtime.observe(&made).await.unwrap().images.contains(&image));
    // An install that goes no further leaves nothing behind either.
    let left = lab.runtime.clear(&made.key, &made.uid, Clear { images: true, data: true }).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    assert!(lab.runtime.observe(&made).await.unwrap().images.is_empty());
}

#[tokio::test]
async fn a_login_reaches_the_registry_as_it_is() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name();
    let registry = Registry::start(&name).await;
    let image = registry.image("locked");
    pull(&lab, &image, &name, Some(LOGIN)).await.unwrap();
    forget(&lab, &image).await;
    let wrong = pull(&lab, &image, &name, Some(("u", "wrong-word"))).await.unwrap_err();
    assert_eq!((wrong.kind, wrong.class), (Kind::Credentials, Class::User), "{wrong}");
    assert!(!wrong.what.contains("wrong-word") && wrong.what.contains("pullSecretRef"), "{wrong}");
    let none = pull(&lab, &image, &name, None).await.unwrap_err();
    assert_eq!(none.kind, Kind::Credentials, "{none}");
}

#[tokio::test]
async fn a_failure_says_whose_fault_it_is() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name();
    let registry = Registry::start(&name).await;
    let unknown = pull(&lab, &registry.image("unknown"), &name, Some(LOGIN)).await.unwrap_err();
    assert_eq!((unknown.kind, unknown.class), (Kind::ImageUnknown, Class::User), "{unknown}");
    let broken = pull(&lab, &registry.image("broken"), &name, Some(LOGIN)).await.unwrap_err();
    assert_eq!((broken.kind, broken.class), (Kind::RegistryUnreachable, Class::Transient), "{broken}");
    let gone = registry.image("good");
    drop(registry);
    let gone = pull(&lab, &gone, &name, None).await.unwrap_err();
    assert_eq!((gone.kind, gone.class), (Kind::RegistryUnreachable, Class::Transient), "{gone}");
}

#[tokio::test]
async fn a_pull_that_is_given_up_ends_at_the_registry() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name();
    let mut registry = Registry::start(&name).await;
    let image = registry.image("endless");
    {
        let mut pulling = std::pin::pin!(pull(&lab, &image, &name, Some(LOGIN)));
        let begun = registry.pouring.wait_for(|count| *count > 0);
        tokio::select! {
            ended = &mut pulling => panic!("it ended: {ended:?}"),
            begun = tokio::time::timeout(Duration::from_secs(30), begun) => drop(begun.unwrap().unwrap()),
        }
    }
    let over = registry.pouring.wait_for(|count| *count == 0);
    drop(tokio::time::timeout(Duration::from_secs(30), over).await.unwrap().unwrap());
    assert!(lab.docker.inspect_image(&image).await.is_err());
}
