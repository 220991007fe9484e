//! Round trips of the published sample, tolerance, and noise.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const SAMPLE: &str = include_str!("../../../tests/golden/source-sample.json");

fn names(value: &Value, at: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = format!("{at}.{name}");
                names(value, &path, into);
                into.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, at, into)),
        _ => (),
    }
}

#[test]
fn the_published_sample_survives_reading_and_writing_with_every_name_and_value() {
    let answer = Answer::read(SAMPLE.as_bytes()).unwrap();
    let mut written = serde_json::to_value(&answer).unwrap();
    let mut sample: Value = serde_json::from_str(SAMPLE).unwrap();
    let (mut ours, mut theirs) = (BTreeSet::new(), BTreeSet::new());
    names(&written, "", &mut ours);
    names(&sample, "", &mut theirs);
    assert_eq!(ours, theirs);
    // Times are the same moments, whatever their offset.
    for value in [&mut written, &mut sample] {
        let basic = &mut value["cocoaBasic"];
        for name in ["createdAt", "updatedAt"] {
            let time: Timestamp = basic[name].as_str().unwrap().parse().unwrap();
            basic[name] = time.to_string().into();
        }
        for node in basic["otherCocoaSyncer"].as_array_mut().unwrap() {
            let time: Timestamp = node["watchDog"].as_str().unwrap().parse().unwrap();
            node["watchDog"] = time.to_string().into();
        }
    }
    assert_eq!(written, sample);
}

#[test]
fn times_are_written_with_an_offset_that_go_reads() {
    let basic = CocoaBasic { created_at: Some(Timestamp::UNIX_EPOCH), ..CocoaBasic::default() };
    let json = serde_json::to_value(basic).unwrap();
    assert_eq!(json["createdAt"], "1970-01-01T00:00:00+00:00");
    assert_eq!(json["updatedAt"], "0001-01-01T00:00:00+00:00");
}

#[test]
fn reading_is_tolerant_where_nothing_is_lost() {
    let text = br#"{"statusCode":200,"new":[1],"cocoaBasic":{"otherCocoaSyncer":null,"later":{}}}"#;
    let answer = Answer::read(text).unwrap();
    assert_eq!(answer.cocoa_basic, CocoaBasic::default());
    assert!(Answer::read(b"{}").is_err(), "an answer without an outcome is none");
    assert!(Request::read(b"  ").unwrap().secret.is_empty());
    assert!(Request::read(br#"{"cocoaSecret":7}"#).unwrap().secret.is_empty());
}

#[test]
fn a_wrong_shape_is_refused_by_its_path() {
    let request = Request::read(br#"{"cocoaBasic":{"otherCocoaSyncer":[{},{"ISPs":["CT",{}]}]}}"#).unwrap();
    assert_eq!(request.basic().unwrap_err().field, "cocoaBasic.otherCocoaSyncer[1].ISPs[1]");
    assert_eq!(Request::read(b"{}").unwrap().basic().unwrap_err().field, "cocoaBasic");
}

fn json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("cocoaBasic"),
        Just("otherCocoaSyncer"),
        Just("ISPs"),
        Just("operator"),
        Just("publicAddresses"),
        Just("A"),
        Just("watchDog"),
        Just("cocoaManagedService"),
        Just("cloudPlatformInfo"),
        Just("cocoaSecret"),
        Just("statusCode"),
        Just("timeout")
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from)
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect()))
        ]
    })
}

proptest! {
    #[test]
    fn no_document_makes_the_reader_panic(value in json(), noise in prop::collection::vec(any::<u8>(), 0..64)) {
        let text = serde_json::to_vec(&value).unwrap();
        let _ = Answer::read(&text);
        if let Ok(request) = Request::read(&text) {
            let _ = request.basic();
            let plain = Request::read_plain(&text).unwrap();
            prop_assert_eq!(plain, (request.secret, request.beat_only), "the short way reads as the long one");
        }
        let _ = Request::read(&noise);
        let _ = Answer::read(&noise);
    }
}
