//! AdmissionReview of `admission.k8s.io/v1`, as an API server sends it and wants it answered.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::admission::Verdict;
use crate::domain::names::FieldError;

/// The version that is spoken.
const VERSION: &str = "admission.k8s.io/v1";
/// A uid is one; longer ones are nobody's.
const LONGEST_UID: usize = 128;
/// Characters of a refusal, which a person reads in a terminal.
const LONGEST_MESSAGE: usize = 2048;
/// Characters of a warning that an API server passes on, and warnings of one answer.
const LONGEST_WARNING: usize = 256;
const MOST_WARNINGS: usize = 8;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    api_version: String,
    kind: String,
    request: Option<Question>,
}

/// What is asked. The objects are as they stand, read by nobody yet.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// Stands in the answer too.
    pub uid: String,
    /// What kind of object it is about.
    pub kind: Kind,
    /// `CREATE`, `UPDATE` or `DELETE`.
    pub operation: String,
    /// The object as it would be stored.
    #[serde(default)]
    pub object: Value,
    /// The object as it stands.
    #[serde(default)]
    pub old_object: Value,
}

/// A kind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Kind {
    /// Its group.
    #[serde(default)]
    pub group: String,
    /// Its name.
    pub kind: String,
}

/// Reads a review; the refusal names the field.
pub fn read(body: &[u8]) -> Result<Question, FieldError> {
    let review: Review = serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        FieldError::new("body", format!("is no AdmissionReview: see {place}"))
    })?;
    if (review.api_version.as_str(), review.kind.as_str()) != (VERSION, "AdmissionReview") {
        return Err(FieldError::new("apiVersion", format!("must be an AdmissionReview of {VERSION}")));
    }
    let question = review.request.ok_or_else(|| FieldError::new("request", "is missing"))?;
    if question.uid.is_empty() || LONGEST_UID < question.uid.len() {
        return Err(FieldError::new("request.uid", format!("must have 1 to {LONGEST_UID} characters")));
    }
    Ok(question)
}

/// The answer to the question `uid`.
pub fn answer(uid: &str, verdict: &Verdict) -> Vec<u8> {
    let words: Vec<String> = verdict.refused.iter().map(ToString::to_string).collect();
    let mut response = json!({"uid": uid, "allowed": words.is_empty()});
    if !words.is_empty() {
        response["status"] = json!({
            "status": "Failure", "code": 422, "reason": "Invalid",
            "message": cut(&words.join("; "), LONGEST_MESSAGE),
        });
    }
    let warnings = verdict.warnings.iter().take(MOST_WARNINGS);
    let warnings: Vec<String> = warnings.map(|error| cut(&error.to_string(), LONGEST_WARNING)).collect();
    if !warnings.is_empty() {
        response["warnings"] = json!(warnings);
    }
    json!({"apiVersion": VERSION, "kind": "AdmissionReview", "response": response}).to_string().into_bytes()
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(request: Value) -> Vec<u8> {
        json!({"apiVersion": VERSION, "kind": "AdmissionReview", "request": request}).to_string().into_bytes()
    }

    #[test]
    fn a_review_is_read_and_what_is_none_is_refused_by_its_field() {
        let request = json!({"uid": "u", "kind": {"group": "cocoasyncer.io", "version": "v1alpha1", "kind": "App"},
            "operation": "CREATE", "object": {"a": 1}, "oldObject": null, "userInfo": {"username": "x"}});
        let question = read(&review(request)).unwrap();
        assert_eq!((question.kind.kind.as_str(), &question.object), ("App", &json!({"a": 1})));
        assert_eq!(question.old_object, Value::Null);
        #[track_caller]
        fn check(body: &[u8], field: &str) {
            assert_eq!(read(body).unwrap_err().field, field);
        }
        check(b"", "body");
        check(b"\xff{", "body");
        check(b"[]", "body");
        check("[".repeat(100_000).as_bytes(), "body");
        check(br#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}"#, "apiVersion");
        check(&review(Value::Null), "request");
        check(&review(json!({"uid": "", "kind": {"kind": "App"}, "operation": "CREATE"})), "request.uid");
        check(&review(json!({"uid": "u", "kind": "App", "operation": "CREATE"})), "body");
    }

    #[test]
    fn an_answer_says_every_field_and_is_bounded() {
        let verdict = Verdict {
            refused: vec![FieldError::new("spec.a", "is wrong"), FieldError::new("spec.b", "x".repeat(3000))],
            warnings: (0..20).map(|_| FieldError::new("spec.c", "好".repeat(300))).collect(),
        };
        let read: Value = serde_json::from_slice(&answer("u", &verdict)).unwrap();
        let response = &read["response"];
        assert_eq!((&response["uid"], &response["allowed"]), (&json!("u"), &json!(false)));
        let message = response["status"]["message"].as_str().unwrap();
        assert!(message.starts_with("spec.a: is wrong; spec.b: xxx") && message.ends_with('…'), "{message}");
        assert_eq!(message.chars().count(), LONGEST_MESSAGE);
        assert_eq!(response["warnings"].as_array().unwrap().len(), MOST_WARNINGS);
        assert_eq!(response["warnings"][0].as_str().unwrap().chars().count(), LONGEST_WARNING);
        let fine: Value = serde_json::from_slice(&answer("u", &Verdict::default())).unwrap();
        assert_eq!(fine["response"], json!({"uid": "u", "allowed": true}));
    }
}
