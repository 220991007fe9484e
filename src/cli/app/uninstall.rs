//! `app uninstall`: asks, says what goes with the App, and deletes it.

use clap::Args;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::json;

use crate::cli::Ctx;
use crate::cli::app::Which;
use crate::cli::app::wait::{Goal, Waiting, follow};
use crate::cli::error::CliError;
use crate::cli::node::FIELD_MANAGER;
use crate::cli::prompt;
use crate::cli::words::Lang;

/// Flags of `app uninstall`.
#[derive(Debug, Args)]
pub struct UninstallArgs {
    #[command(flatten)]
    which: Which,
    /// Keep its data and password for a later install of the same name
    #[arg(long)]
    keep_data: bool,
    /// Remove its images too, those that nothing else uses
    #[arg(long)]
    delete_image: bool,
    /// Asks nothing
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    waiting: Waiting,
}

/// Uninstalls.
pub(super) async fn uninstall(args: UninstallArgs, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let UninstallArgs { which, keep_data, delete_image, yes, waiting } = args;
    let plane = ctx.access.plane().await?;
    let (api, what) = (which.api(&plane), which.what());
    let app = plane.answer(&what, api.get(&which.name)).await?;
    let question = match (ctx.lang, keep_data) {
        (Lang::En, true) => format!("Remove {what} and keep its data?"),
        (Lang::En, false) => format!("Remove {what} and ALL ITS DATA?"),
        (Lang::Zh, true) => format!("卸载 {what},保留数据?"),
        (Lang::Zh, false) => format!("卸载 {what},并删除其全部数据?"),
    };
    prompt::confirm(&question, yes, ctx.lang)?;
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let flags = json!({"deleteImage": delete_image, "deleteData": !keep_data});
    let patch = Patch::Merge(json!({"spec": {"uninstall": flags}}));
    let patched = plane.answer(&what, api.patch(&which.name, &params, &patch)).await?;
    // The one that was confirmed, and not another that came under its name since.
    let preconditions = Preconditions { uid: app.uid(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    plane.answer(&what, api.delete(&which.name, &params)).await?;
    let told = match waiting.wait {
        true => {
            follow(api, &patched, Goal::Gone, waiting.timeout, ctx.lang).await?;
            ctx.lang.pick("is removed", "已卸载")
        }
        false => ctx.lang.pick("is being removed", "正在卸载"),
    };
    ctx.out.note(format!("{what} {told}"))
}
