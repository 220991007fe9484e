//! The last lines of an App's containers.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};

use crate::api::{APP_LABEL, APP_NAMESPACE_LABEL};
use crate::domain::app::instance::AppKey;
use crate::domain::app::kubernetes::SERVICES_ANNOTATION;
use crate::runtimes::kubernetes::KubernetesRuntime;
use crate::runtimes::kubernetes::failure::plainly;
use crate::runtimes::{LogLine, RuntimeError};

impl KubernetesRuntime {
    /// The last lines of all its containers, or of one service's.
    pub(super) async fn read_logs(
        &self,
        key: &AppKey,
        service: Option<&str>,
        lines: u32,
    ) -> Result<Vec<LogLine>, RuntimeError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let labels = format!("{APP_LABEL}={},{APP_NAMESPACE_LABEL}={}", key.name, key.namespace);
        let mut pods =
            api.list(&ListParams::default().labels(&labels)).await.map_err(plainly("list pods"))?.items;
        pods.sort_by_key(|pod| (pod.metadata.creation_timestamp.clone(), pod.name_any()));
        let mut all = Vec::new();
        for pod in &pods {
            for (container, name) in services(pod) {
                if service.is_some_and(|wanted| wanted != name) {
                    continue;
                }
                let params = LogParams {
                    container: Some(container.clone()),
                    tail_lines: Some(i64::from(lines)),
                    ..LogParams::default()
                };
                let text = match api.logs(&pod.name_any(), &params).await {
                    Ok(text) => text,
                    // It has not started, or is gone: it wrote nothing.
                    Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => continue,
                    Err(error) => return Err(plainly(&format!("read the log of {name}"))(error)),
                };
                all.extend(text.lines().map(|line| LogLine { service: name.clone(), text: line.to_owned() }));
            }
        }
        Ok(all)
    }
}

/// A pod's containers with their services.
fn services(pod: &Pod) -> Vec<(String, String)> {
    let listed = pod.annotations().get(SERVICES_ANNOTATION).map(String::as_str).unwrap_or_default();
    let pairs = listed.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(container, service)| (container.to_owned(), service.to_owned())).collect()
}
