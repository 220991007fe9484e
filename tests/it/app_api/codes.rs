//! Each row of the document's error tables, in both languages, with its code.

use serde_json::{Value, json};

use super::{PLENTY, World, running, settings};
use cocoasyncer::domain::app::observed::Capacity;

/// The request, the code, the document's words, and the id that is known.
struct Row(String, &'static str, &'static str, &'static str, Value);

async fn check(world: &World, rows: &[Row]) {
    for Row(path, code, zh, en, data) in rows {
        for (language, words) in [(None, zh), (Some("zh"), zh), (Some("en"), en)] {
            let answer = match language {
                Some(language) => world.get_with(path, ("Language", language)).await,
                None => world.get(path).await,
            };
            let body = answer.json();
            assert_eq!(answer.status, 404, "{path}");
            assert_eq!(body["Error"]["Code"], *code, "{path}: {body}");
            assert_eq!(body["Error"]["Message"], **words, "{path}");
            assert!(body["Error"]["Detail"].is_string(), "{path}: {body}");
            assert_eq!(body["ResponseData"], *data, "{path}: {body}");
            assert!(body.as_object().unwrap().contains_key("ResponseData"), "{path}: {body}");
        }
    }
}

const ID_BLANK: (&str, &str) = ("APP_ID 不能为空", "The APP_ID must not be empty.");
const ID_FORMAT: (&str, &str) =
    ("APP_ID 只能是数字和小写字母组成", "The APP_ID may hold digits and lower-case letters only.");
const NAME_FORMAT: (&str, &str) = (
    "用户自定义APP名称只能是数字和小写字母组成",
    "The customer app name may hold digits and lower-case letters only.",
);

#[tokio::test]
async fn every_row_of_app_install_is_told_in_both_languages() {
    let world = World::new().await;
    world.install("wordpress", "waits").await.done("waits");
    world.install("wordpress", "blog").await.done("blog");
    world.report("blog", running()).await;
    let version = world.version("wordpress");
    let install = |app: &str, name: &str, version: &str| {
        format!("/AppInstall?app_name={app}&customer_app_name={name}&app_version={version}")
    };
    let none = || Value::Null;
    let format = |name: &str| {
        Row(
            install("wordpress", name, &version),
            "Param.CustomerAppName.FormatError",
            NAME_FORMAT.0,
            NAME_FORMAT.1,
            none(),
        )
    };
    let not_exis = |app: &str| {
        let words = ("不支持安装指定的App", "This app can't be installed here.");
        Row(install(app, "new", &version), "Param.AppName.NotExis", words.0, words.1, none())
    };
    let rows = [
        Row(
            install("", "new", &version),
            "Param.AppName.Blank",
            "APP名称为空",
            "The app name is empty.",
            none(),
        ),
        Row("/AppInstall".into(), "Param.AppName.Blank", "APP名称为空", "The app name is empty.", none()),
        not_exis("nothere"),
        not_exis("..%2Fetc"),
        not_exis("WordPress"),
        Row(
            install("wordpress", "%20", &version),
            "Param.CustomerAppName.Blank",
            "用户自定义APP名称为空",
            "The customer app name is empty.",
            none(),
        ),
        format("Blog"),
        format("b_log"),
        format("b-log"),
        format("..%2F..%2Fetc"),
        format(&"a".repeat(64)),
        format("%E5%BF%83"),
        format("a;reboot"),
        Row(
            install("wordpress", "blog", &version),
            "Param.CustomerAppName.Repeat",
            "已经安装了此应用,请重新指定APP名称",
            "An app is installed under this name already: choose another name.",
            json!({"app_id": "blog"}),
        ),
        // Of another application too: one name, one app.
        Row(
            install("redis", "blog", &world.version("redis")),
            "Param.CustomerAppName.Repeat",
            "已经安装了此应用,请重新指定APP名称",
            "An app is installed under this name already: choose another name.",
            json!({"app_id": "blog"}),
        ),
        Row(
            install("wordpress", "waits", &version),
            "Param.CustomerAppName.Wait",
            "同名应用已经在安装等待中,请重新指定APP名称",
            "An app of this name waits to be installed already: choose another name.",
            json!({"app_id": "waits"}),
        ),
        Row(
            install("wordpress", "new", ""),
            "Param.AppVersion.Blank",
            "安装App的版本不能为空",
            "The app version must not be empty.",
            none(),
        ),
        Row(
            install("wordpress", "new", "0.0.1"),
            "Param.AppVersion.NotExist",
            "不支持安装指定的App版本",
            "The app has no such version.",
            none(),
        ),
    ];
    check(&world, &rows).await;
    let left = world.apps().list(&Default::default()).await.unwrap().items.len();
    assert_eq!(left, 2, "a refusal made something");
}

#[tokio::test]
async fn too_little_of_anything_is_told_and_makes_nothing() {
    for short in [
        Capacity { cores: 0.5, ..PLENTY },
        Capacity { memory: 0.1, ..PLENTY },
        Capacity { disk: 1.0, ..PLENTY },
    ] {
        let world = World::with(settings(), short).await;
        let path = format!(
            "/AppInstall?app_name=wordpress&customer_app_name=new&app_version={}",
            world.version("wordpress")
        );
        let words =
            ("系统资源(cpu,内存,磁盘空间)不足", "Insufficient system resources (cpu, memory, disk space).");
        let row = Row(path, "Requirement.NotEnough", words.0, words.1, json!({"app_id": "new"}));
        check(&world, &[row]).await;
        assert!(world.apps().list(&Default::default()).await.unwrap().items.is_empty());
    }
}

#[tokio::test]
async fn every_row_of_the_other_actions_is_told_in_both_languages() {
    let world = World::new().await;
    for action in ["AppUninstall", "AppRestart", "AppStart", "AppStop", "AppStatus"] {
        // The document writes a blank behind APP_ID in two of its five tables.
        let joined = matches!(action, "AppRestart" | "AppStart" | "AppStop");
        let zh =
            |words: &'static str| if joined { words.replace("APP_ID ", "APP_ID") } else { words.to_owned() };
        let (blank, format) = (zh(ID_BLANK.0).leak() as &str, zh(ID_FORMAT.0).leak() as &str);
        let known = if action == "AppStatus" { Value::Null } else { json!({"app_id": "ghost"}) };
        let not_there = |id: &str| {
            let words = ("APP不存在", "There is no such app.");
            Row(format!("/{action}?app_id={id}"), "Param.APPID.NotExist", words.0, words.1, known.clone())
        };
        let malformed = |id: &str| {
            Row(format!("/{action}?app_id={id}"), "Param.APPID.FormatError", format, ID_FORMAT.1, Value::Null)
        };
        let rows = [
            Row(format!("/{action}"), "Param.APPID.Blank", blank, ID_BLANK.1, Value::Null),
            Row(format!("/{action}?app_id="), "Param.APPID.Blank", blank, ID_BLANK.1, Value::Null),
            malformed("Blog"),
            malformed("..%2Fblog"),
            malformed("a_b_c"),
            malformed(&"a".repeat(64)),
            not_there("ghost"),
            not_there("wordpress_ghost"),
        ];
        check(&world, &rows).await;
    }
    let row = |name: &str| {
        let path = format!("/AppList?customer_app_name={name}");
        Row(path, "Param.CustomerAppName.FormatError", NAME_FORMAT.0, NAME_FORMAT.1, Value::Null)
    };
    check(&world, &[row("Blog"), row("a%20b"), row(&"a".repeat(64))]).await;
}
