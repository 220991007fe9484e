//! Tables as kubectl prints them, and objects cut down to their metadata. PURE: `now` is an argument.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    cells, jsonpath,
    registry::{Column, Origin, Resource},
};

/// What a table's rows carry of their object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    None,
    /// Its metadata.
    Metadata,
    /// All of it.
    Object,
}

impl Include {
    /// Reads the `includeObject` parameter.
    pub fn parse(text: Option<&str>) -> Include {
        match text {
            Some("None") => Include::None,
            Some("Object") => Include::Object,
            _ => Include::Metadata,
        }
    }
}

/// The definitions of a table's columns.
pub fn definitions(resource: &Resource) -> Value {
    let columns = resource.columns.iter().map(|column| {
        json!({
            "name": column.name, "type": column.kind, "format": column.format,
            "description": column.description, "priority": column.priority,
        })
    });
    Value::Array(columns.collect())
}

/// A table of `objects`. `version` is the resource version of the list.
pub fn table(
    resource: &Resource,
    objects: &[Value],
    include: Include,
    metadata: Value,
    now: Timestamp,
) -> Value {
    let rows: Vec<Value> = objects.iter().map(|object| row(resource, object, include, now)).collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions(resource), "rows": rows,
    })
}

fn row(resource: &Resource, object: &Value, include: Include, now: Timestamp) -> Value {
    let cells = match resource.origin {
        Origin::Custom => resource.columns.iter().map(|column| custom_cell(column, object, now)).collect(),
        _ => {
            let mut cells = cells::builtin_cells(&resource.group, &resource.plural, object, now);
            cells.resize(resource.columns.len(), Value::Null);
            cells
        }
    };
    let carried = match include {
        Include::None => Value::Null,
        Include::Metadata => partial(object),
        Include::Object => object.clone(),
    };
    json!({"cells": cells, "object": carried})
}

/// The object's metadata alone.
pub fn partial(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

fn custom_cell(column: &Column, object: &Value, now: Timestamp) -> Value {
    let found = jsonpath::find(object, &column.path);
    let Some(first) = found.first() else { return Value::Null };
    match (column.kind.as_str(), first) {
        (_, Value::Null) => Value::Null,
        ("date", Value::String(text)) => json!(age(text, now)),
        ("string", _) if 1 < found.len() => {
            json!(found.iter().map(|one| plain(one)).collect::<Vec<_>>().join(","))
        }
        ("string", Value::String(_)) => (*first).clone(),
        ("string", other) => json!(other.to_string()),
        ("integer", Value::Number(_)) | ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => {
            (*first).clone()
        }
        _ => Value::Null,
    }
}

/// A cell's text.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// How long ago `since` was, as kubectl says it.
pub fn age(since: &str, now: Timestamp) -> String {
    let Ok(since) = since.parse::<Timestamp>() else { return "<unknown>".to_owned() };
    let seconds = now.as_second() - since.as_second();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |big: i64, unit: &str, small: i64, sub: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{sub}") }
    };
    match seconds {
        ..=-2 => "<invalid>".to_owned(),
        -1..=0 => "0s".to_owned(),
        1..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => pair(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_kubectl_writes_them() {
        let now: Timestamp = "2024-06-01T00:00:00Z".parse().unwrap();
        for (seconds, expected) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (185, "3m5s"),
            (601, "10m"),
            (10_799, "179m"),
            (10_860, "3h1m"),
            (172_799, "47h"),
            (176_400, "2d1h"),
            (691_200, "8d"),
            (400 * 86_400, "400d"),
            (800 * 86_400, "2y70d"),
        ] {
            let since = Timestamp::from_second(now.as_second() - seconds).unwrap().to_string();
            assert_eq!(age(&since, now), expected, "{seconds}");
        }
        assert_eq!(age("", now), "<unknown>");
    }

    #[test]
    fn every_builtin_row_is_as_wide_as_its_heading() {
        for resource in super::super::registry::builtin::resources() {
            let cells = cells::builtin_cells(
                &resource.group,
                &resource.plural,
                &json!({"metadata": {}}),
                Timestamp::UNIX_EPOCH,
            );
            assert_eq!(cells.len(), resource.columns.len(), "{}", resource.full_name());
        }
    }
}
