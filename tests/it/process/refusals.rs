//! Starts that must not happen: each ends with a code, says what is wrong and what to do, and touches nothing.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;

use crate::support::objects::service;
use crate::support::process::{LINES, Site, wait};

/// Everything in a folder.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |entry: fs::DirEntry| {
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap_or_default())
    };
    fs::read_dir(dir).into_iter().flatten().map(|entry| read(entry.unwrap())).collect()
}

#[tokio::test]
async fn a_store_that_is_not_whole_is_refused_and_left_as_it_is() {
    let mut site = Site::leader("a", &[]).await;
    let keep = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "keep", "namespace": "default"}});
    site.apply(keep).await.unwrap();
    assert!(site.stop().await.success());
    let store = site.data().join("store.redb");
    let whole = fs::read(&store).unwrap();
    let garbage: Vec<u8> = (0..whole.len()).map(|at| (at * 31 % 251) as u8).collect();
    let mut head_only = whole.clone();
    head_only.truncate(4096);
    for bad in [whole[..whole.len() / 2].to_vec(), garbage, Vec::new(), head_only, b"hello".to_vec()] {
        fs::write(&store, &bad).unwrap();
        let before = files(&site.data());
        let said = site.refuses().await.refused(1, &["store.redb", "backup", "nothing was changed"]);
        assert_eq!(said.lines().filter(|line| line.starts_with("error")).count(), 1, "one sentence: {said}");
        assert!(files(&site.data()) == before, "a file was touched");
    }
    fs::write(&store, &whole).unwrap();
    site.start().await;
    let maps: Api<ConfigMap> = Api::namespaced(site.client().await, "default");
    maps.get("keep").await.expect("the backup works");
}

#[tokio::test]
async fn a_second_process_on_a_data_directory_is_refused() {
    let site = Site::leader("a", &[]).await;
    let mut second = Site::new("b", &[]);
    second.flags = vec!["--write-kubeconfig".into(), second.home.path().join("other").display().to_string()];
    let mut command = second.command();
    command.arg("--data-dir").arg(site.data());
    // The flag stands twice then, and the last one counts or none does: either way it is named.
    let words: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let own = second.data().display().to_string();
    let mut again = second.program();
    let theirs = site.data().display().to_string();
    again.args(
        words[..words.len() - 2].iter().map(|word| if *word == own { theirs.clone() } else { word.clone() }),
    );
    let before = files(&site.data());
    let ran = crate::support::ran::run(again, "").await;
    ran.refused(1, &["data directory", &theirs, "in use by another process", "stop that one"]);
    let mut after = files(&site.data());
    after.insert("store.redb".into(), before["store.redb"].clone());
    assert!(after == before, "a file was touched");
    assert!(!second.home.path().join("other").exists());
    site.apply(service("www")).await.expect("the first one works on");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_flag_before_anything_is_written() {
    for flag in ["--plane-listen", "--api-listen", "--ops-listen", "--dns-listen"] {
        let mut site = Site::new("a", &[]);
        let taken = TcpListener::bind(site.at.api).unwrap();
        let at = taken.local_addr().unwrap();
        match flag {
            "--plane-listen" => site.at.plane = at,
            "--api-listen" => site.at.api = at,
            "--ops-listen" => site.at.ops = at,
            _ => site.at.dns = at,
        }
        site.refuses().await.refused(1, &[flag, &at.to_string(), "in use"]);
        assert!(!site.data().exists(), "{flag}: the data directory was made");
    }
    let mut site = Site::new("a", &[]);
    let taken = UdpSocket::bind(site.at.dns).unwrap();
    site.at.dns = taken.local_addr().unwrap();
    site.refuses().await.refused(1, &["--dns-listen", "UDP", &site.at.dns.to_string(), "in use"]);
}

#[tokio::test]
async fn a_line_table_that_cannot_be_read_stops_the_start() {
    let mut site = Site::new("a", &[]);
    let bad = site.home.path().join("lines");
    let path = bad.display().to_string();
    site.flags = vec!["--line-table".into(), path.clone()];
    site.refuses().await.refused(2, &["--line-table", &path, "no file"]);
    for (text, parts) in [
        (&b"192.0.2.0/33 CT\n"[..], &["row 1", "192.0.2.0/33"][..]),
        (b"# fine\n192.0.2.0/24 CT\n198.51.100.0/24 Telecom\n", &["row 3", "Telecom"]),
        (b"192.0.2.0/24\n", &["row 1"]),
        (b"192.0.2.0/24 CT\xff\xfe\n", &["UTF-8"]),
    ] {
        fs::write(&bad, text).unwrap();
        let said = site.refuses().await.refused(1, &["--line-table", &path]);
        assert!(parts.iter().all(|part| said.contains(part)), "{parts:?}: {said}");
        assert!(!site.data().exists(), "the data directory was made");
    }
    fs::copy(LINES, &bad).unwrap();
    site.start().await;
}

#[tokio::test]
async fn a_line_table_gone_bad_leaves_the_one_before_it_in_force() {
    let table = tempfile::tempdir().unwrap();
    let file = table.path().join("lines");
    fs::write(&file, "192.0.2.0/24 CU\n").unwrap();
    let flags =
        ["--public-address", "203.0.113.1", "--lines", "default,CU", "--line-table", file.to_str().unwrap()];
    let mut site = Site::new("a", &flags);
    site.start().await;
    site.apply(service("www")).await.unwrap();
    site.becomes("www", "Ready", "AsWished").await;
    let scope = || async { site.ask("www.example.com", "A", Some("192.0.2.7/32")).await?.scope };
    wait("the table is in force", || async { (scope().await == Some(24)).then_some(()) }).await;
    fs::write(&file, "192.0.2.0/25 CU\n192.0.2.0/99 CT\n").unwrap();
    site.says(&["WARN", "line table refused", "the one before it stays", "row 2", "192.0.2.0/99"]).await;
    assert_eq!(scope().await, Some(24), "the old table is in force");
    fs::remove_file(&file).unwrap();
    site.says(&["WARN", "line table refused", "No such file"]).await;
    assert_eq!(scope().await, Some(24), "a file that is gone is no empty table");
    fs::write(&file, "192.0.2.0/25 CU\n").unwrap();
    wait("the mended table is in force", || async { (scope().await == Some(25)).then_some(()) }).await;
}

#[tokio::test]
async fn bad_flags_are_named() {
    for (flags, parts) in [
        (&["--lines", "Telecom"][..], &["--lines", "Telecom"][..]),
        (&["--public-address", "10.0.0.1"], &["--public-address", "--allow-private"]),
        (&["--public-address", "2001:db8::1"], &["--public-address", "IPV4"]),
        (&["--work-mode", "boss"], &["--work-mode", "follower"]),
        (&["--address", "tokyo:44443"], &["--address", "http://"]),
        (&["--no-such-flag"], &["--no-such-flag"]),
        (&["--manifests", "/nonexistent"], &["--manifests", "/nonexistent"]),
        (&["--log-format", "xml"], &["--log-format"]),
        (&["--reveal-credentials-to", "192.0.2.0/33"], &["--reveal-credentials-to", "CIDR"]),
    ] {
        let site = Site::new("a", flags);
        site.refuses().await.refused(2, parts);
        assert!(!site.data().exists(), "{flags:?}: the data directory was made");
    }
    let site = Site::new("a", &[]);
    let empty = site.write("secret", "\n");
    let mut command = site.command();
    command.args(["--secret-file", &empty]);
    crate::support::ran::run(command, "").await.refused(1, &["--secret-file", "empty"]);
    assert!(!site.data().exists());
    fs::write(site.data(), "a file").unwrap();
    site.refuses().await.refused(1, &["data directory"]);
    assert_eq!(fs::read_to_string(site.data()).unwrap(), "a file");
}
