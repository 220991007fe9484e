//! `app render`: what an install would create on either backend, with every secret masked. It reads a template and asks
//! nobody: the password stands for the one that an install would make, and no port is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::catalog::library::{Library, Offer, Origin};
use crate::catalog::load;
use crate::cli::Ctx;
use crate::cli::app::install::{right, unique, variable};
use crate::cli::app_cluster::ClusterArgs;
use crate::cli::error::CliError;
use crate::cli::output::{Format, Out};
use crate::cli::words::Lang;
use crate::config::app_cluster;
use crate::domain::app::fill::{Order, allocate, instantiate, wanted_ports};
use crate::domain::app::finding::{Finding, Right};
use crate::domain::app::instance::{AppKey, Choices, Instance, Wanted};
use crate::domain::app::kubernetes::{self, Options};
use crate::domain::app::verdict::Backend;
use crate::domain::names::{DnsName, FieldError};
use crate::domain::secret::Secret;
use crate::wire::app::params::{MAX_NAME, is_name};
use crate::wire::cluster::MASK;

/// Stands for the password that an install makes; it is masked wherever it comes.
const PASSWORD: &str = "PasswordOfTheInstall";
/// Stands for the random word of an install, with a letter in front as that has. It is a part of names, and some templates
/// take it for a password too: it is shown all the same, for it is nobody's and no object has a name of asterisks.
const CODE: &str = "c0dec0dec0de";
/// Stands for the App's uid.
const UID: &str = "00000000-0000-0000-0000-000000000000";

/// Flags of `app render`.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// The built-in catalogue's name of the application
    #[arg(required_unless_present = "template", conflicts_with = "template")]
    app: Option<String>,
    /// A template's folder instead
    #[arg(long, value_name = "DIR")]
    template: Option<PathBuf>,
    /// For what: a compose file, or a cluster's objects
    #[arg(long, value_enum, default_value_t = On::Docker)]
    runtime: On,
    /// Under which name it would be installed; left out: the application's
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The version; left out: the first that the template lists
    #[arg(long = "version", value_name = "VERSION")]
    app_version: Option<String>,
    /// A value for a variable of the template; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// Full name under which it would be served
    #[arg(long, value_name = "FQDN")]
    domain: Option<String>,
    /// Take these rights over the host as given
    #[arg(long, value_name = "RIGHT", value_delimiter = ',', value_parser = right)]
    allow: Vec<Right>,
    /// Namespace of the App
    #[arg(short, long, default_value = "default")]
    namespace: String,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// What would run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum On {
    /// A Docker engine.
    Docker,
    /// A cluster.
    Kubernetes,
}

/// Prints.
pub(super) fn render(args: &RenderArgs, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let offer = offer(args)?;
    let instance = instance(args, &offer, ctx.lang)?;
    match args.runtime {
        On::Docker => docker(&instance, ctx.out),
        On::Kubernetes => cluster(&instance, &app_cluster::options(args.cluster.clone().flags())?, ctx.out),
    }
}

fn offer(args: &RenderArgs) -> Result<Arc<Offer>, CliError> {
    let Some(folder) = &args.template else {
        let name = args.app.as_deref().unwrap_or_default();
        let none = || {
            CliError::NotFound(format!("the built-in catalogue has no {name}: name a folder by --template"))
        };
        return Library::built_in().get(name).ok_or_else(none);
    };
    if !folder.is_dir() {
        return Err(CliError::NotFound(format!("there is no folder {}", folder.display())));
    }
    let mut found = load(folder).with_context(|| format!("read the template {}", folder.display()))?;
    match (found.pop(), found.is_empty()) {
        (Some(template), true) => Ok(Arc::new(Offer::new(template, false, Origin::Folder(source(folder))))),
        (Some(_), false) => Err(FieldError::new("--template", "holds several templates: name one").into()),
        (None, _) => Err(FieldError::new("--template", "holds no template").into()),
    }
}

/// Where the files of the one template below `folder` lie: there, or in its only folder.
fn source(folder: &Path) -> PathBuf {
    let here = ["docker-compose.yml", "variables.json"].iter().any(|file| folder.join(file).exists());
    let below =
        || std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).find(|path| path.is_dir());
    if here { folder.to_owned() } else { below().unwrap_or_else(|| folder.to_owned()) }
}

fn instance(args: &RenderArgs, offer: &Offer, lang: Lang) -> Result<Instance, CliError> {
    let template = &offer.template;
    let plain =
        || template.name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let name = args.name.clone().unwrap_or_else(plain);
    if !is_name(&name) {
        let why = format!("must be 1 to {MAX_NAME} digits and lower-case letters");
        return Err(FieldError::new("--name", why).into());
    }
    let listed = || offer.checked.metadata.as_ref()?.versions.first().cloned();
    let version = args.app_version.clone().or_else(listed).unwrap_or_else(|| "latest".to_owned());
    let domain = args.domain.as_ref().map(|name| DnsName::parse(name, "--domain")).transpose()?;
    let domain = domain.map(|name| name.to_string());
    let variables = unique("--set", &args.variables)?;
    let ports = allocate(&wanted_ports(template, &variables), &BTreeMap::new(), &BTreeSet::new());
    let ports = ports.ok_or_else(|| CliError::failed("there are not so many ports in a row"))?;
    let choices = Choices { password: Secret::new(PASSWORD), code: CODE.to_owned(), ports };
    let key = AppKey { namespace: args.namespace.clone(), name };
    let files = offer.files().with_context(|| format!("read the files of {}", template.name))?;
    let order = Order {
        key: &key,
        uid: UID,
        version: &version,
        variables: &variables,
        secret_variables: &BTreeMap::new(),
        choices: &choices,
        domain: domain.as_deref(),
        pull_secret: None,
        host: None,
        resources: None,
        allowed: &args.allow.iter().copied().collect(),
        wanted: Wanted { running: true, restarted: None },
        backend: match args.runtime {
            On::Docker => Backend::Docker,
            On::Kubernetes => Backend::Kubernetes,
        },
    };
    let cannot = |findings: Vec<Finding>| {
        let said = |finding: &Finding| {
            let (en, zh) = finding.words();
            format!("\n  {}: {}", finding.place, lang.pick(&en, &zh))
        };
        let all: String = findings.iter().map(said).collect();
        CliError::failed(format!("{} {}{all}", template.name, lang.pick("can't run there:", "无法在此运行:")))
    };
    let mut instance = instantiate(template, Arc::new(files), &order).map_err(cannot)?;
    instance.masks.retain(|mask| mask.expose() != CODE);
    Ok(instance)
}

fn docker(instance: &Instance, out: &mut Out) -> Result<(), CliError> {
    out.bytes(instance.masked(instance.compose.expose()).as_bytes())
}

fn cluster(instance: &Instance, options: &Options, out: &mut Out) -> Result<(), CliError> {
    let rendered = kubernetes::render(instance, options);
    let masked: Vec<Value> = rendered.objects.into_iter().map(|object| mask(object, instance)).collect();
    if out.format() == Format::Json {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": masked});
        let text = serde_json::to_string_pretty(&list).map_err(anyhow::Error::from)?;
        return out.line(text);
    }
    // Comments, so that what is printed stays a manifest.
    out.line(format!("# Pod Security: {}", rendered.level.as_str()))?;
    for (place, words) in &rendered.degraded {
        out.line(instance.masked(&format!("# {place}: {words}")).replace('\n', " "))?;
    }
    for object in &masked {
        out.line("---")?;
        out.bytes(serde_saphyr::to_string(object).map_err(anyhow::Error::from)?.as_bytes())?;
    }
    Ok(())
}

/// The object without a secret: what a Secret holds is not shown at all, for in base64 no search would find it.
fn mask(mut object: Value, instance: &Instance) -> Value {
    if object["kind"] == "Secret" {
        for part in ["data", "stringData"] {
            let held = object.get_mut(part).and_then(Value::as_object_mut);
            held.into_iter().flatten().for_each(|(_, value)| *value = Value::from(MASK));
        }
    }
    texts(&mut object, instance);
    object
}

fn texts(value: &mut Value, instance: &Instance) {
    match value {
        Value::String(text) => *text = instance.masked(text),
        Value::Array(items) => items.iter_mut().for_each(|item| texts(item, instance)),
        Value::Object(members) => members.values_mut().for_each(|member| texts(member, instance)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::catalog::builtin;
    use crate::cli::fixtures::Page;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        render: RenderArgs,
    }

    fn args(app: &str, runtime: On) -> RenderArgs {
        RenderArgs { runtime, ..Line::try_parse_from(["render", app]).unwrap().render }
    }

    fn print(args: &RenderArgs, format: Format) -> Result<String, CliError> {
        let page = Page::default();
        let mut out = Out::to(page.clone(), format);
        let offer = offer(args)?;
        let instance = instance(args, &offer, Lang::En)?;
        match args.runtime {
            On::Docker => docker(&instance, &mut out)?,
            On::Kubernetes => {
                cluster(&instance, &app_cluster::options(args.cluster.clone().flags())?, &mut out)?
            }
        }
        Ok(page.text())
    }

    #[test]
    fn every_built_in_template_renders_for_both_without_its_password() {
        for template in builtin::templates() {
            let name = &template.name;
            let compose = print(&args(name, On::Docker), Format::Table).unwrap();
            assert!(compose.contains("services:") && compose.contains("image:"), "{name}: {compose}");
            let objects = print(&args(name, On::Kubernetes), Format::Json).unwrap();
            let list: Value = serde_json::from_str(&objects).unwrap();
            let kinds: Vec<&str> =
                list["items"].as_array().unwrap().iter().filter_map(|item| item["kind"].as_str()).collect();
            assert!(kinds.contains(&"Deployment"), "{name}: {kinds:?}");
            let yaml = print(&args(name, On::Kubernetes), Format::Table).unwrap();
            assert!(yaml.matches("\n---\n").count() + 1 >= kinds.len(), "{name}");
            for text in [&compose, &objects, &yaml] {
                assert!(!text.contains(PASSWORD), "{name}: {text}");
            }
        }
        let compose = print(&args("wordpress", On::Docker), Format::Table).unwrap();
        assert!(compose.contains(MASK), "{compose}");
    }

    #[test]
    fn a_cluster_s_wishes_are_in_what_is_rendered() {
        let words = "render wordpress --runtime kubernetes --domain blog.example.com --app-expose node \
             --app-storage-class fast --app-ingress-class public --app-route-annotation a/b=c";
        let said =
            print(&Line::try_parse_from(words.split_whitespace()).unwrap().render, Format::Table).unwrap();
        for part in ["type: NodePort", "storageClassName: fast", "ingressClassName: public", "a/b: c"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let words = "render wordpress --runtime kubernetes --domain blog.example.com --app-gateway edge/web";
        let said =
            print(&Line::try_parse_from(words.split_whitespace()).unwrap().render, Format::Table).unwrap();
        assert!(said.contains("kind: HTTPRoute") && !said.contains("kind: Ingress"), "{said}");
    }

    #[test]
    fn what_a_secret_holds_is_not_shown_in_base64_either() {
        let instance = {
            let args = args("wordpress", On::Kubernetes);
            instance(&args, &offer(&args).unwrap(), Lang::En).unwrap()
        };
        let secret = json!({"kind": "Secret", "data": {"a": "UGFzc3dvcmRPZlRoZUluc3RhbGw="}});
        assert_eq!(mask(secret, &instance)["data"]["a"], MASK);
        let map = json!({"kind": "ConfigMap", "data": {"a": format!("x={PASSWORD}")}});
        assert_eq!(mask(map, &instance)["data"]["a"], "x=***");
    }

    #[test]
    fn a_name_with_the_random_word_is_shown_where_the_word_is_a_password_too() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("a");
        std::fs::create_dir(&folder).unwrap();
        let compose = "services:\n  a:\n    image: a:1\n    env_file: .env\n  db:\n    image: b:1\n    \
                       container_name: $W9_RCODE-db\n";
        let env = "W9_VERSION=1\nW9_ID=a\nW9_RCODE=x\nW9_POWER_PASSWORD=x\nDB_HOST=$W9_RCODE-db\n\
                   DB_PASSWORD=$W9_RCODE\nADMIN_PASSWORD=$W9_POWER_PASSWORD\n";
        let metadata = r#"{"name":"a","edition":[{"version":["1"]}]}"#;
        for (file, text) in [("docker-compose.yml", compose), (".env", env), ("variables.json", metadata)] {
            std::fs::write(folder.join(file), text).unwrap();
        }
        for runtime in [On::Docker, On::Kubernetes] {
            let args = RenderArgs {
                app: None,
                template: Some(folder.clone()),
                name: Some("a".into()),
                ..args("", runtime)
            };
            let said = print(&args, Format::Table).unwrap();
            assert!(said.contains(&format!("{CODE}-db")) && !said.contains("***-db"), "{said}");
            assert!(!said.contains(PASSWORD), "{said}");
        }
    }

    #[test]
    fn what_can_not_run_is_told_with_its_place() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("a");
        std::fs::create_dir(&folder).unwrap();
        let compose = "services:\n  a:\n    image: a:1\n    privileged: true\n";
        std::fs::write(folder.join("docker-compose.yml"), compose).unwrap();
        let metadata =
            r#"{"name":"a","edition":[{"version":["1"]}],"requirements":{"cpu":1,"memory":1,"disk":1}}"#;
        std::fs::write(folder.join("variables.json"), metadata).unwrap();
        let template = Some(folder.clone());
        let mut args = RenderArgs { app: None, template, name: Some("a".into()), ..args("", On::Docker) };
        let error = print(&args, Format::Table).unwrap_err().to_string();
        assert!(error.contains("docker-compose.yml") && error.contains("a.privileged"), "{error}");
        args.allow = vec![Right::Privileged];
        assert!(print(&args, Format::Table).unwrap().contains("privileged: true"));
        let missing = RenderArgs { template: Some(folder.join("none")), ..args };
        assert_eq!(print(&missing, Format::Table).unwrap_err().code(), 3);
    }
}
