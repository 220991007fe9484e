//! Weights at Alidns: switched on once a set, given one by one, and only where somebody wishes for them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use cocoasyncer::api::vocab::Line;
use cocoasyncer::domain::dns_plan::Found;
use cocoasyncer::domain::records::RecordSet;
use cocoasyncer::domain::retry::Class;
use cocoasyncer::providers::DnsProvider;

use super::troubles::hasty;
use super::{ZONE, fake, found, key, name, provider, put, set, wrote};
use crate::support::ali::FakeAli;
use crate::support::ali::faults::{Fault, Mishap, Trouble};

/// Addresses by their last octet, with weights.
fn weighed(of: &[(u8, u8)]) -> RecordSet {
    let values: Vec<u8> = of.iter().map(|(last, _)| *last).collect();
    let weight = |(last, weight): &(u8, u8)| (IpAddr::from([192, 0, 2, *last]), *weight);
    let weights: BTreeMap<IpAddr, u8> = of.iter().map(weight).collect();
    RecordSet { weights: weights.into(), ..set(&values, 600) }
}

/// Weights as the vendor keeps them.
fn weights(fake: &FakeAli) -> Vec<(String, u32)> {
    let mut weights: Vec<(String, u32)> =
        fake.records(ZONE).into_iter().map(|record| (record.value, record.weight)).collect();
    weights.sort();
    weights
}

#[tokio::test]
async fn weights_stand_after_the_values_in_as_few_calls_as_can_be() {
    let fake = fake().await;
    let provider = provider(&fake);
    assert!(provider.list(&name(ZONE)).await.unwrap().limits.weights);
    for record in ["www", "@"] {
        for (to, expect) in [
            (
                weighed(&[(1, 3), (2, 1)]),
                "Add UpdateRemark Add UpdateRemark SetDNSSLBStatus UpdateDNSSLBWeight",
            ),
            (weighed(&[(1, 3), (2, 1)]), ""),
            (weighed(&[(1, 3), (2, 7)]), "UpdateDNSSLBWeight"),
            (weighed(&[(1, 3), (4, 7)]), "Update"),
            (set(&[1], 600), "Delete"),
            (weighed(&[(1, 3), (2, 7)]), "Add UpdateRemark UpdateDNSSLBWeight"),
            (set(&[1, 2], 600), ""),
            (weighed(&[(1, 1), (2, 1)]), "UpdateDNSSLBWeight UpdateDNSSLBWeight"),
        ] {
            fake.forget_calls();
            let at = key(record, Line::CT);
            let told = put(&provider, at.clone(), Some(to.clone())).await.unwrap().unwrap();
            assert_eq!(wrote(&fake).join(" "), expect, "{record}: {to}");
            let listed = found(&provider).await.remove(&at).unwrap();
            assert!(told.set == to && listed.set.is_as(&to), "{told:?} {listed:?}");
            // A plan made from memory must know as much as one made from a listing.
            let by_id = |found: &Found| {
                let weights = found.rows.iter().map(|row| (row.id.clone(), (row.weight, row.weighed)));
                weights.collect::<BTreeMap<_, _>>()
            };
            assert_eq!(by_id(&told), by_id(&listed));
        }
        let [on, off] = [key(record, Line::CT), key(record, Line::CU)];
        put(&provider, on, None).await.unwrap();
        put(&provider, off.clone(), Some(set(&[1, 2], 600))).await.unwrap();
        assert!(found(&provider).await[&off].set.weights.is_empty(), "weights are each line's own");
        put(&provider, off, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_weight_whose_answer_is_lost_or_whose_switch_was_turned_off_is_given_again() {
    let at = || key("www", Line::Default);
    for mishap in [Mishap::Close, Mishap::Hang, Mishap::Truncated] {
        let fake = fake().await;
        let provider = hasty(&fake);
        for action in ["SetDNSSLBStatus", "UpdateDNSSLBWeight"] {
            fake.trouble(Trouble::at(action, Fault::DoneBut(mishap)).times(1));
        }
        put(&provider, at(), Some(weighed(&[(1, 3), (2, 1)]))).await.unwrap();
        assert_eq!(weights(&fake), [("192.0.2.1".into(), 3), ("192.0.2.2".into(), 1)]);
        assert_eq!((fake.count("SetDNSSLBStatus"), fake.count("UpdateDNSSLBWeight")), (2, 2), "{mishap:?}");
        assert_eq!(fake.records(ZONE).len(), 2);
    }
    let fake = fake().await;
    let provider = provider(&fake);
    put(&provider, at(), Some(weighed(&[(1, 3), (2, 1)]))).await.unwrap();
    // Turned off between our look and our write.
    let from = found(&provider).await.remove(&at());
    fake.unweigh(ZONE);
    fake.forget_calls();
    let change = super::change(at(), from, Some(weighed(&[(1, 9), (2, 1)])));
    super::apply(&provider, &[change]).await.remove(0).unwrap();
    assert_eq!(wrote(&fake), ["UpdateDNSSLBWeight", "SetDNSSLBStatus", "UpdateDNSSLBWeight"]);
    assert_eq!(found(&provider).await[&at()].set, weighed(&[(1, 9), (2, 1)]));
}

#[tokio::test]
async fn what_cannot_be_weighed_is_told_and_its_values_stand() {
    let fake = fake().await;
    let provider = provider(&fake);
    let star = key("*", Line::Default);
    let error = put(&provider, star.clone(), Some(weighed(&[(1, 3), (2, 1)]))).await.unwrap_err();
    assert!(error.class == Class::User && error.what.contains("wildcards no weights"), "{}", error.what);
    assert!(found(&provider).await[&star].set.is_as(&set(&[1, 2], 600)));
    let many: Vec<(u8, u8)> = (1..=91).map(|last| (last, 1)).collect();
    let error = put(&provider, key("many", Line::Default), Some(weighed(&many))).await.unwrap_err();
    assert!(error.class == Class::User && error.what.contains("free: 10, paid: 90"), "{}", error.what);
}
