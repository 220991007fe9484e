//! `provider`: accounts of DNS platforms, as Secrets with our label. Keys come from a file, a pipe or a prompt without
//! echo, never from the command line, and no command shows them again.

mod account;
mod tsig;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams};
use serde::Serialize;

use crate::api::PROVIDER_LABEL;
use crate::api::vocab::{Line, PlatformProvider};
use crate::cli::Ctx;
use crate::cli::error::CliError;
use crate::cli::node::FIELD_MANAGER;
use crate::cli::output::{Text, Tone};
use crate::cli::prompt;
use crate::cli::provider::account::{AccountArgs, Shown};
use crate::config::checks::check_object_name;
use crate::domain::names::FieldError;
use crate::domain::secret::Secret;

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum ProviderCommand {
    /// Create an account, or replace it with all its settings
    Set(SetArgs),
    /// List accounts, without their keys
    #[command(visible_alias = "ls")]
    List,
    /// Remove an account
    Rm {
        /// The platform: Ali or RFC2136
        platform: String,
        /// Name of the Secret; left out: platform- and the platform
        #[arg(long, value_name = "SECRET")]
        name: Option<String>,
        /// Namespace of the Secret, which is the services'
        #[arg(short, long, default_value = "default")]
        namespace: String,
        /// Asks nothing
        #[arg(short, long)]
        yes: bool,
    },
}

/// Flags of `provider set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The platform: Ali or RFC2136
    platform: String,
    #[command(flatten)]
    account: AccountArgs,
    /// Name of the Secret; left out: platform- and the platform
    #[arg(long, value_name = "SECRET")]
    name: Option<String>,
    /// Namespace of the Secret, which must be the services'
    #[arg(short, long, default_value = "default")]
    namespace: String,
}

/// An account in a listing.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Row {
    platform: String,
    namespace: String,
    name: String,
    complete: bool,
    /// Its servers or its endpoint.
    #[serde(skip_serializing_if = "String::is_empty")]
    at: String,
    /// Lines that have a key of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<Line>,
    /// Keys of the Secret that must be there and are not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
    /// Keys of the Secret for lines that there are not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<String>,
}

/// Runs one of them.
pub async fn run(command: ProviderCommand, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    match command {
        ProviderCommand::Set(args) => set(args, ctx).await?,
        ProviderCommand::List => list(ctx).await?,
        ProviderCommand::Rm { platform, name, namespace, yes } => {
            let name = secret_name(remote(&platform)?, name.as_deref())?;
            remove(&namespace, &name, yes, ctx).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn set(args: SetArgs, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let platform = remote(&args.platform)?;
    let name = secret_name(platform, args.name.as_deref())?;
    let plane = ctx.access.plane().await?;
    let data = args.account.data(platform)?;
    let bytes = |(key, value): (String, Secret)| (key, ByteString(value.expose().as_bytes().to_vec()));
    let object = SecretObject {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(args.namespace.clone()),
            labels: Some([(PROVIDER_LABEL.to_owned(), platform.as_str().to_owned())].into()),
            ..ObjectMeta::default()
        },
        data: Some(data.into_iter().map(bytes).collect()),
        ..SecretObject::default()
    };
    let api: Api<SecretObject> = Api::namespaced(plane.client.clone(), &args.namespace);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let what = format!("Secret {}/{name}", args.namespace);
    let patch = Patch::Apply(&object);
    plane.answer(&what, api.patch(&name, &params, &patch)).await?;
    ctx.out.note(format!("{what} {}", ctx.lang.pick("holds the account", "已保存账号")))
}

/// A platform that has accounts.
fn remote(text: &str) -> Result<PlatformProvider, FieldError> {
    match text.parse() {
        Ok(PlatformProvider::Local) => Err(FieldError::new(
            "PLATFORM",
            "Local is the DNS server inside and has no account: use Ali or RFC2136",
        )),
        Ok(platform) => Ok(platform),
        Err(error) => Err(FieldError::new("PLATFORM", format!("{error}"))),
    }
}

fn secret_name(platform: PlatformProvider, name: Option<&str>) -> Result<String, FieldError> {
    match name {
        Some(name) => check_object_name("--name", name),
        None => Ok(format!("platform-{}", platform.as_str().to_ascii_lowercase())),
    }
}

async fn list(ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let plane = ctx.access.plane().await?;
    let all: Api<SecretObject> = Api::all(plane.client.clone());
    let params = ListParams::default().labels(PROVIDER_LABEL);
    let mut rows: Vec<Row> = plane.answer("Secret", all.list(&params)).await?.items.iter().map(row).collect();
    rows.sort_by(|a, b| (&a.platform, &a.namespace, &a.name).cmp(&(&b.platform, &b.namespace, &b.name)));
    if ctx.out.value(&rows)? {
        return Ok(());
    }
    let lang = ctx.lang;
    if rows.is_empty() {
        return ctx.out.line(
            lang.pick(
                "no accounts: services with the platform Local need none",
                "尚无账号:Local 平台无需账号",
            ),
        );
    }
    let cells = rows.into_iter().map(|row| {
        let keys = match (row.complete, row.missing.as_slice()) {
            (true, _) => Text::toned(lang.pick("complete", "完整"), Tone::Good),
            (false, []) => told(lang.pick("no such line:", "无此线路:"), &row.unknown),
            (false, missing) => told(lang.pick("missing:", "缺少:"), missing),
        };
        let lines: Vec<&str> = row.lines.iter().map(|line| line.as_str()).collect();
        let secret = format!("{}/{}", row.namespace, row.name);
        [row.platform.into(), secret.into(), row.at.into(), lines.join(" ").into(), keys]
    });
    let head = [
        lang.pick("PLATFORM", "平台"),
        "SECRET",
        lang.pick("AT", "地址"),
        lang.pick("LINES", "线路"),
        lang.pick("KEYS", "密钥"),
    ];
    ctx.out.table(head, cells.collect())
}

fn told(what: &str, keys: &[String]) -> Text {
    Text::toned(format!("{what} {}", keys.join(" ")), Tone::Bad)
}

fn row(secret: &SecretObject) -> Row {
    let platform = secret.labels().get(PROVIDER_LABEL).cloned().unwrap_or_default();
    let data = secret.data.clone().unwrap_or_default();
    // Of a platform that there is not, the two keys are all that can be looked for.
    let Shown { at, lines, missing, unknown } =
        Shown::of(platform.parse().unwrap_or(PlatformProvider::Ali), &data);
    Row {
        platform,
        namespace: secret.namespace().unwrap_or_default(),
        name: secret.name_any(),
        complete: missing.is_empty() && unknown.is_empty(),
        at,
        lines,
        missing,
        unknown,
    }
}

async fn remove(namespace: &str, name: &str, yes: bool, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let plane = ctx.access.plane().await?;
    let api: Api<SecretObject> = Api::namespaced(plane.client.clone(), namespace);
    let what = format!("Secret {namespace}/{name}");
    let secret = plane.answer(&what, api.get(name)).await?;
    if !secret.labels().contains_key(PROVIDER_LABEL) {
        return Err(FieldError::new("--name", format!("{what} holds no platform account")).into());
    }
    let question = ctx
        .lang
        .pick("its services can't change records any more. Remove", "相关服务将无法再变更记录,确认删除");
    prompt::confirm(&format!("{what}: {question}?"), yes, ctx.lang)?;
    plane.answer(&what, api.delete(name, &DeleteParams::default())).await?;
    ctx.out.note(format!("{what} {}", ctx.lang.pick("removed", "已删除")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_platform_with_accounts_can_have_one() {
        assert_eq!(secret_name(remote("Ali").unwrap(), None).unwrap(), "platform-ali");
        assert_eq!(remote("Local").unwrap_err().field, "PLATFORM");
        assert_eq!(remote("Moon").unwrap_err().field, "PLATFORM");
    }

    #[test]
    fn a_listing_tells_whether_keys_are_there_and_never_which() {
        let secret: SecretObject = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "s", "namespace": "n", "labels": {PROVIDER_LABEL: "Ali"}},
            "data": {"accessKey": "Y2FuYXJ5", "accessSecret": "Y2FuYXJ5"},
        }))
        .unwrap();
        let text = serde_json::to_string(&row(&secret)).unwrap();
        assert_eq!(text, r#"{"platform":"Ali","namespace":"n","name":"s","complete":true}"#);
        let mut less = secret;
        less.data.as_mut().unwrap().remove("accessSecret");
        let text = serde_json::to_string(&row(&less)).unwrap();
        assert!(text.ends_with(r#""complete":false,"missing":["accessSecret"]}"#), "{text}");
    }
}
