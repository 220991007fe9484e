//! Completion for kubectl, which runs `kubectl_complete-cocoa WORD...` and reads a candidate a line and, last, `:` with a
//! number that says what the shell should do besides. It never fails: a shell has nowhere to show why.

use std::process::ExitCode;
use std::time::Duration;

use clap::Command;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::api::app::App;
use crate::api::node::CocoaNode;
use crate::cli::Ctx;
use crate::cli::error::CliError;

/// The hidden command that does it.
pub const COMMAND: &str = "__complete";
/// How long a person waits for a key.
const DEADLINE: Duration = Duration::from_secs(2);
/// The shell should not offer files.
const NO_FILES: &str = ":4";
/// The shell should do what it likes.
const ANY: &str = ":0";

/// What a word may be.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// One of these.
    One(Vec<String>),
    /// The name of a node.
    Node,
    /// The name of an application.
    App,
    /// Anything.
    Any,
}

/// Writes what the last of `words` may become.
pub async fn complete(words: &[String], command: &Command, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    let (last, before) = words.split_last().map_or(("", words), |(last, before)| (last.as_str(), before));
    let candidates = match wanted(before, last, command) {
        Wanted::One(candidates) => Some(candidates),
        Wanted::Node => Some(named::<CocoaNode>(ctx, |client, _| Api::all(client)).await),
        Wanted::App => Some(named::<App>(ctx, Api::namespaced).await),
        Wanted::Any => None,
    };
    let end = if candidates.is_some() { NO_FILES } else { ANY };
    for candidate in candidates.into_iter().flatten().filter(|candidate| candidate.starts_with(last)) {
        ctx.out.line(candidate)?;
    }
    ctx.out.line(end)?;
    Ok(ExitCode::SUCCESS)
}

/// What may follow after the words `before`, for one that begins with `last`.
fn wanted(before: &[String], last: &str, root: &Command) -> Wanted {
    let mut command = root;
    let mut path = Vec::new();
    let mut words = before.iter();
    let mut open = None;
    while let Some(word) = words.next() {
        open = None;
        if let Some(flag) = word.strip_prefix('-').filter(|flag| !flag.is_empty()) {
            let long = flag.strip_prefix('-');
            let found = command.get_arguments().chain(root.get_arguments()).find(|argument| match long {
                Some(long) => argument.get_long() == Some(long),
                None => argument.get_short() == flag.chars().next() && flag.chars().count() == 1,
            });
            let takes = found.filter(|argument| argument.get_action().takes_values());
            if takes.is_some() && words.len() == 0 {
                open = takes;
            } else if takes.is_some() {
                words.next();
            }
        } else if let Some(sub) = command.find_subcommand(word) {
            command = sub;
            path.push(sub.get_name());
        }
    }
    if let Some(argument) = open {
        let values: Vec<String> =
            argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        return match values.is_empty() {
            true => Wanted::Any,
            false => Wanted::One(values),
        };
    }
    if last.starts_with('-') {
        let all = command.get_arguments().chain(root.get_arguments()).filter(|flag| !flag.is_hide_set());
        let mut flags: Vec<String> = all.filter_map(|flag| Some(format!("--{}", flag.get_long()?))).collect();
        flags.sort();
        flags.dedup();
        return Wanted::One(flags);
    }
    match path.as_slice() {
        [] | ["app"] => {
            let subs = command.get_subcommands().filter(|sub| !sub.is_hide_set());
            Wanted::One(subs.map(|sub| sub.get_name().to_owned()).filter(|name| name != "help").collect())
        }
        ["drain" | "undrain" | "pin" | "unpin"] => Wanted::Node,
        ["app", "status" | "start" | "stop" | "restart" | "upgrade" | "uninstall" | "logs"] => Wanted::App,
        ["status" | "plan" | "simulate"] => Wanted::One(Vec::new()),
        _ => Wanted::Any,
    }
}

/// The names of all objects of a kind; nothing where the cluster does not tell in time.
async fn named<K>(ctx: &Ctx<'_>, api: impl Fn(kube::Client, &str) -> Api<K>) -> Vec<String>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let asking = async {
        let plane = ctx.access.plane().await.ok()?;
        let namespace = ctx.access.context_namespace().unwrap_or_else(|| "default".to_owned());
        api(plane.client, &namespace).list_metadata(&ListParams::default()).await.ok()
    };
    let found = tokio::time::timeout(DEADLINE, asking).await.ok().flatten();
    found.into_iter().flat_map(|list| list.items).map(|object| object.name_any()).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::plugin::Plugin;

    fn of(words: &str) -> Wanted {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let (last, before) = words.split_last().unwrap();
        wanted(before, last, &Plugin::command())
    }

    #[track_caller]
    fn one(words: &str) -> Vec<String> {
        match of(words) {
            Wanted::One(candidates) => candidates,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_may_follow_is_known_from_the_command_line_itself() {
        assert!(["status", "drain", "app"].iter().all(|name| one("").contains(&(*name).to_owned())));
        assert!(!one("").contains(&COMMAND.to_owned()), "hidden");
        assert!(one("--context x app ").contains(&"install".to_owned()));
        assert!(one("plan --").contains(&"--detailed-exitcode".to_owned()));
        assert!(one("plan --").contains(&"--context".to_owned()));
        assert_eq!(one("status -o "), ["table", "json", "yaml"]);
        assert_eq!(of("drain "), Wanted::Node);
        assert_eq!(of("-n x drain to"), Wanted::Node);
        assert_eq!(of("app status "), Wanted::App);
        assert_eq!(of("drain tokyo --reason "), Wanted::Any);
        assert_eq!(of("status "), Wanted::One(vec![]));
    }
}
