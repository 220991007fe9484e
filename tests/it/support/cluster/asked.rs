//! What a request to a Kubernetes API asks for, in the words in which rights are given: verb, group, resource,
//! namespace, name; as Kubernetes' own RequestInfo reads it.

use std::fmt;

use http::Method;
use reqwest::Url;

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    pub verb: &'static str,
    /// Empty for the core group, and for what is no resource.
    pub group: String,
    /// Plural, with `/sub` where a subresource is meant; empty for what is no resource.
    pub resource: String,
    /// Empty for all namespaces, and for what has none.
    pub namespace: String,
    /// Empty for a whole collection.
    pub name: String,
    /// The path of what is no resource: `/version`, `/apis`.
    pub path: String,
}

/// The parameters that change what is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    pub watch: bool,
    /// Where a watch begins, or a list has to lie; empty where nothing was said.
    pub version: String,
    /// A list goes on.
    pub goes_on: bool,
    /// `fieldSelector`.
    fields: String,
}

impl Parameters {
    pub fn read(query: &str) -> Self {
        let mut read = Self::default();
        // Any base does: only the query counts.
        let Ok(url) = Url::parse(&format!("http://x/?{query}")) else { return read };
        for (key, value) in url.query_pairs() {
            match key.as_ref() {
                "watch" => read.watch = !matches!(value.as_ref(), "false" | "0"),
                "resourceVersion" => read.version = value.into_owned(),
                "continue" => read.goes_on = !value.is_empty(),
                "fieldSelector" => read.fields = value.into_owned(),
                _ => {}
            }
        }
        read
    }
}

impl Asked {
    pub fn read(method: &Method, path: &str, parameters: &Parameters) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, rest) = match parts.as_slice() {
            ["api", _, rest @ ..] if !rest.is_empty() => ("", rest),
            ["apis", group, _, rest @ ..] if !rest.is_empty() => (*group, rest),
            _ => return Self { verb: bare(method), path: path.to_owned(), ..Self::default() },
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, inner @ ..] if !inner.is_empty() && !is_of_namespaces(inner) => {
                (*namespace, inner)
            }
            // Who may see all of a namespace may see the namespace itself.
            ["namespaces", namespace, ..] => (*namespace, rest),
            _ => ("", rest),
        };
        let part = |at: usize| rest.get(at).copied().unwrap_or_default();
        let resource = match part(2) {
            "" => part(0).to_owned(),
            // What is behind a proxy's path is no part of the right.
            sub => format!("{}/{sub}", part(0)),
        };
        let named = match part(1) {
            "" => one_name(&parameters.fields),
            name => name,
        };
        Self {
            verb: verb(method, !part(1).is_empty(), parameters.watch),
            group: group.to_owned(),
            resource,
            namespace: namespace.to_owned(),
            name: named.to_owned(),
            path: String::new(),
        }
    }

    /// Whether it would change something.
    pub fn writes(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch" | "head")
    }

    /// `resource.group`, as refusals spell it.
    pub fn kind(&self) -> String {
        let resource = self.resource.split('/').next().unwrap_or_default();
        if self.group.is_empty() { resource.to_owned() } else { format!("{resource}.{}", self.group) }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            return write!(f, "{} {}", self.verb, self.path);
        }
        let Self { verb, group, resource, namespace, name, .. } = self;
        let dot = if group.is_empty() { "" } else { "." };
        write!(f, "{verb} {resource}{dot}{group}")?;
        if !namespace.is_empty() {
            write!(f, " in {namespace}")?;
        }
        if name.is_empty() { Ok(()) } else { write!(f, " {name:?}") }
    }
}

fn is_of_namespaces(inner: &[&str]) -> bool {
    matches!(inner, ["status" | "finalize"])
}

fn bare(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "get",
        "HEAD" => "head",
        "POST" => "post",
        "PUT" => "put",
        "PATCH" => "patch",
        _ => "delete",
    }
}

fn verb(method: &Method, named: bool, watch: bool) -> &'static str {
    match (method.as_str(), named) {
        ("GET" | "HEAD", _) if watch => "watch",
        ("GET" | "HEAD", true) => "get",
        ("GET" | "HEAD", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        (_, true) => "delete",
        (_, false) => "deletecollection",
    }
}

/// The one name that a field selector leaves.
fn one_name(fields: &str) -> &str {
    let mut terms = fields.split(',');
    terms.find_map(|term| term.strip_prefix("metadata.name=")).unwrap_or_default().trim_start_matches('=')
}
