//! The baseline: `docker-compose up -d` with the document that our process rendered, and who asks the engine until all
//! checks have passed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use bollard::Docker;
use bollard::models::HealthStatusEnum;
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
use tempfile::TempDir;

use super::operator::{EVERY, PATIENCE};
use crate::measure::until;

/// The project's name: not the application's, so that nobody takes one for the other.
const PROJECT: &str = "cocoasyncerfigures";

/// The network that applications share, which `docker-compose` wants to find and does not make. Nobody's but the bench's:
/// an operator takes its own away with the last application.
pub struct Shared {
    host: String,
}

impl Shared {
    const NAME: &str = "websoft9";

    /// Makes it where there is none.
    pub fn at(host: &str) -> anyhow::Result<Self> {
        let shared = Self { host: host.to_owned() };
        let there = shared.docker(&["network", "inspect", Self::NAME])?;
        ensure!(there || shared.docker(&["network", "create", Self::NAME])?, "no network {}", Self::NAME);
        Ok(shared)
    }

    fn docker(&self, words: &[&str]) -> anyhow::Result<bool> {
        let ran = Command::new("docker").args(["-H", &self.host]).args(words).output();
        Ok(ran.context("run docker")?.status.success())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // One that is still used stays.
        let _ = self.docker(&["network", "rm", Self::NAME]);
    }
}

/// A folder with a copy of an application's files.
pub struct Project {
    dir: TempDir,
    host: String,
    docker: Docker,
    http: reqwest::Client,
    /// The published web port, where no check says whether it answers.
    asked: Option<u16>,
}

impl Project {
    /// Copies what lies at `from`, the folder of an application that is installed. `asked`: the port to ask for an answer.
    pub fn of(from: &Path, host: &str, asked: Option<u16>) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        copy(from, dir.path())?;
        // Older versions of the tool know no name in the document, and are given it by a flag.
        let file = dir.path().join("docker-compose.yml");
        let text = std::fs::read_to_string(&file)?;
        let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("name: ")).collect();
        std::fs::write(&file, without.join("\n"))?;
        let socket = host.trim_start_matches("unix://");
        let docker = Docker::connect_with_unix(socket, 60, bollard::API_DEFAULT_VERSION)?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { dir, host: host.to_owned(), docker, http, asked })
    }

    fn run(&self, words: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new("docker-compose");
        command.args(["-p", PROJECT]).args(words).current_dir(self.dir.path()).env("DOCKER_HOST", &self.host);
        let ran = command.stdin(Stdio::null()).output().context("run docker-compose")?;
        ensure!(ran.status.success(), "docker-compose {words:?}: {}", String::from_utf8_lossy(&ran.stderr));
        Ok(())
    }

    /// Brings it up, and waits until it answers.
    pub async fn up(&self) -> anyhow::Result<()> {
        tokio::task::block_in_place(|| self.run(&["up", "-d"]))?;
        let docker = self.docker.clone().negotiate_version().await?;
        until("what docker-compose brought up answers", PATIENCE, EVERY, || self.answers(&docker)).await
    }

    async fn answers(&self, docker: &Docker) -> Option<()> {
        let label = format!("com.docker.compose.project={PROJECT}");
        let filter: HashMap<String, Vec<String>> = [("label".to_owned(), vec![label])].into();
        let listed = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
        let listed = docker.list_containers(Some(listed)).await.ok()?;
        (!listed.is_empty()).then_some(())?;
        for container in listed {
            let found =
                docker.inspect_container(&container.id?, None::<InspectContainerOptions>).await.ok()?;
            let state = found.state.filter(|state| state.running == Some(true))?;
            let health = state.health.and_then(|health| health.status);
            let well = [None, Some(HealthStatusEnum::HEALTHY), Some(HealthStatusEnum::NONE)];
            well.contains(&health).then_some(())?;
        }
        match self.asked {
            None => Some(()),
            Some(port) => {
                let asked = self.http.get(format!("http://127.0.0.1:{port}/")).send().await.ok()?;
                asked.status().is_success().then_some(())
            }
        }
    }

    /// Takes everything away again.
    pub fn down(&self) -> anyhow::Result<()> {
        tokio::task::block_in_place(|| self.run(&["down", "-v", "-t", "1"]))
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // Whatever a failure left behind; of none there is nothing to say.
        let _ = self.run(&["down", "-v", "-t", "0"]);
    }
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    let entries: Vec<PathBuf> =
        std::fs::read_dir(from)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    for path in entries {
        let to = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &to)?;
        } else if path.is_file() {
            std::fs::copy(&path, &to)?;
        }
    }
    Ok(())
}
