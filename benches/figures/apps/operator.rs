//! Our process as the App API's callers know it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::measure::until;
use crate::sites::Site;

/// How often is asked how far an application is.
pub const EVERY: Duration = Duration::from_millis(20);
/// How long an application may take.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A process, and how it is called.
pub struct Operator {
    pub site: Site,
    http: reqwest::Client,
    token: String,
}

impl Operator {
    /// Starts one in `dir` before the engine at `socket`, and waits until it is ready.
    pub async fn start(dir: &Path, socket: &str, args: &[&str]) -> anyhow::Result<Self> {
        let args = [&["--docker", socket], args].concat();
        let site = Site::new(dir, "n01", &args)?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        let mut operator = Self { site, http, token: String::new() };
        operator.again().await?;
        Ok(operator)
    }

    /// Starts it anew after a stop.
    pub async fn again(&mut self) -> anyhow::Result<()> {
        self.site.start()?;
        let (tokens, ready) = (self.site.dir.join("app-tokens"), format!("http://{}/readyz", self.site.ops));
        let token = until("it is ready", Duration::from_secs(30), Duration::from_millis(10), || async {
            let answer = self.http.get(&ready).send().await.ok()?;
            answer.status().is_success().then_some(())?;
            let rows = std::fs::read_to_string(&tokens).ok()?;
            let mut rows = rows.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
            rows.find_map(|row| {
                (row.get(1) == Some(&"operate")).then(|| row.get(2).map(|&t| t.to_owned()))?
            })
        });
        self.token = token.await?;
        Ok(())
    }

    async fn call(&self, call: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Result<Value, String>> {
        let url = format!("http://{}/{call}", self.site.api);
        let words: BTreeMap<&str, &str> = parameters.iter().copied().collect();
        let body = serde_json::to_vec(&words)?;
        let asked = self.http.post(url).bearer_auth(&self.token).body(body).send().await?;
        let mut answer: Value = serde_json::from_slice(&asked.bytes().await?)?;
        Ok(match answer["Error"].take() {
            Value::Null => Ok(answer["ResponseData"].take()),
            error => Err(format!("{call}: {error}")),
        })
    }

    /// Asks for an application.
    pub async fn install(&self, app: &str, name: &str, version: &str) -> anyhow::Result<()> {
        let words = [("app_name", app), ("customer_app_name", name), ("app_version", version)];
        self.call("AppInstall", &words).await?.map(drop).map_err(anyhow::Error::msg)
    }

    /// Waits until it runs. An error ends the wait: what fails and is tried again is no measure.
    pub async fn runs(&self, name: &str) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let told = self.call("AppStatus", &[("app_id", name)]).await?.map_err(anyhow::Error::msg)?;
            match told["status"].as_str() {
                Some("running") => return Ok(()),
                Some("error") => bail!("{name} fails: see {}", self.site.log().display()),
                _ => {}
            }
            ensure!(tokio::time::Instant::now() < deadline, "{name} does not run, but {told}");
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Removes an application with its data, and waits until it is gone.
    pub async fn uninstall(&self, name: &str) -> anyhow::Result<()> {
        self.call("AppUninstall", &[("app_id", name)]).await?.map_err(anyhow::Error::msg)?;
        until("it is removed", PATIENCE, EVERY, || async {
            self.call("AppStatus", &[("app_id", name)]).await.ok()?.err().map(drop)
        })
        .await
    }

    /// All applications.
    pub async fn list(&self) -> anyhow::Result<Vec<Value>> {
        let list = self.call("AppList", &[]).await?.map_err(anyhow::Error::msg)?;
        Ok(list.as_array().context("AppList is no list")?.clone())
    }
}
