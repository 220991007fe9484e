//! What commands write: lines, tables, JSON and YAML, to one writer whose failure is an error and no panic. Tables fit
//! the terminal and are coloured there only.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::cli::error::CliError;

/// The form of a listing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// What a cell's colour says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// On its way, or not as usual.
    Odd,
    /// Wrong.
    Bad,
}

/// One cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    text: String,
    tone: Tone,
}

impl Text {
    /// A cell with a colour.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

/// Standard output, or what stands in for it.
pub struct Out {
    to: Box<dyn Write + Send>,
    format: Format,
    terminal: bool,
}

impl Out {
    /// Standard output.
    pub fn stdout(format: Format) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        Self { to: Box::new(io::BufWriter::new(stdout)), format, terminal }
    }

    /// Any writer; never a terminal.
    pub fn to(writer: impl Write + Send + 'static, format: Format) -> Self {
        Self { to: Box::new(writer), format, terminal: false }
    }

    /// Whether people asked for a table.
    pub fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// The form that was asked for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// One line.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<(), CliError> {
        writeln!(self.to, "{}", text.as_ref())?;
        Ok(())
    }

    /// One line for people; nothing where a program reads.
    pub fn note(&mut self, text: impl AsRef<str>) -> Result<(), CliError> {
        if self.is_table() { self.line(text) } else { Ok(()) }
    }

    /// Octets as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.to.write_all(bytes)?;
        Ok(())
    }

    /// Everything that was written so far, sent on.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.to.flush()?;
        Ok(())
    }

    /// A table.
    pub fn table<const N: usize>(&mut self, head: [&str; N], rows: Vec<[Text; N]>) -> Result<(), CliError> {
        let text = table(&head, rows.iter().map(|row| row.as_slice()), self.terminal);
        self.line(text)
    }

    /// A value for programs. Answers false where people asked for a table, which the caller then draws.
    pub fn value<T: Serialize>(&mut self, value: &T) -> Result<bool, CliError> {
        match self.format {
            Format::Table => return Ok(false),
            Format::Json => {
                let text = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
                self.line(text)?;
            }
            Format::Yaml => {
                let text = serde_saphyr::to_string(value).map_err(anyhow::Error::from)?;
                self.bytes(text.as_bytes())?;
            }
        }
        Ok(true)
    }
}

/// Draws a table: aligned columns without frames, as kubectl has them, so that it can be cut and grepped.
fn table<'a>(head: &[&str], rows: impl Iterator<Item = &'a [Text]>, terminal: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    // A serial console or a fresh container's terminal tells a width of 0: then nothing is broken to fit.
    match (terminal, table.width()) {
        (true, Some(width)) if 20 <= width => {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        (true, _) => {}
        (false, _) => {
            table.force_no_tty();
        }
    }
    if head.iter().any(|text| !text.is_empty()) {
        table.set_header(head.iter().map(Cell::new));
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| {
            let colour = match cell.tone {
                Tone::Plain => None,
                Tone::Good => Some(Color::Green),
                Tone::Odd => Some(Color::Yellow),
                Tone::Bad => Some(Color::Red),
            };
            let drawn = Cell::new(&cell.text);
            colour.filter(|_| terminal).map_or(drawn.clone(), |colour| drawn.fg(colour))
        }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixtures::Page;

    #[test]
    fn columns_are_aligned_by_width_and_not_by_octets() {
        let page = Page::default();
        let mut out = Out::to(page.clone(), Format::Table);
        out.table(
            ["名称", "STATE"],
            vec![["上海".into(), Text::toned("lives", Tone::Good)], ["tokyo-long".into(), "lost".into()]],
        )
        .unwrap();
        assert_eq!(page.text(), "名称        STATE\n上海        lives\ntokyo-long  lost\n");
    }

    #[test]
    fn programs_get_json_and_yaml_and_no_notes() {
        for (format, expect) in [(Format::Json, "{\n  \"a\": 1\n}\n"), (Format::Yaml, "a: 1\n")] {
            let page = Page::default();
            let mut out = Out::to(page.clone(), format);
            out.note("for people").unwrap();
            assert!(out.value(&serde_json::json!({"a": 1})).unwrap());
            assert_eq!(page.text(), expect);
        }
    }
}
