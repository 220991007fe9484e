//! A TSIG key from a file, as `tsig-keygen` prints it or as `NAME SECRET`. What stands in the file is never repeated:
//! where it is not what it should be, any word of it may be the secret.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::domain::names::{DnsName, FieldError};
use crate::domain::secret::Secret;

/// Padded or not: people copy either.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// What signs where nobody says.
const USUAL: &str = "hmac-sha256";
/// What can sign (RFC 8945 section 6, without what must not be used).
const ALGORITHMS: [&str; 3] = [USUAL, "hmac-sha384", "hmac-sha512"];

/// A key as an account's Secret holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TsigKey {
    /// Its name, with `algorithm:` before it where that is not `hmac-sha256`.
    pub name: String,
    /// Its secret in base64.
    pub secret: Secret,
}

impl TsigKey {
    /// Reads a key file's text; `flag` names it in the refusal.
    pub fn read(text: &Secret, flag: &str) -> Result<Self, FieldError> {
        let shape = || {
            FieldError::new(flag, "holds no key: write `NAME SECRET`, or what tsig-keygen prints (one key)")
        };
        let words = words(text.expose()).ok_or_else(shape)?;
        match words.as_slice() {
            ["key", name, "{", clauses @ .., "}", ";"] => {
                let clause = |wanted: &str| {
                    let mut found = clauses.chunks(3).filter(|clause| clause[0] == wanted);
                    let one = found.next().filter(|_| found.next().is_none());
                    one.filter(|clause| clause.len() == 3 && clause[2] == ";").map(|clause| clause[1])
                };
                let known = if clause("algorithm").is_some() { 6 } else { 3 };
                let secret = clause("secret").filter(|_| clauses.len() == known).ok_or_else(shape)?;
                let algorithm = clause("algorithm").unwrap_or(USUAL);
                Self::of(&format!("{algorithm}:{name}"), secret, flag)
            }
            [name, secret] => Self::of(name, secret, flag),
            _ => Err(shape()),
        }
    }

    /// A key from its parts; `name` may have `algorithm:` before it.
    pub fn of(name: &str, secret: &str, flag: &str) -> Result<Self, FieldError> {
        let (algorithm, name) = name.split_once(':').unwrap_or((USUAL, name));
        let algorithm = algorithm.trim_end_matches('.').to_ascii_lowercase();
        if !ALGORITHMS.contains(&algorithm.as_str()) {
            let why = format!("has an algorithm that can't be used: use {}", ALGORITHMS.join(", "));
            return Err(FieldError::new(flag, why));
        }
        let Ok(name) = DnsName::parse(name, flag) else {
            return Err(FieldError::new(
                flag,
                "has no key's name where one should stand: it is a domain name",
            ));
        };
        if secret.is_empty() || BASE64.decode(secret).is_err() {
            return Err(FieldError::new(flag, "has a secret that is not base64"));
        }
        let name = if algorithm == USUAL { name.to_string() } else { format!("{algorithm}:{name}") };
        Ok(Self { name, secret: Secret::new(secret) })
    }
}

/// The words of a configuration as BIND writes it; none where a quote doesn't end.
fn words(text: &str) -> Option<Vec<&str>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '"' => rest[1..].split_once('"')?,
            '{' | '}' | ';' => rest.split_at(1),
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "{};\"".contains(c));
                rest.split_at(end.unwrap_or(rest.len()))
            }
        };
        words.push(word);
        rest = after.trim_start();
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<(&str, &str), &str>) {
        let read = TsigKey::read(&Secret::new(text), "--key-file");
        match (read, expect) {
            (Ok(key), Ok((name, secret))) => {
                assert_eq!((key.name.as_str(), key.secret.expose()), (name, secret))
            }
            (Err(error), Err(part)) => {
                assert_eq!(error.field, "--key-file");
                assert!(error.why.contains(part) && !error.why.contains("canary"), "{error}");
            }
            (read, expect) => panic!("{text}: {read:?}, not {expect:?}"),
        }
    }

    #[test]
    fn a_key_is_read_as_tsig_keygen_prints_it_and_as_two_words() {
        let printed = "key \"ct.example.com\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0\";\n};\n";
        check(printed, Ok(("ct.example.com", "c2VjcmV0")));
        check("key ct { secret \"c2VjcmV0\"; algorithm HMAC-SHA512; };", Ok(("hmac-sha512:ct", "c2VjcmV0")));
        check("key ct{secret c2VjcmV0;};", Ok(("ct", "c2VjcmV0")));
        check("ct. c2VjcmV0cw\n", Ok(("ct", "c2VjcmV0cw")));
        check("hmac-sha384:ct c2VjcmV0cw==", Ok(("hmac-sha384:ct", "c2VjcmV0cw==")));
    }

    #[test]
    fn what_is_no_key_is_refused_without_a_word_of_it() {
        for text in [
            "",
            "canary",
            "ct canary canary",
            "key ct { secret \"canary; };",
            "key ct { algorithm hmac-sha256; };",
            "key ct { secret canary; secret canary; };",
            "key ct { secret canary; } ; key cu { secret canary; };",
            "key ct { secret canary }; ;",
            "key ct { secret canary; trailing words; };",
            "key { };",
        ] {
            check(text, Err("holds no key"));
        }
        check("ct canary!", Err("not base64"));
        check("canary+/= ct", Err("no key's name"));
        check("hmac-md5:ct canary", Err("use hmac-sha256, hmac-sha384, hmac-sha512"));
        check("key ct { algorithm canary; secret canary; };", Err("use hmac-sha256"));
    }
}
