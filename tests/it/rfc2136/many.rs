//! Many records, and how long they take.

use std::fmt::Write;
use std::time::Instant;

use super::*;
use crate::support::servers::nsupdate;

const MANY: usize = 12_000;

#[tokio::test(flavor = "multi_thread")]
async fn twelve_thousand_records_come_into_bind_in_a_few_seconds() {
    let (Some(ours), Some(theirs)) = tokio::join!(bind::with_views(), bind::with_views()) else { return };
    let value = |index: usize| format!("10.{}.{}.1", index / 250, index % 250);
    let changes: Vec<Change> =
        (0..MANY).map(|index| to(&format!("n{index}"), None, &[&value(index)])).collect();
    let provider = ours.provider();
    let began = Instant::now();
    for slice in changes.chunks(provider.ways().batch) {
        assert_eq!(tally(&provider.apply(&zone(), slice).await), [("ok", slice.len())].into());
    }
    let took = began.elapsed();
    let mut script = String::new();
    for index in 0..MANY {
        let at = format!("n{index}.example.com");
        writeln!(script, "update add {at} 300 TXT \"heritage=cocoasyncer,v=1,owner=it,type=A\"").unwrap();
        writeln!(script, "update add {at} 60 A {}", value(index)).unwrap();
        if index % 500 == 499 {
            script.push_str("send\n");
        }
    }
    let began = Instant::now();
    nsupdate(&theirs, &script).await;
    let nsupdate = began.elapsed();
    let began = Instant::now();
    let listed = provider.list(&zone()).await.unwrap().found;
    eprintln!("{MANY} records: {took:?}; nsupdate: {nsupdate:?}; listed in {:?}", began.elapsed());
    assert_eq!(listed.values().filter(|found| found.is_ours()).count(), MANY);
    let other = theirs.provider().list(&zone()).await.unwrap().found;
    assert_eq!(listed, other, "nsupdate made the same");
}
