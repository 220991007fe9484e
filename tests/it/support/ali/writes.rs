//! Actions that write, with the refusals that the vendor documents for them.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::errors::Refusal;
use super::reads::Ask;
use super::world::World;
use super::zones::{Record, Zone, ascii};

pub const WRITES: [&str; 7] = [
    "AddDomainRecord",
    "UpdateDomainRecord",
    "UpdateDomainRecordRemark",
    "DeleteDomainRecord",
    "SetDomainRecordStatus",
    "SetDNSSLBStatus",
    "UpdateDNSSLBWeight",
];

/// The zone, by its name on the wire, that a write is about; none where the write will be refused anyway.
pub fn zone_of(world: &mut World, ask: &Ask, action: &str) -> Option<String> {
    let zone = match action {
        "AddDomainRecord" => world.zone(ask.account, ask.get("DomainName")?),
        "SetDNSSLBStatus" => {
            let (zone, _) = world.place(ask.get("SubDomain")?, ask.get("DomainName")).ok()?;
            world.zone(ask.account, &zone)
        }
        _ => world.holder(ask.account, ask.record_id().ok()?),
    };
    zone.ok().map(|zone| ascii(&zone.name))
}

pub fn add(world: &mut World, ask: &Ask) -> Result<Value, Refusal> {
    let (now, id) = (world.now(), world.next_id());
    let zone = world.zone(ask.account, ask.need("DomainName")?)?;
    let mut record = wanted(ask)?;
    allowed(zone, &record)?;
    (record.id, record.created, record.updated) = (id, now, now);
    zone.put(id, Some(record));
    Ok(json!({ "RecordId": id.to_string() }))
}

pub fn update(world: &mut World, ask: &Ask) -> Result<Value, Refusal> {
    let (now, id) = (world.now(), ask.record_id()?);
    let zone = world.holder(ask.account, id)?;
    let before = unlocked(zone, id)?;
    let fields = wanted(ask)?;
    let after = Record {
        rr: fields.rr,
        kind: fields.kind,
        line: fields.line,
        value: fields.value,
        ttl: fields.ttl,
        priority: fields.priority,
        ..before.clone()
    };
    if after == before {
        return Err(Refusal::new("DomainRecordDuplicate"));
    }
    allowed(zone, &after)?;
    zone.put(id, Some(Record { updated: now, ..after }));
    Ok(json!({ "RecordId": id.to_string() }))
}

pub fn remark(world: &mut World, ask: &Ask) -> Result<Value, Refusal> {
    let (now, id) = (world.now(), ask.record_id()?);
    let text = ask.get("Remark").unwrap_or_default();
    let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_-,.，".contains(c) || is_chinese(c);
    if 50 < text.chars().count() || !text.chars().all(is_allowed) {
        return Err(Refusal::new("InvalidParameter.Remark"));
    }
    let zone = world.holder(ask.account, id)?;
    let before = unlocked(zone, id)?;
    zone.put(id, Some(Record { remark: text.to_owned(), updated: now, ..before }));
    Ok(json!({}))
}

pub fn delete(world: &mut World, ask: &Ask) -> Result<Value, Refusal> {
    let id = ask.record_id()?;
    let zone = world.holder(ask.account, id)?;
    unlocked(zone, id)?;
    zone.put(id, None);
    Ok(json!({ "RecordId": id.to_string() }))
}

pub fn set_status(world: &mut World, ask: &Ask) -> Result<Value, Refusal> {
    let (now, id) = (world.now(), ask.record_id()?);
    let enabled = match ask.need("Status")?.to_lowercase().as_str() {
        "enable" => true,
        "disable" => false,
        _ => return Err(Refusal::invalid("Status")),
    };
    let zone = world.holder(ask.account, id)?;
    let before = unlocked(zone, id)?;
    zone.put(id, Some(Record { enabled, updated: now, ..before }));
    Ok(json!({ "RecordId": id.to_string(), "Status": if enabled { "Enable" } else { "Disable" } }))
}

/// Weights on or off for a set: name, type (A where none is given) and line (default).
pub fn set_balancing(world: &mut World, ask: &Ask) -> Result<Value, Refusal> {
    let (zone, rr) = world.place(ask.need("SubDomain")?, ask.get("DomainName"))?;
    let zone = world.zone(ask.account, &zone)?;
    let (kind, line) = (ask.get("Type").unwrap_or("A"), ask.get("Line").unwrap_or("default"));
    let is_open = !ask.get("Open").is_some_and(|open| open.eq_ignore_ascii_case("false"));
    let of = Record::new(&rr, kind, line, "");
    let count = zone.records.values().filter(|record| record.is_beside(&of)).count();
    if count == 0 {
        return Err(Refusal::new("DisableDNSSLB"));
    }
    let set = (rr, kind.to_owned(), line.to_owned());
    if is_open {
        zone.weighted.insert(set)
    } else {
        zone.weighted.remove(&set)
    };
    Ok(json!({ "RecordCount": count, "Open": is_open }))
}

pub fn weigh(world: &mut World, ask: &Ask) -> Result<Value, Refusal> {
    let (now, id) = (world.now(), ask.record_id()?);
    ask.need("Weight")?;
    // The API says 1 to 100; 0 is only for the console.
    let weight = ask.number("Weight", 0)?;
    if !(1..=100).contains(&weight) {
        return Err(Refusal::new("InvalidWeigth"));
    }
    let zone = world.holder(ask.account, id)?;
    let before = unlocked(zone, id)?;
    if before.rr.starts_with('*') {
        return Err(Refusal::new("PanDomainRecord"));
    }
    if !before.enabled {
        return Err(Refusal::new("DomainRecordDisable"));
    }
    if !zone.is_weighted(&before) {
        return Err(Refusal::new("DisableDNSSLB"));
    }
    zone.put(id, Some(Record { weight: weight as u32, updated: now, ..before }));
    Ok(json!({ "RecordId": id.to_string(), "Weight": weight }))
}

fn unlocked(zone: &Zone, id: u64) -> Result<Record, Refusal> {
    let record = zone.records[&id].clone();
    if record.locked { Err(Refusal::new("DomainRecordLocked")) } else { Ok(record) }
}

/// The record that the parameters describe.
fn wanted(ask: &Ask) -> Result<Record, Refusal> {
    let line = ask.get("Line").unwrap_or("default");
    let ttl = ask.number("TTL", 600)?;
    let mut record = Record::new(ask.need("RR")?, ask.need("Type")?, line, ask.need("Value")?);
    record.ttl = u32::try_from(ttl).map_err(|_| Refusal::invalid("TTL"))?;
    if record.kind == "MX" {
        ask.need("Priority")?;
        record.priority = Some(ask.number("Priority", 0)? as u32);
    }
    Ok(record)
}

/// Whether the zone may hold the record beside what it holds; a record with its id is the one that it replaces.
fn allowed(zone: &Zone, record: &Record) -> Result<(), Refusal> {
    if !is_name(&record.rr) {
        return Err(Refusal::new("InvalidRR.Format"));
    }
    let value = record.value.as_str();
    let is_valid = match record.kind.as_str() {
        "A" => value.parse::<Ipv4Addr>().is_ok(),
        "AAAA" => value.parse::<Ipv6Addr>().is_ok(),
        "TXT" => value.len() <= 512,
        "CNAME" | "NS" | "MX" => is_name(value.trim_end_matches('.')),
        "SRV" | "CAA" => true,
        _ => return Err(Refusal::new("SubDomainInvalid.Type")),
    };
    if !is_valid {
        return Err(Refusal::new("SubDomainInvalid.Value"));
    }
    if !zone.lines.contains(&record.line) {
        let is_line = super::zones::LINES.iter().any(|(code, _)| *code == record.line);
        return Err(Refusal::new(if is_line { "UnsupportedLine" } else { "SubDomainInvalid.Line" }));
    }
    if record.ttl < zone.edition.min_ttl() || 86_400 < record.ttl {
        return Err(Refusal::new("QuotaExceeded.TTL"));
    }
    let others = zone.records.values().filter(|other| other.id != record.id && other.is_at(record));
    let others: Vec<&Record> = others.collect();
    let beside = others.iter().filter(|other| other.kind == record.kind).count();
    if others.iter().any(|other| other.kind == record.kind && other.value == record.value) {
        return Err(Refusal::new("DomainRecordDuplicate"));
    }
    let is_alias = |record: &Record| record.kind == "CNAME";
    if others.iter().any(|other| is_alias(other) != is_alias(record)) {
        return Err(Refusal::new("DomainRecordConflict"));
    }
    if zone.edition.same_set() <= beside {
        let is_address = matches!(record.kind.as_str(), "A" | "AAAA");
        return Err(Refusal::new(if is_address { "QuotaExceeded.ARecord" } else { "QuotaExceeded.Record" }));
    }
    Ok(())
}

/// `@`, or labels of at most 63 octets on the wire, with a `*` only as the first.
fn is_name(name: &str) -> bool {
    let is_inside = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_inside);
    let name = ascii(name);
    let rest = name.strip_prefix("*.").unwrap_or(&name);
    name == "@" || name == "*" || (name.len() <= 253 && rest.split('.').all(is_label))
}
