//! `app install`: flags into an App.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use kube::api::{ObjectMeta, PostParams};

use crate::api::app::{App, AppSpec, LocalKeyRef, LocalRef, Power, RuntimeKind, Uninstall};
use crate::cli::Ctx;
use crate::cli::app::Which;
use crate::cli::app::asking::ApiArgs;
use crate::cli::app::offers::version;
use crate::cli::app::wait::{Goal, Waiting, follow};
use crate::cli::error::CliError;
use crate::cli::node::FIELD_MANAGER;
use crate::domain::app::finding::Right;
use crate::domain::names::{DnsName, FieldError};
use crate::wire::app::params::{MAX_NAME, is_name};

/// Flags of `app install`.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// The catalogue's name of the application
    app: String,
    /// Under which name, of digits and lower-case letters; left out: the application's
    name: Option<String>,
    /// The version; left out: the first that the operator's catalogue lists, as its App API says
    #[arg(long = "version", value_name = "VERSION")]
    app_version: Option<String>,
    /// A value for a variable of the template, e.g. W9_HTTP_PORT_SET=9001; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// A variable's value from a Secret's key, e.g. W9_SMTP_PASSWORD=smtp/password; may be repeated
    #[arg(long = "set-secret", value_name = "KEY=SECRET/KEY", value_parser = reference)]
    references: Vec<(String, LocalKeyRef)>,
    /// Full name under which it is served; makes a ManagedService for it
    #[arg(long, value_name = "FQDN")]
    domain: Option<String>,
    /// Where it runs
    #[arg(long, value_enum, default_value_t = Where::Auto)]
    runtime: Where,
    /// Rights over the host that you accept, e.g. docker-socket; the operator's policy must allow them too
    #[arg(long, value_name = "RIGHT", value_delimiter = ',', value_parser = right)]
    allow: Vec<Right>,
    /// Secret (type kubernetes.io/dockerconfigjson) with the registry's credentials
    #[arg(long, value_name = "NAME")]
    pull_credentials: Option<String>,
    /// Prepare it, but don't start it
    #[arg(long)]
    stopped: bool,
    /// Namespace of the App
    #[arg(short, long, default_value = "default")]
    namespace: String,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    api: ApiArgs,
}

/// What runs the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Where {
    /// The cluster where there is one, else the Docker engine.
    Auto,
    /// The Docker engine of the operator's host.
    Docker,
    /// The cluster the operator is connected to.
    Kubernetes,
}

pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("write KEY=VALUE")?;
    let upper = key.to_ascii_uppercase();
    if ["PASSWORD", "SECRET", "TOKEN"].iter().any(|word| upper.contains(word)) {
        return Err(format!(
            "{key} looks like a secret, and arguments show in every process list: use --set-secret"
        ));
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn reference(text: &str) -> Result<(String, LocalKeyRef), String> {
    let parts = || {
        let (variable, place) = text.split_once('=')?;
        let (name, key) = place.split_once('/')?;
        let full = !variable.is_empty() && !name.is_empty() && !key.is_empty();
        full.then(|| (variable.to_owned(), LocalKeyRef { name: name.to_owned(), key: key.to_owned() }))
    };
    parts().ok_or_else(|| "write KEY=SECRET/KEY, e.g. W9_SMTP_PASSWORD=smtp/password".to_owned())
}

pub(super) fn right(text: &str) -> Result<Right, String> {
    let known = || Right::ALL.map(Right::as_str).join(", ");
    Right::parse(text).ok_or_else(|| format!("not a right: use {}", known()))
}

/// Installs.
pub(super) async fn install(mut args: InstallArgs, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    if args.app_version.is_none() {
        args.app_version = Some(version(&args.app, &args.api, ctx).await?);
    }
    let app = object(&args)?;
    let which =
        Which { name: app.metadata.name.clone().unwrap_or_default(), namespace: args.namespace.clone() };
    let plane = ctx.access.plane().await?;
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let made = plane.answer(&which.what(), which.api(&plane).create(&params, &app)).await?;
    if args.waiting.wait {
        let goal = if args.stopped { Goal::Stopped } else { Goal::Running };
        follow(which.api(&plane), &made, goal, args.waiting.timeout, ctx.lang).await?;
        let now = plane.answer(&which.what(), which.api(&plane).get(&which.name)).await?;
        let url = now.status.as_ref().and_then(|status| status.url.clone()).unwrap_or_default();
        if !ctx.out.value(&now)? {
            let done = if args.stopped {
                ctx.lang.pick("is stopped", "已停止")
            } else {
                ctx.lang.pick("runs", "正常运行")
            };
            ctx.out.line(format!("{} {done} {url}", which.what()).trim_end())?;
        }
        return Ok(());
    }
    if !ctx.out.value(&made)? {
        let hint = ctx.lang.pick("is to be installed; it is shown by", "等待安装,可用以下命令查看:");
        ctx.out.line(format!("{} {hint} `cocoasyncer app status {}`", which.what(), which.name))?;
    }
    Ok(())
}

fn object(args: &InstallArgs) -> Result<App, FieldError> {
    let name = args.name.clone().unwrap_or_else(|| args.app.replace('-', ""));
    if !is_name(&name) {
        return Err(FieldError::new(
            "NAME",
            format!("must be 1 to {MAX_NAME} digits and lower-case letters"),
        ));
    }
    let domain = args.domain.as_ref().map(|name| DnsName::parse(name, "--domain")).transpose()?;
    let spec = AppSpec {
        app_name: args.app.clone(),
        app_version: args.app_version.clone().unwrap_or_default(),
        power: if args.stopped { Power::Stopped } else { Power::Running },
        restarted_at: None,
        runtime: match args.runtime {
            Where::Auto => RuntimeKind::Auto,
            Where::Docker => RuntimeKind::Docker,
            Where::Kubernetes => RuntimeKind::Kubernetes,
        },
        variables: unique("--set", &args.variables)?,
        secret_variables: unique("--set-secret", &args.references)?,
        domain: domain.map(|name| name.to_string()),
        resources: None,
        pull_secret_ref: args.pull_credentials.clone().map(|name| LocalRef { name }),
        allow: args.allow.iter().map(|right| right.as_str().to_owned()).collect(),
        keep_versions: 1,
        uninstall: Uninstall::default(),
    };
    let metadata =
        ObjectMeta { name: Some(name), namespace: Some(args.namespace.clone()), ..ObjectMeta::default() };
    Ok(App { metadata, spec, status: None })
}

pub(super) fn unique<T: Clone>(flag: &str, pairs: &[(String, T)]) -> Result<BTreeMap<String, T>, FieldError> {
    let mut map = BTreeMap::new();
    for (key, value) in pairs {
        if map.insert(key.clone(), value.clone()).is_some() {
            return Err(FieldError::new(flag, format!("{key} is set twice")));
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: InstallArgs,
    }

    fn parse(line: &str) -> Result<App, String> {
        let words = std::iter::once("install").chain(line.split(' '));
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        object(&line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_make_an_app() {
        let app = parse(
            "wordpress blog --version 6.9 --set A=b=c --set-secret P=smtp/pass.word --domain Blog.Example.com \
             --runtime docker --allow docker-socket,host-path --stopped -n team",
        )
        .unwrap();
        let expect = serde_json::json!({
            "appName": "wordpress", "appVersion": "6.9", "power": "Stopped", "runtime": "Docker",
            "variables": {"A": "b=c"}, "secretVariables": {"P": {"name": "smtp", "key": "pass.word"}},
            "domain": "blog.example.com", "allow": ["docker-socket", "host-path"], "keepVersions": 1,
            "uninstall": {"deleteImage": false, "deleteData": true},
        });
        assert_eq!(serde_json::to_value(&app.spec).unwrap(), expect);
        assert_eq!(app.metadata.namespace.as_deref(), Some("team"));
        let app = parse("uptime-kuma --version 1").unwrap();
        assert_eq!(app.metadata.name.as_deref(), Some("uptimekuma"));
    }

    #[test]
    fn a_bad_value_is_refused_by_its_flag() {
        for (line, word) in [
            ("redis My-Cache", "NAME"),
            ("redis --domain a..b", "--domain"),
            ("redis --set A", "KEY=VALUE"),
            ("redis --set A=1 --set A=2", "set twice"),
            ("redis --set W9_POWER_PASSWORD=x", "--set-secret"),
            ("redis --set-secret A=b", "KEY=SECRET/KEY"),
            ("redis --allow root", "not a right"),
            ("redis --timeout 3", "--wait"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
