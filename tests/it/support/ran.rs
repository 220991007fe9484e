//! Programs run to their end: what they said, and with which code.

use std::process::{Command, Stdio};

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::support::process::LONG;

/// What ran, and what it said.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Its standard output, where it succeeded.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, 0, "failed: {self:#?}");
        self.out
    }

    /// Its standard output as JSON, where it succeeded.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.done();
        serde_json::from_str(&text).unwrap_or_else(|err| panic!("{err}: {text}"))
    }

    /// What it said on standard error, where it ended with `code`.
    #[track_caller]
    pub fn refused(self, code: i32, parts: &[&str]) -> String {
        assert_eq!(self.code, code, "{self:#?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in {}", self.err);
        }
        self.err
    }
}

/// Runs a program to its end with `input` on its standard input.
pub async fn run(command: Command, input: &str) -> Ran {
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Who needs no input may have closed it.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let ended = tokio::time::timeout(LONG, child.wait_with_output()).await;
    let output = ended.expect("it ends in time").unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
