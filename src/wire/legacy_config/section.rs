//! One map of the old file: keys in any case, values as lenient as the old program took them.

use serde_json::{Map, Value};

use crate::api::vocab::{Line, NetworkType, PlatformProvider, WorkMode};
use crate::domain::names::FieldError;

/// A map of the file, and where it stands.
pub struct Section<'a> {
    /// Path of the map, empty for the whole file.
    pub at: String,
    /// Its entries.
    pub map: &'a Map<String, Value>,
}

impl<'a> Section<'a> {
    /// The path of a key in it, as a refusal names it.
    pub fn path(&self, key: &str) -> String {
        if self.at.is_empty() { key.to_owned() } else { format!("{}.{key}", self.at) }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        let found = self.map.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value).filter(|value| !value.is_null())
    }

    fn refuse<T>(&self, key: &str, why: &str) -> Result<T, FieldError> {
        Err(FieldError::new(self.path(key), why))
    }

    /// A text; numbers and flags are taken as written.
    pub fn text(&self, key: &str) -> Result<Option<String>, FieldError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim().to_owned())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::Bool(flag)) => Ok(Some(flag.to_string())),
            Some(_) => self.refuse(key, "must be text"),
        }
    }

    /// A text that must be there.
    pub fn required(&self, key: &str) -> Result<String, FieldError> {
        match self.text(key)?.filter(|text| !text.is_empty()) {
            Some(text) => Ok(text),
            None => self.refuse(key, "is missing"),
        }
    }

    /// A number within bounds.
    pub fn number(&self, key: &str, range: std::ops::RangeInclusive<u32>) -> Result<Option<u32>, FieldError> {
        let Some(text) = self.text(key)?.filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        match text.parse().ok().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => self.refuse(key, &format!("must be a number from {} to {}", range.start(), range.end())),
        }
    }

    /// A flag.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, FieldError> {
        match self.text(key)?.map(|text| text.to_ascii_lowercase()).as_deref() {
            None | Some("") => Ok(None),
            Some("true" | "1" | "t") => Ok(Some(true)),
            Some("false" | "0" | "f") => Ok(Some(false)),
            Some(_) => self.refuse(key, "must be true or false"),
        }
    }

    /// A list of maps; a missing one is empty.
    pub fn list(&self, key: &str) -> Result<Vec<Section<'a>>, FieldError> {
        let items = match self.get(key) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(_) => return self.refuse(key, "must be a list"),
        };
        let section = |(index, item): (usize, &'a Value)| {
            let at = format!("{}[{index}]", self.path(key));
            match item {
                Value::Object(map) => Ok(Section { at, map }),
                _ => Err(FieldError::new(at, "must be a map")),
            }
        };
        items.iter().enumerate().map(section).collect()
    }

    /// The lines under `ISPs`; `None` in it is no line.
    pub fn lines(&self) -> Result<Option<Vec<Line>>, FieldError> {
        let items = match self.get("ISPs") {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(_) => return self.refuse("ISPs", "must be a list of lines"),
        };
        let mut lines = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let at = self.path(&format!("ISPs[{index}]"));
            let text = item.as_str().ok_or_else(|| FieldError::new(&at, "must be text"))?;
            if text != "None" {
                let line = text.parse().map_err(|error| FieldError::new(&at, format!("{error}")))?;
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
        }
        Ok(Some(lines))
    }

    /// The network type.
    pub fn network(&self) -> Result<Option<NetworkType>, FieldError> {
        match self.text("NetworkType")?.as_deref() {
            None | Some("") => Ok(None),
            Some("IPV4") => Ok(Some(NetworkType::IPV4)),
            Some("IPV6") => Ok(Some(NetworkType::IPV6)),
            Some("Both") => Ok(Some(NetworkType::Both)),
            Some(_) => self.refuse("NetworkType", "must be IPV4, IPV6 or Both"),
        }
    }

    /// Leader or follower.
    pub fn work_mode(&self) -> Result<WorkMode, FieldError> {
        match self.text("WorkMode")?.as_deref() {
            Some("leader") => Ok(WorkMode::Leader),
            Some("follower") => Ok(WorkMode::Follower),
            _ => self.refuse("WorkMode", "must be leader or follower"),
        }
    }

    /// The platform.
    pub fn platform(&self) -> Result<PlatformProvider, FieldError> {
        let text = self.required("PlatformProvider")?;
        text.parse().map_err(|error| FieldError::new(self.path("platformProvider"), format!("{error}")))
    }

    /// The base URL of a node.
    pub fn address(&self) -> Result<String, FieldError> {
        let text = self.required("NodeAddress")?;
        match text.starts_with("http://") || text.starts_with("https://") {
            true => Ok(text.trim_end_matches('/').to_owned()),
            false => self.refuse("NodeAddress", "must begin with http:// or https://"),
        }
    }
}
