//! BIND 9 with a view for each line, chosen by the line's key.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use cocoasyncer::api::vocab::Line;

use super::{NameServer, SECRETS, documented, is_installed};

const PROGRAM: &str = "/usr/sbin/named";

/// Starts it with six views; none where it is not installed.
pub async fn with_views() -> Option<NameServer> {
    if !is_installed(PROGRAM, "-v") {
        return None;
    }
    let (home, at) = NameServer::place();
    let mut config = format!(
        "options {{ directory \"{}\"; listen-on port {} {{ {}; }}; listen-on-v6 {{ none; }}; recursion no;\n\
         pid-file none; session-keyfile none; dnssec-validation no; notify no; allow-transfer {{ none; }}; }};\n\
         controls {{ }};\n",
        home.path().display(),
        at.port(),
        at.ip()
    );
    for (key, secret) in SECRETS {
        writeln!(config, "key \"{key}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};").unwrap();
    }
    // The default view takes whom no other takes, so it comes last.
    for line in Line::ALL.into_iter().rev() {
        let key = format!("k-{}", line.as_str().to_lowercase());
        let clients = if line == Line::Default { "any" } else { &format!("key {key}") };
        fs::create_dir(home.path().join(line.as_str())).unwrap();
        writeln!(config, "view \"{line}\" {{ match-clients {{ {clients}; }};").unwrap();
        for zone in ["example.com", "sub.example.com"] {
            let file = format!("{line}/{zone}.zone");
            fs::copy(home.path().join(format!("{zone}.zone")), home.path().join(&file)).unwrap();
            writeln!(
                config,
                " zone \"{zone}\" {{ type primary; file \"{file}\"; allow-transfer {{ key {key}; }}; \
                 update-policy {{ deny {key} name ns1.{zone}; grant {key} zonesub ANY; }}; }};"
            )
            .unwrap();
        }
        writeln!(config, "}};").unwrap();
    }
    fs::write(home.path().join("named.conf"), config).unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["-g", "-n", "2", "-c"]).arg(home.path().join("named.conf"));
    let mut server = NameServer::start(command, home, at, "all zones loaded").await;
    server.lines = Line::ALL.into();
    Some(server)
}

/// Starts it with the settings that the documents show, on a loopback address and in a folder of its own.
pub async fn as_documented() -> Option<NameServer> {
    if !is_installed(PROGRAM, "-v") {
        return None;
    }
    let (home, at) = NameServer::place();
    let folder = home.path().display().to_string();
    let keys = SECRETS
        .map(|(key, secret)| format!("key \"{key}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n"));
    fs::write(home.path().join("keys.conf"), keys.concat()).unwrap();
    let lines = [Line::Default, Line::CT];
    for line in lines {
        fs::create_dir(home.path().join(line.as_str())).unwrap();
        let zone = home.path().join(line.as_str()).join("example.com.zone");
        fs::copy(home.path().join("example.com.zone"), zone).unwrap();
    }
    let config = documented("named.conf")
        .replace("listen-on { any; }", &format!("listen-on port {} {{ {}; }}", at.port(), at.ip()))
        .replace("listen-on-v6 { any; }", "listen-on-v6 { none; }; pid-file none; session-keyfile none")
        .replace("/etc/bind", &folder)
        .replace("/var/cache/bind", &folder)
        .replace("/var/lib/bind", &folder);
    fs::write(home.path().join("named.conf"), config + "controls { };\n").unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["-g", "-n", "2", "-c"]).arg(home.path().join("named.conf"));
    let mut server = NameServer::start(command, home, at, "all zones loaded").await;
    server.lines = lines.into();
    Some(server)
}
