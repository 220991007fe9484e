//! A site with a database, by the App API: it keeps what people wrote over restart, stop, upgrade and reinstall.

use serde_json::{Value, json};

use crate::support::apps::{Host, page, shows};
use crate::support::engine::lab;
use crate::support::process::http;

const TITLE: &str = "Harbourlight";
/// A page that tells the title whatever theme there is: the images of the tests come without one.
const SHOWN: &str = "/wp-login.php";

fn port(info: &Value) -> u16 {
    u16::try_from(info["port"].as_u64().unwrap()).unwrap()
}

/// What the site's own installer is sent by a browser.
async fn set_up(port: u16) {
    let form = format!(
        "weblog_title={TITLE}&user_name=keeper&admin_password=Plain-Word-7&admin_password2=Plain-Word-7&pw_weak=1\
         &admin_email=keeper%40site.test&blog_public=0&language="
    );
    let request = http().post(format!("http://127.0.0.1:{port}/wp-admin/install.php?step=2"));
    let request =
        request.header("content-type", "application/x-www-form-urlencoded").header("host", "site.test");
    let answer = request.body(form).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status == 200 && !text.contains("class=\"error\""), "{status}: {text}");
    shows(port, SHOWN, TITLE).await;
}

#[track_caller]
fn is_complete(info: &Value) {
    for member in ["port", "compose_file", "url", "admin_url", "password"] {
        assert!(!info[member].is_null(), "{member} is missing in {info}");
    }
    assert!(std::path::Path::new(info["compose_file"].as_str().unwrap()).exists());
    assert!(info["url"].as_str().unwrap().contains(&info["port"].to_string()), "{info}");
}

#[tokio::test]
async fn a_site_keeps_what_people_wrote_through_everything() {
    let Some(lab) = lab(&["mariadb", "wordpress"]).await else { return };
    let name = &lab.name();
    let host = Host::start(lab, &[], &[]).await;
    host.install("wordpress", "6.7", name).await;
    let first = host.runs(name).await;
    is_complete(&first);
    let at = port(&first);
    set_up(at).await;

    let before = host.standing(name).await;
    assert_eq!(before.len(), 2, "{before:?}");
    host.operate("AppRestart", name).await;
    host.wait("both were restarted", async || {
        let now = host.standing(name).await;
        let again = now.len() == 2 && now.iter().zip(&before).all(|(now, then)| now.started != then.started);
        again.then_some(())
    })
    .await;
    assert_eq!(host.runs(name).await, first);
    shows(at, SHOWN, TITLE).await;

    host.operate("AppStop", name).await;
    host.becomes(name, "stopped").await;
    assert!(page(at, "/").await.is_none());
    host.operate("AppStart", name).await;
    assert_eq!(host.runs(name).await, first);
    shows(at, SHOWN, TITLE).await;

    host.edit(name, json!({ "appVersion": "6.8" })).await;
    host.wait("the new version runs", async || {
        let status = host.app(name).await.status?;
        (status.running_version.as_deref() == Some("6.8") && status.upgrade.is_none()).then_some(())
    })
    .await;
    assert_eq!(host.runs(name).await, first);
    shows(at, SHOWN, TITLE).await;
    let image = host.inspect(name).await.unwrap().config.unwrap().image;
    assert_eq!(image.as_deref(), Some("wordpress:6.8"));
    let things = host.lab.things(name).await;
    let copies = things.iter().filter(|thing| thing.starts_with("volume ") && thing.ends_with("-r1")).count();
    assert_eq!(copies, 2, "a copy of each volume is laid aside: {things:?}");

    host.uninstalls(name, &[("delete_data", "false")]).await;
    let things = host.lab.things(name).await;
    assert!(!things.is_empty() && things.iter().all(|thing| thing.starts_with("volume ")), "{things:?}");
    host.install("wordpress", "6.8", name).await;
    let again = host.runs(name).await;
    assert_eq!(again["password"], first["password"]);
    shows(port(&again), SHOWN, TITLE).await;

    host.uninstalls(name, &[("delete_data", "true")]).await;
    host.left_nothing(name).await;
    let images = host.lab.docker.inspect_image("wordpress:6.8").await;
    assert!(images.is_ok(), "nobody asked for the image to go");
}
