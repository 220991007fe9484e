//! What was measured against what was promised, as lines while it goes and as one table at the end.

use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets};

/// What must hold of a measured value.
#[derive(Debug, Clone, Copy)]
pub enum Promise {
    AtMost(f64),
    AtLeast(f64),
}

impl Promise {
    fn holds(self, measured: f64) -> bool {
        match self {
            Promise::AtMost(most) => measured <= most,
            Promise::AtLeast(least) => least <= measured,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Promise::AtMost(most) => format!("<= {most}{unit}"),
            Promise::AtLeast(least) => format!(">= {least}{unit}"),
        }
    }
}

/// One figure.
#[derive(Debug)]
pub struct Figure {
    pub what: &'static str,
    pub measured: f64,
    pub unit: &'static str,
    pub promise: Promise,
    /// How many times the baseline's value it is, and what the baseline is.
    pub ratio: (f64, &'static str),
    /// The numbers behind it.
    pub raw: String,
}

/// All figures so far.
#[derive(Default)]
pub struct Report {
    rows: Vec<[String; 6]>,
    missed: usize,
}

impl Report {
    /// Prints a line.
    pub fn say(&self, text: &str) {
        // Whoever closed the pipe does not want to know.
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// Takes an area's figures.
    pub fn add(&mut self, area: &str, figures: Vec<Figure>) {
        for figure in figures {
            let Figure { what, measured, unit, promise, ratio, raw } = figure;
            let holds = promise.holds(measured);
            self.missed += usize::from(!holds);
            let verdict = if holds { "yes" } else { "MISSED" };
            let (measured, promised) = (format!("{measured:.2}{unit}"), promise.text(unit));
            let ratio = format!("{:.2} x {}", ratio.0, ratio.1);
            self.say(&format!("{area}: {what}: {measured} (promised {promised}: {verdict}); {ratio}; {raw}"));
            self.rows.push([what.into(), measured, promised, verdict.into(), ratio, raw]);
        }
    }

    /// An area that could not be measured counts as missed.
    pub fn broken(&mut self, area: &str, error: &anyhow::Error) {
        self.missed += 1;
        self.say(&format!("{area}: NOT MEASURED: {error:#}"));
        let none = String::new;
        self.rows.push([area.into(), none(), none(), "NOT MEASURED".into(), none(), format!("{error:#}")]);
    }

    /// Prints the table.
    pub fn table(&self) {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(150);
        table.set_header(["FIGURE", "MEASURED", "PROMISED", "HOLDS", "RATIO TO BASELINE", "RAW"]);
        table.add_rows(self.rows.iter().cloned());
        self.say(&table.to_string());
        match self.missed {
            0 => self.say("every promise holds"),
            missed => self.say(&format!("{missed} of {} NOT HELD, see above", self.rows.len())),
        }
    }
}
