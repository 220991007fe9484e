//! Where the catalogue's templates come from, and which of two with one name holds. Only what changed is read anew; a
//! source that can't be read keeps what it gave. It blocks on files and knows nothing of any cluster.
//!
//! What comes later holds: ConfigMaps of anybody, what is built in, folders in their order, ConfigMaps of the operator's
//! own namespace. So whoever may write a ConfigMap somewhere adds applications, but can't put another one under a name
//! that stands already; of two such ConfigMaps the older one holds.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::library::{Offer, Origin};
use crate::catalog::stamp::Stamp;
use crate::catalog::{builtin, folders, mapped, read};
use crate::domain::app::finding::{Code, Finding};
use crate::domain::app::template::is_app_name;

/// A folder of templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub folder: PathBuf,
    /// Whether the settings call it official.
    pub official: bool,
}

/// Which ConfigMap: namespace and name.
pub type MapKey = (String, String);

/// A ConfigMap that says that it is a template.
#[derive(Debug)]
pub struct Map<'a> {
    /// Which one.
    pub key: MapKey,
    /// The application's name: the value of its label.
    pub app: &'a str,
    /// When it was made, in seconds since 1970: of two the older holds.
    pub created: i64,
    /// Whether it lies in the operator's own namespace, so that it may replace what stands elsewhere.
    pub own: bool,
    /// Its keys, texts and binary ones.
    pub data: Vec<(&'a str, &'a [u8])>,
}

/// All sources and what they gave.
#[derive(Debug)]
pub struct Sources {
    built_in: Vec<Arc<Offer>>,
    shelves: Vec<Shelf>,
    maps: BTreeMap<MapKey, Mapped>,
}

#[derive(Debug)]
struct Mapped {
    created: i64,
    own: bool,
    offer: Arc<Offer>,
}

/// What all sources come to.
#[derive(Debug, Default)]
pub struct Sorted {
    /// What is offered, in the order of the names.
    pub offers: Vec<Arc<Offer>>,
    /// What isn't, because another has its name; beside it the one that holds.
    pub shadowed: Vec<(Arc<Offer>, Arc<Offer>)>,
    /// What isn't, because its name is no application's.
    pub refused: Vec<Arc<Offer>>,
}

impl Sources {
    /// The built-in templates and `folders`, which are not looked at yet.
    pub fn new(folders: impl IntoIterator<Item = Source>) -> Self {
        let offer = |template| Arc::new(Offer::new(template, true, Origin::BuiltIn));
        Self { built_in: builtin::templates().into_iter().map(offer).collect(), ..Self::folders(folders) }
    }

    /// `folders` alone, without what is built in.
    pub fn folders(folders: impl IntoIterator<Item = Source>) -> Self {
        let shelves = folders.into_iter().map(Shelf::new).collect();
        Self { built_in: Vec::new(), shelves, maps: BTreeMap::new() }
    }

    /// Looks at all folders and reads what changed. A change counts when a folder looks the same twice, so that nothing
    /// half written is taken; at the first look all counts. Answers whether any offer changed.
    pub fn look(&mut self) -> bool {
        let mut changed = false;
        for shelf in &mut self.shelves {
            changed |= shelf.look();
        }
        changed
    }

    /// Takes a ConfigMap. Answers whether any offer changed.
    pub fn set_map(&mut self, map: Map<'_>) -> bool {
        let (template, files) = mapped::read(map.app, map.data.into_iter());
        let (created, own) = (map.created, map.own);
        let same = |known: &&Mapped| {
            let same_files =
                matches!(&known.offer.origin, Origin::ConfigMap(_, standing) if **standing == files);
            same_files && known.offer.template == template && (known.created, known.own) == (created, own)
        };
        if self.maps.get(&map.key).filter(same).is_some() {
            return false;
        }
        let origin = Origin::ConfigMap(format!("{}/{}", map.key.0, map.key.1), Arc::new(files));
        let offer = Arc::new(Offer::new(template, false, origin));
        self.maps.insert(map.key, Mapped { created, own, offer });
        true
    }

    /// Forgets a ConfigMap. Answers whether it was known.
    pub fn remove_map(&mut self, key: &MapKey) -> bool {
        self.maps.remove(key).is_some()
    }

    /// Forgets all ConfigMaps but these. Answers whether any was forgotten.
    pub fn keep_maps(&mut self, namespace: Option<&str>, keys: &BTreeSet<MapKey>) -> bool {
        let before = self.maps.len();
        let elsewhere = |key: &MapKey| namespace.is_some_and(|namespace| namespace != key.0);
        self.maps.retain(|key, _| elsewhere(key) || keys.contains(key));
        self.maps.len() != before
    }

    /// What can't be read now, each with its folder; what it gave before stays.
    pub fn troubles(&self) -> Vec<(&Path, &str)> {
        let troubles = self.shelves.iter().flat_map(|shelf| &shelf.troubles);
        troubles.map(|(path, why)| (path.as_path(), why.as_str())).collect()
    }

    /// The folders, and whether each could be read at the last look.
    pub fn readable(&self) -> impl Iterator<Item = (&Path, bool)> {
        self.shelves.iter().map(|shelf| (shelf.source.folder.as_path(), shelf.troubles.is_empty()))
    }

    /// What all sources come to.
    pub fn sorted(&self) -> Sorted {
        let mut sorted = Sorted::default();
        let mut holding: BTreeMap<&str, Arc<Offer>> = BTreeMap::new();
        let mut replaced: Vec<Arc<Offer>> = Vec::new();
        for offer in self.in_order() {
            if !is_app_name(&offer.template.name) {
                sorted.refused.push(offer.clone());
            } else if let Some(before) = holding.insert(&offer.template.name, offer.clone()) {
                replaced.push(before);
            }
        }
        let with_holder = |offer: Arc<Offer>| {
            let holder = holding.get(offer.template.name.as_str()).cloned();
            holder.map(|holder| (offer, holder))
        };
        sorted.shadowed = replaced.into_iter().filter_map(with_holder).collect();
        sorted.offers = holding.into_values().collect();
        sorted
    }

    /// Every offer, the one that holds after those that it replaces.
    fn in_order(&self) -> impl Iterator<Item = &Arc<Offer>> {
        let mut maps: Vec<(&MapKey, &Mapped)> = self.maps.iter().collect();
        maps.sort_by_key(|(key, map)| Reverse((map.created, *key)));
        let of = |own: bool| -> Vec<&Arc<Offer>> {
            maps.iter().filter(|(_, map)| map.own == own).map(|(_, map)| &map.offer).collect()
        };
        let (others, own) = (of(false), of(true));
        let shelves = self.shelves.iter().flat_map(|shelf| shelf.taken.values().map(|(_, offer)| offer));
        others.into_iter().chain(&self.built_in).chain(shelves).chain(own)
    }
}

/// One folder and what it gave.
#[derive(Debug)]
struct Shelf {
    source: Source,
    /// Templates by their folders, each with the stamp that it was read under.
    taken: BTreeMap<PathBuf, (Option<Stamp>, Arc<Offer>)>,
    /// What was there at the last look.
    last: Option<BTreeMap<PathBuf, Option<Stamp>>>,
    troubles: Vec<(PathBuf, String)>,
}

impl Shelf {
    fn new(source: Source) -> Self {
        Self { source, taken: BTreeMap::new(), last: None, troubles: Vec::new() }
    }

    fn look(&mut self) -> bool {
        self.troubles.clear();
        let folder = &self.source.folder;
        let listed = match folders(folder) {
            // An empty mount point looks like this, and a folder that somebody is filling anew.
            Ok(listed) if listed.is_empty() && !self.taken.is_empty() => {
                self.troubles.push((folder.clone(), "it holds no template any more".to_owned()));
                return false;
            }
            Ok(listed) => listed,
            Err(error) => {
                self.troubles.push((folder.clone(), error.to_string()));
                return false;
            }
        };
        let seen: BTreeMap<PathBuf, Option<Stamp>> =
            listed.into_iter().map(|path| (path.clone(), Stamp::of(&path).ok())).collect();
        let mut changed = false;
        for (path, stamp) in &seen {
            let steady = self.last.as_ref().is_none_or(|last| last.get(path) == Some(stamp));
            changed |= steady && self.take(path, *stamp);
        }
        let before = self.taken.len();
        let last = self.last.as_ref();
        self.taken
            .retain(|path, _| seen.contains_key(path) || last.is_some_and(|last| last.contains_key(path)));
        self.last = Some(seen);
        changed || self.taken.len() != before
    }

    /// Reads the template in `path` where it isn't the one that is known. Answers whether its offer changed.
    fn take(&mut self, path: &Path, stamp: Option<Stamp>) -> bool {
        let known = self.taken.get(path);
        if known.is_some_and(|(taken, _)| stamp.is_some() && *taken == stamp) {
            return false;
        }
        let template = read(path);
        if let Some((taken, offer)) = self.taken.get_mut(path) {
            if let (Some(why), None) = (unreadable(&template.troubles), unreadable(&offer.template.troubles))
            {
                self.troubles.push((path.to_owned(), why));
                return false;
            }
            *taken = stamp;
            if offer.template == template {
                return false;
            }
        }
        let offer = Offer::new(template, self.source.official, Origin::Folder(path.to_owned()));
        self.taken.insert(path.to_owned(), (stamp, Arc::new(offer)));
        true
    }
}

/// The first thing of a template that the system did not let us read.
fn unreadable(troubles: &[Finding]) -> Option<String> {
    let found = troubles.iter().find(|found| found.code == Code::Unreadable)?;
    Some(format!("{}: {}", found.place, found.subject))
}

#[cfg(test)]
mod tests;
