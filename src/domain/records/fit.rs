//! A wish against another wish, and against what a zone takes. It adds nothing to a wish.

use std::collections::BTreeMap;

use crate::domain::dns_plan::Limits;
use crate::domain::records::{RecordKey, RecordSet, Wanted, Wish};
use crate::domain::sharing::Weights;

impl Wish {
    /// Whether both wish for the same, for whatever cause: then nothing has to be listed or planned anew.
    pub fn same_targets(&self, other: &Wish) -> bool {
        let Wish {
            wanted,
            others,
            farewell,
            kept,
            frozen,
            names,
            refused,
            adopt,
            deleting,
            judged,
            released,
            ..
        } = self;
        let same = |mine: &BTreeMap<RecordKey, Wanted>, theirs: &BTreeMap<RecordKey, Wanted>| {
            mine.len() == theirs.len()
                && mine
                    .iter()
                    .zip(theirs)
                    .all(|(mine, theirs)| mine.0 == theirs.0 && mine.1.is_same_target(theirs.1))
        };
        kept == &other.kept
            && frozen == &other.frozen
            && names == &other.names
            && refused == &other.refused
            && adopt == &other.adopt
            && deleting == &other.deleting
            && judged == &other.judged
            && released == &other.released
            && self.contended == other.contended
            && (self.untold == other.untold && self.ttl_floor == other.ttl_floor)
            && self.unweighed == other.unweighed
            && same(wanted, &other.wanted)
            && same(others, &other.others)
            && same(farewell, &other.farewell)
    }
}

impl Wish {
    /// Fits it to what the provider can do in this zone: lines that it can't tell apart are left out, a TTL under its
    /// floor becomes the floor, and where it can't weigh nothing has a weight.
    pub fn fit(&mut self, limits: &Limits) {
        self.untold =
            self.wanted.keys().map(|key| key.line).filter(|line| !limits.lines.contains(line)).collect();
        for records in [&mut self.wanted, &mut self.farewell] {
            records.retain(|key, _| limits.lines.contains(&key.line));
            for RecordSet { ttl, weights, .. } in records.values_mut().map(|wanted| &mut wanted.set) {
                if *ttl < limits.ttl_floor {
                    *ttl = limits.ttl_floor;
                    self.ttl_floor = Some(limits.ttl_floor);
                }
                if !limits.weights && !weights.is_empty() {
                    *weights = Weights::default();
                    self.unweighed = true;
                }
            }
        }
        self.kept.retain(|key, _| limits.lines.contains(&key.line));
    }

    /// Leaves to other nodes what they write themselves: each the lines that it answers for. What is to be deleted is
    /// not left, since to delete twice does no harm.
    pub fn leave_to_others(&mut self, me: &str) {
        let all = std::mem::take(&mut self.wanted);
        (self.wanted, self.others) = all.into_iter().partition(|(_, wanted)| wanted.node == me);
    }
}
