//! Volumes: copies laid aside and put back, and data that outlive their App.

use cocoasyncer::domain::app::plan::Step;
use cocoasyncer::runtimes::{Clear, Runtime};

use crate::support::engine::{Setting, TINY, lab};

fn compose() -> String {
    format!(
        "services:\n  web:\n    image: {TINY}\n    container_name: $W9_ID\n    command: [sleep, '1000']\n    \
         restart: always\n    init: true\n    volumes: ['data:/data']\nvolumes:\n  data:\n"
    )
}

const LOOK: &[&str] =
    &["sh", "-c", "cd /data; stat -c '%n %a %u %h' . a/b l run.sh; readlink l; cat a/b; ls; md5sum -c sum"];

#[tokio::test]
async fn a_copy_of_a_volume_brings_everything_back() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name();
    let made = lab.composed(&compose(), &[], &name, Setting::default());
    lab.settles(&made).await;
    let fill = "cd /data; chown 33 .; chmod 770 .; mkdir a; echo one > a/b; chown 999:999 a/b; chmod 640 a/b; ln -s a/b l; \
                touch run.sh; chmod 4755 run.sh; ln a/b hard; dd if=/dev/urandom of=large bs=1M count=24; md5sum large > sum";
    lab.exec(&name, &["sh", "-c", fill]).await;
    let before = lab.exec(&name, LOOK).await;
    assert!(before.contains("a/b 640 999 2") && before.contains("run.sh 4755"), "{before}");
    let snapshot = Step::Snapshot("data".into(), "1".into());
    lab.step(&made, &Step::Stop("web".into())).await.unwrap();
    lab.step(&made, &snapshot).await.unwrap();
    lab.settles(&made).await;
    lab.exec(&name, &["sh", "-c", "cd /data; rm -rf a; echo two > new; echo > large"]).await;
    // A second taking of the step leaves the complete copy as it is.
    lab.step(&made, &snapshot).await.unwrap();
    lab.step(&made, &Step::Restore("data".into(), "1".into())).await.unwrap();
    lab.settles(&made).await;
    assert_eq!(lab.exec(&name, LOOK).await, before);
    assert!(lab.things(&name).await.contains(&format!("volume {name}_data-1")));
    let drop = Step::DropSnapshot("data".into(), "1".into());
    lab.step(&made, &drop).await.unwrap();
    lab.step(&made, &drop).await.unwrap();
    assert!(!lab.things(&name).await.contains(&format!("volume {name}_data-1")));
    let error = lab.step(&made, &Step::Restore("data".into(), "1".into())).await.unwrap_err();
    assert!(error.what.contains("no complete copy"), "{error}");
    assert_eq!(lab.exec(&name, LOOK).await, before, "without a copy nothing is taken away");
    assert_eq!(lab.things(&name).await.len(), 3, "no helper stays");
}

#[tokio::test]
async fn kept_data_are_adopted_by_a_later_install_of_the_name() {
    let Some(lab) = lab(&[]).await else { return };
    let name = lab.name();
    let first = lab.composed(&compose(), &[], &name, Setting::default());
    lab.settles(&first).await;
    lab.exec(&name, &["sh", "-c", "echo kept > /data/f"]).await;
    let left = lab.runtime.clear(&first.key, &first.uid, Clear { images: false, data: false }).await.unwrap();
    assert!(left.is_empty(), "what is kept on purpose is no failure: {left:?}");
    assert_eq!(lab.things(&name).await, [format!("volume {name}_data")]);
    let second = lab.composed(&compose(), &[], &name, Setting { uid: "uid-2", ..Setting::default() });
    lab.settles(&second).await;
    assert_eq!(lab.exec(&name, &["cat", "/data/f"]).await.trim(), "kept");
    let left =
        lab.runtime.clear(&second.key, &second.uid, Clear { images: false, data: true }).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    assert!(lab.things(&name).await.is_empty());
    assert!(!lab.apps.path().join(&name).exists());
}
