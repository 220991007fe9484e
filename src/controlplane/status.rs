//! metav1.Status: every refusal of the plane, with the code, reason and causes that clients act upon. PURE.

use serde_json::{Map, Value, json};

use super::cause::Cause;

/// The object a refusal is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// API group; empty for the core group.
    pub group: String,
    /// The plural resource name, or the kind where Kubernetes says the kind.
    pub kind: String,
    /// The object's name.
    pub name: String,
    /// The object's uid.
    pub uid: String,
}

/// A request that was not done. Its text names the field and what to do.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// The machine-readable reason, such as `NotFound`.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// What it is about.
    pub subject: Box<Subject>,
    /// Field by field.
    pub causes: Vec<Cause>,
    /// When to try again, in seconds.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// A refusal without subject and causes.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal {
            code,
            reason,
            message: message.into(),
            subject: Box::default(),
            causes: Vec::new(),
            retry_after: None,
        }
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> Refusal {
        Refusal::new(401, "Unauthorized", "Unauthorized")
    }

    /// 404 of an object.
    pub fn not_found(subject: Subject) -> Refusal {
        let message = format!("{} \"{}\" not found", subject.resource(), subject.name);
        Refusal { subject: Box::new(subject), ..Refusal::new(404, "NotFound", message) }
    }

    /// 404 of a path.
    pub fn no_such_path() -> Refusal {
        Refusal::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// 405.
    pub fn method_not_allowed() -> Refusal {
        Refusal::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// 406.
    pub fn not_acceptable() -> Refusal {
        let message = "only the following media types are accepted: application/json, application/yaml";
        Refusal::new(406, "NotAcceptable", message)
    }

    /// 415.
    pub fn unsupported_media_type(message: impl Into<String>) -> Refusal {
        Refusal::new(415, "UnsupportedMediaType", message)
    }

    /// 413.
    pub fn too_large(limit: usize) -> Refusal {
        Refusal::new(
            413,
            "RequestEntityTooLarge",
            format!("the body is larger than the limit of {limit} bytes"),
        )
    }

    /// 409 of a create.
    pub fn already_exists(subject: Subject) -> Refusal {
        let message = format!("{} \"{}\" already exists", subject.resource(), subject.name);
        Refusal { subject: Box::new(subject), ..Refusal::new(409, "AlreadyExists", message) }
    }

    /// 409 of a write that was decided on older state.
    pub fn conflict(subject: Subject, why: &str) -> Refusal {
        let message =
            format!("Operation cannot be fulfilled on {} \"{}\": {why}", subject.resource(), subject.name);
        Refusal { subject: Box::new(subject), ..Refusal::new(409, "Conflict", message) }
    }

    /// 403.
    pub fn forbidden(subject: Subject, why: &str) -> Refusal {
        let message = format!("{} \"{}\" is forbidden: {why}", subject.resource(), subject.name);
        Refusal { subject: Box::new(subject), ..Refusal::new(403, "Forbidden", message) }
    }

    /// 422 with its causes; the message joins them as Kubernetes does.
    pub fn invalid(subject: Subject, causes: Vec<Cause>) -> Refusal {
        let mut parts: Vec<String> = causes
            .iter()
            .map(|cause| {
                if cause.field.is_empty() {
                    cause.message.clone()
                } else {
                    format!("{}: {}", cause.field, cause.message)
                }
            })
            .collect();
        parts.dedup();
        let joined = if parts.len() == 1 { parts.remove(0) } else { format!("[{}]", parts.join(", ")) };
        let kind = if subject.group.is_empty() {
            subject.kind.clone()
        } else {
            format!("{}.{}", subject.kind, subject.group)
        };
        let message = format!("{kind} \"{}\" is invalid: {joined}", subject.name);
        Refusal { subject: Box::new(subject), causes, ..Refusal::new(422, "Invalid", message) }
    }

    /// 422: an option of the request itself; `kind` is the kind of the options, such as `PatchOptions`.
    pub fn option(kind: &str, cause: Cause) -> Refusal {
        let subject =
            Subject { group: "meta.k8s.io".to_owned(), kind: kind.to_owned(), ..Subject::default() };
        Refusal::invalid(subject, vec![cause])
    }

    /// 410: the version lies too far back.
    pub fn expired(message: impl Into<String>) -> Refusal {
        Refusal::new(410, "Expired", message)
    }

    /// 504: the version is not there yet.
    pub fn future_version(asked: u64, current: u64) -> Refusal {
        let message = format!("Too large resource version: {asked}, current: {current}");
        let cause = Cause {
            field: String::new(),
            reason: "ResourceVersionTooLarge",
            message: "Too large resource version".to_owned(),
        };
        Refusal { causes: vec![cause], retry_after: Some(1), ..Refusal::new(504, "Timeout", message) }
    }

    /// 500.
    pub fn internal(message: impl std::fmt::Display) -> Refusal {
        Refusal::new(500, "InternalError", format!("Internal error occurred: {message}"))
    }

    /// The document that is sent.
    pub fn document(&self) -> Value {
        let mut details = Map::new();
        let subject = &self.subject;
        for (key, value) in [
            ("group", &subject.group),
            ("kind", &subject.kind),
            ("name", &subject.name),
            ("uid", &subject.uid),
        ] {
            if !value.is_empty() {
                details.insert(key.to_owned(), json!(value));
            }
        }
        if !self.causes.is_empty() {
            let causes = self.causes.iter().map(cause_document).collect();
            details.insert("causes".to_owned(), Value::Array(causes));
        }
        if let Some(seconds) = self.retry_after {
            details.insert("retryAfterSeconds".to_owned(), json!(seconds));
        }
        json!({
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "details": details, "code": self.code,
        })
    }
}

impl Subject {
    /// `plural.group` as messages say it.
    fn resource(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }
}

/// The document of a success that returns no object.
pub fn success(subject: &Subject) -> Value {
    let mut details = json!({"name": subject.name, "kind": subject.kind, "uid": subject.uid});
    if !subject.group.is_empty() {
        details["group"] = json!(subject.group);
    }
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success", "details": details})
}

fn cause_document(cause: &Cause) -> Value {
    let mut document = json!({"reason": cause.reason, "message": cause.message});
    if !cause.field.is_empty() {
        document["field"] = json!(cause.field);
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_object_and_each_field() {
        let subject = Subject {
            group: "example.org".into(),
            kind: "Widget".into(),
            name: "a".into(),
            uid: String::new(),
        };
        let cause = Cause {
            field: "spec.size".into(),
            reason: "FieldValueInvalid",
            message: "Invalid value: 0: must be at least 1".into(),
        };
        let document = Refusal::invalid(subject, vec![cause]).document();
        assert_eq!(document["code"], 422);
        assert_eq!(
            document["message"],
            "Widget.example.org \"a\" is invalid: spec.size: Invalid value: 0: must be at least 1"
        );
        assert_eq!(document["details"]["causes"][0]["field"], "spec.size");
        assert_eq!(document["details"]["name"], "a");
    }
}
