//! Applications in a cluster: what is rendered for the built-in templates and for real ones, and the runtime against the
//! embedded plane, or against the cluster that `COCOA_TEST_KUBECONFIG` names.

mod rendering;
mod runtime;
mod playing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cocoasyncer::catalog::{builtin, contents, load};
use cocoasyncer::domain::app::fill::{Order, allocate, instantiate, wanted_ports};
use cocoasyncer::domain::app::finding::Finding;
use cocoasyncer::domain::app::instance::{AppKey, Choices, Files, Instance, Wanted};
use cocoasyncer::domain::app::template::{Template, check};
use cocoasyncer::domain::app::verdict::Backend;
use cocoasyncer::domain::secret::Secret;

use crate::support::samples;

/// The password of every instance here.
pub const PASSWORD: &str = "Pa55wordPa55wordX";

/// An instance of `template` under this name, as an install for a cluster makes it.
pub fn installed(
    template: &Template,
    files: Files,
    key: &AppKey,
    uid: &str,
) -> Result<Instance, Vec<Finding>> {
    let metadata = check(template).metadata.unwrap_or_default();
    let wanted = wanted_ports(template, &BTreeMap::new());
    let ports = allocate(&wanted, &BTreeMap::new(), &BTreeSet::new()).unwrap();
    let version = metadata.versions.first().cloned().unwrap_or_else(|| "1".into());
    let choices = Choices { password: Secret::new(PASSWORD), code: "c0dec0de".into(), ports };
    let order = Order {
        key,
        uid,
        version: &version,
        variables: &BTreeMap::new(),
        secret_variables: &BTreeMap::new(),
        choices: &choices,
        domain: Some("blog.example.com"),
        pull_secret: Some("registry"),
        host: Some("192.0.2.7"),
        resources: None,
        allowed: &BTreeSet::new(),
        wanted: Wanted { running: true, restarted: None },
        backend: Backend::Kubernetes,
    };
    instantiate(template, Arc::new(files), &order)
}

/// The built-in template of this name as an instance.
pub fn built_in(name: &str, key: &AppKey, uid: &str) -> Instance {
    let template = builtin::templates().into_iter().find(|template| template.name == name).unwrap();
    installed(&template, builtin::files(name), key, uid).unwrap()
}

/// Every template that runs on Kubernetes, as an instance, and how many of the real ones don't.
fn all() -> (Vec<Instance>, usize) {
    let key = AppKey { namespace: "default".into(), name: "7blog".into() };
    let mut instances: Vec<Instance> =
        builtin::templates().iter().map(|template| built_in(&template.name, &key, "u-1")).collect();
    let mut refused = 0;
    for folder in samples::folder("rendered").into_iter() {
        for template in load(&folder).unwrap() {
            let files = contents(&folder.join(&template.name), &template).unwrap();
            match installed(&template, files, &key, "u-1") {
                Ok(instance) => instances.push(instance),
                Err(_) => refused += 1,
            }
        }
    }
    (instances, refused)
}
