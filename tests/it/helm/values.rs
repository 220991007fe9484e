//! Every value does something, and what it says: the table is `values.yaml`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Helm, Objects, others, root, table};

/// What of a row does not hold.
fn broken(row: &Value, objects: &Objects) -> Vec<String> {
    let list = |name: &str| row[name].as_array().cloned().unwrap_or_default();
    let pairs = |name: &str| row[name].as_object().cloned().unwrap_or_default();
    let named = |one: &Value| one.as_str().unwrap().to_owned();
    let mut broken = Vec::new();
    let lost = |one: &String| objects.get(one).is_none();
    broken.extend(list("made").iter().map(named).filter(lost).map(|one| format!("{one} is missing")));
    broken
        .extend(list("gone").iter().map(named).filter(|one| !lost(one)).map(|one| format!("{one} is there")));
    let env = objects.env();
    for (name, value) in pairs("env") {
        if env.get(&name).map(String::as_str) != value.as_str() {
            broken.push(format!("{name} is {:?}", env.get(&name)));
        }
    }
    for (place, value) in pairs("then") {
        let (object, at) = place.split_once(' ').unwrap();
        let found = objects.get(object).map(|object| look(object, at)).unwrap_or_default();
        if found != value {
            broken.push(format!("{place} is {found}"));
        }
    }
    broken
}

/// A place in an object, or whether a role may do something: `may VERB RESOURCE`.
fn look(object: &Value, at: &str) -> Value {
    match at.strip_prefix("may ").and_then(|right| right.split_once(' ')) {
        Some((verb, resource)) => {
            let has = |rule: &Value, field: &str, word: &str| {
                rule[field].as_array().is_some_and(|list| list.contains(&json!(word)))
            };
            let mut rules = object["rules"].as_array().into_iter().flatten();
            json!(rules.any(|rule| has(rule, "verbs", verb) && has(rule, "resources", resource)))
        }
        None => object.pointer(at).cloned().unwrap_or_default(),
    }
}

/// The paths of all values that the schema knows.
fn leaves(schema: &Value, path: &str, into: &mut BTreeSet<String>) {
    for (name, inner) in schema["properties"].as_object().unwrap() {
        match inner["additionalProperties"] == false {
            true => leaves(inner, &format!("{path}{name}."), into),
            false => drop(into.insert(format!("{path}{name}"))),
        }
    }
}

#[test]
fn every_value_is_in_the_table_and_in_the_schema() {
    let schema = std::fs::read_to_string(root().join("charts/cocoasyncer/values.schema.json")).unwrap();
    let mut known = BTreeSet::new();
    leaves(&serde_json::from_str(&schema).unwrap(), "", &mut known);
    // Helm's own, for charts of charts.
    known.remove("global");
    let told: BTreeSet<String> =
        table("values.yaml").iter().map(|row| row["value"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, known);
    let values = std::fs::read_to_string(root().join("charts/cocoasyncer/values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&values).unwrap();
    for path in &known {
        assert!(values.pointer(&format!("/{}", path.replace('.', "/"))).is_some(), "{path} has no default");
    }
}

#[tokio::test]
async fn every_value_does_what_it_says_and_nothing_without_it() {
    let mut helm = Helm::beside(&others()).await;
    let before = helm.render(&json!({})).await;
    let mut wrong = Vec::new();
    for row in table("values.yaml") {
        let value = row["value"].as_str().unwrap();
        let count = |name: &str| match &row[name] {
            Value::Array(list) => list.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        };
        let all: usize = ["made", "gone", "env", "then"].map(count).iter().sum();
        assert!(0 < all, "{value}: says nothing");
        if broken(&row, &before).len() != all {
            wrong.push(format!("{value}: holds without it"));
        }
        let mut set = row["set"].clone();
        // The definitions are most of the work, and seldom what a row is about.
        if !row.to_string().contains("CustomResourceDefinition") {
            set["crds"] = json!({"install": false});
        }
        let after = helm.render(&set).await;
        wrong.extend(broken(&row, &after).into_iter().map(|what| format!("{value}: {what}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
