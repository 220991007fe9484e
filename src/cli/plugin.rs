//! `kubectl cocoa`: the commands that make sense against any cluster, by kubectl's own files and flags. kubectl runs the
//! program called `kubectl-cocoa` on PATH; that is this program under another name.

pub mod complete;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::cli::connect::{Access, Kubectl};
use crate::cli::error::CliError;
use crate::cli::output::{Format, Out};
use crate::cli::words::LangArgs;
use crate::cli::{Ctx, app, ended, node, plan, resolve, simulate, status};

/// The program's name for kubectl.
const NAME: &str = "kubectl-cocoa";

/// Told below `kubectl cocoa --help`.
const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line or a value in it is wrong
  3  what was named does not exist
  4  with `plan --detailed-exitcode`: something would change or is held
  5  no API server answers";

/// See who lives and what is served, and take sites out of DNS and back, in the cluster of the current context.
#[derive(Debug, Parser)]
#[command(name = NAME, bin_name = "kubectl cocoa", display_name = "kubectl cocoa", version, after_help = AFTER_HELP)]
struct Plugin {
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    lang: LangArgs,
    /// How listings are written.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, help_heading = "Output")]
    output: Format,
    #[command(subcommand)]
    command: PluginCommand,
}

/// The flags that kubectl has.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
struct Flags {
    /// Kubeconfig file; left out: $KUBECONFIG, then ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig; left out: its current one
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// Cluster in the kubeconfig, instead of the context's
    #[arg(long, global = true, value_name = "NAME")]
    cluster: Option<String>,
    /// User in the kubeconfig, instead of the context's
    #[arg(long, global = true, value_name = "NAME")]
    user: Option<String>,
    /// User to act as
    #[arg(long = "as", global = true, value_name = "USER")]
    impersonate: Option<String>,
    /// Namespace of applications; left out: the context's. Names are shown of this namespace alone; left out: of all
    #[arg(short, long, global = true, value_name = "NAME")]
    namespace: Option<String>,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Show who lives and what is served
    Status,
    /// Show what would change in DNS now, and why
    Plan(plan::PlanArgs),
    /// Show what DNS would look like without some nodes
    Simulate(simulate::SimulateArgs),
    /// Ask by real DNS what a name resolves to, per line
    Resolve(resolve::ResolveArgs),
    #[command(flatten)]
    Care(node::Care),
    /// Install, list, upgrade and remove applications
    #[command(subcommand)]
    App(app::AppCommand),
    /// Complete a command line, for kubectl
    #[command(name = complete::COMMAND, hide = true)]
    Complete {
        /// The words so far
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// Whether a program called so was started by kubectl.
pub fn is_meant(program: Option<&OsString>) -> bool {
    program.and_then(|program| Path::new(program).file_stem()).is_some_and(|name| name == NAME)
}

/// Runs the plugin's command line `args`, program name first.
pub async fn run(args: Vec<OsString>) -> ExitCode {
    let plugin = match parse(&args) {
        Ok(plugin) => plugin,
        Err(error) => {
            // Help and version come this way too, and go to standard output with code 0.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let Plugin { flags, lang, output, command } = plugin;
    let (access, lang, mut out) = (flags.access(), lang.lang(), Out::stdout(output));
    let outcome = dispatch(command, &mut Ctx { out: &mut out, lang, access: &access }).await;
    ended(outcome, out, lang)
}

/// Twice: the namespace that applications lie in by default is the context's, and that is known once it is known which.
fn parse(args: &[OsString]) -> Result<Plugin, clap::Error> {
    let read = |matches: ArgMatches| {
        let mut plugin = Plugin::from_arg_matches(&matches)?;
        if !names_a_namespace(&matches) {
            plugin.flags.namespace = None;
        }
        Ok(plugin)
    };
    let plugin = Plugin::command().try_get_matches_from(args).and_then(read)?;
    match plugin.flags.access().context_namespace() {
        Some(namespace) => command(&namespace).try_get_matches_from(args).and_then(read),
        None => Ok(plugin),
    }
}

/// Whether a namespace was typed: a command's default of that name would count as one.
fn names_a_namespace(matches: &ArgMatches) -> bool {
    let known = matches.try_contains_id("namespace").unwrap_or(false);
    let typed = known && matches.value_source("namespace") == Some(ValueSource::CommandLine);
    typed || matches.subcommand().is_some_and(|(_, below)| names_a_namespace(below))
}

/// The command line with `namespace` where an application's is left out.
fn command(namespace: &str) -> Command {
    let lies_somewhere = |command: &Command| {
        let mut arguments = command.get_arguments();
        arguments
            .any(|argument| argument.get_id() == "namespace" && !argument.get_default_values().is_empty())
    };
    Plugin::command().mut_subcommand("app", |app| {
        app.mut_subcommands(|command| match lies_somewhere(&command) {
            true => command.mut_arg("namespace", |argument| argument.default_value(namespace.to_owned())),
            false => command,
        })
    })
}

impl Flags {
    fn access(&self) -> Access {
        let Self { kubeconfig, context, cluster, user, impersonate, namespace } = self;
        let kubectl = Kubectl {
            cluster: cluster.clone(),
            user: user.clone(),
            namespace: namespace.clone(),
            impersonate: impersonate.clone(),
        };
        Access::of_kubectl(kubeconfig.clone(), context.clone(), kubectl)
    }
}

async fn dispatch(command: PluginCommand, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    match command {
        PluginCommand::Status => status::show(ctx).await,
        PluginCommand::Plan(args) => plan::show(args, ctx).await,
        PluginCommand::Simulate(args) => simulate::show(args, ctx).await,
        PluginCommand::Resolve(args) => resolve::show(args, ctx).await,
        PluginCommand::Care(care) => node::care(care, ctx).await,
        PluginCommand::App(command) => app::run(command, ctx).await,
        PluginCommand::Complete { words } => complete::complete(&words, &Plugin::command(), ctx).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Plugin {
        let args: Vec<OsString> = words.split(' ').map(OsString::from).collect();
        parse(&args).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_programs_name_decides() {
        for name in ["kubectl-cocoa", "/usr/local/bin/kubectl-cocoa", "kubectl-cocoa.exe"] {
            assert!(is_meant(Some(&name.into())), "{name}");
        }
        for name in ["cocoasyncer", "/kubectl-cocoa/cocoasyncer", ""] {
            assert!(!is_meant(Some(&name.into())), "{name}");
        }
    }

    #[test]
    fn the_command_line_is_consistent_and_speaks_of_kubectl() {
        command("team").debug_assert();
        let help = Plugin::command().render_long_help().to_string();
        assert!(help.contains("Usage: kubectl cocoa [OPTIONS] <COMMAND>"), "{help}");
        assert!(!help.contains("__complete") && !help.contains("data-dir"), "{help}");
    }

    #[test]
    fn kubectls_flags_stand_anywhere() {
        for words in
            ["kubectl-cocoa --context a -n b --as c status", "kubectl-cocoa status --as c -n b --context a"]
        {
            let Flags { context, namespace, impersonate, .. } = parsed(words).flags;
            assert_eq!([context, namespace, impersonate].map(Option::unwrap), ["a", "b", "c"]);
        }
        assert!(matches!(parsed("kubectl-cocoa drain tokyo --for 2h").command, PluginCommand::Care(_)));
    }

    #[test]
    fn an_application_lies_in_the_contexts_namespace_unless_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts:\n- name: x\n  context:\n    cluster: c\n    user: u\n    namespace: team\n";
        std::fs::write(&file, text).unwrap();
        let of = |words: &str| {
            let plugin = parsed(&format!("kubectl-cocoa --kubeconfig {} {words}", file.display()));
            let PluginCommand::App(app::AppCommand::Status(which)) = plugin.command else {
                panic!("{words}")
            };
            which.namespace
        };
        assert_eq!(of("app status web"), "team");
        assert_eq!(of("app status web -n other"), "other");
        assert_eq!(of("-n other app status web"), "other");
    }
}
