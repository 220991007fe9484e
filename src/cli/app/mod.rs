//! `app`: applications of the catalogue, from install to uninstall. It edits App objects and shows their status; what
//! happens then is the operator's.

mod asking;
mod install;
mod logs;
mod offers;
mod operate;
mod progress;
mod render;
mod show;
mod uninstall;
mod wait;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use kube::Api;

use crate::api::app::App;
use crate::cli::Ctx;
use crate::cli::connect::Plane;
use crate::cli::error::CliError;

/// What to do with applications.
#[derive(Debug, Subcommand)]
pub enum AppCommand {
    /// Install an application of the catalogue
    // Its --version is the application's.
    #[command(disable_version_flag = true)]
    Install(install::InstallArgs),
    /// List applications and how they are
    #[command(visible_alias = "ls")]
    List {
        /// Only those of this namespace; left out: of all
        #[arg(short, long, value_name = "NAME")]
        namespace: Option<String>,
    },
    /// Show one application with its services, ports and conditions
    Status(Which),
    /// Start an application that is stopped
    Start(operate::PowerArgs),
    /// Stop an application; it stays stopped
    Stop(operate::PowerArgs),
    /// Restart an application; one that is stopped is started
    Restart(operate::PowerArgs),
    /// Change the version of an application; a failure puts the old one back
    Upgrade(operate::UpgradeArgs),
    /// Remove an application
    #[command(visible_alias = "rm")]
    Uninstall(uninstall::UninstallArgs),
    /// Show the last lines of an application's log, by the App API
    Logs(logs::LogsArgs),
    /// List what can be installed, as the operator says; of folders, as their files say
    Catalog(offers::CatalogArgs),
    /// Print what an install would create, secrets masked, and create nothing
    #[command(disable_version_flag = true)]
    Render(Box<render::RenderArgs>),
}

/// Which application.
#[derive(Debug, Args)]
pub struct Which {
    /// The App's name
    name: String,
    /// Its namespace
    #[arg(short, long, default_value = "default")]
    pub(super) namespace: String,
}

impl Which {
    fn api(&self, plane: &Plane) -> Api<App> {
        Api::namespaced(plane.client.clone(), &self.namespace)
    }

    fn what(&self) -> String {
        format!("App {}/{}", self.namespace, self.name)
    }
}

/// Runs one of them.
pub async fn run(command: AppCommand, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    match command {
        AppCommand::Install(args) => install::install(args, ctx).await?,
        AppCommand::List { namespace } => show::list(namespace.as_deref(), ctx).await?,
        AppCommand::Status(which) => show::status(&which, ctx).await?,
        AppCommand::Start(args) => operate::start(args, ctx).await?,
        AppCommand::Stop(args) => operate::stop(args, ctx).await?,
        AppCommand::Restart(args) => operate::restart(args, ctx).await?,
        AppCommand::Upgrade(args) => operate::upgrade(args, ctx).await?,
        AppCommand::Uninstall(args) => uninstall::uninstall(args, ctx).await?,
        AppCommand::Logs(args) => logs::logs(args, ctx).await?,
        AppCommand::Catalog(args) => return offers::list(args, ctx).await,
        AppCommand::Render(args) => render::render(&args, ctx)?,
    }
    Ok(ExitCode::SUCCESS)
}
