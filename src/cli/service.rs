//! `service`: add, list and remove managed names.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::api::service::{AccountRef, ManagedService, ManagedServiceSpec};
use crate::api::vocab::DeletionPolicy;
use crate::api::{ADOPT_ANNOTATION, RELEASE_ANNOTATION};
use crate::cli::Ctx;
use crate::cli::error::CliError;
use crate::cli::node::FIELD_MANAGER;
use crate::cli::words::Lang;
use crate::cli::world::World;
use crate::cli::{prompt, status};
use crate::config::checks::check_object_name;
use crate::domain::names::{DnsName, FieldError};
use crate::domain::records::Service;

/// What to do with services.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Manage a name: its records follow the nodes from now on
    Add(AddArgs),
    /// List managed names
    #[command(visible_alias = "ls")]
    List,
    /// Release a held mass change, named by the digest that `plan` shows
    Release {
        /// The ManagedService's name; any one of the zone will do
        name: String,
        /// The digest
        #[arg(long, value_name = "DIGEST")]
        plan: String,
        /// Its namespace
        #[arg(short, long, default_value = "default")]
        namespace: String,
    },
    /// Take records of somebody else's under a name into our ownership
    Adopt {
        /// The ManagedService's name
        name: String,
        /// Its namespace
        #[arg(short, long, default_value = "default")]
        namespace: String,
        /// Asks nothing
        #[arg(short, long)]
        yes: bool,
    },
    /// Stop managing a name; its records go, unless its deletionPolicy retains them
    Rm {
        /// The ManagedService's name
        name: String,
        /// Its namespace
        #[arg(short, long, default_value = "default")]
        namespace: String,
        /// Asks nothing
        #[arg(short, long)]
        yes: bool,
    },
}

/// Flags of `service add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The full name, e.g. www.example.com or *.example.com
    fqdn: String,
    /// The zone it lies in; left out: the name without its first label
    #[arg(long, value_name = "ZONE")]
    domain: Option<String>,
    /// Where the records live: Local, Ali or RFC2136
    #[arg(long, value_name = "PLATFORM", default_value = "Local")]
    provider: String,
    /// Secret with the platform's account; left out: the one labelled for the platform
    #[arg(long, value_name = "SECRET")]
    account: Option<String>,
    /// Seconds that resolvers may keep an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    ttl: u32,
    /// Nodes that serve it; left out: all
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    nodes: Vec<String>,
    /// Weight 1 to 100 of a node, e.g. shanghai=3: owners of one line that have weights share it; may be repeated
    #[arg(long = "weight", value_name = "NODE=N", value_delimiter = ',', value_parser = weight)]
    weights: Vec<(String, u8)>,
    /// Leaves the records when the service is removed
    #[arg(long)]
    retain: bool,
    /// Friendly name; left out: the full name
    #[arg(long, value_name = "TEXT")]
    service_name: Option<String>,
    /// Name of the object; left out: made of the full name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Namespace of the object
    #[arg(short, long, default_value = "default")]
    namespace: String,
}

/// Runs one of them.
pub async fn run(command: ServiceCommand, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    match command {
        ServiceCommand::Add(args) => add(args, ctx).await?,
        ServiceCommand::List => list(ctx).await?,
        ServiceCommand::Release { name, plan, namespace } => {
            annotate(&namespace, &name, (RELEASE_ANNOTATION, &plan), ctx).await?;
        }
        ServiceCommand::Adopt { name, namespace, yes } => {
            let question = ctx.lang.pick("Overwrite records that somebody else made?", "覆盖他人创建的记录?");
            prompt::confirm(question, yes, ctx.lang)?;
            annotate(&namespace, &name, (ADOPT_ANNOTATION, "true"), ctx).await?;
        }
        ServiceCommand::Rm { name, namespace, yes } => remove(&namespace, &name, yes, ctx).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let plane = ctx.access.plane().await?;
    let rows = status::service_rows(&World::load(&plane).await?);
    if ctx.out.value(&rows)? { Ok(()) } else { status::services(rows, ctx.out, ctx.lang) }
}

async fn add(args: AddArgs, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let service = object(&args)?;
    let plane = ctx.access.plane().await?;
    let world = World::load(&plane).await?;
    for node in args.nodes.iter().chain(args.weights.iter().map(|(node, _)| node)) {
        world.node(node)?;
    }
    let name = Service::parse(&service)?.name;
    let same = |there: &&ManagedService| Service::parse(there).is_ok_and(|there| there.name == name);
    if let Some(there) = world.services.iter().find(same) {
        let id = crate::domain::records::id_of(there);
        return Err(FieldError::new("FQDN", format!("{name} is managed by {id} already")).into());
    }
    let api: Api<ManagedService> = Api::namespaced(plane.client.clone(), &args.namespace);
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let what =
        format!("ManagedService {}/{}", args.namespace, service.metadata.name.as_deref().unwrap_or_default());
    let created = plane.answer(&what, api.create(&params, &service)).await?;
    if !ctx.out.value(&created)? {
        ctx.out.line(format!("{what} {}", ctx.lang.pick("created", "已创建")))?;
    }
    Ok(())
}

fn weight(text: &str) -> Result<(String, u8), String> {
    let parsed =
        text.split_once('=').and_then(|(node, weight)| Some((node.to_owned(), weight.parse().ok()?)));
    parsed.ok_or_else(|| "write a node and its weight, e.g. shanghai=3".to_owned())
}

fn object(args: &AddArgs) -> Result<ManagedService, FieldError> {
    let full = DnsName::parse(&args.fqdn, "FQDN")?;
    let zone = match &args.domain {
        Some(zone) => DnsName::parse(zone, "--domain")?,
        None => parent(&full)?,
    };
    let Some(record) = full.relative_to(&zone) else {
        return Err(FieldError::new("--domain", format!("{full} does not lie in {zone}")));
    };
    let name = match &args.name {
        Some(name) => check_object_name("--name", name)?,
        None => full.as_str().replace("*.", "wildcard.").replace('_', "-"),
    };
    let spec = ManagedServiceSpec {
        service_name: args.service_name.clone().unwrap_or_else(|| full.to_string()),
        domain: zone.to_string(),
        record: record.to_owned(),
        platform_provider: args
            .provider
            .parse()
            .map_err(|error| FieldError::new("--provider", format!("{error}")))?,
        account_ref: args.account.clone().map(|name| AccountRef { name }),
        ttl: args.ttl,
        nodes: args.nodes.clone(),
        weights: args.weights.iter().cloned().collect(),
        deletion_policy: if args.retain { DeletionPolicy::Retain } else { DeletionPolicy::Delete },
    };
    let metadata =
        ObjectMeta { name: Some(name), namespace: Some(args.namespace.clone()), ..ObjectMeta::default() };
    let service = ManagedService { metadata, spec, status: None };
    // The planner's own reading refuses what it could not serve, before it is stored.
    Service::parse(&service).map_err(|error| match error.field.as_str() {
        "spec.ttl" => FieldError::new("--ttl", error.why),
        "spec.weights" => FieldError::new("--weight", error.why),
        "spec.domain" => FieldError::new("--domain", error.why),
        _ => FieldError::new("FQDN", error.why),
    })?;
    Ok(service)
}

fn parent(full: &DnsName) -> Result<DnsName, FieldError> {
    match full.as_str().split_once('.') {
        Some((_, zone)) if zone.contains('.') => DnsName::parse(zone, "--domain"),
        _ => Err(FieldError::new(
            "--domain",
            format!("{full} may be a zone itself: say in which zone it lies"),
        )),
    }
}

async fn annotate(
    namespace: &str,
    name: &str,
    (key, value): (&str, &str),
    ctx: &mut Ctx<'_>,
) -> Result<(), CliError> {
    let plane = ctx.access.plane().await?;
    let api: Api<ManagedService> = Api::namespaced(plane.client.clone(), namespace);
    let what = format!("ManagedService {namespace}/{name}");
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
    plane.answer(&what, api.patch(name, &params, &patch)).await?;
    ctx.out.note(format!("{what}: {key}={value}"))
}

async fn remove(namespace: &str, name: &str, yes: bool, ctx: &mut Ctx<'_>) -> Result<(), CliError> {
    let plane = ctx.access.plane().await?;
    let api: Api<ManagedService> = Api::namespaced(plane.client.clone(), namespace);
    let what = format!("ManagedService {namespace}/{name}");
    let service = plane.answer(&what, api.get(name)).await?;
    let stay = service.spec.deletion_policy == DeletionPolicy::Retain;
    let question = match (ctx.lang, stay) {
        (Lang::En, false) => format!("Remove {what} and its records?"),
        (Lang::En, true) => format!("Remove {what}? Its records stay."),
        (Lang::Zh, false) => format!("删除 {what} 及其解析记录?"),
        (Lang::Zh, true) => format!("删除 {what}?其解析记录将保留。"),
    };
    prompt::confirm(&question, yes, ctx.lang)?;
    plane.answer(&what, api.delete(name, &DeleteParams::default())).await?;
    ctx.out.note(match (ctx.lang, stay) {
        (Lang::En, false) => {
            format!("{what}: its records are being removed; `cocoasyncer plan` shows what is left")
        }
        (Lang::En, true) => format!("{what} removed; its records stay"),
        (Lang::Zh, false) => format!("{what}:正在删除解析记录,可用 `cocoasyncer plan` 查看"),
        (Lang::Zh, true) => format!("{what} 已删除,记录保留"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(fqdn: &str, domain: Option<&str>) -> AddArgs {
        AddArgs {
            fqdn: fqdn.into(),
            domain: domain.map(Into::into),
            provider: "Local".into(),
            account: None,
            ttl: 60,
            nodes: vec![],
            weights: vec![],
            retain: false,
            service_name: None,
            name: None,
            namespace: "default".into(),
        }
    }

    #[test]
    fn a_full_name_is_parted_into_zone_and_record() {
        #[track_caller]
        fn check(fqdn: &str, domain: Option<&str>, expect: (&str, &str, &str)) {
            let made = object(&args(fqdn, domain)).unwrap();
            let name = made.metadata.name.unwrap();
            assert_eq!((made.spec.domain.as_str(), made.spec.record.as_str(), name.as_str()), expect);
        }
        check("www.example.com", None, ("example.com", "www", "www.example.com"));
        check("a.b.example.com", Some("example.com"), ("example.com", "a.b", "a.b.example.com"));
        check("example.com.", Some("example.com"), ("example.com", "@", "example.com"));
        check("*.example.com", None, ("example.com", "*", "wildcard.example.com"));
    }

    #[test]
    fn a_weight_is_a_node_and_a_number() {
        assert_eq!(weight("shanghai=3"), Ok(("shanghai".into(), 3)));
        for bad in ["shanghai", "shanghai=", "shanghai=-1", "shanghai=300"] {
            assert!(weight(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bad_value_is_refused_by_its_flag() {
        #[track_caller]
        fn check(field: &str, change: impl FnOnce(&mut AddArgs)) {
            let mut args = args("www.example.com", None);
            change(&mut args);
            assert_eq!(object(&args).unwrap_err().field, field);
        }
        check("FQDN", |a| a.fqdn = "www..com".into());
        check("--domain", |a| a.fqdn = "example.com".into());
        check("--domain", |a| a.domain = Some("example.org".into()));
        check("--provider", |a| a.provider = "Moon".into());
        check("--ttl", |a| a.ttl = 0);
        check("--weight", |a| a.weights = vec![("a".into(), 0)]);
        check("--name", |a| a.name = Some("A b".into()));
    }
}
