//! The main job at a shared provider: Alidns, by its stand-in, with one operator and with several.

mod halves;
mod lines;
mod trouble;
mod weights;

use cocoasyncer::api::service::ManagedService;
use cocoasyncer::api::vocab::PlatformProvider;
use cocoasyncer::api::{ACCESS_KEY, ACCESS_SECRET, PROVIDER_LABEL};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};

use crate::support::ali::FakeAli;
use crate::support::ali::zones::Edition;
use crate::support::{World, managed, until};

/// The mark of [`crate::support::OWNER`].
const MARK: &str = "cocoasyncer-v1,test-owner";

/// An account at the stand-in with the zone `example.com`.
async fn ali() -> FakeAli {
    let fake = FakeAli::start().await;
    fake.add_key("acme", "key-id", "key-secret");
    fake.add_zone("acme", "example.com", Edition::EnterpriseUltimate);
    fake
}

/// The account's Secret, as `provider set` makes it.
async fn give_account(world: &World, fake: &FakeAli, secret: &str) {
    let data = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "platform-ali", "labels": { PROVIDER_LABEL: "Ali" } },
        "stringData": { ACCESS_KEY: "key-id", ACCESS_SECRET: secret, "endpoint": fake.endpoint() },
    });
    let api = Api::<Secret>::namespaced(world.client.clone(), "default");
    let params = PatchParams::apply("test").force();
    api.patch("platform-ali", &params, &Patch::Apply(data)).await.unwrap();
}

/// An operator with the account.
async fn operator(fake: &FakeAli, me: &'static str) -> World {
    let world = World::of(me).await;
    give_account(&world, fake, "key-secret").await;
    world
}

fn at_ali(name: &str) -> ManagedService {
    let mut service = managed(name, name);
    service.spec.platform_provider = PlatformProvider::Ali;
    service
}

/// `name` on these Ali lines, marked as ours, as the stand-in shows it.
fn rows(name: &str, lines: &[(&str, &str)]) -> Vec<String> {
    let mut rows: Vec<String> =
        lines.iter().map(|(line, value)| format!("{name} A {line} {value} 60 ({MARK})")).collect();
    rows.sort();
    rows
}

/// Waits until the zone holds exactly these rows.
async fn settles(fake: &FakeAli, expect: &[String]) {
    until(&format!("the zone is {expect:#?}"), || async {
        let is_so = fake.texts("example.com") == expect;
        is_so.then_some(())
    })
    .await;
}
