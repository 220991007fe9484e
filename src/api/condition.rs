//! Conditions of all three kinds: types, reasons, and the one merge that keeps transition times.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Condition types that we set.
pub mod types {
    /// The object says what it must, and nothing contradicts it.
    pub const VALID: &str = "Valid";
    /// What the object wishes for is so.
    pub const READY: &str = "Ready";
    /// Some records are not changed, on purpose.
    pub const RECORDS_HELD: &str = "RecordsHeld";
    /// Something is being done.
    pub const PROGRESSING: &str = "Progressing";
    /// It runs, but not in all as it should.
    pub const DEGRADED: &str = "Degraded";
    /// The node's public addresses are known.
    pub const ADDRESSES_KNOWN: &str = "AddressesKnown";
    /// All pods of an App in a cluster pass the Pod Security level `restricted`.
    pub const HARDENED: &str = "Hardened";
    /// An App's data are copied before its version changes.
    pub const DATA_COPIED: &str = "DataCopied";
}

/// Reasons, stable across releases.
pub mod reasons {
    /// All is as wished.
    pub const AS_WISHED: &str = "AsWished";
    /// The operator doesn't serve the object's namespace.
    pub const NAMESPACE_NOT_SERVED: &str = "NamespaceNotServed";
    /// The spec can't be served; the message names the field.
    pub const INVALID: &str = "Invalid";
    /// No living node has an address for some line: its last records stay.
    pub const NO_LIVING_NODE: &str = "NoLivingNode";
    /// No node holds the default line.
    pub const NO_DEFAULT_LINE: &str = "NoDefaultLine";
    /// The provider refused or failed.
    pub const PROVIDER_FAILED: &str = "ProviderFailed";
    /// The provider is not configured on this node.
    pub const PROVIDER_UNKNOWN: &str = "ProviderUnknown";
    /// No Secret holds an account of the platform.
    pub const ACCOUNT_UNKNOWN: &str = "AccountUnknown";
    /// It is not known in whose name records are marked.
    pub const OWNER_UNKNOWN: &str = "OwnerUnknown";
    /// The account's Secret lacks something, or says something that can't be.
    pub const ACCOUNT_INVALID: &str = "AccountInvalid";
    /// The account has no zone that holds the name.
    pub const ZONE_UNKNOWN: &str = "ZoneUnknown";
    /// The platform refuses the account's keys.
    pub const CREDENTIALS_REFUSED: &str = "CredentialsRefused";
    /// The account's keys may not do that.
    pub const NOT_PERMITTED: &str = "NotPermitted";
    /// The account is suspended or overdue.
    pub const ACCOUNT_SUSPENDED: &str = "AccountSuspended";
    /// The zone's edition has no such line.
    pub const LINE_NOT_ALLOWED: &str = "LineNotAllowed";
    /// The zone's edition takes no such TTL.
    pub const TTL_NOT_ALLOWED: &str = "TTLNotAllowed";
    /// Another record excludes this one.
    pub const RECORD_CONFLICT: &str = "RecordConflict";
    /// The record is locked at the provider.
    pub const RECORD_LOCKED: &str = "RecordLocked";
    /// The record was paused at the provider.
    pub const RECORD_PAUSED: &str = "RecordPaused";
    /// The provider refuses calls as too many.
    pub const THROTTLED: &str = "Throttled";
    /// The provider can't be reached, or doesn't answer in time.
    pub const PROVIDER_UNREACHABLE: &str = "ProviderUnreachable";
    /// Some of its records have not had their turn at the provider yet.
    pub const PENDING: &str = "Pending";
    /// Another node has yet to write its records.
    pub const AWAITING_NODE: &str = "AwaitingNode";
    /// A node that is lost as seen from here goes on writing its records.
    pub const CONTENDED: &str = "Contended";
    /// More would change than the guard lets through.
    pub const MASS_CHANGE: &str = "MassChange";
    /// Records under the name belong to somebody else.
    pub const FOREIGN_RECORDS: &str = "ForeignRecords";
    /// Nothing is held.
    pub const NOTHING_HELD: &str = "NothingHeld";
    /// The records are being removed.
    pub const DELETING: &str = "Deleting";
    /// The node lives.
    pub const ALIVE: &str = "Alive";
    /// The node missed too many beats.
    pub const LOST: &str = "Lost";
    /// The node answers again but has not yet earned its lines back.
    pub const RETURNING: &str = "Returning";
    /// The node has not been heard of since this process started.
    pub const NOT_SEEN: &str = "NotSeen";
    /// The node is drained.
    pub const DRAINED: &str = "Drained";
    /// The addresses are known and agreed on.
    pub const LEARNED: &str = "Learned";
    /// Sources of the address failed or disagree.
    pub const NOT_LEARNED: &str = "NotLearned";
    /// The application waits for its turn.
    pub const QUEUED: &str = "Queued";
    /// Images are being pulled.
    pub const PULLING: &str = "Pulling";
    /// Containers are being made and started.
    pub const STARTING: &str = "Starting";
    /// The application started and does not answer yet.
    pub const INITIALISING: &str = "Initialising";
    /// The application is being stopped.
    pub const STOPPING: &str = "Stopping";
    /// The application is stopped, as wished.
    pub const STOPPED: &str = "Stopped";
    /// A health check fails.
    pub const UNHEALTHY: &str = "Unhealthy";
    /// A container ends again and again.
    pub const CRASH_LOOP: &str = "CrashLoop";
    /// A container can't be started.
    pub const CANNOT_START: &str = "CannotStart";
    /// The application's port does not answer.
    pub const NOT_ANSWERING: &str = "NotAnswering";
    /// The catalogue has no such application.
    pub const APP_UNKNOWN: &str = "AppUnknown";
    /// The catalogue lists no such version of the application.
    pub const VERSION_UNKNOWN: &str = "VersionUnknown";
    /// The template can't run on this runtime; the message names the place in its files.
    pub const TEMPLATE_REFUSED: &str = "TemplateRefused";
    /// The template asks for rights that the operator's policy and the App don't both allow.
    pub const RIGHTS_REFUSED: &str = "RightsRefused";
    /// The host has too little CPU, memory or disk left.
    pub const NOT_ENOUGH_RESOURCES: &str = "NotEnoughResources";
    /// An older App has this name already.
    pub const NAME_REPEATED: &str = "NameRepeated";
    /// Data of another application was kept under this name.
    pub const DATA_OF_ANOTHER: &str = "DataOfAnother";
    /// This node has no such runtime.
    pub const RUNTIME_UNKNOWN: &str = "RuntimeUnknown";
    /// The registry has no such image.
    pub const IMAGE_UNKNOWN: &str = "ImageUnknown";
    /// The registry refuses the credentials, or wants some.
    pub const REGISTRY_CREDENTIALS: &str = "RegistryCredentials";
    /// The registry can't be reached.
    pub const REGISTRY_UNREACHABLE: &str = "RegistryUnreachable";
    /// The disk is full.
    pub const NO_SPACE: &str = "NoSpace";
    /// A name is taken by something that isn't ours.
    pub const NAME_TAKEN: &str = "NameTaken";
    /// A port of the host is taken.
    pub const PORT_TAKEN: &str = "PortTaken";
    /// The engine or the cluster can't be reached.
    pub const RUNTIME_UNREACHABLE: &str = "RuntimeUnreachable";
    /// The engine or the cluster refused or failed.
    pub const RUNTIME_FAILED: &str = "RuntimeFailed";
    /// A Secret that the App names is missing, or lacks a key.
    pub const SECRET_MISSING: &str = "SecretMissing";
    /// An upgrade is being made.
    pub const UPGRADING: &str = "Upgrading";
    /// An upgrade failed and the version before it was put back.
    pub const ROLLED_BACK: &str = "RolledBack";
    /// It runs with less protection than it could have.
    pub const LESS_PROTECTED: &str = "LessProtected";
    /// Something of the template does not come about on this runtime.
    pub const PARTLY_HONOURED: &str = "PartlyHonoured";
    /// The runtime keeps no copy of an App's data when its version changes.
    pub const DATA_NOT_COPIED: &str = "DataNotCopied";
}

/// A condition to report, before it is merged with what stood there.
pub fn condition(kind: &str, status: bool, reason: &str, message: impl Into<String>) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: if status { "True" } else { "False" }.to_owned(),
        reason: reason.to_owned(),
        message: message.into(),
        observed_generation: None,
        last_transition_time: Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH),
    }
}

/// Merges `new` over `old`: a condition whose status did not change keeps its transition time, so that an unchanged
/// state is an unchanged status and no write. Types that only stand in `old` stay as they are.
pub fn merged(old: &[Condition], new: Vec<Condition>, generation: Option<i64>, now: Time) -> Vec<Condition> {
    let mut all: Vec<Condition> =
        old.iter().filter(|o| new.iter().all(|n| n.type_ != o.type_)).cloned().collect();
    for mut fresh in new {
        let before = old.iter().find(|o| o.type_ == fresh.type_);
        fresh.last_transition_time = match before {
            Some(before) if before.status == fresh.status => before.last_transition_time.clone(),
            _ => now.clone(),
        };
        fresh.observed_generation = generation;
        all.push(fresh);
    }
    all.sort_by(|a, b| a.type_.cmp(&b.type_));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let at = |s| Time(k8s_openapi::jiff::Timestamp::from_second(s).unwrap());
        let first = merged(&[], vec![condition("Ready", true, "AsWished", "")], Some(1), at(10));
        let same = merged(&first, vec![condition("Ready", true, "AsWished", "")], Some(1), at(20));
        assert_eq!(first, same);
        let lost = merged(&same, vec![condition("Ready", false, "Lost", "")], Some(2), at(30));
        assert_eq!(lost[0].last_transition_time, at(30));
        assert_eq!(lost[0].observed_generation, Some(2));
    }
}
