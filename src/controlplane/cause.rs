//! One reason why an object was refused, worded as Kubernetes words it.
//!
//! PURE. It knows texts and reasons only; what HTTP code they lead to is the service's business.

use serde_json::Value;

/// One entry of `status.details.causes`: where, why (machine), why (person).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Path of the field as Kubernetes prints it: `spec.lines[0].weight`; empty for the object itself.
    pub field: String,
    /// A `metav1.CauseType`: `FieldValueInvalid`, `FieldValueRequired`, `FieldValueNotSupported`, and so on.
    pub reason: &'static str,
    /// The text without the path: `Invalid value: 7: must be even`.
    pub message: String,
}

impl Cause {
    /// The value breaks a rule; `shown` is how the value is printed.
    pub fn invalid(field: impl Into<String>, shown: &Value, detail: &str) -> Cause {
        Cause::new(field, "FieldValueInvalid", format!("Invalid value: {shown}: {detail}"))
    }

    /// The value has the wrong type; `found` is the type's name, which stands where the value would.
    pub fn wrong_type(field: impl Into<String>, found: &str, wanted: &str) -> Cause {
        let field = field.into();
        let detail = format!("{} in body must be of type {wanted}: \"{found}\"", subject(&field));
        Cause::new(field, "FieldValueTypeInvalid", format!("Invalid value: \"{found}\": {detail}"))
    }

    /// A field that must be there is not; `detail` may be empty.
    pub fn required(field: impl Into<String>, detail: &str) -> Cause {
        Cause::new(field, "FieldValueRequired", with_detail("Required value", detail))
    }

    /// The value may not be set here.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Cause {
        Cause::new(field, "FieldValueForbidden", with_detail("Forbidden", detail))
    }

    /// The value is not one of the few that are allowed.
    pub fn unsupported(field: impl Into<String>, shown: &Value, allowed: &[Value]) -> Cause {
        let list: Vec<String> = allowed.iter().map(Value::to_string).collect();
        let message = format!("Unsupported value: {shown}: supported values: {}", list.join(", "));
        Cause::new(field, "FieldValueNotSupported", message)
    }

    /// The value stands twice where it may stand once.
    pub fn duplicate(field: impl Into<String>, shown: &Value) -> Cause {
        Cause::new(field, "FieldValueDuplicate", format!("Duplicate value: {shown}"))
    }

    /// The text is longer than `most` characters.
    pub fn too_long(field: impl Into<String>, most: u64) -> Cause {
        let message = format!("Too long: may not be more than {most} bytes");
        Cause::new(field, "FieldValueTooLong", message)
    }

    /// There are `count` entries where at most `most` are allowed.
    pub fn too_many(field: impl Into<String>, count: usize, most: u64) -> Cause {
        let message = format!("Too many: {count}: must have at most {most} items");
        Cause::new(field, "FieldValueTooMany", message)
    }

    /// A cause with a reason and a complete text of its own.
    pub fn new(field: impl Into<String>, reason: &'static str, message: String) -> Cause {
        Cause { field: field.into(), reason, message }
    }
}

/// How the API server speaks of a field inside a detail; the object itself has no path, so it is left out.
pub fn subject(field: &str) -> &str {
    match field {
        "" => "<root>",
        other => other,
    }
}

fn with_detail(head: &str, detail: &str) -> String {
    match detail {
        "" => head.to_owned(),
        detail => format!("{head}: {detail}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_words_are_those_of_kubernetes() {
        let table = [
            (Cause::required("spec.x", ""), "Required value"),
            (Cause::required("spec.x", "say so"), "Required value: say so"),
            (Cause::forbidden("spec.x", "no"), "Forbidden: no"),
            (Cause::invalid("spec.x", &json!("a"), "bad"), "Invalid value: \"a\": bad"),
            (
                Cause::unsupported("spec.x", &json!("c"), &[json!("a"), json!("b")]),
                "Unsupported value: \"c\": supported values: \"a\", \"b\"",
            ),
            (
                Cause::wrong_type("spec.x", "string", "integer"),
                "Invalid value: \"string\": spec.x in body must be of type integer: \"string\"",
            ),
            (Cause::too_many("spec.x", 4, 3), "Too many: 4: must have at most 3 items"),
        ];
        for (cause, want) in table {
            assert_eq!(cause.message, want);
        }
    }
}
