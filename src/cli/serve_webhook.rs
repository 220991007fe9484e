//! Flags of `run` that concern the webhook. No flag's meaning is decided here.

use clap::Args;

use crate::config::webhook::{DEFAULT_CONFIGURATION, DEFAULT_SERVICE, WebhookFlags};

/// Flags of the webhook.
#[derive(Debug, Args)]
#[command(next_help_heading = "Webhook")]
pub struct WebhookArgs {
    /// Where the API server's questions are answered, over TLS; left out: they are not, and what would have been refused
    /// gets a condition
    #[arg(long, value_name = "ADDR:PORT", env = "COCOASYNCER_WEBHOOK_LISTEN")]
    webhook_listen: Option<String>,
    /// Service in front of it, in the operator's namespace; the Secret with its certificates has its name too
    #[arg(long, value_name = "NAME", default_value = DEFAULT_SERVICE, env = "COCOASYNCER_WEBHOOK_SERVICE")]
    webhook_service: String,
    /// ValidatingWebhookConfiguration whose caBundle is kept
    #[arg(long, value_name = "NAME", default_value = DEFAULT_CONFIGURATION, env = "COCOASYNCER_WEBHOOK_CONFIGURATION")]
    webhook_configuration: String,
    /// Further name or address that the API server calls it by; several by commas
    #[arg(
        long = "webhook-name",
        value_name = "NAME",
        value_delimiter = ',',
        env = "COCOASYNCER_WEBHOOK_NAME"
    )]
    webhook_names: Vec<String>,
}

impl WebhookArgs {
    /// Field by field and without `..`, so that a new flag can't be forgotten.
    pub fn flags(self) -> WebhookFlags {
        let Self { webhook_listen, webhook_service, webhook_configuration, webhook_names } = self;
        WebhookFlags {
            listen: webhook_listen,
            service: webhook_service,
            configuration: webhook_configuration,
            names: webhook_names,
        }
    }
}
