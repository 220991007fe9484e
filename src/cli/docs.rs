//! `docs`: the reference pages of the book, printed from what they describe: fields of the objects, flags, codes of the
//! App API. It writes no sentence of its own about a field: those stand beside the field.

mod codes;
mod flags;
mod objects;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::cli::Ctx;
use crate::cli::error::CliError;

/// Flags of `docs`.
#[derive(Debug, Args)]
pub struct DocsArgs {
    /// The folder of the pages
    #[arg(long, value_name = "DIR")]
    write: PathBuf,
}

/// Writes the pages.
pub fn write(args: DocsArgs, program: &clap::Command, ctx: &mut Ctx<'_>) -> Result<ExitCode, CliError> {
    let folder = &args.write;
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let pages = [
        ("objects.md", objects::page()),
        ("command-line.md", flags::page(program)),
        ("app-api-codes.md", codes::page()),
    ];
    for (name, text) in pages {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        ctx.out.line(path.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Text for a cell of a table: on one line, and with nothing in it that a table or HTML would take for its own.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut escaped = String::with_capacity(line.len());
    let mut code = false;
    for character in line.chars() {
        match character {
            '`' => code = !code,
            '|' => escaped.push('\\'),
            '<' if !code => {
                escaped.push_str("&lt;");
                continue;
            }
            _ => {}
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_breaks_no_table() {
        assert_eq!(cell("a |\n  b <c> `<d|e>`"), "a \\| b &lt;c> `<d\\|e>`");
    }
}
