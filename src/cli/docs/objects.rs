//! The page of the objects' fields, from the schemas that the API server enforces.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use crate::api::crds;
use crate::cli::docs::cell;

/// The page.
pub fn page() -> String {
    let mut page = String::from(
        "# Fields of the objects\n\nGenerated from the definitions in `crds/`; `kubectl explain KIND.spec` says the same. \
         A field that is not marked as required may be left out.\n",
    );
    for crd in crds::all() {
        kind(&mut page, &crd);
    }
    page
}

fn kind(page: &mut String, crd: &CustomResourceDefinition) {
    let names = &crd.spec.names;
    let short = names.short_names.iter().flatten().map(|name| format!("`{name}`")).collect::<Vec<_>>();
    // Writing to a String can't fail.
    let _ = write!(page, "\n## {}\n\n", names.kind);
    for version in &crd.spec.versions {
        let Some(schema) = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref())
        else {
            continue;
        };
        let about = schema.description.as_deref().unwrap_or_default();
        let _ = writeln!(
            page,
            "{about}\n\n`{}/{}`, {}, short {}.",
            crd.spec.group,
            version.name,
            crd.spec.scope.to_lowercase(),
            short.join(", ")
        );
        for part in ["spec", "status"] {
            let Some(fields) = schema.properties.as_ref().and_then(|all| all.get(part)) else { continue };
            let _ = write!(page, "\n### {}.{part}\n\n", names.kind);
            rules(page, fields);
            page.push_str("| field | type | default | what |\n|---|---|---|---|\n");
            rows(page, fields, "");
        }
    }
}

/// What the fields must say together.
fn rules(page: &mut String, schema: &JSONSchemaProps) {
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        if let Some(message) = &rule.message {
            let _ = writeln!(page, "- {message}");
        }
    }
    if schema.x_kubernetes_validations.as_ref().is_some_and(|rules| !rules.is_empty()) {
        page.push('\n');
    }
}

fn rows(page: &mut String, schema: &JSONSchemaProps, above: &str) {
    for (name, field) in schema.properties.iter().flatten() {
        let path = match above {
            "" => name.clone(),
            above => format!("{above}.{name}"),
        };
        let required = schema.required.iter().flatten().any(|required| required == name);
        let default = field.default.as_ref().map(|value| format!("`{}`", value.0)).unwrap_or_default();
        let mut about = field.description.clone().unwrap_or_default();
        for message in
            field.x_kubernetes_validations.iter().flatten().filter_map(|rule| rule.message.as_ref())
        {
            let _ = write!(about, " Rule: {message}.");
        }
        let (kind, inner) = shape(field);
        let _ = writeln!(
            page,
            "| `{path}`{} | {} | {} | {} |",
            if required { " (required)" } else { "" },
            cell(&kind),
            cell(&default),
            cell(&about)
        );
        if let Some((inner, suffix)) = inner {
            rows(page, inner, &format!("{path}{suffix}"));
        }
    }
}

/// A field's type with its bounds, and what lies below it.
fn shape(field: &JSONSchemaProps) -> (String, Option<(&JSONSchemaProps, &'static str)>) {
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &field.items {
        let (kind, inner) = shape(items);
        let most = field.max_items.map(|most| format!(", at most {most}")).unwrap_or_default();
        return (format!("list of {kind}{most}"), inner.map(|(schema, _)| (schema, "[]")));
    }
    if let Some(values) = field.additional_properties.as_ref().and_then(map_values) {
        let (kind, inner) = shape(values);
        return (format!("map to {kind}"), inner.map(|(schema, _)| (schema, ".*")));
    }
    if let Some(values) = &field.enum_ {
        let words: Vec<String> = values
            .iter()
            .filter(|value| !value.0.is_null())
            .map(|value| format!("`{}`", value.0.as_str().map_or_else(|| value.0.to_string(), str::to_owned)))
            .collect();
        return (words.join(", "), None);
    }
    let kind = match field.type_.as_deref() {
        None if field.x_kubernetes_int_or_string == Some(true) => "number or text",
        None => "any",
        Some("string") if field.format.as_deref() == Some("date-time") => "time",
        Some("string") => "text",
        Some("boolean") => "yes or no",
        Some("integer" | "number") => "number",
        Some(other) => other,
    };
    let inner = field.properties.is_some().then_some((field, ""));
    (format!("{kind}{}", bounds(field)), inner)
}

fn map_values(values: &JSONSchemaPropsOrBool) -> Option<&JSONSchemaProps> {
    match values {
        JSONSchemaPropsOrBool::Schema(values) => Some(values),
        JSONSchemaPropsOrBool::Bool(_) => None,
    }
}

fn bounds(field: &JSONSchemaProps) -> String {
    match (field.minimum, field.maximum, field.max_length) {
        (Some(least), Some(most), _) => format!(", {least} to {most}"),
        (Some(least), None, _) => format!(", from {least}"),
        (None, Some(most), _) => format!(", at most {most}"),
        (None, None, Some(most)) => format!(", at most {most} characters"),
        (None, None, None) => String::new(),
    }
}
