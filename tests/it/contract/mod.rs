//! What every provider promises, as one suite of cases over all of them: each is written against `DnsProvider` and values
//! of `dns_plan` alone. What a provider can't do by its nature is data of its place ([`bench::Nature`]).

mod bench;
mod crash;
mod foreign;
mod many;
mod names;
mod places;
mod random;
mod refusals;
mod sets;
mod stale;
mod story;
mod zones;

/// A case at a place; one that isn't there was said loudly.
macro_rules! case {
    ($open:path, $module:ident::$name:ident) => {
        #[tokio::test]
        async fn $name() {
            if let Some(bench) = $open().await {
                super::$module::$name(bench).await;
            }
        }
    };
}

macro_rules! every_case {
    ($place:ident, $open:path) => {
        mod $place {
            case!($open, sets::records_are_created_changed_and_deleted);
            case!($open, sets::every_line_has_its_own_value);
            case!($open, sets::sets_of_several_values_grow_and_shrink);
            case!($open, sets::what_services_wish_for_is_a_fixpoint);
            case!($open, names::every_name_that_dns_allows_can_be_managed);
            case!($open, names::ttls_are_kept_and_the_smallest_is_told);
            case!($open, foreign::records_of_others_are_left_alone);
            case!($open, foreign::our_records_go_from_beside_those_of_others);
            case!($open, refusals::outcomes_come_in_order_and_a_bad_change_fails_alone);
            case!($open, stale::the_same_changes_made_twice_do_no_harm);
            case!($open, stale::a_change_of_what_somebody_changed_meanwhile_does_no_harm);
            case!($open, zones::a_name_belongs_to_its_longest_zone);
            case!($open, zones::an_unknown_zone_is_told_or_begins_with_its_first_record);
            case!($open, crash::a_crash_between_any_two_calls_leaves_no_trace);
            case!($open, random::any_sequence_of_wishes_comes_true);
            case!($open, many::twelve_thousand_records_are_made_and_known);
        }
    };
}

every_case!(memory, crate::contract::places::memory::open);
every_case!(local, crate::contract::places::local::open);
every_case!(ali, crate::contract::places::ali::open);
every_case!(bind, crate::contract::places::rfc2136::bind);
every_case!(knot, crate::contract::places::rfc2136::knot);
every_case!(powerdns, crate::contract::places::rfc2136::powerdns);
