//! Small texts that compose gives a meaning: durations, sizes, command lines, image references.

/// Whether `text` is a duration as Go writes it: `1m30s`, `500ms`, `0`.
pub fn duration(text: &str) -> Option<()> {
    if text == "0" {
        return Some(());
    }
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        rest[..number].parse::<f64>().ok()?;
        let after = &rest[number..];
        let unit = ["ns", "us", "µs", "ms", "s", "m", "h", "d", "w"].into_iter().find(|unit| {
            let left = after.strip_prefix(unit);
            left.is_some_and(|left| left.is_empty() || left.starts_with(|c: char| c.is_ascii_digit()))
        })?;
        rest = &after[unit.len()..];
    }
    (!text.is_empty()).then_some(())
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

/// Whether a command line can be split into words as a shell does: every quote is closed, nothing is escaped at its end.
pub fn words(text: &str) -> Option<()> {
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => {
                chars.next()?;
            }
            (None, '\'' | '"') => quote = Some(c),
            _ => {}
        }
    }
    quote.is_none().then_some(())
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
    let tag_fits = tag.is_none_or(|tag| tag.len() <= 128 && word(tag, "._-") && !tag.starts_with(['.', '-']));
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
        for good in ["0", "10s", "1m30s", "1h", "500ms", "1.5s"] {
            assert!(duration(good).is_some(), "{good}");
        }
        for bad in ["", "10", "s", "10x", "1m 30s", "-1s"] {
            assert!(duration(bad).is_none(), "{bad}");
        }
        let sizes =
            [("2gb", 2 << 30), ("512m", 512 << 20), ("64k", 64 << 10), ("10", 10), ("0.5g", 512 << 20)];
        for (text, octets) in sizes {
            assert_eq!(size(text), Some(octets), "{text}");
        }
        assert!(["", "m", "1x", "-1", "1e999"].into_iter().all(|bad| size(bad).is_none()));
        assert!(words("sh -c 'a \"b' \"c'\\\"\" d\\ e").is_some());
        assert!(["sh -c 'a", "\"", "a\\"].into_iter().all(|bad| words(bad).is_none()));
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
