//! How far an application is, while somebody waits: bars that are drawn anew on a terminal, a line for each change
//! anywhere else. It writes to standard error, so that standard output stays a listing.

use std::io::{self, IsTerminal, Write};

use crate::api::app::{App, Progress};
use crate::cli::app::show::word;
use crate::cli::app::wait::message;
use crate::cli::error::CliError;
use crate::cli::words::Lang;

/// Most layers that are drawn at a time.
const LAYERS: usize = 8;
/// Characters of a bar.
const WIDTH: usize = 24;

/// Standard error, or what stands in for it.
pub struct Screen {
    to: Box<dyn Write + Send>,
    terminal: bool,
    lang: Lang,
    /// Lines that stand and are drawn over.
    drawn: usize,
    said: String,
}

impl Screen {
    /// Standard error.
    pub fn stderr(lang: Lang) -> Self {
        let stderr = io::stderr();
        let terminal = stderr.is_terminal();
        Self { to: Box::new(stderr), terminal, lang, drawn: 0, said: String::new() }
    }

    /// Shows how far `app` is.
    pub fn show(&mut self, name: &str, app: &App) -> Result<(), CliError> {
        let lines = lines(name, app, self.lang, self.terminal);
        let text = lines.join("\n");
        if text == self.said {
            return Ok(());
        }
        self.clear()?;
        self.drawn = if self.terminal { lines.len() } else { 0 };
        self.said = text;
        writeln!(self.to, "{}", self.said)?;
        self.to.flush()?;
        Ok(())
    }

    /// Takes bars away: what stays is said by whoever waited.
    pub fn end(&mut self) -> Result<(), CliError> {
        self.clear()?;
        self.to.flush()?;
        Ok(())
    }

    fn clear(&mut self) -> Result<(), CliError> {
        if 0 < self.drawn {
            // Up so many lines, and away with all below.
            write!(self.to, "\x1b[{}A\x1b[J", self.drawn)?;
            self.drawn = 0;
        }
        Ok(())
    }
}

fn lines(name: &str, app: &App, lang: Lang, terminal: bool) -> Vec<String> {
    let status = app.status.clone().unwrap_or_default();
    let known = if status.status.is_empty() { "queuing" } else { &status.status };
    let mut first = format!("{name}: {}", word(known, lang));
    let Some(progress) = status.progress.as_ref() else {
        let why = message(&status);
        if !why.is_empty() && (known != "running" || status.upgrade.is_some()) {
            first = format!("{first}: {why}");
        }
        return vec![first];
    };
    if let Some(position) = progress.queue_position {
        first = match lang {
            Lang::En => format!("{first}, number {position} in the queue"),
            Lang::Zh => format!("{first},排在第 {position} 位"),
        };
    }
    if !progress.step.is_empty() {
        first = format!("{first}: {}", plain(&progress.step));
    }
    // Where nothing can be drawn over, octets would be a line a second.
    if !terminal {
        return vec![first];
    }
    let mut lines = vec![first];
    lines.extend(bars(progress));
    lines
}

fn bars(progress: &Progress) -> Vec<String> {
    let bar = |what: &str, done: i64, total: i64| {
        let done = done.clamp(0, total.max(0));
        let full = match total {
            1.. => usize::try_from(i128::from(done) * WIDTH as i128 / i128::from(total)).unwrap_or(WIDTH),
            _ => 0,
        };
        let (full, left) = ("█".repeat(full), "░".repeat(WIDTH.saturating_sub(full)));
        format!("  {what:<14} {full}{left} {} / {} MiB", done >> 20, total >> 20)
    };
    let mut bars = Vec::new();
    if 0 < progress.total {
        bars.push(bar("", progress.done, progress.total));
    }
    let moving = progress.layers.iter().filter(|layer| layer.done < layer.total);
    bars.extend(moving.take(LAYERS).map(|layer| bar(&plain(&layer.id), layer.done, layer.total)));
    bars
}

/// What a registry says must not move the cursor.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixtures::Page;
    use serde_json::{Value, json};

    fn app(status: Value) -> App {
        serde_json::from_value(json!({
            "apiVersion": "cocoasyncer.io/v1alpha1", "kind": "App", "metadata": {"name": "a"},
            "spec": {"appName": "redis", "appVersion": "7"}, "status": status,
        }))
        .unwrap()
    }

    fn pulling(done: i64) -> App {
        let layer = |id: &str, done: i64| json!({"id": id, "done": done << 20, "total": 40 << 20});
        let progress = json!({"step": "redis:7\u{1b}[2J", "done": done << 20, "total": 80 << 20,
            "layers": [layer("aa", done), layer("bb", 40)]});
        app(json!({"status": "pulling", "progress": progress}))
    }

    fn screen(terminal: bool) -> (Page, Screen) {
        let page = Page::default();
        let to = Box::new(page.clone());
        (page, Screen { to, terminal, lang: Lang::En, drawn: 0, said: String::new() })
    }

    #[test]
    fn a_line_for_each_change_where_there_is_no_terminal() {
        let (page, mut screen) = screen(false);
        let waits = app(
            json!({"status": "queuing", "progress": {"step": "", "done": 0, "total": 0, "queuePosition": 2}}),
        );
        for app in
            [&app(json!({})), &waits, &waits, &pulling(1), &pulling(2), &app(json!({"status": "running"}))]
        {
            screen.show("a", app).unwrap();
        }
        screen.end().unwrap();
        assert_eq!(
            page.text(),
            "a: queuing\na: queuing, number 2 in the queue\na: pulling: redis:7 [2J\na: running\n"
        );
    }

    #[test]
    fn bars_are_drawn_over_and_taken_away_on_a_terminal() {
        let (page, mut screen) = screen(true);
        screen.show("a", &pulling(20)).unwrap();
        screen.show("a", &pulling(40)).unwrap();
        screen.end().unwrap();
        let text = page.text();
        assert!(text.contains("██████░░░░░░░░░░░░░░░░░░ 20 / 80 MiB"), "{text}");
        assert!(text.contains("  aa             ████████████░░░░░░░░░░░░ 20 / 40 MiB"), "{text}");
        assert!(!text.contains("bb"), "a layer that is there needs no bar: {text}");
        assert!(text.contains("\x1b[3A\x1b[J") && text.ends_with("\x1b[2A\x1b[J"), "{text:?}");
        assert!(!text.contains("\x1b[2J"), "{text:?}");
    }
}
