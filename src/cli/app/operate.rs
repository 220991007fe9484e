//! `app start|stop|restart|upgrade`: one field of an App each.

use clap::Args;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::cli::Ctx;
use crate::cli::app::Which;
use crate::cli::app::wait::{Goal, Waiting, follow};
use crate::cli::error::CliError;
use crate::cli::node::FIELD_MANAGER;

/// Flags of `app start|stop|restart`.
#[derive(Debug, Args)]
pub struct PowerArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    waiting: Waiting,
}

/// Flags of `app upgrade`.
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    #[command(flatten)]
    which: Which,
    /// The version to run
    #[arg(value_name = "VERSION")]
    to: String,
    #[command(flatten)]
    waiting: Waiting,
}

/// Starts.
pub(super) async fn start(args: PowerArgs, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let said = ("is to be started", "即将启动");
    change(&args.which, json!({"power": "Running"}), Goal::Running, &args.waiting, said, ctx).await
}

/// Stops.
pub(super) async fn stop(args: PowerArgs, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let said = ("is to be stopped", "即将停止");
    change(&args.which, json!({"power": "Stopped"}), Goal::Stopped, &args.waiting, said, ctx).await
}

/// Restarts.
pub(super) async fn restart(args: PowerArgs, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let spec = json!({"power": "Running", "restartedAt": Time(Timestamp::now())});
    let said = ("is to be restarted", "即将重启");
    change(&args.which, spec, Goal::Running, &args.waiting, said, ctx).await
}

/// Changes the version.
pub(super) async fn upgrade(args: UpgradeArgs, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let said = ("is to be upgraded", "即将升级");
    change(&args.which, json!({"appVersion": args.to}), Goal::Running, &args.waiting, said, ctx).await
}

async fn change(
    which: &Which,
    spec: Value,
    goal: Goal,
    waiting: &Waiting,
    said: (&str, &str),
    ctx: &mut Ctx<'_>,
) -> Result<(), CliError> {
    let plane = ctx.access.plane().await?;
    let (api, what) = (which.api(&plane), which.what());
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({ "spec": spec }));
    let mut app = plane.answer(&what, api.patch(&which.name, &params, &patch)).await?;
    let mut told = ctx.lang.pick(said.0, said.1);
    if waiting.wait {
        follow(api.clone(), &app, goal, waiting.timeout, ctx.lang).await?;
        app = plane.answer(&what, api.get(&which.name)).await?;
        told = match goal {
            Goal::Stopped => ctx.lang.pick("is stopped", "已停止"),
            _ => ctx.lang.pick("runs", "正常运行"),
        };
    }
    if !ctx.out.value(&app)? {
        ctx.out.line(format!("{what} {told}"))?;
    }
    Ok(())
}
