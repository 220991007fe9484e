//! A secret: never printed, compared in constant time, wiped when dropped. It has no `Serialize`; whoever must send it
//! calls [`Secret::expose`], and a test keeps the list of those places short.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Text that must not be seen.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text, for the one who must send or store it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it. An empty secret matches nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `offered` is this secret, in time that depends on the offer's length only. An empty secret matches nothing.
    pub fn matches(&self, offered: &str) -> bool {
        !self.is_empty() && bool::from(self.0.as_bytes().ct_eq(offered.as_bytes()))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        bool::from(self.0.as_bytes().ct_eq(other.0.as_bytes()))
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed_and_an_empty_one_matches_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
        assert!(Secret::new("a").matches("a"));
        assert!(!Secret::new("a").matches("ab"));
        assert!(!Secret::new("").matches(""));
    }
}
