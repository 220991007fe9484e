//! Method and URI to what is asked for. PURE: it looks nothing up, so an unknown resource is still a well-formed
//! target here.

use std::collections::BTreeMap;

/// The parameters of a request, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads `a=b&c=d`. The last of several equal keys wins.
    pub fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key, true), decode(value, true))
        });
        Query(pairs.collect())
    }

    /// The value of `key`, unless it is empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether `key` is set to something true; Kubernetes takes `1`, `true` and the bare key.
    pub fn flag(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| !matches!(value.as_str(), "false" | "0"))
    }
}

/// The resource a path addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource name.
    pub plural: String,
    /// Namespace, when the path has one.
    pub namespace: Option<String>,
    /// Object name, when the path has one.
    pub name: Option<String>,
    /// `status`, `scale`, …
    pub subresource: Option<String>,
}

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Objects.
    Resource(Address),
    /// `/version`
    Version,
    /// `/healthz`, `/livez`, `/readyz` and the checks below them.
    Health,
    /// `/` and the bare index of paths.
    Index,
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/GROUP`
    Group(String),
    /// `/api/v1`, `/apis/GROUP/VERSION`
    Resources {
        /// The group.
        group: String,
        /// The version.
        version: String,
    },
    /// `/openapi/v2`
    OpenApiV2,
    /// `/openapi/v3`
    OpenApiIndex,
    /// `/openapi/v3/api/v1`, `/openapi/v3/apis/GROUP/VERSION`
    OpenApi {
        /// The group.
        group: String,
        /// The version.
        version: String,
    },
    /// Nothing of ours.
    Unknown,
}

/// Reads a path.
pub fn target(path: &str) -> Target {
    let decoded: Vec<String> =
        path.split('/').filter(|part| !part.is_empty()).map(|part| decode(part, false)).collect();
    let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
    match parts.as_slice() {
        [] => Target::Index,
        ["version"] => Target::Version,
        ["healthz" | "livez" | "readyz", ..] => Target::Health,
        ["api"] => Target::CoreVersions,
        ["apis"] => Target::Groups,
        ["apis", group] => Target::Group((*group).to_owned()),
        ["api", version] => Target::Resources { group: String::new(), version: (*version).to_owned() },
        ["apis", group, version] => {
            Target::Resources { group: (*group).to_owned(), version: (*version).to_owned() }
        }
        ["openapi", "v2"] => Target::OpenApiV2,
        ["openapi", "v3"] => Target::OpenApiIndex,
        ["openapi", "v3", "api", version] => {
            Target::OpenApi { group: String::new(), version: (*version).to_owned() }
        }
        ["openapi", "v3", "apis", group, version] => {
            Target::OpenApi { group: (*group).to_owned(), version: (*version).to_owned() }
        }
        ["api", version, rest @ ..] => address("", version, rest),
        ["apis", group, version, rest @ ..] => address(group, version, rest),
        _ => Target::Unknown,
    }
}

fn address(group: &str, version: &str, rest: &[&str]) -> Target {
    let mut address = Address { group: group.to_owned(), version: version.to_owned(), ..Address::default() };
    let owned = |text: &&str| Some((*text).to_owned());
    let (plural, name, subresource) = match rest {
        ["namespaces"] => ("namespaces", None, None),
        ["namespaces", name] => ("namespaces", owned(name), None),
        ["namespaces", name, sub @ ("status" | "finalize")] => ("namespaces", owned(name), owned(sub)),
        ["namespaces", namespace, plural, more @ ..] => {
            address.namespace = owned(namespace);
            match more {
                [] => (*plural, None, None),
                [name] => (*plural, owned(name), None),
                [name, sub] => (*plural, owned(name), owned(sub)),
                _ => return Target::Unknown,
            }
        }
        [plural] => (*plural, None, None),
        [plural, name] => (*plural, owned(name), None),
        [plural, name, sub] => (*plural, owned(name), owned(sub)),
        _ => return Target::Unknown,
    };
    address.plural = plural.to_owned();
    address.name = name;
    address.subresource = subresource;
    Target::Resource(address)
}

/// Percent-decoding; `+` is a space only in a query. What is not valid UTF-8 becomes the replacement character and so
/// never matches a name.
fn decode(text: &str, query: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = (bytes[i] == b'%')
            .then(|| bytes.get(i + 1..i + 3))
            .flatten()
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (bytes[i], hex) {
            (_, Some(byte)) => {
                out.push(byte);
                i += 2;
            }
            (b'+', None) if query => out.push(b' '),
            (byte, None) => out.push(byte),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, group: &str, plural: &str, rest: [Option<&str>; 3]) {
        let Target::Resource(found) = target(path) else { panic!("{path}: {:?}", target(path)) };
        assert_eq!((found.group.as_str(), found.plural.as_str()), (group, plural), "{path}");
        assert_eq!(
            [found.namespace.as_deref(), found.name.as_deref(), found.subresource.as_deref()],
            rest,
            "{path}"
        );
    }

    #[test]
    fn every_form_of_a_resource_path_is_understood() {
        check("/api/v1/namespaces", "", "namespaces", [None, None, None]);
        check("/api/v1/namespaces/a", "", "namespaces", [None, Some("a"), None]);
        check("/api/v1/namespaces/a/finalize", "", "namespaces", [None, Some("a"), Some("finalize")]);
        check("/api/v1/namespaces/a/pods", "", "pods", [Some("a"), None, None]);
        check("/api/v1/namespaces/a/pods/b", "", "pods", [Some("a"), Some("b"), None]);
        check("/api/v1/namespaces/a/pods/b/status", "", "pods", [Some("a"), Some("b"), Some("status")]);
        check("/api/v1/pods", "", "pods", [None, None, None]);
        check("/apis/a.b/v1/xs/n/status", "a.b", "xs", [None, Some("n"), Some("status")]);
        check(
            "/apis/rbac/v1/clusterroles/system%3Anode",
            "rbac",
            "clusterroles",
            [None, Some("system:node"), None],
        );
    }

    #[test]
    fn what_is_no_resource_is_told_apart() {
        for (path, expected) in [
            ("/", Target::Index),
            ("/version", Target::Version),
            ("/readyz/ping", Target::Health),
            ("/api", Target::CoreVersions),
            ("/apis/", Target::Groups),
            ("/apis/a", Target::Group("a".into())),
            ("/api/v1", Target::Resources { group: "".into(), version: "v1".into() }),
            ("/openapi/v3/apis/a/v1", Target::OpenApi { group: "a".into(), version: "v1".into() }),
            ("/nothing/here", Target::Unknown),
            ("/apis/a/v1/namespaces/b/c/d/e/f", Target::Unknown),
        ] {
            assert_eq!(target(path), expected, "{path}");
        }
    }

    #[test]
    fn queries_are_decoded_and_flags_read_as_kubernetes_does() {
        let query = Query::parse("labelSelector=a%3Db%2Cc&watch=1&x=&force=false&n=a+b%zz");
        assert_eq!(query.get("labelSelector"), Some("a=b,c"));
        assert!(query.flag("watch") && !query.flag("force") && !query.flag("missing"));
        assert_eq!(query.get("x"), None);
        assert_eq!(query.get("n"), Some("a b%zz"));
    }
}
