//! The part of JSONPath that printer columns and the scale subresource use: fields, indices, `[*]` and
//! `[?(@.field=="value")]`. PURE.

use serde_json::Value;

/// One step of a path.
#[derive(Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    Filter { path: Vec<Step>, equal: bool, value: String },
}

/// What `path` finds in `object`; nothing for a path that cannot be read.
pub fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    parse(path).map_or(Vec::new(), |steps| walk(object, &steps))
}

/// The first that `path` finds.
pub fn first<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    find(object, path).into_iter().next()
}

/// Writes `value` where the plain field path `path` points to, making the maps on the way.
pub fn set(object: &mut Value, path: &str, value: Value) {
    let mut at = object;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        if !at.is_object() {
            *at = Value::Object(serde_json::Map::new());
        }
        at = &mut at[part];
    }
    *at = value;
}

fn walk<'a>(object: &'a Value, steps: &[Step]) -> Vec<&'a Value> {
    let mut found = vec![object];
    for step in steps {
        found = found.into_iter().flat_map(|at| advance(at, step)).collect();
    }
    found
}

fn advance<'a>(at: &'a Value, step: &Step) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => at.get(name).into_iter().collect(),
        Step::Index(index) => at.as_array().map_or(Vec::new(), |list| {
            let index = if *index < 0 { list.len() as i64 + index } else { *index };
            usize::try_from(index).ok().and_then(|index| list.get(index)).into_iter().collect()
        }),
        Step::All => match at {
            Value::Array(list) => list.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ => Vec::new(),
        },
        Step::Filter { path, equal, value } => at.as_array().map_or(Vec::new(), |list| {
            list.iter()
                .filter(|one| {
                    let same = walk(one, path).first().is_some_and(|found| match found {
                        Value::String(text) => text == value,
                        other => other.to_string() == *value,
                    });
                    same == *equal
                })
                .collect()
        }),
    }
}

fn parse(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let end = closing(inner)?;
            steps.push(bracket(inner[..end].trim())?);
            rest = &inner[end + 1..];
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let (field, after) = field(rest);
        if !field.is_empty() {
            steps.push(if field == "*" { Step::All } else { Step::Field(field) });
        } else if !after.starts_with('[') && !after.is_empty() {
            return None;
        }
        rest = after;
    }
    Some(steps)
}

/// A field name up to the next unescaped `.` or `[`.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, escaped)| escaped)),
            '.' | '[' => return (name, &text[i..]),
            c => name.push(c),
        }
    }
    (name, "")
}

/// Where the bracket that is already open closes, quotes respected.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (i, c) in text.char_indices() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(c),
            ('[', None) => depth += 1,
            (']', None) if depth == 0 => return Some(i),
            (']', None) => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(inner: &str) -> Option<Step> {
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(name) = unquote(inner) {
        return Some(Step::Field(name));
    }
    if let Some(condition) = inner.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        let (operator, equal) = if condition.contains("==") { ("==", true) } else { ("!=", false) };
        let (path, value) = condition.split_once(operator)?;
        let value = value.trim();
        return Some(Step::Filter {
            path: parse(path.trim().strip_prefix('@')?)?,
            equal,
            value: unquote(value).unwrap_or_else(|| value.to_owned()),
        });
    }
    inner.parse().ok().map(Step::Index)
}

fn unquote(text: &str) -> Option<String> {
    ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_paths_of_printer_columns_find_what_they_name() {
        let object = json!({
            "metadata": {"annotations": {"a.b/c": "x"}},
            "spec": {"ports": [{"port": 1}, {"port": 2}]},
            "status": {"conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True"}]},
        });
        for (path, expected) in [
            (".spec.ports[0].port", json!([1])),
            (".spec.ports[-1].port", json!([2])),
            (".spec.ports[*].port", json!([1, 2])),
            (".status.conditions[?(@.type==\"Ready\")].status", json!(["True"])),
            (".status.conditions[?(@.type!='Ready')].status", json!(["False"])),
            (".metadata.annotations.a\\.b/c", json!(["x"])),
            (".metadata.annotations['a.b/c']", json!(["x"])),
            ("{.spec.ports[1].port}", json!([2])),
            (".spec.none.deep", json!([])),
            (".spec.ports[", json!([])),
        ] {
            assert_eq!(json!(find(&object, path)), expected, "{path}");
        }
    }

    #[test]
    fn writing_makes_the_way() {
        let mut object = json!({"spec": null});
        set(&mut object, ".spec.replicas", json!(3));
        assert_eq!(object, json!({"spec": {"replicas": 3}}));
    }
}
