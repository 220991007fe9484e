//! Label and field selectors. PURE.

use serde_json::Value;

use super::status::Refusal;

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    Greater(String, i64),
    Less(String, i64),
}

/// What a list or watch is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(Vec<String>, bool, String)>,
}

impl Selector {
    /// Reads both selectors. `allowed` are the field paths that may be asked for besides name and namespace.
    pub fn parse(
        labels: Option<&str>,
        fields: Option<&str>,
        allowed: &[String],
    ) -> Result<Selector, Refusal> {
        Ok(Selector {
            labels: labels.map_or(Ok(Vec::new()), parse_labels)?,
            fields: fields.map_or(Ok(Vec::new()), |text| parse_fields(text, allowed))?,
        })
    }

    /// Whether everything matches.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether `object` is asked for.
    pub fn matches(&self, object: &Value) -> bool {
        self.labels.iter().all(|requirement| requirement.holds(&object["metadata"]["labels"]))
            && self.fields.iter().all(|(path, equal, wanted)| {
                let found = path.iter().try_fold(object, |at, part| at.get(part));
                let found = match found {
                    Some(Value::String(text)) => text.clone(),
                    None | Some(Value::Null) => String::new(),
                    Some(other) => other.to_string(),
                };
                (found == *wanted) == *equal
            })
    }
}

impl Requirement {
    fn holds(&self, labels: &Value) -> bool {
        let value = |key: &str| labels.get(key).and_then(Value::as_str);
        let number = |key: &str| value(key).and_then(|text| text.parse::<i64>().ok());
        match self {
            Requirement::In(key, set) => value(key).is_some_and(|found| set.iter().any(|one| one == found)),
            Requirement::NotIn(key, set) => {
                !value(key).is_some_and(|found| set.iter().any(|one| one == found))
            }
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::Absent(key) => value(key).is_none(),
            Requirement::Greater(key, bound) => number(key).is_some_and(|found| *bound < found),
            Requirement::Less(key, bound) => number(key).is_some_and(|found| found < *bound),
        }
    }
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, Refusal> {
    split_outside_parentheses(text)
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| requirement(part).ok_or_else(|| unreadable(text, part)))
        .collect()
}

fn unreadable(text: &str, part: &str) -> Refusal {
    Refusal::bad_request(format!(
        "unable to parse requirement: labelSelector \"{text}\": cannot read \"{part}\"; write key=value, key!=value, \
         key in (a,b), key notin (a,b), key or !key"
    ))
}

fn requirement(part: &str) -> Option<Requirement> {
    if let Some(key) = part.strip_prefix('!') {
        return key_of(key).map(Requirement::Absent);
    }
    if let Some((head, set)) = part.split_once('(') {
        let set = set
            .trim()
            .strip_suffix(')')?
            .split(',')
            .map(|one| value_of(one.trim()))
            .collect::<Option<_>>()?;
        let (key, operator) = head.trim().rsplit_once(char::is_whitespace)?;
        let key = key_of(key.trim())?;
        return match operator {
            "in" => Some(Requirement::In(key, set)),
            "notin" => Some(Requirement::NotIn(key, set)),
            _ => None,
        };
    }
    for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((key, value)) = part.split_once(operator) {
            let (key, set) = (key_of(key.trim())?, vec![value_of(value.trim())?]);
            return Some(if equal { Requirement::In(key, set) } else { Requirement::NotIn(key, set) });
        }
    }
    if let Some((key, bound)) = part.split_once('>') {
        return Some(Requirement::Greater(key_of(key.trim())?, bound.trim().parse().ok()?));
    }
    if let Some((key, bound)) = part.split_once('<') {
        return Some(Requirement::Less(key_of(key.trim())?, bound.trim().parse().ok()?));
    }
    key_of(part).map(Requirement::Exists)
}

fn key_of(text: &str) -> Option<String> {
    super::names::label_key(text).is_none().then(|| text.to_owned())
}

fn value_of(text: &str) -> Option<String> {
    super::names::label_value(text).is_none().then(|| text.to_owned())
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_fields(text: &str, allowed: &[String]) -> Result<Vec<(Vec<String>, bool, String)>, Refusal> {
    let mut found = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (path, equal, value) = if let Some((path, value)) = part.split_once("!=") {
            (path, false, value)
        } else if let Some((path, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            (path, true, value)
        } else {
            let message =
                format!("invalid field selector \"{text}\": cannot read \"{part}\"; write path=value");
            return Err(Refusal::bad_request(message));
        };
        let path = path.trim().trim_start_matches('.');
        if !matches!(path, "metadata.name" | "metadata.namespace") && !allowed.iter().any(|one| one == path) {
            return Err(Refusal::bad_request(format!(
                "Unable to find \"{text}\" that match label selector \"\", field selector \"{text}\": \
                 field label not supported: {path}"
            )));
        }
        found.push((path.split('.').map(str::to_owned).collect(), equal, value.trim().to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors_match_as_documented() {
        let object = json!({"metadata": {"name": "n", "labels": {"app": "web", "a.b/tier": "x", "n": "5"}}});
        for (selector, expected) in [
            ("app=web", true),
            ("app==web,n=5", true),
            ("app!=web", false),
            ("other!=web", true),
            ("app in (db, web)", true),
            ("app notin (db,web)", false),
            ("zone notin (a)", true),
            ("app", true),
            ("!app", false),
            ("!zone,a.b/tier in (x)", true),
            ("n>4,n<6", true),
            ("app=", false),
            ("", true),
        ] {
            let parsed = Selector::parse(Some(selector), None, &[]).unwrap();
            assert_eq!(parsed.matches(&object), expected, "{selector}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_never_matches_everything() {
        for selector in ["app in web", "a b", "=x", "app=(", "a/b/c=x", "app=-x"] {
            assert_eq!(Selector::parse(Some(selector), None, &[]).unwrap_err().code, 400, "{selector}");
        }
        assert_eq!(Selector::parse(None, Some("spec.x=1"), &[]).unwrap_err().code, 400);
        assert_eq!(Selector::parse(None, Some("metadata.name"), &[]).unwrap_err().code, 400);
    }

    #[test]
    fn field_selectors_compare_text_and_take_absence_for_empty() {
        let allowed = ["spec.line".to_owned(), "spec.none".to_owned()];
        let object = json!({"metadata": {"name": "n"}, "spec": {"line": 3}});
        for (selector, expected) in
            [("metadata.name=n", true), ("spec.line=3", true), ("spec.line!=3", false), ("spec.none=", true)]
        {
            assert_eq!(Selector::parse(None, Some(selector), &allowed).unwrap().matches(&object), expected);
        }
    }
}
