//! Bodies in Kubernetes' protobuf encoding. `kubectl create`, Helm and every client made with client-go send built-in
//! kinds so and do not fall back, so they must be understood; answers are JSON, which those clients accept. PURE.
//!
//! `wire.txt` says, one message a line, which field number is which field: `NUMBER:NAME:TYPE`, where a type is a
//! letter (`s` text, `y` bytes, `i` integer, `b` truth, `d` float, `T` time, `U` time with microseconds, `I` integer or
//! text, `Q` quantity, `R` raw JSON, `E` list of texts) or another message, after `*` for lists, `{` for maps by text,
//! `^` for members of the surrounding object.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// What every protobuf body of Kubernetes begins with.
const MAGIC: &[u8] = b"k8s\0";
/// Deeper than any kind; a hostile body must not exhaust the stack.
const DEPTH: usize = 32;
const WIRE: &str = include_str!("wire.txt");

/// Fields whose zero the encoding writes although nobody set them. Others that are zero were set.
const UNSET_WHEN_ZERO: &[&str] = &[
    "generation",
    "observedGeneration",
    "minReadySeconds",
    "hostPort",
    "nodePort",
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
    "count",
    "healthCheckNodePort",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "stdin",
    "stdinOnce",
    "tty",
    "readOnly",
    "unschedulable",
    "publishNotReadyAddresses",
    "paused",
];
/// Texts that mean something when they are empty.
const SET_WHEN_EMPTY: &[&str] = &["storageClassName"];

/// Why a body was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It does not begin as it should.
    #[error("the body does not begin like a Kubernetes protobuf message")]
    Magic,
    /// It ends too early, or a length or number in it is impossible.
    #[error("the protobuf body is damaged")]
    Damaged,
    /// There is no description of the kind.
    #[error("{0} is not understood in protobuf; send JSON")]
    Unknown(String),
}

/// The object in `body`.
pub fn decode(body: &[u8]) -> Result<Value, DecodeError> {
    let body = body.strip_prefix(MAGIC).ok_or(DecodeError::Magic)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields(body) {
        match field? {
            (1, Wire::Bytes(types)) => {
                for field in Fields(types) {
                    match field? {
                        (1, Wire::Bytes(bytes)) => api_version = text(bytes)?,
                        (2, Wire::Bytes(bytes)) => kind = text(bytes)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let line =
        root(&api_version, &kind).ok_or_else(|| DecodeError::Unknown(format!("{api_version} {kind}")))?;
    let mut object = message(line, raw, DEPTH)?;
    object.insert("apiVersion".to_owned(), json!(api_version));
    object.insert("kind".to_owned(), json!(kind));
    Ok(Value::Object(object))
}

/// The description of a kind.
fn root(api_version: &str, kind: &str) -> Option<&'static str> {
    if kind == "DeleteOptions" {
        return line("meta.v1.DeleteOptions");
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    let group = group.split('.').next().unwrap_or_default();
    line(&format!("{group}.{version}.{kind}"))
}

fn line(name: &str) -> Option<&'static str> {
    WIRE.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
}

/// One value as it lies on the wire.
enum Wire<'a> {
    Number(u64),
    Double(f64),
    Bytes(&'a [u8]),
}

/// The fields of a message, one after the other; ends after the first error.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(DecodeError::Damaged))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Wire<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Double(f64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Number(u64::from(u32::from_le_bytes(self.take(4)?.try_into().ok()?))),
            _ => return None,
        };
        Some((key >> 3, value))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

fn message(line: &str, body: &[u8], depth: usize) -> Result<Map<String, Value>, DecodeError> {
    let mut object = Map::new();
    for field in Fields(body) {
        let (number, wire) = field?;
        let found = line.split(' ').find_map(|part| {
            let (found, rest) = part.split_once(':')?;
            (found.parse() == Ok(number)).then_some(rest)?.split_once(':')
        });
        // Fields of a newer version are dropped, as a server of ours would drop them.
        let Some((name, kind)) = found else { continue };
        put(&mut object, name, kind, wire, depth)?;
    }
    Ok(object)
}

fn put(
    object: &mut Map<String, Value>,
    name: &str,
    kind: &str,
    wire: Wire,
    depth: usize,
) -> Result<(), DecodeError> {
    if let Some(kind) = kind.strip_prefix('*') {
        let list = object.entry(name).or_insert_with(|| json!([]));
        let value = value(name, kind, wire, depth)?;
        list.as_array_mut().ok_or(DecodeError::Damaged)?.push(value);
    } else if let Some(kind) = kind.strip_prefix('{') {
        let map = object.entry(name).or_insert_with(|| json!({}));
        let (key, value) = entry(kind, wire, depth)?;
        map.as_object_mut().ok_or(DecodeError::Damaged)?.insert(key, value);
    } else if let Some(kind) = kind.strip_prefix('^') {
        if let Value::Object(inner) = value(name, kind, wire, depth)? {
            object.extend(inner);
        }
    } else {
        let value = value(name, kind, wire, depth)?;
        let zero = value == json!(0) || value == json!(false);
        let unset = value.is_null()
            || (value == json!("") && !SET_WHEN_EMPTY.contains(&name))
            || (zero && UNSET_WHEN_ZERO.contains(&name));
        if !unset {
            object.insert(name.to_owned(), value);
        }
    }
    Ok(())
}

fn entry(kind: &str, wire: Wire, depth: usize) -> Result<(String, Value), DecodeError> {
    let Wire::Bytes(bytes) = wire else { return Err(DecodeError::Damaged) };
    let mut key = String::new();
    let mut found = None;
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Bytes(bytes)) => key = text(bytes)?,
            (2, wire) => found = Some(value("", kind, wire, depth)?),
            _ => {}
        }
    }
    Ok((key, found.unwrap_or_else(|| json!(""))))
}

fn value(name: &str, kind: &str, wire: Wire, depth: usize) -> Result<Value, DecodeError> {
    let signed = |number: u64| number.cast_signed();
    Ok(match (kind, wire) {
        ("s", Wire::Bytes(bytes)) => json!(text(bytes)?),
        ("y", Wire::Bytes(bytes)) => json!(STANDARD.encode(bytes)),
        ("i", Wire::Number(number)) => json!(signed(number)),
        ("b", Wire::Number(number)) => json!(number != 0),
        ("d", Wire::Double(number)) => json!(number),
        ("T", Wire::Bytes(bytes)) => time(bytes, 0)?,
        ("U", Wire::Bytes(bytes)) => time(bytes, 6)?,
        ("I", Wire::Bytes(bytes)) => int_or_string(bytes)?,
        ("Q", Wire::Bytes(bytes)) => first_text(bytes)?,
        ("E", Wire::Bytes(bytes)) => {
            let texts = Fields(bytes).map(|field| match field? {
                (1, Wire::Bytes(bytes)) => text(bytes),
                _ => Err(DecodeError::Damaged),
            });
            json!(texts.collect::<Result<Vec<_>, _>>()?)
        }
        ("R", Wire::Bytes(bytes)) => match Fields(bytes).next().transpose()? {
            Some((1, Wire::Bytes(raw))) => serde_json::from_slice(raw).map_err(|_| DecodeError::Damaged)?,
            _ => Value::Null,
        },
        (kind, Wire::Bytes(bytes)) => {
            let line = line(kind).ok_or_else(|| DecodeError::Unknown(format!("{name} ({kind})")))?;
            let depth = depth.checked_sub(1).ok_or(DecodeError::Damaged)?;
            Value::Object(message(line, bytes, depth)?)
        }
        _ => return Err(DecodeError::Damaged),
    })
}

fn time(bytes: &[u8], digits: u8) -> Result<Value, DecodeError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos) = (0i64, 0i32);
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Number(number)) => seconds = number.cast_signed(),
            (2, Wire::Number(number)) => nanos = i32::try_from(number).map_err(|_| DecodeError::Damaged)?,
            _ => {}
        }
    }
    let at = Timestamp::new(seconds, nanos).map_err(|_| DecodeError::Damaged)?;
    Ok(json!(if digits == 0 { at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() } else { format!("{at:.6}") }))
}

fn int_or_string(bytes: &[u8]) -> Result<Value, DecodeError> {
    let (mut is_text, mut number, mut words) = (false, 0, String::new());
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Number(kind)) => is_text = kind == 1,
            (2, Wire::Number(found)) => number = found.cast_signed(),
            (3, Wire::Bytes(bytes)) => words = text(bytes)?,
            _ => {}
        }
    }
    Ok(if is_text { json!(words) } else { json!(number) })
}

fn first_text(bytes: &[u8]) -> Result<Value, DecodeError> {
    match Fields(bytes).next().transpose()? {
        Some((1, Wire::Bytes(bytes))) => Ok(json!(text(bytes)?)),
        _ => Ok(Value::Null),
    }
}

fn text(bytes: &[u8]) -> Result<String, DecodeError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::Damaged)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A field that holds bytes.
    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    }

    fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let types = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), bytes(1, &types), bytes(2, raw)].concat()
    }

    #[test]
    fn a_secret_is_read_as_its_json_would_be() {
        let metadata = [bytes(1, b"s"), bytes(3, b"ns"), bytes(2, b""), bytes(8, b"")].concat();
        let data = [bytes(1, b"k"), bytes(2, b"v")].concat();
        let raw = [bytes(1, &metadata), bytes(2, &data), bytes(3, b"Opaque")].concat();
        assert_eq!(
            decode(&envelope("v1", "Secret", &raw)).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "ns"},
                "data": {"k": "dg=="}, "type": "Opaque",
            })
        );
    }

    #[test]
    fn every_message_that_is_named_is_described() {
        for line_text in WIRE.lines() {
            for part in line_text.split(' ').skip(1).filter(|part| !part.is_empty()) {
                let kind = part.splitn(3, ':').nth(2).unwrap().trim_start_matches(['*', '{', '^']);
                assert!(kind.len() == 1 || line(kind).is_some(), "{line_text}: {kind}");
            }
        }
    }

    #[test]
    fn every_builtin_kind_but_definitions_is_understood() {
        for resource in crate::controlplane::registry::builtin::resources() {
            let known = root(&resource.api_version(), &resource.kind).is_some();
            assert_eq!(known, resource.kind != "CustomResourceDefinition", "{}", resource.full_name());
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert_eq!(decode(b"{}"), Err(DecodeError::Magic));
        assert_eq!(decode(&envelope("v1", "Nothing", b"")), Err(DecodeError::Unknown("v1 Nothing".into())));
        assert_eq!(decode(&envelope("v1", "Secret", &[0x0a, 0x7f])), Err(DecodeError::Damaged));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(raw in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = decode(&envelope("v1", "Pod", &raw));
            let _ = decode(&[MAGIC, &raw].concat());
        }
    }
}
