//! The catalogue: 363 templates read from a folder and checked, against reading the same files and doing nothing with
//! them; and a look at the same folder when nothing changed.

use std::fs;
use std::path::{Path, PathBuf};

use cocoasyncer::catalog::builtin;
use cocoasyncer::catalog::sources::{Source, Sources};
use cocoasyncer::controllers::catalog::LOOK_EVERY;

use crate::measure::{Pairs, seconds};
use crate::report::{Figure, Promise};
use crate::support::samples;

const TEMPLATES: usize = 363;
const TURNS: usize = 7;

/// Measures.
pub fn run() -> anyhow::Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    built_in(folder.path())?;
    let mut figures = vec![loading("363 templates like the built-in ones", folder.path())?];
    if let Some(samples) = samples::folder("measured") {
        let real = tempfile::tempdir()?;
        copies(&samples, real.path())?;
        figures.push(loading("363 templates that others wrote", real.path())?);
        figures.push(looking(real.path())?);
    } else {
        figures.push(looking(folder.path())?);
    }
    Ok(figures)
}

/// Copies of the built-in templates under other names.
fn built_in(into: &Path) -> anyhow::Result<()> {
    let templates = builtin::templates();
    for (number, template) in templates.iter().cycle().take(TEMPLATES).enumerate() {
        let app = into.join(format!("{}{number}", template.name));
        let kept = [
            ("docker-compose.yml", &template.compose),
            (".env", &template.env),
            ("variables.json", &template.metadata),
        ];
        fs::create_dir_all(&app)?;
        for (file, bytes) in kept {
            fs::write(app.join(file), bytes.as_deref().unwrap_or_default())?;
        }
        for (path, file) in builtin::files(&template.name) {
            let path = app.join(path);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, &file.bytes)?;
        }
    }
    Ok(())
}

fn copies(from: &Path, into: &Path) -> anyhow::Result<()> {
    let mut apps: Vec<PathBuf> =
        fs::read_dir(from)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    apps.retain(|app| app.is_dir());
    apps.sort();
    anyhow::ensure!(!apps.is_empty(), "{} is empty", from.display());
    for (number, app) in apps.iter().cycle().take(TEMPLATES).enumerate() {
        let name = app.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        copy(app, &into.join(format!("{name}{number}")))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let to = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &to)?;
        } else if path.is_file() {
            fs::copy(&path, &to)?;
        }
    }
    Ok(())
}

fn load(folder: &Path) -> Sources {
    let mut sources = Sources::folders([Source { folder: folder.to_owned(), official: false }]);
    sources.look();
    sources
}

fn loading(what: &'static str, folder: &Path) -> anyhow::Result<Figure> {
    let offered = load(folder).sorted().offers.len();
    anyhow::ensure!(offered == TEMPLATES, "{offered} of {TEMPLATES} templates are offered");
    let mut octets = 0;
    let pairs = Pairs::measure(
        TURNS,
        || Ok(seconds(|| load(folder)) * 1000.0),
        || {
            let began = std::time::Instant::now();
            octets = read(folder)?;
            Ok(began.elapsed().as_secs_f64() * 1000.0)
        },
    )?;
    let (ours, theirs) = pairs.medians();
    Ok(Figure {
        what,
        measured: ours,
        unit: " ms",
        promise: Promise::AtMost(1000.0),
        ratio: (pairs.ratio(), "reading the same bytes"),
        raw: format!("{ours:.0} ms, {theirs:.1} ms to read {} KiB of the same files", octets / 1024),
    })
}

/// Reads the three files of every template, as whoever loads a catalogue must.
fn read(folder: &Path) -> anyhow::Result<usize> {
    let mut octets = 0;
    for entry in fs::read_dir(folder)? {
        let app = entry?.path();
        for file in ["docker-compose.yml", ".env", "variables.json"] {
            octets += std::hint::black_box(fs::read(app.join(file)).unwrap_or_default()).len();
        }
    }
    Ok(octets)
}

fn looking(folder: &Path) -> anyhow::Result<Figure> {
    let mut sources = load(folder);
    let look = || {
        let took = seconds(|| sources.look()) * 1000.0;
        Ok(took)
    };
    let pairs = Pairs::measure(TURNS, look, || Ok(LOOK_EVERY.as_secs_f64() * 1000.0))?;
    let (took, _) = pairs.medians();
    Ok(Figure {
        what: "of a core, to see that nothing changed",
        measured: pairs.ratio() * 100.0,
        unit: " %",
        promise: Promise::AtMost(0.5),
        ratio: (pairs.ratio(), "the time between two looks"),
        raw: format!("{took:.1} ms every {} s", LOOK_EVERY.as_secs()),
    })
}
