//! Any text is filled within its bounds, and one whose dollars are doubled comes back as it was.
#![no_main]

use cocoasyncer::domain::app::interpolate::{Scope, names};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lookup = |name: &str| (name.len() % 2 == 0).then(|| name.repeat(3));
    if let Ok(filled) = Scope::new(&lookup, 4096).fill(text) {
        assert!(filled.len() <= 4096);
    }
    assert!(names(text).count() <= text.len());
    let doubled = Scope::new(&lookup, usize::MAX).fill(&text.replace('$', "$$"));
    assert_eq!(doubled.as_deref(), Ok(text));
});
