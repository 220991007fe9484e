//! Small texts that compose gives a meaning: durations, sizes, command lines, image references.

use std::time::Duration;

/// A duration as Go writes it: `1m30s`, `500ms`, `0`.
pub fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 9] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
        ("d", 86_400.0),
        ("w", 604_800.0),
    ];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let count: f64 = rest[..number].parse().ok()?;
        let after = &rest[number..];
        let (unit, length) = UNITS.into_iter().find(|(unit, _)| {
            let left = after.strip_prefix(unit);
            left.is_some_and(|left| left.is_empty() || left.starts_with(|c: char| c.is_ascii_digit()))
        })?;
        seconds += count * length;
        rest = &after[unit.len()..];
    }
    // A year is more than any check waits, and what fits in every engine's own type.
    let fits = !text.is_empty() && seconds <= 31_536_000.0;
    fits.then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

/// A size in octets: `2gb`, `512m`, `64k`, a number alone. Units count in 1024s, as compose has them.
pub fn size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let end = lower.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(lower.len());
    let number: f64 = lower[..end].parse().ok()?;
    let unit = match lower[end..].trim() {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1024.0 * 1024.0,
        "g" | "gb" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "t" | "tb" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let octets = number * unit;
    (octets.is_finite() && octets < 1e18).then_some(octets as u64)
}

/// A quantity as Kubernetes writes it: `500m`, `2`, `512Mi`, `4G`.
pub fn quantity(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let unit = match &text[end..] {
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some(number * unit).filter(|octets| *octets < 1e18)
}

/// Whether `text` may be a tag of an image.
pub fn is_tag(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !text.is_empty() && text.len() <= 128 && text.chars().all(allowed) && !text.starts_with(['.', '-'])
}

/// A command line as words, split as compose's own library splits it: quotes group, a backslash takes the next character
/// as it is (`\n` and `\t` as what they mean) save between single quotes, and the first bare `;`, `&`, `|`, `<` or `>` ends the line. None: a quote,
/// backquote or `$(` is not closed, or a bare parenthesis stands alone.
pub fn words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut begun) = (Vec::new(), String::new(), false);
    let (mut quote, mut escaped) = (None, false);
    for c in text.chars() {
        match (quote, c) {
            _ if escaped => {
                escaped = false;
                begun = true;
                match (quote, c) {
                    (Some('`' | ')'), c) => word.extend(['\\', c]),
                    (_, 't') => word.push('\t'),
                    (_, 'n') => word.push('\n'),
                    (_, c) => word.push(c),
                }
            }
            (Some('\''), '\\') => word.push(c),
            (_, '\\') => escaped = true,
            (None, ' ' | '\t' | '\r' | '\n') => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (Some(open @ ('\'' | '"')), c) if c == open => quote = None,
            (None, '\'' | '"') => (begun, quote) = (true, Some(c)),
            (None, ';' | '&' | '|' | '<' | '>') => {
                // A number before `>` names the stream that would have gone elsewhere, and is no word.
                if c == '>' && !word.is_empty() && word.chars().all(|c| c.is_ascii_digit()) {
                    begun = false;
                }
                break;
            }
            (None, '(') if !word.ends_with('$') => return None,
            (None, ')') | (Some(')'), '(') => return None,
            (open, c) => {
                match (open, c) {
                    (None, '`') => quote = Some('`'),
                    (None, '(') => quote = Some(')'),
                    (Some(open), c) if open == c => quote = None,
                    _ => {}
                }
                begun = true;
                word.push(c);
            }
        }
    }
    if escaped || quote.is_some() {
        return None;
    }
    if begun {
        words.push(word);
    }
    Some(words)
}

/// An image reference: `[host[:port]/]path[:tag][@digest]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image<'a> {
    /// Its tag.
    pub tag: Option<&'a str>,
    /// Its digest.
    pub digest: Option<&'a str>,
}

/// Reads an image reference (distribution's grammar, its lengths included).
pub fn image(text: &str) -> Option<Image<'_>> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match rest[slash..].find(':') {
        Some(at) => (&rest[..slash + at], Some(&rest[slash + at + 1..])),
        None => (rest, None),
    };
    let word = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let is_host = |first: &str| first.contains(['.', ':']) || first == "localhost";
    let path = match name.split_once('/') {
        Some((host, path))
            if is_host(host)
                && word(host, ".-:")
                && host.starts_with(|c: char| c.is_ascii_alphanumeric()) =>
        {
            path
        }
        _ => name,
    };
    let part = |part: &str| {
        word(part, "._-")
            && !part.contains(|c: char| c.is_ascii_uppercase())
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let tag_fits = tag.is_none_or(is_tag);
    let digest_fits = digest.is_none_or(|digest| {
        let hex = |hex: &str| 32 <= hex.len() && hex.bytes().all(|b| b.is_ascii_hexdigit());
        digest.split_once(':').is_some_and(|(algorithm, value)| word(algorithm, "+._-") && hex(value))
    });
    let fits = name.len() <= 255 && path.split('/').all(part) && tag_fits && digest_fits;
    fits.then_some(Image { tag, digest })
}

/// Whether `name` may name a container: the engine's rule.
pub fn is_container_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphanumeric())
        && 2 <= name.len()
        && chars.all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// Whether `name` can be a Service's in a cluster, which is a label of DNS (RFC 1035) in lower case.
pub fn is_dns_label(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_sizes_and_command_lines() {
        let good =
            [("0", 0), ("10s", 10_000), ("1m30s", 90_000), ("1h", 3_600_000), ("500ms", 500), ("1.5s", 1500)];
        for (text, millis) in good {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "10", "s", "10x", "1m 30s", "-1s", "9999999999999h"] {
            assert!(duration(bad).is_none(), "{bad}");
        }
        let sizes =
            [("2gb", 2 << 30), ("512m", 512 << 20), ("64k", 64 << 10), ("10", 10), ("0.5g", 512 << 20)];
        for (text, octets) in sizes {
            assert_eq!(size(text), Some(octets), "{text}");
        }
        assert!(["", "m", "1x", "-1", "1e999"].into_iter().all(|bad| size(bad).is_none()));
    }

    #[test]
    fn command_lines_are_split_as_compose_splits_them() {
        let cases: [(&str, &[&str]); 12] = [
            ("sh -c 'a \"b' \"c'\\\"\" d\\ e", &["sh", "-c", "a \"b", "c'\"", "d e"]),
            ("", &[]),
            (" \n\t", &[]),
            ("a ''  b", &["a", "", "b"]),
            ("--x='a b'c", &["--x=a bc"]),
            ("'a\\b' \"a\\\\b\" a\\\\b", &["a\\b", "a\\b", "a\\b"]),
            ("a\n  b\n", &["a", "b"]),
            ("a && b", &["a"]),
            ("a 2>&1", &["a"]),
            ("a x>y", &["a", "x"]),
            ("printf \"a\\n\" b\\tc `a\\b`", &["printf", "a\n", "b\tc", "`a\\b`"]),
            ("echo $(date +%s) `a b`", &["echo", "$(date +%s)", "`a b`"]),
        ];
        for (text, expect) in cases {
            let expect: Vec<String> = expect.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(words(text), Some(expect), "{text}");
        }
        assert!(["sh -c 'a", "\"", "a\\", "`a", "$(a", "(a)"].into_iter().all(|bad| words(bad).is_none()));
    }

    #[test]
    fn image_references_are_those_that_an_engine_pulls() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let cases = [
            ("nginx", Some((None, None))),
            ("nginx:1.27", Some((Some("1.27"), None))),
            ("a/b_c/d.e-f:RELEASE.2025-01-01T00-00-00Z", Some((Some("RELEASE.2025-01-01T00-00-00Z"), None))),
            ("localhost:5000/a:1", Some((Some("1"), None))),
            ("reg.example.com:5000/a/b", Some((None, None))),
            ("", None),
            (":1", None),
            ("nginx:", None),
            ("Nginx", None),
            ("http://example.com/a:1", None),
            ("a b", None),
            ("a//b", None),
            ("a@sha256:12", None),
            ("../a", None),
        ];
        for (text, expect) in cases {
            assert_eq!(image(text).map(|image| (image.tag, image.digest)), expect, "{text}");
        }
        let both = format!("a:1@{digest}");
        assert_eq!(image(&both).unwrap().digest, Some(digest.as_str()));
    }

    #[test]
    fn names_of_containers_and_of_dns() {
        assert!(
            is_container_name("blog-mysql_1.a") && !is_container_name("-blog") && !is_container_name("a b")
        );
        assert!(
            is_dns_label("blog-1") && !is_dns_label("1blog") && !is_dns_label("a_b") && !is_dns_label("A")
        );
    }
}
