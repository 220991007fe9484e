//! Actions that read. Shapes are those of the models in the vendor's own SDK; the searches are as fuzzy as its
//! documentation says.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::errors::Refusal;
use super::world::World;
use super::zones::{LINES, Record, Zone, ascii, is_same};

/// A call's parameters, and whose they are.
pub struct Ask<'a> {
    pub account: &'a str,
    pub params: &'a BTreeMap<String, String>,
}

impl Ask<'_> {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub fn need(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::missing(name))
    }

    pub fn number(&self, name: &str, unset: u64) -> Result<u64, Refusal> {
        self.get(name).map_or(Ok(unset), |text| text.parse().map_err(|_| Refusal::invalid(name)))
    }

    pub fn record_id(&self) -> Result<u64, Refusal> {
        self.need("RecordId")?.parse().map_err(|_| Refusal::invalid("RecordId"))
    }

    /// Number and size of the page, for lists of at most `max` a page. Assumed: more is refused, not cut.
    fn page(&self, max: u64) -> Result<(usize, usize), Refusal> {
        let (number, size) = (self.number("PageNumber", 1)?, self.number("PageSize", 20)?);
        match (number, size) {
            (0, _) => Err(Refusal::invalid("PageNumber")),
            (_, size) if size == 0 || max < size => Err(Refusal::invalid("PageSize")),
            (number, size) => Ok((number as usize, size as usize)),
        }
    }
}

fn paged<T>(all: Vec<T>, (number, size): (usize, usize), shape: impl Fn(T) -> Value) -> (Vec<Value>, Value) {
    let about = json!({ "TotalCount": all.len(), "PageNumber": number, "PageSize": size });
    (all.into_iter().skip((number - 1) * size).take(size).map(shape).collect(), about)
}

pub fn domains(world: &World, ask: &Ask) -> Result<Value, Refusal> {
    let page = ask.page(100)?;
    let keyword = ask.get("KeyWord").map(str::to_lowercase);
    let is_exact = ask.get("SearchMode").is_some_and(|mode| mode.eq_ignore_ascii_case("EXACT"));
    let fits = |zone: &&Zone| {
        let name = zone.name.to_lowercase();
        let found = |word: &String| if is_exact { name == *word } else { name.contains(word) };
        zone.account == ask.account && keyword.as_ref().is_none_or(found)
    };
    let (rows, mut body) = paged(world.zones.values().filter(fits).collect(), page, |zone| {
        json!({
            "DomainId": id_of(&zone.name), "DomainName": zone.name, "PunyCode": ascii(&zone.name), "AliDomain": false,
            "RecordCount": zone.records.len(), "VersionCode": zone.edition.code(), "DnsServers": servers(),
            "GroupId": "2223", "ResourceGroupId": "rg-acfm", "InstanceExpired": false, "Starmark": false,
        })
    });
    body["Domains"] = json!({ "Domain": rows });
    Ok(body)
}

pub fn domain_info(world: &mut World, ask: &Ask) -> Result<Value, Refusal> {
    let zone = world.zone(ask.account, ask.need("DomainName")?)?;
    let mut body = json!({
        "DomainId": id_of(&zone.name), "DomainName": zone.name, "PunyCode": ascii(&zone.name), "AliDomain": false,
        "VersionCode": zone.edition.code(), "VersionName": zone.edition.code(), "DnsServers": servers(),
        "InBlackHole": false, "InClean": false, "SubDomain": false, "GroupId": "2223",
    });
    // Without it the answer says nothing of lines and TTLs.
    if ask.get("NeedDetailAttributes").is_some_and(|detail| detail.eq_ignore_ascii_case("true")) {
        let floor = zone.edition.min_ttl();
        let ttls: Vec<String> = [1, 5, 10, 60, 120, 600, 1800, 3600, 43_200, 86_400]
            .iter()
            .filter(|ttl| floor <= **ttl)
            .map(u32::to_string)
            .collect();
        let line = |code: &String| {
            let name = LINES.iter().find(|(known, _)| known == code).map_or(code.as_str(), |(_, name)| name);
            json!({ "LineCode": code, "LineName": name, "LineDisplayName": name })
        };
        body["MinTtl"] = json!(floor);
        body["AvailableTtls"] = json!({ "AvailableTtl": ttls });
        body["RecordLines"] = json!({ "RecordLine": zone.lines.iter().map(line).collect::<Vec<_>>() });
        body["LineType"] = json!("region_province");
        body["RegionLines"] = json!(false);
        body["SlaveDns"] = json!(false);
    }
    Ok(body)
}

pub fn domain_records(world: &mut World, ask: &Ask) -> Result<Value, Refusal> {
    let page = ask.page(500)?;
    let zone = world.zone(ask.account, ask.need("DomainName")?)?;
    let mode = ask.get("SearchMode").map(str::to_uppercase);
    let fits: Box<dyn Fn(&Record) -> bool> = match (mode.as_deref(), ask.get("KeyWord")) {
        (Some("EXACT"), word) => by_keyword(word, false),
        (Some("LIKE"), word) | (None, word @ Some(_)) => by_keyword(word, true),
        (Some("ADVANCED") | None, _) => by_fields(ask, true),
        (Some("COMBINATION"), _) => by_fields(ask, false),
        (Some(_), _) => return Err(Refusal::invalid("SearchMode")),
    };
    let old = zone.old_list();
    // The newest first.
    let found: Vec<&Record> =
        old.as_ref().unwrap_or(&zone.records).values().rev().filter(|record| fits(record)).collect();
    let (rows, mut body) = paged(found, page, |record| {
        let mut row = shape(zone, record);
        row["CreateTimestamp"] = json!(record.created);
        row["UpdateTimestamp"] = json!(record.updated);
        row["LbaStatus"] = json!(zone.is_weighted(record));
        row
    });
    body["DomainRecords"] = json!({ "Record": rows });
    Ok(body)
}

/// Like and exact searches know only the keyword.
fn by_keyword(word: Option<&str>, is_fuzzy: bool) -> Box<dyn Fn(&Record) -> bool> {
    let Some(word) = word.map(str::to_lowercase) else { return Box::new(|_| true) };
    Box::new(move |record| meets(&word, &record.rr, is_fuzzy) || meets(&word, &record.value, is_fuzzy))
}

/// Whether a field answers a word in lower case. Fuzzy is a part of it anywhere: `a` also finds `b.a` and `bar`.
fn meets(word: &str, field: &str, is_fuzzy: bool) -> bool {
    let field = field.to_lowercase();
    if is_fuzzy { field.contains(word) } else { field == word }
}

fn by_fields(ask: &Ask, is_fuzzy: bool) -> Box<dyn Fn(&Record) -> bool> {
    let lower = |name: &str| ask.get(name).map(str::to_lowercase);
    let (rr, value, keyword) = (lower("RRKeyWord"), lower("ValueKeyWord"), lower("TypeKeyWord"));
    let (kind, line, status) = (lower("Type"), lower("Line"), lower("Status"));
    Box::new(move |record| {
        let is = |word: &Option<String>, field: &str, fuzzy| {
            word.as_ref().is_none_or(|word| meets(word, field, fuzzy))
        };
        is(&rr, &record.rr, is_fuzzy)
            && is(&value, &record.value, is_fuzzy)
            && is(&keyword, &record.kind, false)
            && is(&kind, &record.kind, false)
            && is(&line, &record.line, false)
            && is(&status, record.status(), false)
    })
}

/// At most 100 a page, as both the current documentation and the SDK say; until about 2019 it was 500.
pub fn sub_domain_records(world: &mut World, ask: &Ask) -> Result<Value, Refusal> {
    let page = ask.page(100)?;
    let (zone, rr) = world.place(ask.need("SubDomain")?, ask.get("DomainName"))?;
    let zone = world.zone(ask.account, &zone)?;
    let is =
        |wanted: Option<&str>, field: &str| wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(field));
    let fits = |record: &&Record| {
        is_same(&record.rr, &rr) && is(ask.get("Type"), &record.kind) && is(ask.get("Line"), &record.line)
    };
    let old = zone.old_list();
    let found = old.as_ref().unwrap_or(&zone.records).values().rev().filter(fits).collect();
    let (rows, mut body) = paged(found, page, |record| shape(zone, record));
    body["DomainRecords"] = json!({ "Record": rows });
    Ok(body)
}

pub fn record_info(world: &mut World, ask: &Ask) -> Result<Value, Refusal> {
    let id = ask.record_id()?;
    let zone = world.holder(ask.account, id)?;
    let mut body = shape(zone, &zone.records[&id]);
    body["DomainId"] = json!(id_of(&zone.name));
    body["PunyCode"] = json!(ascii(&zone.name));
    Ok(body)
}

fn shape(zone: &Zone, record: &Record) -> Value {
    let mut row = json!({
        "DomainName": zone.name, "RecordId": record.id.to_string(), "RR": record.rr, "Type": record.kind,
        "Value": record.value, "TTL": record.ttl, "Line": record.line, "Status": record.status(),
        "Locked": record.locked, "Weight": record.weight,
    });
    if let Some(priority) = record.priority {
        row["Priority"] = json!(priority);
    }
    // An empty one is left out.
    if !record.remark.is_empty() {
        row["Remark"] = json!(record.remark);
    }
    row
}

fn servers() -> Value {
    json!({ "DnsServer": ["dns1.hichina.invalid", "dns2.hichina.invalid"] })
}

fn id_of(name: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, ascii(name).as_bytes());
    super::signature::hex(&digest.as_ref()[..16])
}
