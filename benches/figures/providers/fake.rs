//! Alidns' stand-in in a process of its own: this program again, with a hidden argument, obeying one order a line.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use k8s_openapi::jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::ali::FakeAli;
use crate::support::ali::faults::{Fault, Mishap, Trouble};
use crate::support::ali::world::Outcome;
use crate::support::ali::zones::{Edition, Record};

/// The argument that makes this program the stand-in.
pub const FLAG: &str = "--stand-in-for-alidns";
/// The zone of the account.
pub const ZONE: &str = "example.com";
/// The account's key.
pub const KEY: (&str, &str) = ("key-id", "key-secret");

#[derive(Serialize, Deserialize)]
enum Order {
    /// These records stand there, as `name line value remark`.
    Plant(Vec<[String; 4]>),
    /// How many calls of each action.
    Counts,
    /// All calls.
    Calls,
    /// Counts begin anew.
    Forget,
    /// The next call of this action is done, and no answer comes.
    Lose(String),
    /// All records, in words.
    Rows,
}

/// A call that arrived, in the order of their ends.
#[derive(Serialize, Deserialize)]
pub struct Seen {
    pub action: String,
    /// The line it was for, if any.
    pub line: String,
    /// When it had been answered, in seconds since 1970.
    pub at: f64,
    /// Whether it was refused.
    pub refused: bool,
}

impl Seen {
    /// Whether it would have changed something.
    pub fn is_write(&self) -> bool {
        !self.action.starts_with("Describe")
    }
}

/// Seconds since 1970.
pub fn now() -> f64 {
    Timestamp::now().as_duration().as_secs_f64()
}

/// Is the stand-in until nobody gives orders any more.
pub fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let fake = runtime.block_on(FakeAli::start());
    fake.add_key("bench", KEY.0, KEY.1);
    fake.add_zone("bench", ZONE, Edition::EnterpriseUltimate);
    let mut out = io::stdout().lock();
    writeln!(out, "{}", json!(fake.endpoint()))?;
    for line in io::stdin().lock().lines() {
        writeln!(out, "{}", obey(&fake, serde_json::from_str(&line?)?))?;
        out.flush()?;
    }
    Ok(())
}

fn obey(fake: &FakeAli, order: Order) -> Value {
    match order {
        Order::Plant(rows) => {
            for [name, line, value, remark] in &rows {
                fake.plant(ZONE, Record::new(name, "A", line, value).ttl(60).remark(remark));
            }
            Value::Null
        }
        Order::Counts => json!(fake.counts()),
        Order::Calls => {
            let seen = fake.calls().into_iter().map(|call| Seen {
                line: call.param("Line").to_owned(),
                at: now() - call.at.elapsed().as_secs_f64(),
                refused: matches!(call.outcome, Outcome::Refused(_)),
                action: call.action,
            });
            json!(seen.collect::<Vec<_>>())
        }
        Order::Forget => {
            fake.forget_calls();
            Value::Null
        }
        Order::Lose(action) => {
            fake.trouble(Trouble::at(&action, Fault::DoneBut(Mishap::Hang)).skip(10).times(1));
            Value::Null
        }
        Order::Rows => json!(fake.texts(ZONE)),
    }
}

/// The stand-in, seen from outside.
pub struct Fake {
    /// Where it answers.
    pub endpoint: String,
    child: Child,
    pipes: Mutex<(Option<ChildStdin>, BufReader<ChildStdout>)>,
}

impl Fake {
    /// Starts it.
    pub fn start() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg(FLAG).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut out = BufReader::new(child.stdout.take().context("it has an output")?);
        let mut endpoint = String::new();
        out.read_line(&mut endpoint)?;
        let pipes = Mutex::new((child.stdin.take(), out));
        Ok(Self { endpoint: serde_json::from_str(&endpoint)?, child, pipes })
    }

    fn order<T: DeserializeOwned>(&self, order: &Order) -> anyhow::Result<T> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = serde_json::to_string(order)?;
        line.push('\n');
        pipes.0.as_mut().context("it takes orders")?.write_all(line.as_bytes())?;
        let mut answer = String::new();
        pipes.1.read_line(&mut answer)?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// Puts records there, as `name line value remark`.
    pub fn plant(&self, rows: Vec<[String; 4]>) -> anyhow::Result<()> {
        self.order(&Order::Plant(rows))
    }

    /// How many calls of each action so far.
    pub fn counts(&self) -> anyhow::Result<BTreeMap<String, usize>> {
        self.order(&Order::Counts)
    }

    /// How many calls of one action so far.
    pub fn count(&self, action: &str) -> anyhow::Result<usize> {
        Ok(self.counts()?.get(action).copied().unwrap_or_default())
    }

    /// All calls so far.
    pub fn calls(&self) -> anyhow::Result<Vec<Seen>> {
        self.order(&Order::Calls)
    }

    /// Calls are counted from here.
    pub fn forget(&self) -> anyhow::Result<()> {
        self.order(&Order::Forget)
    }

    /// The eleventh call of this action from now is done, and no answer comes.
    pub fn lose(&self, action: &str) -> anyhow::Result<()> {
        self.order(&Order::Lose(action.to_owned()))
    }

    /// All records, in words.
    pub fn rows(&self) -> anyhow::Result<Vec<String>> {
        self.order(&Order::Rows)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        // Without orders it ends; one that doesn't is killed.
        self.pipes.get_mut().unwrap_or_else(PoisonError::into_inner).0 = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
