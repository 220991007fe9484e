//! The `format` words that are enforced; a word that is not known says nothing, as on the real server.
//!
//! PURE.

use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use serde_json::Number;

/// Whether a text has the format.
pub(crate) fn text(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => date_time(text),
        "date" => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        "duration" => duration(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => text.parse::<ipnet::IpNet>().is_ok(),
        "byte" => base64::engine::general_purpose::STANDARD.decode(text).is_ok(),
        "uuid" => uuid(text),
        "mac" => mac(text),
        "hostname" => hostname(text),
        "email" => text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && hostname(host)),
        "uri" => text.parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_some() || text.starts_with('/')),
        _ => true,
    }
}

/// Whether a number fits the format's range.
pub(crate) fn number(format: &str, number: &Number) -> bool {
    let within = |least: i128, most: i128| match number.as_f64() {
        Some(float) if float.fract() == 0.0 => {
            let whole = number.as_i128().unwrap_or(float as i128);
            least <= whole && whole <= most
        }
        _ => false,
    };
    match format {
        "int32" => within(i32::MIN.into(), i32::MAX.into()),
        "int64" => within(i64::MIN.into(), i64::MAX.into()),
        "uint32" => within(0, u32::MAX.into()),
        "uint64" => within(0, u64::MAX.into()),
        _ => true,
    }
}

/// RFC 3339 with its mandatory offset.
fn date_time(text: &str) -> bool {
    let separated = text.as_bytes().get(10).is_some_and(|b| matches!(b, b'T' | b't' | b' '));
    separated && text.parse::<jiff::Timestamp>().is_ok()
}

/// Go's duration: `1h30m`, `-1.5s`, `0`.
fn duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let unit = ["ns", "us", "µs", "ms", "s", "m", "h"].into_iter().find(|unit| {
            tail.strip_prefix(unit).is_some_and(|after| !after.starts_with(|c: char| c.is_alphabetic()))
        });
        match unit {
            Some(unit) if number.parse::<f64>().is_ok() => rest = &tail[unit.len()..],
            _ => return false,
        }
    }
    true
}

fn uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    let right =
        |(part, length): (&&str, usize)| part.len() == length && part.chars().all(|c| c.is_ascii_hexdigit());
    parts.len() == lengths.len() && parts.iter().zip(lengths).all(right)
}

fn mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    parts.len() == 6 && parts.iter().all(|p| p.len() == 2 && p.chars().all(|c| c.is_ascii_hexdigit()))
}

fn hostname(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_formats_accept_and_refuse() {
        let table = [
            ("date-time", "2026-11-21T01:02:03Z", "2026-11-21"),
            ("date-time", "2026-11-21T01:02:03.5+08:00", "2026-11-21T01:02:03"),
            ("date", "2026-11-21", "2026-13-21"),
            ("duration", "1h30m", "1 hour"),
            ("duration", "1.5ms", "5"),
            ("ipv4", "192.0.2.1", "192.0.2.256"),
            ("ipv6", "2001:db8::1", "192.0.2.1"),
            ("cidr", "192.0.2.0/24", "192.0.2.0/33"),
            ("byte", "YQ==", "a"),
            ("uuid", "01234567-89ab-cdef-0123-456789abcdef", "01234567"),
            ("mac", "00:11:22:33:44:55", "00:11:22:33:44"),
            ("hostname", "a.example.com", "-a.example.com"),
        ];
        for (format, good, bad) in table {
            assert!(text(format, good), "{format} refuses {good}");
            assert!(!text(format, bad), "{format} accepts {bad}");
        }
    }

    #[test]
    fn a_format_nobody_knows_says_nothing() {
        assert!(text("colour-of-the-day", "x"));
        assert!(number("uint16", &Number::from(70000)));
    }

    #[test]
    fn integers_stay_in_their_range() {
        let table = [("int32", 2147483648_i64), ("uint32", -1), ("uint32", 4294967296), ("uint64", -1)];
        for (format, bad) in table {
            assert!(!number(format, &Number::from(bad)), "{format} accepts {bad}");
        }
        assert!(number("int32", &Number::from(-1)));
    }
}
