//! Unknown fields, pruning and defaults.

use serde_json::{Value, json};

use super::{APPLY, Env, MERGE, conform, text};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

#[tokio::test]
async fn unknown_fields_are_refused_warned_of_or_ignored_as_asked() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let thing = |name: &str| {
            let mut thing = env.thing(name, json!({"size": 1, "bogus": true, "inner": {"odd": 1}}));
            thing["extra"] = json!(1);
            thing
        };
        let strict = format!("{things}?fieldValidation=Strict");
        let refused = env.post(&strict, thing("a")).await.refused(400, "BadRequest");
        let message = text(&refused["message"]);
        for field in
            ["unknown field \"spec.bogus\"", "unknown field \"spec.inner.odd\"", "unknown field \"extra\""]
        {
            assert!(message.contains(field), "{message}");
        }
        assert!(message.contains("strict decoding error"), "{message}");
        for (query, warned) in
            [("", true), ("?fieldValidation=Warn", true), ("?fieldValidation=Ignore", false)]
        {
            let name = format!("a{}", query.len());
            let reply = env.post(&format!("{things}{query}"), thing(&name)).await;
            let warnings = reply.warnings.clone();
            assert_eq!(
                warnings.iter().any(|w| w == "299 - \"unknown field \\\"spec.bogus\\\"\""),
                warned,
                "{warnings:?}"
            );
            assert_eq!(warnings.len(), if warned { 3 } else { 0 }, "{warnings:?}");
            let made = reply.ok();
            assert!(made["spec"].get("bogus").is_none() && made.get("extra").is_none(), "pruned: {made}");
            assert_eq!(made["spec"]["inner"], json!({"deep": "down"}));
        }
        let reply = env.post(&format!("{things}?fieldValidation=Loud"), thing("b")).await;
        reply.refused(422, "Invalid");
        for kind in [MERGE, APPLY] {
            let force = if kind == APPLY { "&force=true" } else { "" };
            let patch = format!("{things}/a0?fieldManager=m{force}&fieldValidation=Strict");
            let body =
                json!({"apiVersion": format!("{}/v1", env.group), "kind": "Thing", "spec": {"bogus": 1}});
            let reply = env.patch(&patch, kind, body).await;
            assert!(reply.code >= 400 && reply.raw.contains("spec.bogus"), "{kind}: {}", reply.raw);
        }
    })
    .await;
}

#[tokio::test]
async fn duplicate_fields_are_refused_or_warned_of() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let text = format!(
            r#"{{"apiVersion":"{}/v1","kind":"Thing","metadata":{{"name":"a"}},"spec":{{"size":1,"size":2}}}}"#,
            env.group
        );
        let strict = format!("{things}?fieldValidation=Strict");
        let refused = env.call("POST", &strict, &JSON, text.clone().into_bytes()).await;
        let refused = refused.refused(400, "BadRequest");
        assert!(super::text(&refused["message"]).contains("duplicate field \"spec.size\""), "{refused}");
        let reply = env.call("POST", &things, &JSON, text.into_bytes()).await;
        assert_eq!(reply.warnings, ["299 - \"duplicate field \\\"spec.size\\\"\""]);
        assert_eq!(reply.ok()["spec"]["size"], 2, "the last one counts");
    })
    .await;
}

#[tokio::test]
async fn built_in_kinds_are_checked_alike() {
    conform(|env: Env| async move {
        let maps = env.core("configmaps");
        let mut map = env.map("m", json!({}));
        map["dta"] = json!({"k": "v"});
        let refused = env.post(&format!("{maps}?fieldValidation=Strict"), map.clone()).await;
        let refused = refused.refused(400, "BadRequest");
        assert!(text(&refused["message"]).contains("unknown field \"dta\""), "{refused}");
        let reply = env.post(&maps, map).await;
        assert_eq!(reply.warnings.len(), 1, "{:?}", reply.warnings);
        assert!(reply.ok().get("dta").is_none());
        let wrong = json!({"metadata": {"name": "n"}, "data": {"k": 1}});
        env.post(&maps, wrong).await.refused(400, "BadRequest");
    })
    .await;
}

#[tokio::test]
async fn what_the_schema_leaves_free_is_kept() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let free = json!({"any": {"thing": [1, "two", null]}, "x": null});
        let spec = json!({"size": 1, "free": free, "either": "50%", "map": {"any": "key"}});
        let made = env.post(&things, env.thing("a", spec)).await.ok();
        assert_eq!(made["spec"]["free"], free);
        assert_eq!((&made["spec"]["either"], &made["spec"]["map"]), (&json!("50%"), &json!({"any": "key"})));
        let made = env.post(&things, env.thing("b", json!({"size": 1, "either": 5}))).await.ok();
        assert_eq!(made["spec"]["either"], 5);
    })
    .await;
}

#[tokio::test]
async fn defaults_fill_what_is_left_out_or_null_and_only_inside_what_is_there() {
    conform(|env: Env| async move {
        let things = env.things().await;
        let cases: [(&str, Value, Value); 6] = [
            ("left out", json!({}), json!({"colour": "red", "level": 3})),
            ("null with a default", json!({"level": null}), json!({"colour": "red", "level": 3})),
            (
                "null where it is allowed",
                json!({"note": null}),
                json!({"colour": "red", "level": 3, "note": null}),
            ),
            ("null where it is not", json!({"plain": null}), json!({"colour": "red", "level": 3})),
            ("inside", json!({"inner": {}}), json!({"colour": "red", "level": 3, "inner": {"deep": "down"}})),
            (
                "in items",
                json!({"ports": [{"name": "a"}]}),
                json!({"colour": "red", "level": 3, "ports": [{"name": "a", "protocol": "TCP"}]}),
            ),
        ];
        for (number, (what, mut spec, mut expect)) in cases.into_iter().enumerate() {
            spec["size"] = json!(1);
            expect["size"] = json!(1);
            let made = env.post(&things, env.thing(&format!("t{number}"), spec)).await;
            if what == "null where it is not" {
                // A null that has neither a default nor leave to be there is dropped, or refused by its type.
                if made.code == 422 {
                    made.invalid("spec.plain", "FieldValueTypeInvalid");
                    continue;
                }
            }
            assert_eq!(made.ok()["spec"], expect, "{what}");
        }
    })
    .await;
}
