//! The page of the command line: every command with its arguments, as `--help` has them.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

use crate::cli::docs::cell;

/// The page.
pub fn page(program: &Command) -> String {
    let mut built = program.clone();
    built.build();
    let mut page = String::from(
        "# Command line\n\nGenerated from the program; `cocoasyncer COMMAND --help` says the same. A flag can also stand in \
         the environment where a variable is named.\n",
    );
    section(&mut page, &built, "Of every command", |arg| arg.is_global_set());
    below(&mut page, &built, built.get_name());
    page
}

fn below(page: &mut String, command: &Command, path: &str) {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        let path = format!("{path} {}", sub.get_name());
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        // Writing to a String can't fail.
        let _ = write!(page, "\n## `{path}`\n\n{about}.\n");
        section(page, sub, "", |arg| !arg.is_global_set());
        below(page, sub, &path);
    }
}

/// The table of those arguments that `wanted` takes; nothing where there are none.
fn section(page: &mut String, command: &Command, title: &str, wanted: impl Fn(&Arg) -> bool) {
    let told = |arg: &&Arg| {
        let own = !matches!(arg.get_id().as_str(), "help" | "version");
        own && !arg.is_hide_set() && wanted(arg)
    };
    let rows: Vec<String> = command.get_arguments().filter(told).map(row).collect();
    if rows.is_empty() {
        return;
    }
    if !title.is_empty() {
        let _ = write!(page, "\n## {title}\n");
    }
    let _ = write!(page, "\n| argument | default | variable | what |\n|---|---|---|---|\n{}", rows.concat());
}

fn row(arg: &Arg) -> String {
    let value = arg.get_value_names().and_then(<[_]>::first).map_or("", |name| name.as_str());
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let spelt = match (arg.get_short(), arg.get_long()) {
        (_, Some(long)) if takes => format!("--{long} {value}"),
        (_, Some(long)) => format!("--{long}"),
        (Some(short), None) => format!("-{short}"),
        (None, None) => value.to_owned(),
    };
    let short = match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(_)) => format!("`-{short}`, "),
        _ => String::new(),
    };
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = match takes && !defaults.is_empty() {
        true => format!("`{}`", defaults.join(",")),
        false => String::new(),
    };
    let variable = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    format!("| {short}`{spelt}` | {default} | {variable} | {} |\n", cell(&help))
}
