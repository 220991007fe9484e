//! Any octets are read as an `.env` file, and what was read comes back from its rendering.
#![no_main]

use cocoasyncer::domain::app::env_file::Env;
use cocoasyncer::domain::app::finding::Findings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let read = |bytes: &[u8]| Env::parse(bytes, ".env", &mut Findings::default());
    let values = |env: &Env| env.iter().map(|(k, v)| (k.to_owned(), v.value.clone())).collect::<Vec<_>>();
    let env = read(bytes);
    let rendered = env.render();
    if rendered.len() <= cocoasyncer::domain::app::env_file::MOST {
        assert_eq!(values(&read(rendered.as_bytes())), values(&env));
    }
});
