//! What the vendor's error codes mean and what to do about them, and failures to get an answer at all. No text here holds
//! a key: the vendor repeats the AccessKey ID in some messages, so it is cut out of all of them.
//!
//! Sources: "Error codes" of Alidns 2015-01-09, the vendor's public error codes, and what its users met (Terraform's
//! provider for `LastOperationNotFinished`, libdns for `DomainRecordDuplicate` on an update that changes nothing).

use crate::domain::retry::Class;
use crate::providers::ali::sign::{Key, encode};
use crate::providers::{Kind, ProviderError};

/// Codes of the vendor's; one that ends in `*` stands for all that begin so. The first that fits counts.
const CODES: &[(&str, Kind, Class, &str)] = {
    use Class::{Bug, Transient, User};
    const KEY: &str =
        "the access key is unknown or inactive: put a valid accessKey into the account's Secret";
    const PAIR: &str = "accessSecret doesn't belong to accessKey: correct the account's Secret";
    const TOKEN: &str = "the temporary key has expired or its token is of another: renew accessKey, accessSecret and \
                         securityToken together";
    const CLOCK: &str = "this machine's clock is more than 15 minutes off: set it by NTP";
    const RIGHTS: &str = "the key may not do this: give its RAM user AliyunDNSFullAccess, or alidns:Describe*, \
                          AddDomainRecord, UpdateDomainRecord, UpdateDomainRecordRemark, DeleteDomainRecord and, for \
                          weights, SetDNSSLBStatus and UpdateDNSSLBWeight on the zone";
    const ACCOUNT: &str =
        "the account is overdue, disabled or not verified: settle that in the provider's console";
    const DOMAIN: &str = "the domain is expired or forbidden: settle that in the provider's console";
    const ZONE: &str = "the account has no such zone: add the domain to Alibaba Cloud DNS, or name the Secret of the \
                        account that has it";
    const TTL: &str =
        "the zone's edition takes no such TTL: raise spec.ttl (free editions: 600 at least), or upgrade";
    const LINE: &str = "the zone's edition has no such line: take it out of the nodes' spec.isps, or upgrade";
    const CLASH: &str =
        "another record excludes this one (a CNAME at the same name and line?): remove one of them";
    const MOVED: &str = "the record changed since it was read: it is read again";
    const LOCKED: &str = "it is locked: unlock it in the provider's console";
    const FULL: &str = "the edition's number of records is used up: remove some, or upgrade";
    const BROAD: &str = "the edition takes no more addresses for one name and line (free: 10, paid: 90): take nodes out \
                         of spec.weights, or upgrade";
    const WILDCARD: &str = "the provider gives wildcards no weights: take spec.weights out";
    const SINGLE: &str =
        "the provider gives weights only where one name has several records on a line: it is read again";
    const BUSY: &str = "an earlier change of the zone isn't finished: it is tried again";
    const SLOW: &str = "too many calls: it goes on more slowly";
    const LATER: &str = "the provider is in trouble: it is tried again";
    const OURS: &str = "the call is not as the provider wants it: report it with the code";
    const VALUE: &str =
        "the provider takes no such name or value: correct spec.record or the node's addresses";
    &[
        ("InvalidAccessKey*", Kind::Credentials, User, KEY),
        ("SignatureDoesNotMatch", Kind::Credentials, User, PAIR),
        ("IncompleteSignature", Kind::Credentials, User, PAIR),
        ("InvalidSecurityToken*", Kind::Credentials, User, TOKEN),
        ("MissingSecurityToken", Kind::Credentials, User, TOKEN),
        // Every call hears the same until the clock is set: like a key that doesn't fit.
        ("IllegalTimestamp", Kind::Credentials, Transient, CLOCK),
        ("InvalidTimeStamp*", Kind::Credentials, Transient, CLOCK),
        ("SignatureNonceUsed", Kind::Other, Transient, LATER),
        ("Forbidden.RiskControl", Kind::Suspended, User, ACCOUNT),
        ("Forbidden.UserVerification", Kind::Suspended, User, ACCOUNT),
        ("Forbidden.Account*", Kind::Suspended, User, ACCOUNT),
        ("Forbidden.Overdue*", Kind::Suspended, User, ACCOUNT),
        ("InsufficientBalance*", Kind::Suspended, User, ACCOUNT),
        ("UserDisable*", Kind::Suspended, User, ACCOUNT),
        ("AccountOverdue*", Kind::Suspended, User, ACCOUNT),
        ("Account.Arrearage*", Kind::Suspended, User, ACCOUNT),
        ("InvalidAccount*", Kind::Suspended, User, ACCOUNT),
        ("DomainForbidden", Kind::Suspended, User, DOMAIN),
        ("Forbidden.DomainExpired", Kind::Suspended, User, DOMAIN),
        ("DomainExpired*", Kind::Suspended, User, DOMAIN),
        ("Forbidden.RecordLocked", Kind::Locked, User, LOCKED),
        ("Forbidden.DomainLocked", Kind::Locked, User, LOCKED),
        ("DomainRecordLocked", Kind::Locked, User, LOCKED),
        ("Forbidden*", Kind::Rights, User, RIGHTS),
        ("Forbedden*", Kind::Rights, User, RIGHTS),
        ("NoPermission*", Kind::Rights, User, RIGHTS),
        ("OperationDomain.NoPermission", Kind::Rights, User, RIGHTS),
        ("ActionUnauthorized", Kind::Rights, User, RIGHTS),
        ("NotSupportRAM", Kind::Rights, User, RIGHTS),
        ("InvalidDomainName*", Kind::ZoneUnknown, User, ZONE),
        ("IncorrectDomainUser", Kind::ZoneUnknown, User, ZONE),
        ("DomainNotExist", Kind::ZoneUnknown, User, ZONE),
        ("DomainNotFound", Kind::ZoneUnknown, User, ZONE),
        ("DomainAddedByOthers", Kind::ZoneUnknown, User, ZONE),
        ("AliyunDomainAddedByOthers", Kind::ZoneUnknown, User, ZONE),
        ("QuotaExceeded.TTL", Kind::TtlNotAllowed, User, TTL),
        ("SubDomainInvalid.TTL", Kind::TtlNotAllowed, User, TTL),
        ("InvalidTTL*", Kind::TtlNotAllowed, User, TTL),
        ("QuotaExceeded.Line*", Kind::LineNotAllowed, User, LINE),
        ("SubDomainInvalid.Line*", Kind::LineNotAllowed, User, LINE),
        ("UnsupportedLine*", Kind::LineNotAllowed, User, LINE),
        ("InvalidLine*", Kind::LineNotAllowed, User, LINE),
        ("QuotaExceeded.HttpQps*", Kind::Throttled, Transient, SLOW),
        ("QuotaExceeded.ARecord*", Kind::Other, User, BROAD),
        ("QuotaExceeded*", Kind::Other, User, FULL),
        ("PanDomainRecord", Kind::Other, User, WILDCARD),
        (UNWEIGHED, Kind::Conflict, Transient, SINGLE),
        ("EnableDnsSlbFailed", Kind::Conflict, Transient, SINGLE),
        ("DomainRecordDisable", Kind::Conflict, Transient, MOVED),
        ("InvalidWeigth", Kind::Other, Bug, OURS),
        ("DomainRecordConflict", Kind::Conflict, User, CLASH),
        (DUPLICATE, Kind::Conflict, Transient, MOVED),
        (GONE, Kind::Conflict, Transient, MOVED),
        ("InvalidRR.NoExist", Kind::Conflict, Transient, MOVED),
        ("SubDomainInvalid*", Kind::Other, User, VALUE),
        ("InvalidRR*", Kind::Other, User, VALUE),
        ("RecordForbidden*", Kind::Other, Transient, LATER),
        (UNFINISHED, Kind::Other, Transient, BUSY),
        ("Throttling*", Kind::Throttled, Transient, SLOW),
        ("ServiceUnavailable*", Kind::Other, Transient, LATER),
        ("InternalError*", Kind::Other, Transient, LATER),
        ("UnknownError*", Kind::Other, Transient, LATER),
        ("UnKnownError*", Kind::Other, Transient, LATER),
        ("MissingParameter*", Kind::Other, Bug, OURS),
        ("InvalidParameter*", Kind::Other, Bug, OURS),
        ("InvalidAction*", Kind::Other, Bug, OURS),
        ("InvalidApi*", Kind::Other, Bug, OURS),
        ("Unsupported*", Kind::Other, Bug, OURS),
        ("NoSuchVersion", Kind::Other, Bug, OURS),
    ]
};

/// The record is there already, or the update changes nothing.
pub(super) const DUPLICATE: &str = "DomainRecordDuplicate";
/// Weights don't count in this set.
pub(super) const UNWEIGHED: &str = "DisableDNSSLB";
/// No record of the account has this id.
pub(super) const GONE: &str = "DomainRecordNotBelongToUser";
/// Another write of the zone is going on.
pub(super) const UNFINISHED: &str = "LastOperationNotFinished";

/// A call that failed.
#[derive(Debug)]
pub(super) struct Fault {
    /// Why.
    pub error: ProviderError,
    /// Whether it may have done its work all the same.
    pub may_be_done: bool,
}

impl Fault {
    /// Whether the vendor refused with this code.
    pub fn is(&self, code: &str) -> bool {
        self.error.code.as_deref() == Some(code)
    }

    /// A failure after which nothing was done.
    pub fn before(error: ProviderError) -> Self {
        Self { error, may_be_done: false }
    }

    /// A failure after which nobody knows.
    pub fn after(error: ProviderError) -> Self {
        Self { error, may_be_done: true }
    }
}

/// The vendor's refusal as it came.
pub(super) struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Its code.
    pub code: String,
    /// Its words.
    pub message: String,
    /// Its id of the call.
    pub request_id: Option<String>,
}

/// Judges a refusal of `action`.
pub(super) fn refused(action: &str, refusal: Refusal, key: &Key) -> Fault {
    let Refusal { status, code, message, request_id } = refusal;
    let code = plain(&code, key, 100);
    let request_id = request_id.map(|id| plain(&id, key, 64)).filter(|id| !id.is_empty());
    let (kind, class, advice) = judge(status, &code);
    // It holds the text that was signed, with whatever was in it.
    let message = if kind == Kind::Credentials { String::new() } else { plain(&message, key, 300) };
    let message = if message.is_empty() { message } else { format!(" {message:?}") };
    let id = request_id.as_deref().map(|id| format!(", request {id}")).unwrap_or_default();
    let what = format!("{action}: {advice} (Alidns answered {code}{message}{id})");
    // Refusals are made before anything is done; a breakdown can happen at any point.
    let broke = 500 <= status && kind != Kind::Throttled || is_breakdown(&code);
    let error = ProviderError { what, class, kind, code: Some(code), request_id, source: None };
    Fault { error, may_be_done: broke }
}

fn is_breakdown(code: &str) -> bool {
    ["ServiceUnavailable", "InternalError", "UnknownError", "UnKnownError"]
        .iter()
        .any(|own| code.starts_with(own))
}

fn judge(status: u16, code: &str) -> (Kind, Class, &'static str) {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(begin) => code.starts_with(begin),
        None => code == pattern,
    };
    match CODES.iter().find(|(pattern, ..)| fits(pattern)) {
        Some((_, kind, class, advice)) => (*kind, *class, advice),
        None if status == 429 => {
            (Kind::Throttled, Class::Transient, "too many calls: it goes on more slowly")
        }
        None => (Kind::Other, Class::Transient, "the provider refused: look the code up in its error centre"),
    }
}

/// An answer that isn't one of Alidns'.
pub(super) fn unreadable(action: &str, status: u16, what: &str) -> Fault {
    let hint = match status {
        300..=399 => {
            "redirects are not followed: put the final address into data.endpoint of the account's Secret"
        }
        500..=599 => "the provider is in trouble, or a proxy before it: it is tried again",
        _ => "is data.endpoint of the account's Secret Alidns, or is there a proxy between",
    };
    let what = format!("{action}: HTTP {status} with {what}: {hint}");
    Fault::after(ProviderError::new(Kind::Unreadable, Class::Transient, what))
}

/// The vendor's words as they may be repeated: short, on one line, and without a key, however it is encoded.
fn plain(text: &str, key: &Key, most: usize) -> String {
    let secrets = [Some(&key.id), Some(&key.secret), key.token.as_ref()];
    let mut text = text.to_owned();
    for secret in secrets.into_iter().flatten().map(|secret| secret.expose()).filter(|text| !text.is_empty())
    {
        let once = encode(secret);
        for form in [encode(&once), once, secret.to_owned()] {
            text = text.replace(&form, "***");
        }
    }
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;

    fn key() -> Key {
        Key {
            id: Secret::new("canary/id"),
            secret: Secret::new("canarysecret"),
            token: Some(Secret::new("canary+t")),
        }
    }

    fn refusal(status: u16, code: &str, message: &str) -> Refusal {
        Refusal { status, code: code.into(), message: message.into(), request_id: Some("8DDD-1".into()) }
    }

    #[test]
    fn codes_tell_who_can_mend_it_and_what_to_do() {
        use Class::{Bug, Transient, User};
        for (code, kind, class, words) in [
            ("InvalidAccessKeyId.NotFound", Kind::Credentials, User, "valid accessKey"),
            ("InvalidAccessKeyId.Inactive", Kind::Credentials, User, "valid accessKey"),
            ("SignatureDoesNotMatch", Kind::Credentials, User, "doesn't belong to accessKey"),
            ("InvalidSecurityToken.Expired", Kind::Credentials, User, "renew"),
            ("IllegalTimestamp", Kind::Credentials, Transient, "clock"),
            ("InvalidTimeStamp.Expired", Kind::Credentials, Transient, "clock"),
            ("Forbidden.RAM", Kind::Rights, User, "AliyunDNSFullAccess"),
            ("NoPermission", Kind::Rights, User, "AliyunDNSFullAccess"),
            ("Forbidden", Kind::Rights, User, "AliyunDNSFullAccess"),
            ("Forbidden.AccountOverdue", Kind::Suspended, User, "console"),
            ("Forbidden.RiskControl", Kind::Suspended, User, "console"),
            ("InsufficientBalance", Kind::Suspended, User, "overdue"),
            ("DomainForbidden", Kind::Suspended, User, "forbidden"),
            ("InvalidDomainName.NoExist", Kind::ZoneUnknown, User, "no such zone"),
            ("IncorrectDomainUser", Kind::ZoneUnknown, User, "no such zone"),
            ("QuotaExceeded.TTL", Kind::TtlNotAllowed, User, "spec.ttl"),
            ("QuotaExceeded.Record", Kind::Other, User, "number of records"),
            ("QuotaExceeded.ARecord", Kind::Other, User, "spec.weights"),
            ("PanDomainRecord", Kind::Other, User, "wildcards"),
            ("DisableDNSSLB", Kind::Conflict, Transient, "several records"),
            ("SubDomainInvalid.Line", Kind::LineNotAllowed, User, "spec.isps"),
            ("SubDomainInvalid.Value", Kind::Other, User, "spec.record"),
            ("DomainRecordConflict", Kind::Conflict, User, "CNAME"),
            ("DomainRecordDuplicate", Kind::Conflict, Transient, "read again"),
            ("DomainRecordLocked", Kind::Locked, User, "unlock"),
            ("LastOperationNotFinished", Kind::Other, Transient, "tried again"),
            ("Throttling.User", Kind::Throttled, Transient, "more slowly"),
            ("Throttling", Kind::Throttled, Transient, "more slowly"),
            ("ServiceUnavailable", Kind::Other, Transient, "in trouble"),
            ("MissingParameter", Kind::Other, Bug, "report"),
            ("SomethingNew", Kind::Other, Transient, "look the code up"),
        ] {
            let fault = refused("AddDomainRecord", refusal(400, code, "Said so."), &key());
            let error = fault.error;
            assert_eq!((error.kind, error.class), (kind, class), "{code}");
            assert!(error.what.contains(words) && error.what.contains(code), "{}", error.what);
            assert!(error.what.contains("request 8DDD-1"), "{}", error.what);
            assert_eq!((error.code.as_deref(), error.request_id.as_deref()), (Some(code), Some("8DDD-1")));
            assert_eq!(fault.may_be_done, code == "ServiceUnavailable", "{code}");
        }
    }

    #[test]
    fn a_breakdown_leaves_open_whether_it_was_done_and_429_is_a_throttle() {
        assert!(refused("A", refusal(503, "Odd", ""), &key()).may_be_done);
        assert!(!refused("A", refusal(503, "Throttling", ""), &key()).may_be_done);
        assert_eq!(refused("A", refusal(429, "Odd", ""), &key()).error.kind, Kind::Throttled);
    }

    #[test]
    fn no_key_is_repeated_in_whatever_form_the_vendor_quotes_it() {
        let said = "for canary/id, canary%2Fid, canary%252Fid, canarysecret\nand canary%2Bt";
        for code in ["DomainRecordConflict", "SignatureDoesNotMatch", "canary/id"] {
            let error = refused("AddDomainRecord", refusal(400, code, said), &key()).error;
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
        let error = refused("AddDomainRecord", refusal(400, "DomainRecordConflict", said), &key()).error;
        assert!(error.what.contains("\"for ***, ***, ***, ***and ***\""), "{}", error.what);
    }
}
