//! The command line: reads arguments, calls one command, and turns its outcome into words and an exit code. It decides
//! nothing about nodes, lines or records; what it shows is computed by `domain` from the objects and their status.

pub mod app;
pub mod app_cluster;
pub mod catalog;
pub mod connect;
pub mod crd;
pub mod demo;
pub mod docs;
pub mod error;
#[cfg(test)]
mod fixtures;
pub mod node;
pub mod output;
pub mod plan;
pub mod plugin;
pub mod preview;
pub mod prompt;
pub mod probe;
pub mod provider;
pub mod rbac;
pub mod resolve;
pub mod serve;
pub mod serve_apps;
pub mod serve_webhook;
pub mod service;
pub mod simulate;
pub mod status;
pub mod words;
pub mod world;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::cli::connect::Access;
use crate::cli::error::CliError;
use crate::cli::output::{Format, Out};
use crate::cli::words::{Lang, LangArgs};

/// Told below every `--help` of the program.
const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line or a value in it is wrong
  3  what was named does not exist
  4  with `plan --detailed-exitcode`: something would change or is held
  5  no control plane answers

Every flag of `standalone` and `run` can stand in the environment too; `--help` names the variable.";

/// One name resolves, per ISP line, to the site on that line, and moves when a site dies.
#[derive(Debug, Parser)]
#[command(name = "cocoasyncer", version, propagate_version = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    lang: LangArgs,
    /// How listings are written.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, help_heading = "Output")]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node with its control plane inside: no cluster needed
    Standalone(Box<serve::StandaloneArgs>),
    /// Run a node whose objects live in a Kubernetes cluster
    Run(Box<serve::RunArgs>),
    /// Print the custom resource definitions
    Crd(crd::CrdArgs),
    /// Print the rights that the operator asks of a cluster
    Rbac(rbac::RbacArgs),
    /// Join, list, drain and pin nodes
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Add, list and remove managed names
    #[command(subcommand)]
    Service(service::ServiceCommand),
    /// Set, list and remove accounts of DNS platforms
    #[command(subcommand)]
    Provider(provider::ProviderCommand),
    /// Install, list, upgrade and remove applications
    #[command(subcommand)]
    App(app::AppCommand),
    /// List and check templates of applications
    #[command(subcommand)]
    Catalog(catalog::CatalogCommand),
    /// Show who lives and what is served
    Status,
    /// Show what would change in DNS now, and why
    Plan(plan::PlanArgs),
    /// Show what DNS would look like without some nodes
    Simulate(simulate::SimulateArgs),
    /// Ask by real DNS what a name resolves to, per line
    Resolve(resolve::ResolveArgs),
    /// Ask a running node from outside whether it answers
    Probe(probe::ProbeArgs),
    /// Start three sites on this machine, kill one, and watch DNS follow
    Demo(demo::DemoArgs),
    /// Print the reference pages of the documents
    #[command(hide = true)]
    Docs(docs::DocsArgs),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    Completion {
        /// The shell.
        shell: Shell,
    },
}

/// What every command is given.
pub struct Ctx<'a> {
    /// Where it writes.
    pub out: &'a mut Out,
    /// In which language.
    pub lang: Lang,
    /// The way to the control plane.
    pub access: &'a Access,
}

/// Runs the command line `args`, program name first.
pub async fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if plugin::is_meant(args.first()) {
        return plugin::run(args).await;
    }
    let parsed =
        Cli::command().try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, and go to standard output with code 0.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let lang = cli.lang.lang();
    let mut out = Out::stdout(cli.output);
    let outcome = dispatch(cli.command, Ctx { out: &mut out, lang, access: &cli.access }).await;
    ended(outcome, out, lang)
}

/// Turns an outcome into words and an exit code.
fn ended(outcome: Result<ExitCode, CliError>, mut out: Out, lang: Lang) -> ExitCode {
    match outcome.and_then(|code| out.flush().map(|()| code)) {
        Ok(code) => code,
        Err(error) => error.report(lang),
    }
}

async fn dispatch(command: Command, mut ctx: Ctx<'_>) -> Result<ExitCode, CliError> {
    let ctx = &mut ctx;
    match command {
        Command::Standalone(args) => serve::standalone(*args, ctx.access).await,
        Command::Run(args) => serve::run(*args, ctx.access).await,
        Command::Crd(args) => crd::print(args, ctx),
        Command::Rbac(args) => rbac::print(args, ctx),
        Command::Node(command) => node::run(command, ctx).await,
        Command::Service(command) => service::run(command, ctx).await,
        Command::Provider(command) => provider::run(command, ctx).await,
        Command::App(command) => app::run(command, ctx).await,
        Command::Catalog(command) => catalog::run(command, ctx),
        Command::Status => status::show(ctx).await,
        Command::Plan(args) => plan::show(args, ctx).await,
        Command::Simulate(args) => simulate::show(args, ctx).await,
        Command::Resolve(args) => resolve::show(args, ctx).await,
        Command::Probe(args) => probe::probe(args, ctx).await,
        Command::Demo(args) => demo::demo(args, ctx).await,
        Command::Docs(args) => docs::write(args, &Cli::command(), ctx),
        Command::Version => version(ctx),
        Command::Completion { shell } => completion(shell, ctx),
    }
}

fn version(ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    ctx.out.line(concat!("cocoasyncer ", env!("CARGO_PKG_VERSION")))?;
    Ok(ExitCode::SUCCESS)
}

fn completion(shell: Shell, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cocoasyncer", &mut script);
    ctx.out.bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_flag_has_help() {
        Cli::command().debug_assert();
        fn walk(command: &clap::Command) {
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                assert!(arg.get_help().is_some(), "{} {} has no help", command.get_name(), arg.get_id());
            }
            for sub in command.get_subcommands() {
                assert!(sub.get_about().is_some(), "{} has no help", sub.get_name());
                walk(sub);
            }
        }
        walk(&Cli::command());
    }

    #[test]
    fn no_flag_takes_a_secret_itself() {
        fn walk(command: &clap::Command) {
            for arg in command.get_arguments() {
                let name = arg.get_id().as_str();
                let secret =
                    name.contains("secret") || name.contains("access_key") || name.contains("password");
                // Names of Secret objects are no secret.
                let fine = name.ends_with("_file") || name == "app_pull_secrets";
                assert!(!secret || fine, "{name}: argv shows in every process list");
            }
            command.get_subcommands().for_each(walk);
        }
        walk(&Cli::command());
    }
}
