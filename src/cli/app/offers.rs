//! `app catalog`: what the operator offers, as it says itself; of folders, and where no operator answers, what their files
//! say. And which version is meant where none is said.

use std::process::ExitCode;

use clap::Args;

use crate::catalog::library::Library;
use crate::cli::Ctx;
use crate::cli::app::asking::ApiArgs;
use crate::cli::catalog::offered::Folders;
use crate::cli::catalog::{self, CatalogCommand};
use crate::cli::error::CliError;
use crate::cli::output::{Text, Tone};
use crate::domain::names::FieldError;
use crate::wire::app::CatalogEntry;

/// Flags of `app catalog`.
#[derive(Debug, Args)]
pub struct CatalogArgs {
    #[command(flatten)]
    from: Folders,
    #[command(flatten)]
    api: ApiArgs,
}

async fn offered(api: &ApiArgs, ctx: &Ctx<'_>) -> Result<Vec<CatalogEntry>, CliError> {
    api.ask("/apps/catalog", &[], ctx).await
}

/// Lists.
pub(super) async fn list(args: CatalogArgs, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    if args.from.is_empty() {
        match offered(&args.api, ctx).await {
            Ok(entries) => return show(entries, ctx).map(|()| ExitCode::SUCCESS),
            Err(error) if args.api.is_named() => return Err(error),
            Err(error) => {
                let en = "what is built in, for no operator was asked:";
                ctx.out.note(format!(
                    "{} {error}",
                    ctx.lang.pick(en, "以下为内置应用,因为未能询问运行中的服务:")
                ))?;
            }
        }
    }
    catalog::run(CatalogCommand::List(args.from), ctx)
}

fn show(entries: Vec<CatalogEntry>, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    if ctx.out.value(&entries)? {
        return Ok(());
    }
    let lang = ctx.lang;
    let head = [
        lang.pick("APP", "应用"),
        lang.pick("TITLE", "名称"),
        lang.pick("VERSIONS", "版本"),
        lang.pick("CPU", "CPU"),
        lang.pick("MEMORY", "内存"),
        lang.pick("DISK", "磁盘"),
        "DOCKER",
        "KUBERNETES",
        lang.pick("STATE", "状态"),
    ];
    let row = |entry: CatalogEntry| {
        let gib = |number: f64| format!("{number} GiB").into();
        let state = if entry.official_app { lang.pick("official", "官方") } else { "-" };
        let runs = |verdict: &str| match verdict {
            "runs" => Text::toned(lang.pick("runs", "可运行"), Tone::Good),
            "findings" => Text::toned(lang.pick("with findings", "有提示"), Tone::Odd),
            _ => Text::toned(lang.pick("can't", "不可运行"), Tone::Bad),
        };
        let [docker, kubernetes] = [&entry.docker, &entry.kubernetes].map(|verdict| runs(verdict));
        [
            entry.name.into(),
            entry.title.into(),
            entry.versions.join(", ").into(),
            entry.cpu.to_string().into(),
            gib(entry.memory),
            gib(entry.disk),
            docker,
            kubernetes,
            state.into(),
        ]
    };
    ctx.out.table(head, entries.into_iter().map(row).collect())
}

/// The version of `app` that is meant where none is said: the first that the operator lists, else the built-in catalogue.
pub(super) async fn version(app: &str, api: &ApiArgs, ctx: &Ctx<'_>) -> Result<String, CliError> {
    let first = |entries: Vec<CatalogEntry>| {
        entries.into_iter().find(|entry| entry.name == app)?.versions.into_iter().next()
    };
    let built_in = || Library::built_in().get(app)?.versions().first().cloned();
    let said = match offered(api, ctx).await {
        Ok(entries) => first(entries),
        Err(error) if api.is_named() => return Err(error),
        Err(_) => None,
    };
    said.or_else(built_in).ok_or_else(|| {
        let why = format!("say which: no catalogue that could be asked lists versions of {app}");
        FieldError::new("--version", why).into()
    })
}
