//! What a request asks of an API server, read from its method and path.

use http::{Method, Uri};

/// What a request does, in the words of Kubernetes' rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the verb of its name")]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
}

impl Verb {
    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
        }
    }
}

/// A request, as far as rights and troubles go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// What it does.
    pub verb: Verb,
    /// With what: plural and group, e.g. `secrets`, `apps.cocoasyncer.io`; with a part of it behind a slash, e.g.
    /// `apps.cocoasyncer.io/status`, for that is a right of its own.
    pub resource: String,
    /// Where; none: in the whole cluster, or with what belongs to no namespace.
    pub namespace: Option<String>,
    /// Whether its answer has no end.
    pub streams: bool,
}

impl Asked {
    /// Reads a request.
    pub fn of(method: &Method, uri: &Uri) -> Self {
        let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
        let group = match parts.next() {
            Some("apis") => parts.next().unwrap_or_default(),
            _ => "",
        };
        let mut rest: Vec<&str> = parts.skip(1).collect();
        let mut namespace = None;
        if let ["namespaces", name, _, ..] = rest[..] {
            namespace = Some(name.to_owned());
            rest.drain(..2);
        }
        let plural = rest.first().copied().unwrap_or_default();
        let mut resource = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        if let Some(part) = rest.get(2) {
            resource = format!("{resource}/{part}");
        }
        let named = 1 < rest.len();
        let has = |key: &str| {
            let mut pairs = uri.query().unwrap_or_default().split('&');
            pairs.any(|pair| matches!(pair.split_once('='), Some((k, "true" | "1")) if k == key))
        };
        let verb = match *method {
            Method::POST => Verb::Create,
            Method::PUT => Verb::Update,
            Method::PATCH => Verb::Patch,
            Method::DELETE => Verb::Delete,
            _ if has("watch") => Verb::Watch,
            _ if named => Verb::Get,
            _ => Verb::List,
        };
        Self { verb, resource, namespace, streams: verb == Verb::Watch || has("follow") }
    }

    /// Whether it concerns the lease of the replicas.
    pub fn is_lease(&self) -> bool {
        self.resource == "leases.coordination.k8s.io"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_rights_name_them() {
        #[track_caller]
        fn check(method: Method, path: &str, verb: Verb, resource: &str, namespace: Option<&str>) {
            let asked = Asked::of(&method, &path.parse().unwrap());
            assert_eq!((asked.verb, asked.resource.as_str()), (verb, resource), "{path}");
            assert_eq!(asked.namespace.as_deref(), namespace, "{path}");
            assert_eq!(asked.streams, verb == Verb::Watch || path.contains("follow"), "{path}");
        }
        check(Method::GET, "/api/v1/namespaces/ops/secrets?limit=5", Verb::List, "secrets", Some("ops"));
        check(Method::GET, "/api/v1/secrets?&watch=true&timeoutSeconds=290", Verb::Watch, "secrets", None);
        check(Method::GET, "/api/v1/namespaces/ops/secrets/a", Verb::Get, "secrets", Some("ops"));
        check(Method::GET, "/api/v1/namespaces/ops", Verb::Get, "namespaces", None);
        check(Method::POST, "/api/v1/namespaces", Verb::Create, "namespaces", None);
        check(
            Method::GET,
            "/api/v1/namespaces/ops/pods/a/log?&follow=true",
            Verb::Get,
            "pods/log",
            Some("ops"),
        );
        let status = "/apis/cocoasyncer.io/v1alpha1/namespaces/ops/apps/a/status";
        check(Method::PATCH, status, Verb::Patch, "apps.cocoasyncer.io/status", Some("ops"));
        let lease = "/apis/coordination.k8s.io/v1/namespaces/ops/leases/a";
        check(Method::PUT, lease, Verb::Update, "leases.coordination.k8s.io", Some("ops"));
        assert!(Asked::of(&Method::PUT, &lease.parse().unwrap()).is_lease());
    }
}
