//! What a catalogue command speaks of: the templates of the folders that it is given, or what is built in.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use crate::catalog::folders;
use crate::catalog::library::Offer;
use crate::catalog::sources::{Source, Sources};
use crate::cli::error::CliError;

/// Where templates are.
#[derive(Debug, Default, Args)]
pub struct Folders {
    /// Folders of templates, or templates themselves, the last one holds; left out: the built-in catalogue
    #[arg(value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// A folder whose templates are official; it comes before the others
    #[arg(long, value_name = "DIR")]
    official_catalog: Vec<PathBuf>,
    /// Take the built-in templates in too, as the operator does
    #[arg(long)]
    with_built_in: bool,
}

/// A template, and the one of the same name that holds instead of it.
#[derive(Debug)]
pub struct Offered {
    /// The template.
    pub offer: Arc<Offer>,
    /// Which one holds; none: this one.
    pub replaced_by: Option<Arc<Offer>>,
}

impl Folders {
    /// These folders alone.
    #[cfg(test)]
    pub fn of(folders: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { folders: folders.into_iter().collect(), ..Self::default() }
    }

    /// Whether nothing is said of where to look.
    pub fn is_empty(&self) -> bool {
        self.folders.is_empty() && self.official_catalog.is_empty() && !self.with_built_in
    }

    /// Reads them all, in the order of the names. A folder that can't be read, or holds none, is an error.
    pub fn read(&self) -> Result<Vec<Offered>, CliError> {
        let source = |official| move |folder: &PathBuf| Source { folder: folder.clone(), official };
        let official = self.official_catalog.iter().map(source(true));
        let named: Vec<Source> = official.chain(self.folders.iter().map(source(false))).collect();
        for Source { folder, .. } in &named {
            if !folder.is_dir() {
                return Err(CliError::NotFound(format!("there is no folder {}", folder.display())));
            }
            let within =
                folders(folder).with_context(|| format!("read the catalogue {}", folder.display()))?;
            if within.is_empty() {
                return Err(CliError::failed(format!(
                    "{} holds no folder with a template",
                    folder.display()
                )));
            }
        }
        let with_built_in = named.is_empty() || self.with_built_in;
        let mut sources = if with_built_in { Sources::new(named) } else { Sources::folders(named) };
        sources.look();
        let sorted = sources.sorted();
        let alone = |offer| Offered { offer, replaced_by: None };
        let mut all: Vec<Offered> = sorted.offers.into_iter().chain(sorted.refused).map(alone).collect();
        all.extend(sorted.shadowed.into_iter().map(|(offer, by)| Offered { offer, replaced_by: Some(by) }));
        all.sort_by(|a, b| a.offer.template.name.cmp(&b.offer.template.name));
        Ok(all)
    }
}
