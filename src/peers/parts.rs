//! A request's body in several parts, none of them copied: a push is a megabyte that all followers share.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// Parts that are still to be sent.
pub(super) struct Parts(VecDeque<Bytes>);

impl Parts {
    /// These, in their order.
    pub(super) fn of(parts: impl IntoIterator<Item = Bytes>) -> Self {
        Self(parts.into_iter().filter(|part| !part.is_empty()).collect())
    }
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    /// Exact: peers of the old kind may not take a body without a Content-Length.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|part| part.len() as u64).sum())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn parts_come_whole_and_in_order_with_their_length_told() {
        let parts = Parts::of(["{", "", "\"a\":1", "}"].map(|part| Bytes::from_static(part.as_bytes())));
        assert_eq!(parts.size_hint().exact(), Some(7));
        assert_eq!(parts.collect().await.unwrap().to_bytes(), "{\"a\":1}");
        assert!(Parts::of([Bytes::new()]).is_end_stream());
    }
}
