//! The way to the control plane: which kubeconfig, and what it means when nobody answers.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::core::Status;
use kube::{Client, Config};

use crate::api::SYSTEM_NAMESPACE;
use crate::cli::error::CliError;
use crate::config::checks::check_object_name;
use crate::config::state::{StateHomes, default_data_dir};
use crate::config::{ClusterAccess, KUBECONFIG};
use crate::domain::names::FieldError;

/// How long a command waits for one answer.
const DEADLINE: Duration = Duration::from_secs(20);

/// Flags that lead to the control plane.
#[derive(Debug, Args)]
pub struct Access {
    /// Kubeconfig file; left out: $KUBECONFIG, the one in the data directory, then ~/.kube/config
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "COCOASYNCER_KUBECONFIG",
        help_heading = "Control plane"
    )]
    kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig; left out: its current one
    #[arg(long, global = true, value_name = "NAME", help_heading = "Control plane")]
    context: Option<String>,
    /// Where `standalone` keeps everything, its kubeconfig too
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "COCOASYNCER_DATA_DIR",
        help_heading = "Control plane"
    )]
    data_dir: Option<PathBuf>,
    /// Namespace of what belongs to the operator itself: nodes' secrets, ids, serials
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        default_value = SYSTEM_NAMESPACE,
        env = "COCOASYNCER_SYSTEM_NAMESPACE",
        help_heading = "Control plane"
    )]
    system_namespace: String,
    #[arg(long = "env-kubeconfig", env = "KUBECONFIG", hide = true, global = true)]
    env_kubeconfig: Option<String>,
    #[arg(long = "env-state-directory", env = "STATE_DIRECTORY", hide = true, global = true)]
    state_directory: Option<PathBuf>,
    #[arg(long = "env-xdg-state-home", env = "XDG_STATE_HOME", hide = true, global = true)]
    xdg_state_home: Option<PathBuf>,
    #[arg(long = "env-home", env = "HOME", hide = true, global = true)]
    home: Option<PathBuf>,
    #[arg(skip)]
    pub(super) kubectl: Option<Kubectl>,
}

/// What only the kubectl plugin is told: the flags that kubectl has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kubectl {
    /// `--cluster`
    pub cluster: Option<String>,
    /// `--user`
    pub user: Option<String>,
    /// `--namespace`
    pub namespace: Option<String>,
    /// `--as`
    pub impersonate: Option<String>,
}

impl Access {
    /// The way of the kubectl plugin: kubectl's files and flags, and nothing of `standalone`'s.
    pub fn of_kubectl(kubeconfig: Option<PathBuf>, context: Option<String>, kubectl: Kubectl) -> Self {
        Self {
            kubeconfig,
            context,
            data_dir: None,
            system_namespace: SYSTEM_NAMESPACE.to_owned(),
            env_kubeconfig: None,
            state_directory: None,
            xdg_state_home: None,
            home: None,
            kubectl: Some(kubectl),
        }
    }

    /// The namespace that the context names, where it names one; what can't be read is told by the command itself.
    pub fn context_namespace(&self) -> Option<String> {
        let named = self.kubectl.as_ref().and_then(|kubectl| kubectl.namespace.clone());
        named.or_else(|| {
            let file = self.read().ok()?;
            let wanted = self.context.as_ref().or(file.current_context.as_ref())?;
            let context = file.contexts.iter().find(|context| context.name == *wanted)?;
            context.context.as_ref()?.namespace.clone().filter(|namespace| !namespace.is_empty())
        })
    }

    /// The data directory of this machine's node.
    pub fn data_dir(&self) -> PathBuf {
        let homes = StateHomes {
            systemd: self.state_directory.clone(),
            xdg: self.xdg_state_home.clone(),
            home: self.home.clone(),
            root: rustix::process::geteuid().is_root(),
        };
        self.data_dir.clone().unwrap_or_else(|| default_data_dir(homes))
    }

    /// Namespace of what belongs to the operator itself, as it was written.
    pub fn system_namespace(&self) -> &str {
        &self.system_namespace
    }

    /// What `run` is told: flags only, because inside a cluster the service account comes before any file.
    pub fn cluster(&self) -> ClusterAccess {
        ClusterAccess { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() }
    }

    /// Opens the way, without asking anything yet.
    pub async fn plane(&self) -> Result<Plane, CliError> {
        let kubeconfig = self.read().map_err(|error| self.unreadable(self.file().as_deref(), error))?;
        let Kubectl { cluster, user, namespace, impersonate } = self.kubectl.clone().unwrap_or_default();
        let options = KubeConfigOptions { context: self.context.clone(), cluster, user };
        let contexts: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
        let contexts = contexts.join(", ");
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| {
            FieldError::new("--context", format!("{error}; the kubeconfig has the contexts: {contexts}"))
        })?;
        if impersonate.is_some() {
            config.auth_info.impersonate = impersonate;
        }
        // A person waits: no retries for minutes, no connection attempt without end.
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(5));
        let url = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(anyhow::Error::from)?;
        let system = check_object_name("--system-namespace", &self.system_namespace)?;
        Ok(Plane { client, system, url, only: namespace, of_kubectl: self.kubectl.is_some() })
    }

    fn read(&self) -> Result<Kubeconfig, KubeconfigError> {
        match self.file() {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        }
    }

    /// The file to read; `None`: where kubectl looks.
    fn file(&self) -> Option<PathBuf> {
        if self.kubeconfig.is_some() || self.kubectl.is_some() {
            return self.kubeconfig.clone();
        }
        let ours = self.data_dir().join(KUBECONFIG);
        let others =
            self.context.is_some() || self.env_kubeconfig.as_ref().is_some_and(|text| !text.is_empty());
        // A data directory that was named beats the environment; one that was only guessed doesn't.
        (ours.is_file() && (self.data_dir.is_some() || !others)).then_some(ours)
    }

    fn unreadable(&self, file: Option<&Path>, error: KubeconfigError) -> CliError {
        let error = match error {
            // The parser quotes the file, and the file holds tokens: only the place is told.
            KubeconfigError::Parse(error) => match error.location() {
                Some(at) => format!("is no kubeconfig: see its line {}, column {}", at.line(), at.column()),
                None => "is no kubeconfig".to_owned(),
            },
            error => error.to_string(),
        };
        match file {
            Some(path) => FieldError::new("--kubeconfig", format!("{}: {error}", path.display())).into(),
            None if self.kubectl.is_some() => FieldError::new(
                "--kubeconfig",
                format!("kubectl has none either: name one, or set KUBECONFIG ({error})"),
            )
            .into(),
            None => CliError::failed(format!(
                "no kubeconfig: {} does not exist, and neither does kubectl's; start `cocoasyncer standalone` or name one by --kubeconfig ({error})",
                self.data_dir().join(KUBECONFIG).display()
            )),
        }
    }
}

/// A control plane.
pub struct Plane {
    /// Its client.
    pub client: Client,
    /// The system namespace.
    pub system: String,
    /// The one namespace whose objects are asked for; none: all.
    pub only: Option<String>,
    url: String,
    of_kubectl: bool,
}

impl Plane {
    /// Waits for an answer, and puts a failure into words; `what` names the object for the case that it isn't there.
    pub async fn answer<T>(
        &self,
        what: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, CliError> {
        match tokio::time::timeout(DEADLINE, request).await {
            Err(_) => {
                Err(CliError::failed(format!("{} gave no answer within {} s", self.url, DEADLINE.as_secs())))
            }
            Ok(answer) => answer.map_err(|error| self.failure(what, error)),
        }
    }

    fn failure(&self, what: &str, error: kube::Error) -> CliError {
        match error {
            // An object that is missing is named; where the kind is, there is nothing to name.
            kube::Error::Api(status) if status.code == 404 && names_one(&status) => {
                CliError::NotFound(format!("there is no {what}"))
            }
            kube::Error::Api(status) if status.code == 404 => CliError::failed(format!(
                "{} does not know the kind of {what}: is it installed there (by the chart, or `cocoasyncer crd | kubectl apply -f -`), and is this the right cluster?",
                self.url
            )),
            kube::Error::Api(status) if status.code == 403 => CliError::failed(format!(
                "{what}: {}; an administrator of the cluster can give you that right, and `kubectl auth can-i --list` shows those that you have",
                status.message
            )),
            kube::Error::Api(status) if status.code == 401 => CliError::failed(format!(
                "{what}: {} does not know who you are (a token that ended?): {}",
                self.url, status.message
            )),
            kube::Error::Api(status) => CliError::failed(format!("{what}: {}", status.message)),
            kube::Error::HyperError(_) | kube::Error::Service(_) => {
                let (url, source) = (self.url.clone(), Box::new(error));
                match self.of_kubectl {
                    true => CliError::NoCluster { url, source },
                    false => CliError::Unreachable { url, source },
                }
            }
            error => CliError::Failed(anyhow::Error::new(error).context(what.to_owned())),
        }
    }
}

fn names_one(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|details| !details.name.is_empty())
}
