//! Opens the accounts of DNS platforms: a Secret's data in, a provider out.

use std::sync::Arc;

use crate::api::vocab::PlatformProvider;
use crate::controllers::accounts::Open;
use crate::domain::names::FieldError;
use crate::providers::DnsProvider;
use crate::providers::ali::AliProvider;
use crate::providers::ali::account::Account as AliAccount;
use crate::providers::local::Clock;
use crate::providers::rfc2136::Rfc2136Provider;
use crate::providers::rfc2136::account::Account as ServerAccount;
use crate::telemetry::metrics::provider::ProviderMetrics;

/// Opens accounts that count their calls in `metrics`; `clock` gives seconds since 1970, for signatures.
pub fn opener(metrics: ProviderMetrics, clock: Clock) -> Open {
    Arc::new(move |platform, data, owner| {
        let (metrics, owner) = (metrics.clone(), owner.clone());
        let provider: Arc<dyn DnsProvider> = match platform {
            PlatformProvider::Local => {
                return Err(FieldError::new("platformProvider", "Local has no account"));
            }
            PlatformProvider::Ali => {
                let provider = AliProvider::new(AliAccount::parse(data)?, owner, metrics);
                Arc::new(provider.map_err(|error| FieldError::new("data", error.to_string()))?)
            }
            PlatformProvider::RFC2136 => {
                Arc::new(Rfc2136Provider::new(ServerAccount::parse(data)?, owner, clock.clone(), metrics))
            }
        };
        Ok(provider)
    })
}
