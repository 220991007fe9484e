//! The order of names: canonical (RFC 4034 section 6.1), so that a name's descendants stand right after it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// The labels backwards with a space between, which sorts before every character of a label: a name's descendants
/// stand right after it, and the name that shares most labels with another is its neighbour.
pub(super) fn sort_key(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    for label in name.rsplit('.') {
        if !key.is_empty() {
            key.push(' ');
        }
        key.push_str(label);
    }
    key
}

/// The name above.
pub(super) fn parent(key: &str) -> Option<&str> {
    key.rsplit_once(' ').map(|(above, _)| above)
}

/// Of two leading parts of one name the one with more labels.
pub(super) fn longest<'a>(a: &'a str, b: &'a str) -> &'a str {
    if a.len() < b.len() { b } else { a }
}

/// The leading labels that `asked` shares with some key: in this order its neighbours share the most.
pub(super) fn shared<'a, T>(map: &BTreeMap<Arc<str>, T>, asked: &'a str) -> &'a str {
    let before = map.range::<str, _>((Bound::Unbounded, Bound::Included(asked))).next_back();
    let after = map.range::<str, _>((Bound::Excluded(asked), Bound::Unbounded)).next();
    let with = |found: Option<(&Arc<str>, &T)>| found.map_or("", |(key, _)| common(asked, key));
    longest(with(before), with(after))
}

fn common<'a>(asked: &'a str, key: &str) -> &'a str {
    let same = asked.bytes().zip(key.bytes()).take_while(|(a, b)| a == b).count();
    let ends = |text: &str| matches!(text.as_bytes().get(same), None | Some(b' '));
    if ends(asked) && ends(key) {
        return &asked[..same];
    }
    asked[..same].rfind(' ').map_or("", |end| &asked[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_shares_whole_labels_only() {
        let cases = [
            ("a.example.com", "com example"),
            ("x.b-c.example.com", "com example"),
            ("x.b.example.com", "com example b"),
            ("examples.com", "com"),
            ("example.com", "com example"),
            ("net", ""),
        ];
        let names = ["b.example.com", "bb.example.com", "org"];
        let map: BTreeMap<Arc<str>, ()> = names.into_iter().map(|name| (sort_key(name).into(), ())).collect();
        for (asked, expect) in cases {
            assert_eq!(shared(&map, &sort_key(asked)), expect, "{asked}");
        }
    }

    proptest! {
        #[test]
        fn neighbours_share_as_much_as_any_name(
            names in prop::collection::btree_set("([a*-]b?[.]){0,3}z", 0..8),
            asked in "([a*-]b?[.]){0,3}z",
        ) {
            let map: BTreeMap<Arc<str>, ()> = names.iter().map(|name| (sort_key(name).into(), ())).collect();
            let labels = |name: &str| name.rsplit('.').map(str::to_owned).collect::<Vec<_>>();
            let same = |name: &String| labels(name).iter().zip(labels(&asked)).take_while(|(a, b)| *a == b).count();
            let most = names.iter().map(same).max().unwrap_or(0);
            let key = sort_key(&asked);
            let got = shared(&map, &key);
            prop_assert_eq!(got.split(' ').filter(|label| !label.is_empty()).count(), most);
        }
    }
}
