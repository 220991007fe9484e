//! Refusals as the vendor words them: code, HTTP status, message.
//!
//! Sources: the gateway's common codes (help.aliyun.com 434846, 48054), Alidns' own (29774, 2355841,
//! api-alidns-2015-01-09-errorcodes), answers that users pasted. "assumed" marks what no source shows word for word.

use serde_json::{Value, json};

/// A call that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
}

const KNOWN: &[(&str, u16, &str)] = &[
    // The gateway.
    ("InvalidAccessKeyId.NotFound", 404, "Specified access key is not found."),
    ("InvalidAccessKeyId.Inactive", 400, "Specified access key is disabled."),
    ("InvalidSecurityToken.Expired", 400, "Specified SecurityToken is expired."),
    (
        "InvalidSecurityToken.MismatchWithAccessKey",
        400,
        "Specified SecurityToken mismatch with the AccessKey.",
    ),
    ("InvalidTimeStamp.Format", 400, "Specified time stamp or date value is not well formatted."),
    ("InvalidTimeStamp.Expired", 400, "Specified time stamp or date value is expired."),
    (
        "IllegalTimestamp",
        400,
        "The input parameter \"Timestamp\" that is mandatory for processing this request is not supplied.",
    ),
    ("SignatureNonceUsed", 400, "Specified signature nonce was used already."),
    ("SignatureDoesNotMatch", 400, "Specified signature is not matched with our calculation."),
    ("IncompleteSignature", 400, "The request signature does not conform to Aliyun standards."),
    ("InvalidSignatureMethod", 400, "Specified signature method is not valid."),
    ("InvalidVersion", 400, "Specified parameter Version is not valid."),
    ("MissingSecurityToken", 400, "SecurityToken is mandatory for this action."),
    ("InvalidApi.NotFound", 404, "Specified api is not found, please check your url and method."),
    ("InvalidParameter.Format", 400, "Specified parameter format is not valid."),
    // Not 403: Alidns' own answers to users carry 400.
    (
        "Forbidden.RAM",
        400,
        "User not authorized to operate on the specified resource, or this API doesn't support RAM.",
    ),
    ("NoPermission", 403, "You are not authorized to do this action."),
    ("Throttling", 400, "Request was denied due to request throttling."),
    ("Throttling.User", 400, "Request was denied due to user flow control."),
    ("Throttling.Api", 400, "Request was denied due to api flow control."),
    ("Forbidden.RiskControl", 403, "This operation is forbidden by Aliyun Risk Control system."),
    // Documented for other products of the vendor.
    ("InsufficientBalance", 400, "Your account does not have enough balance."),
    ("InternalError", 500, "The request processing has failed due to some unknown error."),
    ("ServiceUnavailable", 503, "The request has failed due to a temporary failure of the server."),
    // Alidns.
    (
        "InvalidDomainName.NoExist",
        400,
        "The specified domain name does not exist. Refresh the page and try again.",
    ),
    ("IncorrectDomainUser", 400, "The domain name does not belong to this user."),
    ("DomainRecordNotBelongToUser", 400, "The domain record does not belong to this user."),
    ("DomainRecordDuplicate", 400, "The DNS record already exists."),
    ("DomainRecordConflict", 400, "The DNS record conflicts with other records."),
    ("DomainRecordLocked", 400, "The domain record has been locked."),
    ("LastOperationNotFinished", 400, "The last operation is not finished."),
    ("QuotaExceeded.TTL", 400, "The TTL value has exceeded the limit of the domain edition."),
    ("QuotaExceeded.ARecord", 400, "The maximum number of A records has been exceeded."),
    ("QuotaExceeded.Record", 400, "The maximum number of DNS records has been exceeded."),
    ("SubDomainInvalid.Value", 400, "The DNS record is invalid."),
    ("SubDomainInvalid.Type", 400, "The type of the DNS record is invalid."),
    ("SubDomainInvalid.Line", 400, "The line of the DNS record is invalid."),
    ("UnsupportedLine", 400, "The line is not supported by the edition of the domain name."),
    ("InvalidRR.Format", 400, "The format of the RR is invalid."),
    // Assumed: the sentence is the vendor's for the remark of a private zone.
    (
        "InvalidParameter.Remark",
        400,
        "50 characters long. It can only contain numbers,Chinese,English and special characters: _ - , . ,.",
    ),
    // So spelt by the vendor.
    ("InvalidWeigth", 400, "The weigth value is invalid."),
    ("PanDomainRecord", 400, "The domain record is Pan domain record."),
    ("DomainRecordDisable", 400, "The domain record is disable."),
    ("DisableDNSSLB", 400, "The weighted round-robin of this subdomain is disabled."),
];

impl Refusal {
    /// A refusal with the code's own status and words; a code that is not in the table is a 400 that repeats it.
    pub fn new(code: &str) -> Self {
        let known = KNOWN.iter().find(|(known, ..)| *known == code);
        let (_, status, message) = known.copied().unwrap_or((code, 400, code));
        Self { status, code: code.to_owned(), message: message.to_owned() }
    }

    pub fn missing(name: &str) -> Self {
        Self {
            status: 400,
            code: "MissingParameter".into(),
            message: format!("The required parameter \"{name}\" is missing."),
        }
    }

    pub fn invalid(name: &str) -> Self {
        Self {
            status: 400,
            code: "InvalidParameter".into(),
            message: format!("The value of parameter \"{name}\" is invalid."),
        }
    }

    /// The vendor repeats what it signed, key id included: a client that shows the message to people shows that too.
    pub fn mismatch(what: &str, signed: &str) -> Self {
        let mut refusal = Self::new("SignatureDoesNotMatch");
        refusal.message = format!("{} server {what} is:{signed}", refusal.message);
        refusal
    }

    pub fn body(&self, request_id: &str) -> Value {
        let Self { code, message, .. } = self;
        let mut body = json!({
            "RequestId": request_id,
            "HostId": "alidns.aliyuncs.com",
            "Code": code,
            "Message": message,
            "Recommend": format!("https://api.aliyun.com/troubleshoot?q={code}&product=Alidns&requestId={request_id}"),
        });
        if code == "Forbidden.RAM" {
            body["AccessDeniedDetail"] = json!({
                "AuthPrincipalType": "SubUser",
                "AuthPrincipalOwnerId": "1909118372392793",
                "AuthPrincipalDisplayName": "209811618375036959",
            });
        }
        body
    }
}
