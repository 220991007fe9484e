//! `.env` files by the rules of compose's own reader, which are neither a shell's nor those of any other dotenv: single
//! quotes are literal, double quotes know escapes, `KEY: value` and `export` are accepted, an inline comment needs a blank
//! before it. Pure and bounded.

use std::collections::BTreeMap;

use crate::domain::app::finding::{Code, Effect, Finding, Findings, Place};
use crate::domain::app::interpolate::{Fault, Scope};

/// The largest file that is read, in octets.
pub const MOST: usize = 1 << 20;
/// How much its values may come to, variables put in.
const MOST_OUT: usize = 4 << 20;

/// What an `.env` file sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Env {
    values: BTreeMap<String, Variable>,
}

/// One variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its value.
    pub value: String,
    /// The line that set it.
    pub line: u64,
    /// Whether a reference to another variable made its value.
    pub derived: bool,
}

impl Env {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|variable| variable.value.as_str())
    }

    /// All variables in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.values.iter().map(|(key, variable)| (key.as_str(), variable))
    }

    /// The file again, with every variable put in: read by these rules, or by compose's own reader, it gives these values.
    pub fn render(&self) -> String {
        let mut lines: Vec<(&str, &Variable)> = self.iter().collect();
        lines.sort_by_key(|(_, variable)| match variable.line {
            0 => u64::MAX,
            line => line,
        });
        let lines = lines.into_iter().map(|(key, variable)| format!("{key}={}\n", quoted(&variable.value)));
        lines.collect()
    }

    /// Sets `key` as nothing in the file does.
    pub fn set_beside(&mut self, key: &str, value: &str) {
        let variable = Variable { value: value.to_owned(), line: 0, derived: false };
        self.values.insert(key.to_owned(), variable);
    }

    /// Reads `bytes` of `file`. What compose would refuse ends the reading with a finding; what was read stays.
    pub fn parse(bytes: &[u8], file: &str, findings: &mut Findings) -> Self {
        Self::parse_over(bytes, file, &|_| None, &BTreeMap::new(), findings)
    }

    /// Reads `bytes` of `file` where references look into `over` first, as compose has it, and the lines of `put` are
    /// replaced by its values, so that whatever refers to them sees those.
    pub fn parse_over(
        bytes: &[u8],
        file: &str,
        over: &dyn Fn(&str) -> Option<String>,
        put: &BTreeMap<String, String>,
        findings: &mut Findings,
    ) -> Self {
        let around = Around { over, put };
        let mut env = Self::default();
        let cannot = |line: u64, what: String| {
            Finding::both(
                Code::EnvSyntax,
                Effect::Cannot,
                Place { line: Some(line), ..Place::file(file) },
                what,
            )
        };
        if MOST < bytes.len() {
            let what = format!("{file} has {} bytes, at most {MOST} are read", bytes.len());
            findings.add(Finding::both(Code::TooLarge, Effect::Cannot, Place::file(file), what));
            return env;
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            findings.add(cannot(1, "it is not UTF-8".into()));
            return env;
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        let mut reader = Reader { rest: &text, line: 1 };
        let mut left = MOST_OUT;
        loop {
            match reader.statement() {
                Ok(None) => return env,
                Ok(Some(Statement { key, raw, line })) => {
                    if let Err(fault) =
                        env.set(Statement { key, raw, line }, &around, &mut left, (file, findings))
                    {
                        findings.add(cannot(line, format!("{key}: {fault}")));
                        return env;
                    }
                }
                Err(what) => {
                    findings.add(cannot(reader.line, what));
                    return env;
                }
            }
        }
    }

    fn set(
        &mut self,
        Statement { key, raw, line }: Statement<'_>,
        around: &Around<'_>,
        left: &mut usize,
        (file, findings): (&str, &mut Findings),
    ) -> Result<(), Fault> {
        let place = || Place::line(file, line, key);
        let lookup = |name: &str| {
            let put = || around.put.get(name).cloned().or_else(|| self.get(name).map(str::to_owned));
            (around.over)(name).or_else(put)
        };
        let (value, derived) = match raw {
            _ if let Some(value) = around.put.get(key) => (value.clone(), false),
            // A name alone takes its value from what surrounds the file; around a template there is nothing.
            Raw::Inherited => match (around.over)(key) {
                Some(value) => (value, true),
                None => return Ok(()),
            },
            Raw::Literal(text) => {
                if names_a_variable(&text) {
                    findings.add(Finding::both(Code::Quoted, Effect::Note, place(), key));
                }
                (text, false)
            }
            Raw::Text(text) => {
                let mut scope = Scope::new(&lookup, *left);
                let value = scope.fill(&text)?;
                for name in scope.undefined {
                    findings.add(Finding::both(Code::Undefined, Effect::Odd, place(), name));
                }
                let derived = value != text;
                (value, derived)
            }
        };
        *left = left.checked_sub(value.len()).ok_or(Fault::TooMuch)?;
        if self.values.insert(key.to_owned(), Variable { value, line, derived }).is_some() {
            findings.add(Finding::both(Code::DuplicateKey, Effect::Note, place(), key));
        }
        Ok(())
    }
}

/// What a file is read in.
struct Around<'a> {
    over: &'a dyn Fn(&str) -> Option<String>,
    put: &'a BTreeMap<String, String>,
}

fn names_a_variable(text: &str) -> bool {
    text.split('$')
        .skip(1)
        .any(|after| after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '{'))
}

fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+,=-".contains(c);
    if value.chars().all(plain) {
        return value.to_owned();
    }
    // Between single quotes all is literal but the quote and a backslash before it; a carriage return would be lost.
    if !value.contains(['\'', '\\', '\r']) {
        return format!("'{value}'");
    }
    let mut out = String::with_capacity(value.len() + 2);
    for c in value.chars() {
        match c {
            '\\' | '"' | '$' => out.extend(['\\', c]),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    format!("\"{out}\"")
}

struct Statement<'a> {
    key: &'a str,
    raw: Raw,
    line: u64,
}

enum Raw {
    Inherited,
    Literal(String),
    Text(String),
}

struct Reader<'a> {
    rest: &'a str,
    line: u64,
}

fn blank(c: char) -> bool {
    c != '\n' && c.is_whitespace()
}

impl<'a> Reader<'a> {
    /// Steps over `octets`, counting lines.
    fn take(&mut self, octets: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(octets);
        self.line += taken.bytes().filter(|b| *b == b'\n').count() as u64;
        self.rest = rest;
        taken
    }

    fn statement(&mut self) -> Result<Option<Statement<'a>>, String> {
        loop {
            let start = self.rest.len() - self.rest.trim_start().len();
            self.take(start);
            if !self.rest.starts_with('#') {
                break;
            }
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with(blank)
        {
            self.take(self.rest.len() - after.trim_start_matches(blank).len());
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let line = self.line;
        let end = self.rest.find(['=', ':', '\n']).unwrap_or(self.rest.len());
        let key = self.take(end).trim_end();
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']');
        if let Some(bad) = key.chars().find(|c| !allowed(*c)) {
            return Err(format!("{bad:?} in the name of a variable"));
        }
        if key.is_empty() {
            return Err("a value without a name".into());
        }
        if self.rest.is_empty() || self.rest.starts_with('\n') {
            return Ok(Some(Statement { key, raw: Raw::Inherited, line }));
        }
        self.take(1);
        self.take(self.rest.len() - self.rest.trim_start_matches(blank).len());
        Ok(Some(Statement { key, raw: self.value()?, line }))
    }

    fn value(&mut self) -> Result<Raw, String> {
        let quote = match self.rest.bytes().next() {
            Some(quote @ (b'\'' | b'"')) => quote,
            _ => {
                let line = self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
                let value = line.split(" #").next().unwrap_or(line);
                return Ok(Raw::Text(value.trim_end().to_owned()));
            }
        };
        let mut value = String::new();
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            match (escaped, c) {
                (false, '\\') => {
                    escaped = true;
                    continue;
                }
                (false, c) if c == char::from(quote) => {
                    self.take(at + 1);
                    return Ok(match quote {
                        b'"' => Raw::Text(unescaped(&value)),
                        _ => Raw::Literal(value),
                    });
                }
                (true, c) if c != char::from(quote) => value.push('\\'),
                _ => {}
            }
            escaped = false;
            value.push(c);
        }
        Err("a quote is not closed".into())
    }
}

/// Go's escapes, as compose reads them between double quotes: `\a \b \c \f \n \r \t \v \$ \" \\` and `\0` with octal
/// digits. `\$` becomes `$$`, which variables leave as one dollar sign. Others stay as they are written.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.peek().copied() {
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('v') => out.push('\u{b}'),
            Some('$') => out.push_str("$$"),
            Some(c @ ('"' | '\\')) => out.push(c),
            Some('0') => {
                chars.next();
                let mut code = 0;
                for _ in 0..3 {
                    let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    chars.next();
                }
                out.extend(char::from_u32(code));
                continue;
            }
            _ => {
                out.push('\\');
                continue;
            }
        }
        chars.next();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<(String, String)>, Vec<String>) {
        let mut findings = Findings::default();
        let env = Env::parse(text.as_bytes(), ".env", &mut findings);
        let values = env.iter().map(|(key, variable)| (key.to_owned(), variable.value.clone())).collect();
        let found = findings.sorted();
        let found = found.iter().map(|f| format!("{} {}", f.code.as_str(), f.place)).collect();
        (values, found)
    }

    #[test]
    fn values_are_read_as_compose_reads_them() {
        let cases = [
            ("A=1", "1"),
            ("A='1' # why", "1"),
            ("A = 1 ", "1"),
            ("A: one two", "one two"),
            ("export A=1", "1"),
            ("export\tA=1", "1"),
            ("A=x#y", "x#y"),
            ("A=x #y", "x"),
            ("A=", ""),
            ("A=''", ""),
            ("A=\r\n", ""),
            ("A='x'\r\n", "x"),
            ("\u{feff}A=x", "x"),
            ("A='$B \\n'", "$B \\n"),
            ("A='it\\'s'", "it's"),
            ("A=\"say \\\"x\\\"\"", "say \"x\""),
            ("A=\"x\\ny\\\\n\\$B\\*\"", "x\ny\\n$B\\*"),
            ("A=\"\\0101\"", "A"),
            ("A=\"two\nlines\"", "two\nlines"),
            ("A=a b c", "a b c"),
            ("A=$$x", "$x"),
            ("# c\n\n  A=1\n#A=2", "1"),
        ];
        for (text, expect) in cases {
            let (values, found) = read(text);
            assert_eq!(values, [("A".to_owned(), expect.to_owned())], "{text:?} {found:?}");
        }
    }

    #[test]
    fn references_go_back_and_never_forward() {
        let (values, found) = read("A=1\nB=$A\nC=\"${B}x\"\nD=${LATER}\nLATER=2\nE=${NO:-d}\nx.y-z=3");
        let values: Vec<&str> = values.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["1", "1", "1x", "", "d", "2", "3"]);
        assert_eq!(found, ["undefined-variable .env:4 D"]);
    }

    #[test]
    fn what_compose_refuses_is_refused_with_its_line() {
        let cases = [
            ("A=1\nB B=2", ".env:2"),
            ("A=1\n\nB='x", ".env:3"),
            ("A=${", ".env:1"),
            ("A=1\n=2", ".env:2"),
            ("A\"=2", ".env:1"),
            ("A='x\ny'\nB=${", ".env:3"),
        ];
        for (text, place) in cases {
            let (_, found) = read(text);
            assert_eq!(found, [format!("env-syntax {place}")], "{text:?}");
        }
        let mut findings = Findings::default();
        Env::parse(b"A=\xff", ".env", &mut findings);
        Env::parse(&vec![b'#'; MOST + 1], ".env", &mut findings);
        let codes: Vec<Code> = findings.sorted().iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [Code::TooLarge, Code::EnvSyntax]);
    }

    #[test]
    fn the_last_of_two_holds_and_a_name_alone_sets_nothing() {
        let (values, found) = read("A=1\nA=2\nHOME\nLAST");
        assert_eq!(values, [("A".to_owned(), "2".to_owned())]);
        assert_eq!(found, ["duplicate-key .env:2 A"]);
        assert_eq!(read("A='$B'").1, ["quoted-reference .env:1 A"]);
    }

    #[test]
    fn values_that_double_with_every_line_end_the_reading() {
        let mut text = "A0=xxxxxxxxxxxxxxxx\n".to_owned();
        for i in 1..64 {
            text.push_str(&format!("A{i}=$A{}$A{}\n", i - 1, i - 1));
        }
        assert!(read(&text).1[0].starts_with("env-syntax"));
    }
}
