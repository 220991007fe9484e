//! What an install chose: password, random word, ports. It lies in the Secret `app-NAME`, which has no owner: it goes
//! with the data, and stays with data that are kept, so that a later install of the same name can open them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::api::condition::reasons;
use crate::api::{APP_LABEL, APP_NAMESPACE_LABEL, APP_SECRET_LABEL, APP_UID_LABEL, KEPT_LABEL};
use crate::controllers::app::prepare::Refusal;
use crate::controllers::app::shared::AppContext;
use crate::controllers::shared::context::Context;
use crate::controllers::shared::report::CALL_DEADLINE;
use crate::controllers::stores::within;
use crate::domain::app::fill::{WantedPort, allocate};
use crate::domain::app::instance::{AppKey, Choices};
use crate::domain::app::workload::Protocol;
use crate::domain::secret::Secret;
use crate::runtimes::Runtime;

/// Value of [`APP_SECRET_LABEL`].
const CHOICES: &str = "choices";
/// Key of the password.
pub const PASSWORD: &str = "password";
const CODE: &str = "code";
const PORTS: &str = "ports.json";
const APP: &str = "app";

/// A remembered port: what was liked, what was chosen, what it carries, how many in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Chosen {
    key: String,
    like: u16,
    port: u16,
    count: u16,
    udp: bool,
    tcp: bool,
}

/// The Secret's name for an application.
pub fn secret_name(name: &str) -> String {
    format!("app-{name}")
}

/// Whether a wish is the one that was answered by this choice.
fn answers(chosen: &Chosen, wanted: &WantedPort) -> bool {
    chosen.key == wanted.key && chosen.like == wanted.like && chosen.count == wanted.count.max(1)
}

impl Chosen {
    fn all(&self) -> impl Iterator<Item = (u16, Protocol)> {
        let protocols =
            [self.tcp.then_some(Protocol::Tcp), self.udp.then_some(Protocol::Udp)].into_iter().flatten();
        let last = self.port.saturating_add(self.count.saturating_sub(1));
        let first = self.port;
        protocols.flat_map(move |protocol| (first..=last).map(move |number| (number, protocol)))
    }
}

/// Reads what `key`'s install chose, or chooses it, and writes it down before it is used.
pub async fn choose(
    ctx: &AppContext,
    runtime: &dyn Runtime,
    (key, uid, app_name): (&AppKey, &str, &str),
    wanted: &[WantedPort],
) -> Result<Choices, Refusal> {
    let secrets = Api::<KubeSecret>::namespaced(ctx.base.client.clone(), &key.namespace);
    let name = secret_name(&key.name);
    let there = in_time(secrets.get_opt(&name)).await.map_err(Refusal::plane)?;
    if let Some(choices) = there.as_ref().and_then(|secret| complete(secret, uid, wanted)) {
        return Ok(choices);
    }
    let _alone = ctx.shared.choosing.lock().await;
    // What was read before the lock may be old by now.
    let there = in_time(secrets.get_opt(&name)).await.map_err(Refusal::plane)?;
    let (password, code, mut ports) = match &there {
        Some(secret) => adopt(secret, (key, uid, app_name))?,
        None => (Secret::new(password().map_err(Refusal::ours)?), word().map_err(Refusal::ours)?, Vec::new()),
    };
    let open: Vec<WantedPort> =
        wanted.iter().filter(|want| !ports.iter().any(|chosen| answers(chosen, want))).cloned().collect();
    if !open.is_empty() {
        let mut taken = runtime.taken_ports(key).await.map_err(|error| Refusal::runtime(&error))?;
        taken.extend(others(&ctx.base, key).await.map_err(Refusal::plane)?);
        taken.extend(ports.iter().flat_map(Chosen::all));
        let new = allocate(&open, &BTreeMap::new(), &taken).ok_or_else(|| {
            let words = "no port of the host is free for what the template publishes";
            Refusal::transient(reasons::PORT_TAKEN, words)
        })?;
        ports.extend(open.iter().filter_map(|want| {
            let has = |protocol| want.protocols.contains(&protocol);
            let (udp, tcp, count) = (has(Protocol::Udp), has(Protocol::Tcp), want.count.max(1));
            Some(Chosen {
                key: want.key.clone(),
                like: want.like,
                port: *new.get(&want.key)?,
                count,
                udp,
                tcp,
            })
        }));
    }
    let secret = render((key, uid, app_name), &password, &code, &ports);
    write(&secrets, there.as_ref(), secret).await.map_err(Refusal::plane)?;
    Ok(Choices { password, code, ports: chosen_for(&ports, wanted) })
}

/// Forgets the chosen ports, so that others are chosen: one of them turned out to be taken before it was ever used.
pub async fn forget_ports(ctx: &AppContext, key: &AppKey) -> Result<(), kube::Error> {
    let secrets = Api::<KubeSecret>::namespaced(ctx.base.client.clone(), &key.namespace);
    let patch = Patch::Merge(serde_json::json!({ "data": { PORTS: null } }));
    in_time(secrets.patch(&secret_name(&key.name), &PatchParams::default(), &patch)).await.map(|_| ())
}

/// What becomes of the choices when their App goes: they are removed with the data, or marked as kept.
pub async fn release(ctx: &AppContext, key: &AppKey, uid: &str, keep: bool) -> Result<(), kube::Error> {
    let secrets = Api::<KubeSecret>::namespaced(ctx.base.client.clone(), &key.namespace);
    let name = secret_name(&key.name);
    let Some(secret) = in_time(secrets.get_opt(&name)).await? else { return Ok(()) };
    if label(&secret, APP_UID_LABEL) != Some(uid) {
        return Ok(());
    }
    let done = match keep {
        true => {
            let patch = Patch::Merge(serde_json::json!({ "metadata": { "labels": { KEPT_LABEL: "true" } } }));
            in_time(secrets.patch(&name, &PatchParams::default(), &patch)).await.map(|_| ())
        }
        false => in_time(secrets.delete(&name, &DeleteParams::default())).await.map(|_| ()),
    };
    gone_is_fine(done)
}

/// A call of the control plane, bounded.
pub async fn in_time<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    let call = tokio::time::timeout(CALL_DEADLINE, call).await;
    call.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())))
}

/// Takes a missing object for a removed one.
pub fn gone_is_fine(done: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match done {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => other,
    }
}

/// A label's value.
pub fn label<'a>(secret: &'a KubeSecret, name: &str) -> Option<&'a str> {
    secret.metadata.labels.as_ref()?.get(name).map(String::as_str)
}

fn text(secret: &KubeSecret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}

fn ports(secret: &KubeSecret) -> Vec<Chosen> {
    text(secret, PORTS).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn chosen_for(ports: &[Chosen], wanted: &[WantedPort]) -> BTreeMap<String, u16> {
    let port = |want: &WantedPort| {
        let chosen = ports.iter().find(|chosen| answers(chosen, want))?;
        Some((want.key.clone(), chosen.port))
    };
    wanted.iter().filter_map(port).collect()
}

/// The choices of a Secret that lacks nothing and is this App's.
fn complete(secret: &KubeSecret, uid: &str, wanted: &[WantedPort]) -> Option<Choices> {
    let mine = label(secret, APP_UID_LABEL) == Some(uid) && label(secret, KEPT_LABEL).is_none();
    let ports = ports(secret);
    let all = wanted.iter().all(|want| ports.iter().any(|chosen| answers(chosen, want)));
    let choices = Choices {
        password: Secret::new(text(secret, PASSWORD)?),
        code: text(secret, CODE)?,
        ports: chosen_for(&ports, wanted),
    };
    (mine && all).then_some(choices)
}

/// What a Secret holds that was there before; not every one may be taken over.
fn adopt(
    secret: &KubeSecret,
    (key, uid, app_name): (&AppKey, &str, &str),
) -> Result<(Secret, String, Vec<Chosen>), Refusal> {
    let name = secret.name_any();
    if label(secret, APP_SECRET_LABEL) != Some(CHOICES) {
        let words = format!("Secret {}/{name} is not the operator's: remove or rename it", key.namespace);
        return Err(Refusal::user(reasons::NAME_TAKEN, words));
    }
    let of = text(secret, APP).unwrap_or_default();
    if of != app_name && label(secret, APP_UID_LABEL) != Some(uid) {
        let words = format!(
            "metadata.name: data of {of} were kept under the name {}: install {of}, choose another name, or remove the data with the Secret {}/{name}",
            key.name, key.namespace
        );
        return Err(Refusal::user(reasons::DATA_OF_ANOTHER, words));
    }
    let secret_of = |what| {
        let words = format!("Secret {}/{name} lacks its {what}: put it back", key.namespace);
        text(secret, what).ok_or_else(|| Refusal::user(reasons::SECRET_MISSING, words))
    };
    Ok((Secret::new(secret_of(PASSWORD)?), secret_of(CODE)?, ports(secret)))
}

fn render(
    (key, uid, app_name): (&AppKey, &str, &str),
    password: &Secret,
    code: &str,
    ports: &[Chosen],
) -> KubeSecret {
    let ports = serde_json::to_string(ports).unwrap_or_default();
    let data = [
        (PASSWORD, password.expose().to_owned()),
        (CODE, code.to_owned()),
        (PORTS, ports),
        (APP, app_name.to_owned()),
    ];
    KubeSecret {
        metadata: ObjectMeta {
            name: Some(secret_name(&key.name)),
            namespace: Some(key.namespace.clone()),
            labels: Some(labels(key, uid, CHOICES)),
            ..ObjectMeta::default()
        },
        data: Some(data.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into()))).collect()),
        type_: Some("Opaque".to_owned()),
        ..KubeSecret::default()
    }
}

/// The labels of an application's Secret.
pub fn labels(key: &AppKey, uid: &str, holds: &str) -> BTreeMap<String, String> {
    let all = [
        (APP_LABEL, key.name.as_str()),
        (APP_NAMESPACE_LABEL, &key.namespace),
        (APP_UID_LABEL, uid),
        (APP_SECRET_LABEL, holds),
    ];
    all.map(|(label, value)| (label.to_owned(), value.to_owned())).into()
}

/// Writes over exactly what was read: who was faster wins, and the next turn sees it.
async fn write(
    api: &Api<KubeSecret>,
    there: Option<&KubeSecret>,
    mut secret: KubeSecret,
) -> Result<(), kube::Error> {
    let params = PostParams { field_manager: Some("cocoasyncer/app".into()), ..PostParams::default() };
    let name = secret.name_any();
    match there {
        None => in_time(api.create(&params, &secret)).await.map(|_| ()),
        Some(there) => {
            secret.metadata.resource_version = there.metadata.resource_version.clone();
            // What people added stays.
            let mut labels = there.metadata.labels.clone().unwrap_or_default();
            labels.remove(KEPT_LABEL);
            labels.extend(secret.metadata.labels.take().unwrap_or_default());
            secret.metadata.labels = Some(labels);
            secret.metadata.annotations = there.metadata.annotations.clone();
            secret.metadata.owner_references = there.metadata.owner_references.clone();
            in_time(api.replace(&name, &params, &secret)).await.map(|_| ())
        }
    }
}

/// The ports that all other installs chose, the kept ones' too: their data will be opened again.
async fn others(ctx: &Context, key: &AppKey) -> Result<BTreeSet<(u16, Protocol)>, kube::Error> {
    let params = ListParams::default().labels(&format!("{APP_SECRET_LABEL}={CHOICES}"));
    let mut list = Vec::new();
    for place in ctx.scope().places() {
        list.extend(in_time(within::<KubeSecret>(&ctx.client, place).list(&params)).await?);
    }
    let of_other = |secret: &&KubeSecret| {
        let of = (label(secret, APP_NAMESPACE_LABEL), label(secret, APP_LABEL));
        of != (Some(&key.namespace), Some(&key.name))
    };
    let chosen = list.iter().filter(of_other).flat_map(ports);
    Ok(chosen.flat_map(|chosen| chosen.all().collect::<Vec<_>>()).collect())
}

/// Nothing to choose by.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandom;

/// `length` characters of `alphabet`, all equally likely.
fn random(alphabet: &[u8], length: usize) -> Result<String, NoRandom> {
    let fair = 256 - 256 % alphabet.len();
    let (mut text, mut octet) = (String::new(), [0u8]);
    while text.len() < length {
        SystemRandom::new().fill(&mut octet).map_err(|_| NoRandom)?;
        let number = usize::from(octet[0]);
        if number < fair {
            text.push(char::from(alphabet[number % alphabet.len()]));
        }
    }
    Ok(text)
}

const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const ALL: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// A password that YAML, shells and URLs take as it is, with a letter in front and something of each class.
fn password() -> Result<String, NoRandom> {
    loop {
        let text = random(ALL, 20)?;
        let has = |class: fn(&char) -> bool| text.chars().any(|c| class(&c));
        let mixed =
            has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase) && has(char::is_ascii_digit);
        if mixed && text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Ok(text);
        }
    }
}

/// A random word with a letter in front.
fn word() -> Result<String, NoRandom> {
    Ok(random(LOWER, 1)? + &random(b"abcdefghijklmnopqrstuvwxyz0123456789", 11)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_mixed_and_plain() {
        for _ in 0..200 {
            let text = password().unwrap();
            assert!(16 <= text.len() && text.chars().all(|c| c.is_ascii_alphanumeric()));
            assert!(text.starts_with(|c: char| c.is_ascii_alphabetic()));
            assert!(text.chars().any(|c| c.is_ascii_digit()) && text.chars().any(|c| c.is_ascii_uppercase()));
        }
        let word = word().unwrap();
        assert!(word.len() == 12 && word.starts_with(|c: char| c.is_ascii_lowercase()), "{word}");
        assert_ne!(password().unwrap(), password().unwrap());
    }

    #[test]
    fn a_choice_answers_one_wish_and_covers_its_whole_range() {
        let chosen = Chosen { key: "P".into(), like: 80, port: 8080, count: 2, udp: true, tcp: true };
        let mut want = WantedPort { key: "P".into(), like: 80, protocols: [Protocol::Tcp].into(), count: 2 };
        assert!(answers(&chosen, &want));
        want.like = 81;
        assert!(!answers(&chosen, &want), "another wish is chosen anew");
        assert_eq!(chosen.all().count(), 4);
    }
}
