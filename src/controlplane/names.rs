//! What names, labels and annotations may look like. PURE. Each function returns what is wrong, or nothing.

use serde_json::Value;

use super::cause::Cause;

/// How the names of a resource are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// DNS-1123 subdomain: most objects.
    Subdomain,
    /// DNS-1123 label: namespaces.
    Label,
    /// DNS-1035 label: services.
    ServiceLabel,
    /// Anything that is one path segment: RBAC objects.
    PathSegment,
}

/// What is wrong with `name`.
pub fn name(rule: NameRule, name: &str) -> Option<String> {
    match rule {
        NameRule::Subdomain => subdomain(name),
        NameRule::Label => label(name),
        NameRule::ServiceLabel => label_1035(name),
        NameRule::PathSegment => match name {
            "." | ".." => Some(format!("may not be '{name}'")),
            _ if name.contains(['/', '%']) => Some("may not contain '/' or '%'".to_owned()),
            _ => None,
        },
    }
}

/// A lowercase RFC 1123 subdomain.
pub fn subdomain(text: &str) -> Option<String> {
    let fits =
        text.len() <= 253 && !text.is_empty() && text.split('.').all(|part| dns_label(part, usize::MAX));
    (!fits).then(|| {
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
         start and end with an alphanumeric character (e.g. 'example.com'), at most 253 characters"
            .to_owned()
    })
}

/// A lowercase RFC 1123 label.
pub fn label(text: &str) -> Option<String> {
    (!dns_label(text, 63)).then(|| {
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
         end with an alphanumeric character (e.g. 'my-name', or '123-abc'), at most 63 characters"
            .to_owned()
    })
}

/// A DNS-1035 label.
pub fn label_1035(text: &str) -> Option<String> {
    let fits = dns_label(text, 63) && text.starts_with(|c: char| c.is_ascii_lowercase());
    (!fits).then(|| {
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
         character, and end with an alphanumeric character (e.g. 'my-name', or 'abc-123'), at most 63 characters"
            .to_owned()
    })
}

/// A label or annotation key, or a finalizer: an optional prefix and a name.
pub fn label_key(text: &str) -> Option<String> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    if prefix.is_some_and(|prefix| subdomain(prefix).is_some()) {
        return Some("prefix part a lowercase RFC 1123 subdomain is needed before '/'".to_owned());
    }
    qualified(name, 63)
}

/// A label's value.
pub fn label_value(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    qualified(text, 63).map(|_| {
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
         start and end with an alphanumeric character (e.g. 'MyValue'), at most 63 characters"
            .to_owned()
    })
}

/// Everything that is wrong with the user-given parts of `metadata`.
pub fn metadata(rule: NameRule, metadata: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name_text = metadata["name"].as_str().unwrap_or_default();
    if let Some(why) = name(rule, name_text) {
        causes.push(invalid("metadata.name", name_text, &why));
    }
    for (field, check_value) in [("labels", true), ("annotations", false)] {
        let Some(map) = metadata.get(field).filter(|value| !value.is_null()) else { continue };
        let Some(map) = map.as_object() else {
            causes.push(wrong_type(&format!("metadata.{field}"), "must be a map of strings"));
            continue;
        };
        let mut total = 0;
        for (key, value) in map {
            let at = format!("metadata.{field}");
            let lower = if field == "annotations" { key.to_lowercase() } else { key.clone() };
            if let Some(why) = label_key(&lower) {
                causes.push(invalid(&at, key, &why));
            }
            match value.as_str() {
                Some(value) => {
                    total += key.len() + value.len();
                    if let (true, Some(why)) = (check_value, label_value(value)) {
                        causes.push(invalid(&at, value, &why));
                    }
                }
                None => causes.push(wrong_type(&format!("{at}.{key}"), "must be a string")),
            }
        }
        if field == "annotations" && 256 * 1024 < total {
            causes.push(Cause {
                field: "metadata.annotations".to_owned(),
                reason: "FieldValueTooLong",
                message: "Too long: may not be more than 262144 bytes".to_owned(),
            });
        }
    }
    causes.extend(finalizers(&metadata["finalizers"]));
    causes.extend(owners(&metadata["ownerReferences"]));
    causes
}

fn finalizers(list: &Value) -> Vec<Cause> {
    match list {
        Value::Null => Vec::new(),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .filter_map(|(i, one)| {
                let at = format!("metadata.finalizers[{i}]");
                match one.as_str() {
                    Some(text) => label_key(text).map(|why| invalid(&at, text, &why)),
                    None => Some(wrong_type(&at, "must be a string")),
                }
            })
            .collect(),
        _ => vec![wrong_type("metadata.finalizers", "must be a list of strings")],
    }
}

fn owners(list: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let list = match list {
        Value::Null => return causes,
        Value::Array(list) => list,
        _ => return vec![wrong_type("metadata.ownerReferences", "must be a list")],
    };
    for owner in list {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().is_none_or(str::is_empty) {
                causes.push(Cause {
                    field: format!("metadata.ownerReferences.{field}"),
                    reason: "FieldValueInvalid",
                    message: "Invalid value: \"\": must not be empty".to_owned(),
                });
            }
        }
    }
    if 1 < list.iter().filter(|owner| owner["controller"] == Value::Bool(true)).count() {
        causes.push(Cause {
            field: "metadata.ownerReferences".to_owned(),
            reason: "FieldValueInvalid",
            message: "Invalid value: only one reference can have Controller set to true".to_owned(),
        });
    }
    causes
}

/// A cause that quotes the value.
pub fn invalid(field: &str, value: &str, why: &str) -> Cause {
    Cause {
        field: field.to_owned(),
        reason: "FieldValueInvalid",
        message: format!("Invalid value: {value:?}: {why}"),
    }
}

fn wrong_type(field: &str, why: &str) -> Cause {
    Cause {
        field: field.to_owned(),
        reason: "FieldValueTypeInvalid",
        message: format!("Invalid type: {why}"),
    }
}

fn dns_label(text: &str, max: usize) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty()
        && text.len() <= max
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn qualified(text: &str, max: usize) -> Option<String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let fits = text.len() <= max
        && text.chars().all(inner)
        && edge(text.chars().next())
        && edge(text.chars().next_back());
    (!fits).then(|| {
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
         alphanumeric character (e.g. 'MyName', or 'my.name', or '123-abc'), at most 63 characters"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_follow_the_rule_of_their_kind() {
        for (rule, text, fits) in [
            (NameRule::Subdomain, "a.b-c.9", true),
            (NameRule::Subdomain, "", false),
            (NameRule::Subdomain, "A", false),
            (NameRule::Subdomain, "a..b", false),
            (NameRule::Subdomain, "a_b", false),
            (NameRule::Label, "a.b", false),
            (NameRule::Label, "9a", true),
            (NameRule::ServiceLabel, "9a", false),
            (NameRule::PathSegment, "system:node", true),
            (NameRule::PathSegment, "a/b", false),
            (NameRule::PathSegment, "..", false),
        ] {
            assert_eq!(name(rule, text).is_none(), fits, "{rule:?} {text}");
        }
        assert!(subdomain(&"a".repeat(254)).is_some());
    }

    #[test]
    fn every_bad_part_of_the_metadata_is_named() {
        let causes = metadata(
            NameRule::Subdomain,
            &json!({
                "name": "ok", "labels": {"a/b/c": "x", "k": "-"}, "annotations": {"K": 3}, "finalizers": ["bad one"],
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}],
            }),
        );
        let fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "metadata.labels",
                "metadata.labels",
                "metadata.annotations.K",
                "metadata.finalizers[0]",
                "metadata.ownerReferences.uid"
            ]
        );
    }
}
