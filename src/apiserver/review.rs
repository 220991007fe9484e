//! Rights that were refused, asked for anew: what was refused once may be granted since, and need not be tried again for
//! minutes, or at all. It asks the API server about ourselves, which everybody may; it judges nothing.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

use crate::apiserver::asked::Asked;

/// Whether the account may do by now what was refused; where that can't be learned, it may not.
pub async fn is_granted(client: &Client, refused: &Asked) -> bool {
    let (kind, sub) = match refused.resource.split_once('/') {
        Some((kind, sub)) => (kind, Some(sub)),
        None => (refused.resource.as_str(), None),
    };
    let (plural, group) = kind.split_once('.').unwrap_or((kind, ""));
    let about = ResourceAttributes {
        verb: Some(refused.verb.as_str().to_owned()),
        group: Some(group.to_owned()),
        resource: Some(plural.to_owned()),
        subresource: sub.map(str::to_owned),
        namespace: refused.namespace.clone(),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(about), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let asking = Api::<SelfSubjectAccessReview>::all(client.clone());
    let answer = asking.create(&PostParams::default(), &review).await;
    answer.is_ok_and(|review| review.status.is_some_and(|status| status.allowed))
}
