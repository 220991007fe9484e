//! Lists: at one revision, narrowed by selectors, page by page.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Engine, read_refusal};
use crate::controlplane::{
    registry::Resource,
    select::Selector,
    status::Refusal,
    store::{Listed, ReadError, codec::Stored},
};

/// At which revision a list is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// As things are.
    Now,
    /// Not before this one.
    NotOlderThan(u64),
    /// As it was then.
    Exactly(u64),
}

/// What a list asks for.
#[derive(Clone, Debug)]
pub struct ListRequest {
    /// Which objects.
    pub selector: Selector,
    /// The revision.
    pub at: At,
    /// At most so many.
    pub limit: Option<usize>,
    /// Where an earlier page ended.
    pub cursor: Option<String>,
}

/// A page of a list.
pub struct Page {
    /// The list's revision.
    pub revision: u64,
    /// Its objects.
    pub items: Vec<Stored>,
    /// Where the next page begins, if there is one.
    pub cursor: Option<String>,
    /// How many come after, if that is known.
    pub remaining: Option<usize>,
}

impl Engine {
    /// Lists objects of a resource.
    pub fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        request: &ListRequest,
    ) -> Result<Page, Refusal> {
        let prefix = resource.prefix(namespace);
        let (at, after) = match &request.cursor {
            Some(cursor) => {
                let (revision, after) = read_cursor(cursor, &prefix)?;
                (At::Exactly(revision), Some(after))
            }
            None => (request.at, None),
        };
        let limit = request.limit.unwrap_or(usize::MAX);
        let wanted = |stored: &Stored| {
            request.selector.is_empty() || request.selector.matches(&resource.present(stored))
        };
        let mut rows = self.rows(&prefix, after.as_deref(), at, &wanted, limit)?;
        let mut items = Vec::new();
        let mut last = None;
        let mut more = false;
        for (key, stored) in rows.items.drain(..) {
            if limit <= items.len() {
                more = true;
                break;
            }
            items.push(stored);
            last = Some(key);
        }
        let cursor = last.filter(|_| more).map(|key| (write_cursor(rows.revision, &prefix, &key), key));
        let remaining = match &cursor {
            Some((_, key)) if request.selector.is_empty() => {
                Some(self.store.count(&prefix, key).map_err(read_refusal)?)
            }
            _ => None,
        };
        Ok(Page { revision: rows.revision, items, cursor: cursor.map(|(cursor, _)| cursor), remaining })
    }

    fn rows(
        &self,
        prefix: &str,
        after: Option<&str>,
        at: At,
        wanted: &dyn Fn(&Stored) -> bool,
        limit: usize,
    ) -> Result<Listed, Refusal> {
        // One more than asked for tells whether another page follows.
        let reach = limit.saturating_add(1);
        let listed = match at {
            At::Now => self.store.list_where(prefix, after, reach, wanted),
            At::NotOlderThan(revision) => {
                self.store.list_where(prefix, after, reach, wanted).and_then(|listed| {
                    if listed.revision < revision {
                        return Err(ReadError::Future { asked: revision, current: listed.revision });
                    }
                    Ok(listed)
                })
            }
            At::Exactly(revision) => {
                let now = self.store.list_where(prefix, after, reach, wanted).map_err(read_refusal)?;
                if now.revision == revision {
                    return Ok(now);
                }
                let mut then =
                    self.store.list_at(prefix, after, revision).map_err(|error| aged(error, after))?;
                then.items.retain(|(_, stored)| wanted(stored));
                return Ok(then);
            }
        };
        listed.map_err(|error| aged(error, after))
    }
}

fn aged(error: ReadError, after: Option<&str>) -> Refusal {
    match (error, after) {
        (ReadError::Compacted(_), Some(_)) => Refusal::expired(
            "The provided continue parameter is too old to display a consistent list result. You must start a new \
             list without the continue parameter",
        ),
        (error, _) => read_refusal(error),
    }
}

fn write_cursor(revision: u64, prefix: &str, key: &str) -> String {
    let rest = key.strip_prefix(prefix).unwrap_or(key);
    URL_SAFE_NO_PAD.encode(json!({"v": "meta.k8s.io/v1", "rv": revision, "start": rest}).to_string())
}

fn read_cursor(cursor: &str, prefix: &str) -> Result<(u64, String), Refusal> {
    let bad = || Refusal::bad_request("continue key is not valid: use the one that the last page returned");
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    let revision = value["rv"].as_u64().ok_or_else(bad)?;
    let start = value["start"].as_str().ok_or_else(bad)?;
    Ok((revision, format!("{prefix}{start}")))
}
