//! The App API's parameters, wherever they stand: the query string, a form, a JSON object. Reading is tolerant in form
//! (numbers for texts, `True` for `true`) and strict in meaning: who says two things at once is refused.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::wire::app::Failure;
use crate::wire::app::words::Code;

/// Longest `customer_app_name`: longer ones make no label of a DNS name.
pub const MAX_NAME: usize = 63;
/// Most lines of a log.
pub const MAX_LINES: u32 = 5000;
/// Lines of a log, where the caller names no number.
const LINES: u32 = 200;
/// Parameters that there are; others are passed over.
const KNOWN: [&str; 8] = [
    "app_name",
    "customer_app_name",
    "app_version",
    "app_id",
    "delete_image",
    "delete_data",
    "service",
    "lines",
];

/// The parameters of one call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Params(BTreeMap<&'static str, String>);

/// An application, as a caller names it.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// The catalogue's name, where the older form `<app_name>_<customer_app_name>` says it.
    pub app_name: Option<String>,
    /// The customer's name.
    pub name: String,
}

impl Params {
    /// Reads a query string and a body. A body that begins with a brace is JSON, whatever its type claims: callers who
    /// leave the type to their tool send JSON as a form.
    pub fn read(query: &str, body: &[u8], content_type: Option<&[u8]>) -> Result<Self, Failure> {
        let mut params = Self::default();
        params.form(query, "the query string")?;
        let body = body.trim_ascii();
        let claims = |kind: &[u8]| {
            content_type.is_some_and(|said| {
                said.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind))
            })
        };
        match body.first() {
            None => {}
            Some(b'{') => params.json(body)?,
            Some(_) if claims(b"application/json") => return Err(unreadable("body: must be a JSON object")),
            Some(_) if claims(b"multipart/") => {
                return Err(unreadable("body: must be JSON or application/x-www-form-urlencoded"));
            }
            Some(_) => {
                let text = std::str::from_utf8(body).map_err(|_| unreadable("body: is not UTF-8"))?;
                params.form(text, "body")?;
            }
        }
        Ok(params)
    }

    /// A parameter that must be there and not blank, else `code`.
    pub fn required(&self, name: &str, code: Code) -> Result<&str, Failure> {
        self.optional(name).ok_or_else(|| Failure::new(code, format!("{name}: is missing or empty")))
    }

    /// A parameter, unless it is missing or blank.
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    /// A yes or no.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, Failure> {
        let Some(text) = self.optional(name) else { return Ok(default) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(Failure::new(Code::ValueError, format!("{name}: must be true or false"))),
        }
    }

    /// Takes the `app_id` that stands in a path.
    pub fn name(&mut self, app_id: String) -> Result<(), Failure> {
        self.add("app_id", app_id)
    }

    /// The application that `app_id` names.
    pub fn app(&self) -> Result<Named, Failure> {
        named(self.required("app_id", Code::AppIdBlank)?)
    }

    /// How many lines of a log are wanted.
    pub fn lines(&self) -> Result<u32, Failure> {
        let Some(text) = self.optional("lines") else { return Ok(LINES) };
        let wrong =
            || Failure::new(Code::ValueError, format!("lines: must be a number from 1 to {MAX_LINES}"));
        text.parse().ok().filter(|lines| (1..=MAX_LINES).contains(lines)).ok_or_else(wrong)
    }

    fn add(&mut self, name: &str, value: String) -> Result<(), Failure> {
        let Some(known) = KNOWN.iter().find(|known| **known == name) else { return Ok(()) };
        match self.0.get(known).filter(|there| !there.trim().is_empty()) {
            Some(there) if *there != value && !value.trim().is_empty() => {
                Err(Failure::new(Code::ValueError, format!("{name}: is given twice, with different values")))
            }
            Some(_) => Ok(()),
            None => {
                self.0.insert(known, value);
                Ok(())
            }
        }
    }

    fn form(&mut self, text: &str, place: &str) -> Result<(), Failure> {
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text| {
                decoded(text).ok_or_else(|| unreadable(&format!("{place}: holds a broken % sequence")))
            };
            self.add(&decode(name)?, decode(value)?)?;
        }
        Ok(())
    }

    fn json(&mut self, body: &[u8]) -> Result<(), Failure> {
        let doc: serde_json::Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| unreadable("body: is not JSON"))?;
        for (name, value) in doc {
            if !KNOWN.contains(&name.as_str()) {
                continue;
            }
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                Value::Bool(flag) => flag.to_string(),
                // 1.10 would be read as 1.1, which is another version.
                Value::Number(number) if number.is_f64() => {
                    let why = format!("{name}: must be a text: write it in quotes");
                    return Err(Failure::new(Code::ValueError, why));
                }
                Value::Number(number) => number.to_string(),
                Value::Array(_) | Value::Object(_) => {
                    return Err(Failure::new(Code::ValueError, format!("{name}: must be a text")));
                }
            };
            self.add(&name, text)?;
        }
        Ok(())
    }
}

fn unreadable(why: &str) -> Failure {
    Failure::new(Code::FormatError, why)
}

/// Percent-decoding of forms; none where a sequence is broken or the text is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        rest = more;
        match first {
            b'+' => octets.push(b' '),
            b'%' => {
                let (digits, more) = more.split_at_checked(2)?;
                let digits = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
                octets.push(u8::from_str_radix(digits, 16).ok()?);
                rest = more;
            }
            other => octets.push(*other),
        }
    }
    String::from_utf8(octets).ok()
}

/// Whether `name` can be a `customer_app_name`.
pub fn is_name(name: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_digit() || octet.is_ascii_lowercase();
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain)
}

/// The customer's name, if it can be one.
pub fn customer_name(name: &str) -> Result<&str, Failure> {
    let why = || format!("customer_app_name: must be 1 to {MAX_NAME} digits and lower-case letters");
    is_name(name).then_some(name).ok_or_else(|| Failure::new(Code::CustomerAppNameFormatError, why()))
}

fn named(id: &str) -> Result<Named, Failure> {
    let (app_name, name) = match id.split_once('_') {
        Some((app, name)) => (Some(app), name),
        None => (None, id),
    };
    let catalogue = |app: &str| {
        !app.is_empty()
            && app.len() <= MAX_NAME
            && app.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    if !is_name(name) || app_name.is_some_and(|app| !catalogue(app)) {
        let why = format!("app_id: must be 1 to {MAX_NAME} digits and lower-case letters");
        return Err(Failure::new(Code::AppIdFormatError, why));
    }
    Ok(Named { app_name: app_name.map(str::to_ascii_lowercase), name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, body: &str, kind: &str) -> Result<Params, (Code, String)> {
        Params::read(query, body.as_bytes(), Some(kind.as_bytes())).map_err(|f| (f.code, f.detail))
    }

    #[test]
    fn parameters_are_found_in_the_query_a_form_and_json() {
        let form = "application/x-www-form-urlencoded";
        for (query, body, kind) in [
            ("app_name=a%2Bb+c&app_id=7&more".into(), "", ""),
            ("app_id=7".into(), "app_name=a%2bb%20c", form),
            (String::new(), r#"{"app_name":"a+b c","app_id":7,"more":[1]}"#, "application/json"),
            // What curl sends with -d alone.
            (String::new(), r#" {"app_name":"a+b c","app_id":"7"}"#, form),
            ("app_id=7&app_name=".into(), r#"{"app_name":"a+b c","app_id":"7"}"#, ""),
        ] {
            let params = read(&query, body, kind).unwrap();
            let found = (params.optional("app_name"), params.optional("app_id"));
            assert_eq!(found, (Some("a+b c"), Some("7")), "{query} {body}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_refused_by_its_name() {
        #[track_caller]
        fn check(query: &str, body: &str, kind: &str, code: Code, word: &str) {
            let (found, detail) = read(query, body, kind).unwrap_err();
            assert!(found == code && detail.contains(word), "{found:?} {detail}");
        }
        check("app_id=%zz", "", "", Code::FormatError, "query");
        check("app_id=%e", "", "", Code::FormatError, "query");
        check("app_id=%+1", "", "", Code::FormatError, "query");
        check("app_id=%ff", "", "", Code::FormatError, "query");
        check("", "{", "", Code::FormatError, "body");
        check("", "[]", "application/json", Code::FormatError, "body");
        check("", "--x", "Multipart/form-data; boundary=x", Code::FormatError, "body");
        check("app_id=a&app_id=b", "", "", Code::ValueError, "app_id");
        check("app_id=a", r#"{"app_id":"b"}"#, "", Code::ValueError, "app_id");
        check("", r#"{"app_version":1.10}"#, "", Code::ValueError, "app_version");
        check("", r#"{"app_id":{"a":1}}"#, "", Code::ValueError, "app_id");
    }

    #[test]
    fn a_flag_is_read_as_the_callers_languages_write_it() {
        for (text, expect) in [
            ("true", Some(true)),
            ("True", Some(true)),
            ("1", Some(true)),
            ("false", Some(false)),
            ("FALSE", Some(false)),
            ("0", Some(false)),
            ("", Some(true)),
            ("ja", None),
        ] {
            let params = read(&format!("delete_data={text}"), "", "").unwrap();
            assert_eq!(params.flag("delete_data", true).ok(), expect, "{text}");
        }
        assert_eq!(read("", r#"{"delete_data":false}"#, "").unwrap().flag("delete_data", true), Ok(false));
    }

    #[test]
    fn an_id_is_the_customers_name_and_its_older_form_is_understood() {
        #[track_caller]
        fn check(id: &str, expect: Option<(Option<&str>, &str)>) {
            let found = named(id).ok().map(|named| (named.app_name, named.name));
            assert_eq!(found, expect.map(|(app, name)| (app.map(str::to_owned), name.to_owned())), "{id}");
        }
        check("blog", Some((None, "blog")));
        check("7blog", Some((None, "7blog")));
        check("WordPress_blog", Some((Some("wordpress"), "blog")));
        let (longest, longer) = ("a".repeat(MAX_NAME), "a".repeat(MAX_NAME + 1));
        check(&longest, Some((None, &longest)));
        for bad in ["Blog", "bl-og", "../etc", "a_b_c", "_blog", "blog_", "心", "a b", "$(id)", &longer] {
            check(bad, None);
        }
    }
}
