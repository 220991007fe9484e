//! Settings of the webhook: where it listens, and what the API server calls it by.

use std::net::SocketAddr;

use crate::config::checks::{ADDRESS, check_object_name, parsed};
use crate::domain::names::FieldError;

/// The Service in front of it, and the Secret with its certificates, unless told otherwise.
pub const DEFAULT_SERVICE: &str = "cocoasyncer-webhook";
/// The ValidatingWebhookConfiguration, unless told otherwise.
pub const DEFAULT_CONFIGURATION: &str = "cocoasyncer";

/// Settings of the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The Service in front of it, in the operator's namespace; the Secret with its certificates has its name too.
    pub service: String,
    /// The ValidatingWebhookConfiguration whose `caBundle` is kept.
    pub configuration: String,
    /// Further names and addresses that the API server calls it by.
    pub names: Vec<String>,
}

/// What was written on the command line, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the flag of its name, told in the command line's help")]
pub struct WebhookFlags {
    pub listen: Option<String>,
    pub service: String,
    pub configuration: String,
    pub names: Vec<String>,
}

impl Webhook {
    /// Checks the flags; none where it is off.
    pub(super) fn checked(flags: WebhookFlags) -> Result<Option<Self>, FieldError> {
        let WebhookFlags { listen, service, configuration, names } = flags;
        let Some(listen) = listen else { return Ok(None) };
        let bad = |name: &&String| {
            name.is_empty() || 253 < name.len() || name.contains(|c: char| c == '/' || c.is_whitespace())
        };
        if let Some(name) = names.iter().find(bad) {
            let why = format!("{name:?} is neither a name nor an address: write e.g. webhook.example.com");
            return Err(FieldError::new("--webhook-name", why));
        }
        Ok(Some(Self {
            listen: parsed("--webhook-listen", &listen, ADDRESS)?,
            service: check_object_name("--webhook-service", &service)?,
            configuration: check_object_name("--webhook-configuration", &configuration)?,
            names,
        }))
    }

    /// What its certificate is made for, in the operator's `namespace`.
    pub fn names(&self, namespace: &str) -> Vec<String> {
        let service = &self.service;
        let inside =
            [format!("{service}.{namespace}.svc"), format!("{service}.{namespace}.svc.cluster.local")];
        inside.into_iter().chain(self.names.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> WebhookFlags {
        WebhookFlags {
            listen: Some("0.0.0.0:9443".into()),
            service: DEFAULT_SERVICE.into(),
            configuration: DEFAULT_CONFIGURATION.into(),
            names: vec!["127.0.0.1".into()],
        }
    }

    #[test]
    fn it_is_off_unless_it_listens() {
        assert_eq!(Webhook::checked(WebhookFlags { listen: None, ..flags() }), Ok(None));
        let on = Webhook::checked(flags()).unwrap().unwrap();
        assert_eq!(
            on.names("ns"),
            ["cocoasyncer-webhook.ns.svc", "cocoasyncer-webhook.ns.svc.cluster.local", "127.0.0.1"]
        );
    }

    #[test]
    fn every_bad_value_is_refused_by_its_flag() {
        #[track_caller]
        fn check(flag: &str, change: impl FnOnce(&mut WebhookFlags)) {
            let mut flags = flags();
            change(&mut flags);
            assert_eq!(Webhook::checked(flags).unwrap_err().field, flag);
        }
        check("--webhook-listen", |flags| flags.listen = Some("9443".into()));
        check("--webhook-service", |flags| flags.service = "A_b".into());
        check("--webhook-configuration", |flags| flags.configuration = String::new());
        check("--webhook-name", |flags| flags.names = vec!["a b".into()]);
    }
}
