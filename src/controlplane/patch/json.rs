//! RFC 6902, as lenient and as strict as the Go library behind the real server.
//!
//! PURE. Bounds: operations, depth of the result, and what `copy` may multiply.

use serde_json::Value;

use super::PatchError;
use crate::controlplane::schema::node::{MAX_NESTING, deeper_than};

/// As on the real server.
const MOST_OPERATIONS: usize = 10_000;
/// Bytes that all `copy` operations of one patch may add; as on the real server.
const MOST_COPIED: usize = 3 * 1024 * 1024;

/// Applies all operations in order.
pub(super) fn apply(target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let operations = patch.as_array().ok_or_else(|| invalid("a JSON patch is a list of operations"))?;
    if MOST_OPERATIONS < operations.len() {
        let count = operations.len();
        let text =
            format!("the allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {count}");
        return Err(PatchError::Invalid(text));
    }
    let mut copied = 0;
    for (index, operation) in operations.iter().enumerate() {
        step(target, operation, &mut copied).map_err(|error| match error {
            PatchError::Invalid(text) => PatchError::Unfit(format!("operation {index}: {text}")),
            other => other,
        })?;
    }
    Ok(())
}

fn step(target: &mut Value, operation: &Value, copied: &mut usize) -> Result<(), PatchError> {
    let text = |key: &str| {
        let value = operation.get(key).and_then(Value::as_str);
        value.ok_or_else(|| PatchError::Invalid(format!("{key} is missing or is not text")))
    };
    // Go reads an absent `value` as null.
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    let path = text("path")?;
    let tokens = parse(path)?;
    match text("op")? {
        "add" => add(target, &tokens, value(), path),
        "remove" => remove(target, &tokens, path).map(drop),
        "replace" => {
            bounded(&tokens, &value())?;
            find(target, &tokens).map(|slot| *slot = value()).ok_or_else(|| missing("replace", path))
        }
        "move" => {
            let from = text("from")?;
            match path.strip_prefix(from).is_some_and(|rest| rest.starts_with('/')) {
                true => Err(invalid("a value cannot be moved into itself")),
                false => {
                    remove(target, &parse(from)?, from).and_then(|moved| add(target, &tokens, moved, path))
                }
            }
        }
        "copy" => {
            let from = text("from")?;
            let source = find(target, &parse(from)?).ok_or_else(|| missing("copy", from))?.clone();
            *copied += weight(&source);
            if MOST_COPIED < *copied {
                return Err(invalid("copies in one patch may not exceed 3 MiB"));
            }
            add(target, &tokens, source, path)
        }
        "test" => {
            let found = find(target, &tokens).map_or(Value::Null, |found| found.clone());
            let reachable = tokens.split_last().is_none_or(|(_, parents)| find(target, parents).is_some());
            let fits = reachable && equal(&found, &value());
            fits.then_some(()).ok_or_else(|| PatchError::TestFailed(path.to_owned()))
        }
        other => Err(PatchError::Invalid(format!("unexpected kind: {other}"))),
    }
}

fn parse(pointer: &str) -> Result<Vec<String>, PatchError> {
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let Some(rest) = pointer.strip_prefix('/') else {
        return Err(PatchError::Invalid(format!("path {pointer:?} does not start with a slash")));
    };
    let tokens: Vec<String> =
        rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
    match MAX_NESTING < tokens.len() {
        true => Err(invalid("the path is too deep")),
        false => Ok(tokens),
    }
}

fn find<'a>(target: &'a mut Value, tokens: &[String]) -> Option<&'a mut Value> {
    tokens.iter().try_fold(target, |at, token| match at {
        Value::Object(map) => map.get_mut(token),
        Value::Array(items) => {
            let index = index(token, items.len()).filter(|index| *index < items.len())?;
            items.get_mut(index)
        }
        _ => None,
    })
}

fn add(target: &mut Value, tokens: &[String], value: Value, path: &str) -> Result<(), PatchError> {
    bounded(tokens, &value)?;
    let Some((last, parents)) = tokens.split_last() else {
        *target = value;
        return Ok(());
    };
    match find(target, parents) {
        Some(Value::Object(map)) => {
            map.insert(last.clone(), value);
            Ok(())
        }
        Some(Value::Array(items)) => {
            let at = match last.as_str() {
                "-" => Some(items.len()),
                // A negative index counts from behind, and is inserted after the entry that it names.
                token => index(token, items.len() + 1),
            };
            let at = at.filter(|at| *at <= items.len());
            let at =
                at.ok_or_else(|| PatchError::Invalid(format!("index {last:?} is out of bounds at {path}")))?;
            items.insert(at, value);
            Ok(())
        }
        _ => Err(missing("add", path)),
    }
}

fn remove(target: &mut Value, tokens: &[String], path: &str) -> Result<Value, PatchError> {
    let Some((last, parents)) = tokens.split_last() else {
        return Err(invalid("the whole document cannot be removed"));
    };
    let removed = match find(target, parents) {
        Some(Value::Object(map)) => map.remove(last),
        Some(Value::Array(items)) => {
            index(last, items.len()).filter(|at| *at < items.len()).map(|at| items.remove(at))
        }
        _ => None,
    };
    removed.ok_or_else(|| missing("remove", path))
}

/// An index of a list; negative ones count from behind, as the Go library allows.
fn index(token: &str, length: usize) -> Option<usize> {
    match token.strip_prefix('-') {
        Some(behind) => length.checked_sub(digits(behind)?.max(1)),
        None => digits(token),
    }
}

fn digits(token: &str) -> Option<usize> {
    token.bytes().all(|b| b.is_ascii_digit()).then(|| token.parse().ok()).flatten()
}

fn bounded(tokens: &[String], value: &Value) -> Result<(), PatchError> {
    match deeper_than(value, MAX_NESTING.saturating_sub(tokens.len())) {
        true => Err(invalid("the result would be nested too deeply")),
        false => Ok(()),
    }
}

/// About how many bytes a value takes when it is written.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(weight).sum::<usize>(),
        Value::Object(map) => 2 + map.iter().map(|(key, item)| key.len() + 4 + weight(item)).sum::<usize>(),
        _ => 8,
    }
}

/// Equal as JSON: `1` is `1.0`.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64())
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => one == other,
    }
}

fn missing(operation: &str, path: &str) -> PatchError {
    PatchError::Invalid(format!("{operation}: path {path:?} does not exist"))
}

fn invalid(text: &str) -> PatchError {
    PatchError::Invalid(text.to_owned())
}
