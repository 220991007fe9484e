//! What is to be said of an App.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::api::app::{App, Power};
use crate::domain::admission::Verdict;
use crate::domain::app::acceptance::{Refused, allowed, key_of};
use crate::domain::app::fill::{Order, instantiate};
use crate::domain::app::finding::Right;
use crate::domain::app::instance::{Choices, Files, Wanted};
use crate::domain::app::template::Template;
use crate::domain::app::verdict::Backend;
use crate::domain::names::FieldError;
use crate::domain::secret::Secret;

/// What the catalogue has for an App.
pub struct Offered<'a> {
    /// The template.
    pub template: &'a Template,
    /// Its files.
    pub files: Arc<Files>,
    /// The versions that it lists.
    pub versions: &'a [String],
}

/// What an App is judged by.
pub struct Ground<'a> {
    /// The other Apps; none of them has its namespace and name.
    pub others: &'a [App],
    /// What the catalogue has under its name.
    pub offered: Option<Offered<'a>>,
    /// Rights that the operator allows.
    pub policy: &'a BTreeSet<Right>,
    /// Where it would run; none: nowhere here.
    pub backend: Option<Backend>,
}

/// Judges `app`.
pub fn judge(app: &App, ground: &Ground<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    let spec = &app.spec;
    let namesake = ground.others.iter().find(|other| other.metadata.name == app.metadata.name);
    verdict.refused.extend(namesake.map(|other| field(Refused::repeated(&key_of(other)))));
    let twice = spec.variables.keys().find(|key| spec.secret_variables.contains_key(*key));
    if let Some(key) = twice {
        let why = "stands in spec.secretVariables too, which wins: keep one of them";
        verdict.refused.push(FieldError::new(format!("spec.variables.{key}"), why));
    }
    let Some(offered) = &ground.offered else {
        verdict.refused.push(field(Refused::unknown(spec)));
        return verdict;
    };
    let Some(backend) = ground.backend else {
        verdict.refused.push(field(Refused::no_runtime(spec.runtime)));
        return verdict;
    };
    match filled(app, offered, backend, ground.policy) {
        // What a Secret holds is read when it is installed: until then a value of ours stands in its place.
        Err(refused) if !spec.secret_variables.is_empty() => verdict.warnings.push(field(refused)),
        filled => verdict.check(filled.map_err(field)),
    }
    verdict
}

fn filled(
    app: &App,
    offered: &Offered<'_>,
    backend: Backend,
    policy: &BTreeSet<Right>,
) -> Result<(), Refused> {
    let spec = &app.spec;
    let allowed = allowed(spec, policy)?;
    let unread = spec.secret_variables.keys().map(|key| (key.clone(), Secret::new("unread")));
    let secret_variables: BTreeMap<String, Secret> = unread.collect();
    let order = Order {
        key: &key_of(app),
        uid: "",
        version: &spec.app_version,
        variables: &spec.variables,
        secret_variables: &secret_variables,
        choices: &Choices::default(),
        domain: spec.domain.as_deref(),
        pull_secret: spec.pull_secret_ref.as_ref().map(|reference| reference.name.as_str()),
        host: None,
        resources: spec.resources.as_ref(),
        allowed: &allowed,
        wanted: Wanted { running: spec.power == Power::Running, restarted: None },
        backend,
    };
    let filled = instantiate(offered.template, offered.files.clone(), &order).map(drop);
    filled.map_err(|findings| Refused::template(&findings, backend, spec, policy, offered.versions))
}

fn field(Refused { message, .. }: Refused) -> FieldError {
    match message.split_once(": ") {
        Some((field, why)) if field.starts_with("spec.") || field.starts_with("metadata.") => {
            FieldError::new(field, why)
        }
        _ => FieldError::new("spec.appName", format!("its template can't run here: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn app(namespace: &str, spec: Value) -> App {
        let mut all = json!({"appName": "web", "appVersion": "1.0"});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let object = json!({"apiVersion": "cocoasyncer.io/v1alpha1", "kind": "App",
            "metadata": {"name": "shop", "namespace": namespace}, "spec": all});
        serde_json::from_value(object).unwrap()
    }

    fn template(service: &str) -> Template {
        let compose = format!("services:\n  web:\n    image: web:$W9_VERSION\n    {service}\n");
        let env = "W9_VERSION=1.0\nW9_ID=web\nW9_HTTP_PORT_SET=9001\n";
        let metadata = json!({"name": "web", "trademark": "Web",
            "edition": [{"dist": "community", "version": ["1.0", "2.0"]}]});
        Template {
            name: "web".into(),
            compose: Some(compose.into_bytes()),
            env: Some(env.into()),
            metadata: Some(metadata.to_string().into_bytes()),
            ..Template::default()
        }
    }

    #[track_caller]
    fn check(spec: Value, service: &str, policy: &[Right], refused: &[&str], warned: &[&str]) {
        let template = template(service);
        let versions = ["1.0".to_owned(), "2.0".to_owned()];
        let known = spec["appName"].is_null();
        let offered = Offered { template: &template, files: Arc::default(), versions: &versions };
        let policy: BTreeSet<Right> = policy.iter().copied().collect();
        let ground = Ground {
            others: &[],
            offered: known.then_some(offered),
            policy: &policy,
            backend: Some(Backend::Docker),
        };
        let verdict = judge(&app("default", spec), &ground);
        for (all, parts) in [(verdict.refused, refused), (verdict.warnings, warned)] {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            assert_eq!(all.len(), parts.len(), "{all:?}");
            assert!(all.iter().zip(parts).all(|(words, part)| words.contains(part)), "{all:?}");
        }
    }

    #[test]
    fn what_can_never_be_right_is_refused_and_what_may_become_so_is_a_warning() {
        let plain = "restart: always";
        check(json!({}), plain, &[], &[], &[]);
        check(json!({"appName": "wep"}), plain, &[], &["spec.appName: the catalogue has no wep"], &[]);
        check(json!({"appVersion": "3.0"}), plain, &[], &["there are 1.0, 2.0"], &[]);
        check(json!({"allow": ["root"]}), plain, &[], &["spec.allow: there is no right \"root\""], &[]);
        check(json!({"variables": {"NO": "1"}}), plain, &[], &["spec.variables.NO"], &[]);
        let both =
            json!({"variables": {"W9_ID": "a"}, "secretVariables": {"W9_ID": {"name": "s", "key": "k"}}});
        check(both, plain, &[], &["spec.variables.W9_ID: stands in spec.secretVariables"], &["W9_ID"]);
        let secret = json!({"secretVariables": {"W9_HTTP_PORT_SET": {"name": "s", "key": "k"}}});
        check(secret, plain, &[], &[], &["spec.secretVariables.W9_HTTP_PORT_SET"]);
        let privileged = "privileged: true";
        check(json!({}), privileged, &[], &["the operator's policy and spec.allow: privileged"], &[]);
        check(json!({}), privileged, &[Right::Privileged], &["(not allowed by spec.allow: privileged)"], &[]);
        check(json!({"allow": ["privileged"]}), privileged, &[Right::Privileged], &[], &[]);
    }

    #[test]
    fn a_namesake_elsewhere_and_a_node_without_a_runtime_are_told() {
        let others = [app("elsewhere", json!({}))];
        let template = template("restart: always");
        let offered = Offered { template: &template, files: Arc::default(), versions: &[] };
        let ground =
            Ground { others: &others, offered: Some(offered), policy: &BTreeSet::new(), backend: None };
        let all = judge(&app("default", json!({})), &ground).refused;
        let fields: Vec<&str> = all.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["metadata.name", "spec.runtime"]);
    }
}
