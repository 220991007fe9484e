//! Who may do what: the RBAC objects that stand in a plane, read as Kubernetes' authorizer reads them, and what every
//! ServiceAccount may besides. Aggregated ClusterRoles must hold their rules: nobody fills them here.

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::asked::Asked;

/// A ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub namespace: String,
    pub name: String,
}

impl Account {
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The user that it is.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    fn is(&self, subject: &Subject, bound_in: &str) -> bool {
        match subject.kind.as_str() {
            "ServiceAccount" => {
                let namespace = subject.namespace.as_deref().unwrap_or(bound_in);
                subject.name == self.name && namespace == self.namespace
            }
            "User" => subject.name == self.user(),
            "Group" => {
                let mine = format!("system:serviceaccounts:{}", self.namespace);
                subject.name == mine
                    || ["system:serviceaccounts", "system:authenticated"].contains(&subject.name.as_str())
            }
            _ => false,
        }
    }
}

/// All that is granted in a plane.
#[derive(Default)]
pub struct Rights {
    cluster_roles: Vec<ClusterRole>,
    cluster_bindings: Vec<ClusterRoleBinding>,
    roles: Vec<Role>,
    bindings: Vec<RoleBinding>,
}

impl Rights {
    pub async fn read(client: &Client) -> Self {
        async fn all<K>(client: &Client) -> Vec<K>
        where
            K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
        {
            Api::<K>::all(client.clone()).list(&ListParams::default()).await.unwrap().items
        }
        Self {
            cluster_roles: all(client).await,
            cluster_bindings: all(client).await,
            roles: all(client).await,
            bindings: all(client).await,
        }
    }

    /// Whether `account` may do what it asks for.
    pub fn allow(&self, account: &Account, asked: &Asked) -> bool {
        is_everybodys(asked) || self.rules(account, &asked.namespace).any(|rule| grants(rule, asked))
    }

    /// The rules that hold for `account` in a namespace; an empty one: everywhere.
    pub fn rules<'a>(
        &'a self,
        account: &'a Account,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a PolicyRule> {
        let bound = move |subjects: &Option<Vec<Subject>>, within: &str| {
            subjects.iter().flatten().any(|subject| account.is(subject, within))
        };
        let everywhere = self.cluster_bindings.iter().filter(move |one| bound(&one.subjects, ""));
        let here = self.bindings.iter().filter(move |one| {
            let within = one.namespace().unwrap_or_default();
            within == namespace && bound(&one.subjects, &within)
        });
        let everywhere = everywhere.flat_map(move |one| self.of_role(&one.role_ref, ""));
        everywhere.chain(here.flat_map(move |one| self.of_role(&one.role_ref, namespace)))
    }

    fn of_role(&self, named: &RoleRef, namespace: &str) -> impl Iterator<Item = &PolicyRule> {
        let is_cluster = named.kind == "ClusterRole";
        let wide = self.cluster_roles.iter().filter(move |role| is_cluster && role.name_any() == named.name);
        let narrow = self.roles.iter().filter(move |role| {
            !is_cluster && role.name_any() == named.name && role.namespace().as_deref() == Some(namespace)
        });
        let wide = wide.flat_map(|role| role.rules.iter().flatten());
        wide.chain(narrow.flat_map(|role| role.rules.iter().flatten()))
    }
}

/// What `system:discovery` and `system:basic-user` give everybody who is somebody.
fn is_everybodys(asked: &Asked) -> bool {
    const OPEN: [&str; 8] =
        ["/api", "/apis", "/healthz", "/livez", "/openapi", "/readyz", "/version", "/.well-known"];
    let own = ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"];
    let path = asked.path.as_str();
    let under =
        |root: &&str| path == *root || path.strip_prefix(*root).is_some_and(|rest| rest.starts_with('/'));
    match path {
        "" => asked.verb == "create" && own.contains(&asked.resource.as_str()),
        _ => asked.verb == "get" && OPEN.iter().any(under),
    }
}

/// Whether a rule grants what is asked for.
pub fn grants(rule: &PolicyRule, asked: &Asked) -> bool {
    let has =
        |list: &Option<Vec<String>>, word: &str| list.iter().flatten().any(|one| one == "*" || one == word);
    if !rule.verbs.iter().any(|verb| verb == "*" || verb == asked.verb) {
        return false;
    }
    if !asked.path.is_empty() {
        let open = |url: &String| match url.strip_suffix('*') {
            Some(start) => asked.path.starts_with(start),
            None => *url == asked.path,
        };
        return rule.non_resource_urls.iter().flatten().any(open);
    }
    let sub = asked.resource.split_once('/').map(|(_, sub)| format!("*/{sub}"));
    let resource = has(&rule.resources, &asked.resource) || sub.is_some_and(|sub| has(&rule.resources, &sub));
    let named = rule.resource_names.as_deref().unwrap_or_default();
    has(&rule.api_groups, &asked.group)
        && resource
        && (named.is_empty() || (!asked.name.is_empty() && named.contains(&asked.name)))
}
