//! Generated files are what the code prints: else run `make generate`.

use std::fs;
use std::path::Path;

use cocoasyncer::api::crds;

#[test]
fn the_crds_on_disk_are_the_ones_in_the_code() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    for crd in crds::all() {
        let path = dir.join(crds::file_name(&crd));
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(there == crds::yaml(&crd).unwrap(), "{} is stale: run `make generate`", path.display());
    }
    assert_eq!(fs::read_dir(&dir).unwrap().count(), crds::all().len(), "a file in crds/ that nothing prints");
}
