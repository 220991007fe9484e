//! Variables in scalars, as compose has them: `$X ${X} ${X:-d} ${X-d} ${X:?e} ${X?e} ${X:+a} ${X+a} $$`, nested in what
//! follows the operator. Bounded in depth and in what comes out, because templates are somebody else's.

/// How deep a default may nest in a default.
const DEEPEST: usize = 16;

/// Where variables come from, and how much may still come out of them.
pub struct Scope<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    left: usize,
    /// Variables that were asked for without a default and are set nowhere.
    pub undefined: Vec<String>,
}

impl<'a> Scope<'a> {
    /// A scope over `lookup` from which at most `most` octets come out, all its texts together.
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>, most: usize) -> Self {
        Self { lookup, left: most, undefined: Vec::new() }
    }

    /// Puts the variables into `text`.
    pub fn fill(&mut self, text: &str) -> Result<String, Fault> {
        let out = self.level(text, 0)?;
        self.left = self.left.checked_sub(out.len()).ok_or(Fault::TooMuch)?;
        Ok(out)
    }

    fn level(&mut self, text: &str, depth: usize) -> Result<String, Fault> {
        if DEEPEST < depth {
            return Err(Fault::TooDeep);
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            let column = text.len() - rest.len() + at;
            let after = &rest[at + 1..];
            rest = if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                after
            } else if let Some(inside) = after.strip_prefix('{') {
                let end = closing(inside).ok_or(Fault::Syntax { column })?;
                out.push_str(&self.braced(&inside[..end], column, depth)?);
                &inside[end + 1..]
            } else {
                match name(after) {
                    // A dollar sign that begins nothing stays, as compose has it since its second generation.
                    "" => out.push('$'),
                    name => out.push_str(&self.value(name)),
                }
                &after[name(after).len()..]
            };
            if self.left < out.len() {
                return Err(Fault::TooMuch);
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value(&mut self, name: &str) -> String {
        let value = (self.lookup)(name);
        if value.is_none() && !self.undefined.iter().any(|known| known == name) {
            self.undefined.push(name.to_owned());
        }
        value.unwrap_or_default()
    }

    /// What stands between braces: a name, alone or with an operator and its word.
    fn braced(&mut self, inside: &str, column: usize, depth: usize) -> Result<String, Fault> {
        let name = name(inside);
        let rest = &inside[name.len()..];
        if name.is_empty() {
            return Err(Fault::Syntax { column });
        }
        if rest.is_empty() {
            return Ok(self.value(name));
        }
        let (or_empty, rest) = rest.strip_prefix(':').map_or((false, rest), |rest| (true, rest));
        let mut value = (self.lookup)(name).filter(|value| !(or_empty && value.is_empty()));
        let mut chars = rest.chars();
        let operator = chars.next();
        let word = chars.as_str();
        match (operator, value.take()) {
            (Some('-' | '?'), Some(value)) => Ok(value),
            (Some('-'), None) | (Some('+'), Some(_)) => self.level(word, depth + 1),
            (Some('+'), None) => Ok(String::new()),
            (Some('?'), None) => Err(Fault::Required { name: name.to_owned() }),
            _ => Err(Fault::Syntax { column }),
        }
    }
}

/// Why variables can't be put in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Braces that hold no variable, or are not closed.
    #[error("`${{` at character {column} opens no variable: a dollar sign itself is written `$$`")]
    Syntax {
        /// Octet in the scalar, from 0.
        column: usize,
    },
    /// `${X:?}` without X.
    #[error("{name} must be set")]
    Required {
        /// The variable.
        name: String,
    },
    /// Nested beyond reason.
    #[error("defaults nest deeper than {DEEPEST}")]
    TooDeep,
    /// More comes out than any template needs.
    #[error("the values are too long in all")]
    TooMuch,
}

/// The name that `text` begins with: `[A-Za-z_][A-Za-z0-9_]*`.
fn name(text: &str) -> &str {
    let end = text.bytes().position(|b| !(b.is_ascii_alphanumeric() || b == b'_')).unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_digit()) { "" } else { &text[..end] }
}

/// The names of all variables that `text` may ask for, those in defaults included.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let after = &rest[rest.find('$')? + 1..];
            if let Some(after) = after.strip_prefix('$') {
                rest = after;
                continue;
            }
            let found = name(after.strip_prefix('{').unwrap_or(after));
            rest = after;
            if !found.is_empty() {
                return Some(found);
            }
        }
    })
}

/// Where the brace closes that stands before `text`. Only `${` opens another, as compose counts them.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut open, mut at) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                open += 1;
                at += 1;
            }
            b'$' if bytes.get(at + 1) == Some(&b'$') => at += 1,
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, Fault> {
        let lookup = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            "DOLLAR" => Some("$A".to_owned()),
            _ => None,
        };
        Scope::new(&lookup, 1000).fill(text)
    }

    #[test]
    fn every_form_is_as_compose_has_it() {
        let cases = [
            ("$A-${A}-x", "a-a-x"),
            ("$A_b|${A}_b", "|a_b"),
            ("${NO:-d}${NO-d}${EMPTY:-d}[${EMPTY-d}]", "ddd[]"),
            ("${A:-d}${A-d}${A:?e}${A?e}", "aaaa"),
            ("${A:+x}${A+x}[${NO:+x}${NO+x}${EMPTY:+x}]${EMPTY+x}", "xx[]x"),
            ("[${EMPTY?e}]", "[]"),
            ("$$A $${A}", "$A ${A}"),
            ("${NO:-${ALSO_NO:-$A}}", "a"),
            ("${NO:-{\"a\": 1}", "{\"a\": 1"),
            ("${NO:-$$}", "$"),
            ("$DOLLAR", "$A"),
            ("${NO:-}", ""),
            ("${NO:-%Y-%m-%d %H:%M}", "%Y-%m-%d %H:%M"),
            ("^a$ $1 $(date) $} 5 $", "^a$ $1 $(date) $} 5 $"),
            ("", ""),
        ];
        for (text, expect) in cases {
            assert_eq!(fill(text).as_deref(), Ok(expect), "{text}");
        }
    }

    #[test]
    fn what_is_no_variable_is_refused_with_its_place() {
        for (text, column) in
            [("a ${", 2), ("${}", 0), ("${ A}", 0), ("x${A", 1), ("${A!x}", 0), ("${A x}", 0), ("${1}", 0)]
        {
            assert_eq!(fill(text), Err(Fault::Syntax { column }), "{text}");
        }
        assert_eq!(fill("${NO:?say}"), Err(Fault::Required { name: "NO".into() }));
        assert_eq!(fill("${EMPTY:?say}"), Err(Fault::Required { name: "EMPTY".into() }));
    }

    #[test]
    fn the_names_in_a_text_are_those_that_it_may_ask_for() {
        let text = "$A ${B:-${C-$D}} $$E $1 ${F:?no} $";
        assert_eq!(names(text).collect::<Vec<_>>(), ["A", "B", "C", "D", "F"]);
    }

    #[test]
    fn depth_and_output_are_bounded() {
        let deep = format!("{}x{}", "${NO:-".repeat(40), "}".repeat(40));
        assert_eq!(fill(&deep), Err(Fault::TooDeep));
        let long = |_: &str| Some("x".repeat(600));
        let mut scope = Scope::new(&long, 1000);
        assert!(scope.fill("$A").is_ok());
        assert_eq!(scope.fill("$A"), Err(Fault::TooMuch));
    }

    #[test]
    fn what_is_set_nowhere_is_named_once_and_only_without_default() {
        let none = |_: &str| None;
        let mut scope = Scope::new(&none, 1000);
        scope.fill("$X ${X} ${Y:-d} ${Z}").unwrap();
        assert_eq!(scope.undefined, ["X", "Z"]);
    }
}
