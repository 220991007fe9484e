//! `app list` and `app status`: Apps as tables.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde::Serialize;

use crate::api::app::{App, Upgrade};
use crate::api::condition::types::READY;
use crate::cli::Ctx;
use crate::cli::app::Which;
use crate::cli::app::wait::degraded;
use crate::cli::error::CliError;
use crate::cli::output::{Out, Text, Tone};
use crate::cli::words::Lang;

/// An application in a listing.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Row {
    namespace: String,
    name: String,
    app_name: String,
    version: String,
    status: String,
    status_code: String,
    url: String,
    ports: Vec<u16>,
    reason: String,
    message: String,
}

/// A status' word in this language, as the App API's document has it.
pub fn word(status: &str, lang: Lang) -> &str {
    let zh = match status {
        "queuing" => "排队等待",
        "pulling" => "镜像拉取中",
        "creating" => "容器启动中",
        "initing" => "初始化中",
        "running" => "正常运行",
        "stopping" => "停止中",
        "stopped" => "停止",
        "uninstalling" => "卸载中",
        "error" => "错误",
        other => other,
    };
    lang.pick(status, zh)
}

fn tone(status: &str) -> Tone {
    match status {
        "running" => Tone::Good,
        "error" => Tone::Bad,
        "stopped" => Tone::Plain,
        _ => Tone::Odd,
    }
}

fn ready(app: &App) -> Option<&Condition> {
    app.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == READY)
}

fn row(app: &App) -> Row {
    let status = app.status.clone().unwrap_or_default();
    // One that is being deleted goes, whatever was said of it last.
    let (word, code) = match &app.metadata.deletion_timestamp {
        Some(_) => ("uninstalling".to_owned(), "40".to_owned()),
        None if status.status.is_empty() => ("queuing".to_owned(), "00".to_owned()),
        None => (status.status, status.status_code),
    };
    Row {
        namespace: app.namespace().unwrap_or_default(),
        name: app.name_any(),
        app_name: app.spec.app_name.clone(),
        version: status.running_version.unwrap_or_else(|| app.spec.app_version.clone()),
        status: word,
        status_code: code,
        url: status.url.unwrap_or_default(),
        ports: status.ports.iter().map(|port| port.host).collect(),
        reason: ready(app).map(|ready| ready.reason.clone()).unwrap_or_default(),
        message: ready(app).map(|ready| ready.message.clone()).unwrap_or_default(),
    }
}

/// Lists.
pub(super) async fn list(namespace: Option<&str>, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let plane = ctx.access.plane().await?;
    let api: Api<App> = match namespace {
        Some(namespace) => Api::namespaced(plane.client.clone(), namespace),
        None => Api::all(plane.client.clone()),
    };
    let apps = plane.answer("Apps", api.list(&ListParams::default())).await?;
    rows(apps.items.iter().map(row).collect(), ctx.out, ctx.lang)
}

fn rows(rows: Vec<Row>, out: &mut Out, lang: Lang) -> Result<(), CliError> {
    if out.value(&rows)? {
        return Ok(());
    }
    if rows.is_empty() {
        return out.line(lang.pick(
            "no applications yet: `cocoasyncer app catalog` lists what can be installed",
            "尚无应用:用 `cocoasyncer app catalog` 查看可安装的应用",
        ));
    }
    let head = [
        lang.pick("NAME", "名称"),
        lang.pick("APP", "应用"),
        lang.pick("VERSION", "版本"),
        lang.pick("STATUS", "状态"),
        lang.pick("PORTS", "端口"),
        lang.pick("URL", "网址"),
        lang.pick("REASON", "原因"),
    ];
    let cells = rows.into_iter().map(|row| {
        let ports: Vec<String> = row.ports.iter().map(u16::to_string).collect();
        [
            format!("{}/{}", row.namespace, row.name).into(),
            row.app_name.into(),
            row.version.into(),
            Text::toned(word(&row.status, lang), tone(&row.status)),
            ports.join(",").into(),
            row.url.into(),
            row.reason.into(),
        ]
    });
    out.table(head, cells.collect())
}

/// Shows one; for programs the whole object.
pub(super) async fn status(which: &Which, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let plane = ctx.access.plane().await?;
    let app = plane.answer(&which.what(), which.api(&plane).get(&which.name)).await?;
    one(&app, ctx.out, ctx.lang)
}

fn one(app: &App, out: &mut Out, lang: Lang) -> Result<(), CliError> {
    if out.value(app)? {
        return Ok(());
    }
    let (row, status) = (row(app), app.status.clone().unwrap_or_default());
    let said = match row.message.is_empty() {
        true => word(&row.status, lang).to_owned(),
        false => format!("{}: {}", word(&row.status, lang), row.message),
    };
    let ports =
        status.ports.iter().map(|port| format!("{}->{}/{}", port.host, port.container, port.protocol));
    let lacks = degraded(&status).map(|lacks| format!("{} ({})", lacks.message, lacks.reason));
    let to = |upgrade: &Upgrade| format!("{} -> {} ({})", row.version, app.spec.app_version, upgrade.step);
    let change = status.upgrade.as_ref().map(to);
    let secret = status.credentials_ref.map(|secret| format!("Secret {}/{}", row.namespace, secret.name));
    let facts: Vec<[Text; 2]> = [
        (lang.pick("name", "名称"), Some(format!("{}/{}", row.namespace, row.name))),
        (lang.pick("app", "应用"), Some(format!("{} {}", row.app_name, row.version))),
        (lang.pick("status", "状态"), Some(said)),
        (lang.pick("change", "变更"), change),
        (lang.pick("degraded", "不足"), lacks),
        (lang.pick("url", "网址"), status.url),
        (lang.pick("admin url", "管理网址"), status.admin_url),
        (lang.pick("user", "用户名"), status.user_name),
        (lang.pick("password", "密码"), secret),
        (lang.pick("domain", "域名"), status.domain),
        (lang.pick("ports", "端口"), Some(ports.collect::<Vec<_>>().join(", "))),
        (lang.pick("compose file", "compose 文件"), status.compose_file),
    ]
    .into_iter()
    .filter_map(|(what, value)| Some([what.into(), value.filter(|value| !value.is_empty())?.into()]))
    .collect();
    out.table(["", ""], facts)?;
    if !status.services.is_empty() {
        out.line("")?;
        let head = [
            lang.pick("SERVICE", "服务"),
            lang.pick("STATE", "状态"),
            lang.pick("HEALTH", "健康"),
            lang.pick("RESTARTS", "重启"),
            lang.pick("IMAGE", "镜像"),
        ];
        let cells = status.services.into_iter().map(|service| {
            let tone = match service.state.as_str() {
                "Running" | "Done" => Tone::Good,
                "Dead" | "Restarting" => Tone::Bad,
                _ => Tone::Odd,
            };
            [
                service.name.into(),
                Text::toned(service.state, tone),
                service.health.unwrap_or_default().into(),
                service.restarts.to_string().into(),
                service.image.into(),
            ]
        });
        out.table(head, cells.collect())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::app::wait::message;
    use crate::cli::fixtures::Page;
    use crate::cli::output::Format;
    use serde_json::json;

    fn app() -> App {
        serde_json::from_value(json!({
            "apiVersion": "cocoasyncer.io/v1alpha1", "kind": "App",
            "metadata": {"name": "blog", "namespace": "default"},
            "spec": {"appName": "wordpress", "appVersion": "6.9"},
            "status": {"status": "error", "statusCode": "50", "runningVersion": "6.8", "url": "http://203.0.113.1:9001",
                "ports": [{"host": 9001, "container": 80, "protocol": "TCP"}], "credentialsRef": {"name": "app-blog"},
                "services": [{"name": "db", "image": "mariadb:11", "state": "Running", "health": "Healthy", "restarts": 0}],
                "conditions": [{"type": "Ready", "status": "False", "reason": "NotAnswering",
                    "message": "port 80 does not answer", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        }))
        .unwrap()
    }

    #[test]
    fn an_application_is_told_in_one_line() {
        let page = Page::default();
        rows(vec![row(&app())], &mut Out::to(page.clone(), Format::Table), Lang::En).unwrap();
        assert_eq!(
            page.text(),
            "NAME          APP        VERSION  STATUS  PORTS  URL                      REASON
default/blog  wordpress  6.8      error   9001   http://203.0.113.1:9001  NotAnswering
"
        );
        let page = Page::default();
        rows(vec![row(&App { status: None, ..app() })], &mut Out::to(page.clone(), Format::Table), Lang::Zh)
            .unwrap();
        assert!(page.text().contains("排队等待"), "{}", page.text());
    }

    #[test]
    fn a_change_that_waits_is_told_with_what_it_waits_for() {
        let mut app = app();
        let status = app.status.as_mut().unwrap();
        status.status = "running".into();
        status.upgrade = serde_json::from_value(
            json!({"from": 1, "to": 2, "step": "Pulling", "since": "2026-01-01T00:00:00Z"}),
        )
        .unwrap();
        status.conditions = serde_json::from_value(json!([{"type": "Degraded", "status": "True",
            "reason": "RegistryUnreachable", "message": "the change of version waits: no route",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]))
        .unwrap();
        assert_eq!(message(status), "the change of version waits: no route (RegistryUnreachable)");
        let page = Page::default();
        one(&app, &mut Out::to(page.clone(), Format::Table), Lang::En).unwrap();
        for part in ["6.8 -> 6.9 (Pulling)", "no route (RegistryUnreachable)"] {
            assert!(page.text().contains(part), "{}", page.text());
        }
    }

    #[test]
    fn one_application_is_told_with_its_services_and_where_its_password_lies() {
        let page = Page::default();
        one(&app(), &mut Out::to(page.clone(), Format::Table), Lang::En).unwrap();
        let text = page.text();
        for part in
            ["error: port 80 does not answer", "Secret default/app-blog", "9001->80/TCP", "mariadb:11"]
        {
            assert!(text.contains(part), "{text}");
        }
    }
}
