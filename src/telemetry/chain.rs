//! An error with all its causes on one line, for the one place at the top of each loop that logs it.

use std::error::Error;
use std::fmt;

/// Shows an error and its causes, separated by colons; a cause that repeats the text above it is passed over.
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut above = self.0.to_string();
        f.write_str(&above)?;
        let mut cause = self.0.source();
        while let Some(err) = cause {
            let text = err.to_string();
            // Some libraries print their cause themselves.
            if !above.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            above = text;
            cause = err.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Step(&'static str, #[source] Option<Box<Step>>);

    #[test]
    fn causes_stand_once_and_in_their_order() {
        let root = Step("connection refused", None);
        let middle = Step("call peer: connection refused", Some(Box::new(root)));
        let top = Step("push to tokyo", Some(Box::new(middle)));
        assert_eq!(Chain(&top).to_string(), "push to tokyo: call peer: connection refused");
    }
}
