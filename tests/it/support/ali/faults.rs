//! What a test can make go wrong, and how the answers look then.

use std::io;
use std::time::Duration;

use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::Response;
use hyper::body::{Bytes, Frame};

use super::errors::Refusal;
use super::signature::Claim;

/// An answer's body.
pub type Body = BoxBody<Bytes, io::Error>;

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done; the vendor's code is answered, with its own status and words.
    Refuse(&'static str),
    /// Done and answered, but only after this long.
    Lag(Duration),
    /// Nothing is done, and this is what comes instead of an answer.
    Instead(Mishap),
    /// All is done, and this is what comes instead of the answer.
    DoneBut(Mishap),
}

/// What comes instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The connection ends without a byte.
    Close,
    /// Nothing comes, as long as the client waits.
    Hang,
    /// 502 with a page for people.
    Html,
    /// 200 and no body.
    Empty,
    /// 200 and bytes that are no JSON.
    Garbage,
    /// Half of the true JSON.
    Truncated,
    /// The true JSON, one byte a second.
    Drip,
    /// JSON that never ends.
    Endless,
}

/// Which calls a fault meets.
#[derive(Clone, Debug)]
pub struct Trouble {
    fault: Fault,
    action: Option<String>,
    only: Option<(String, String)>,
    skip: usize,
    times: usize,
}

impl Trouble {
    /// Every call of `action`, from now on.
    pub fn at(action: &str, fault: Fault) -> Self {
        Self { action: Some(action.to_owned()), ..Self::anywhere(fault) }
    }

    /// Every call, from now on.
    pub fn anywhere(fault: Fault) -> Self {
        Self { fault, action: None, only: None, skip: 0, times: usize::MAX }
    }

    /// Only calls with this parameter.
    pub fn only(mut self, name: &str, value: &str) -> Self {
        self.only = Some((name.to_owned(), value.to_owned()));
        self
    }

    /// The first `calls` that match go well.
    pub fn skip(mut self, calls: usize) -> Self {
        self.skip = calls;
        self
    }

    /// Ends after that many faults.
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    fn meets(&mut self, claim: &Claim) -> bool {
        let is_action = self.action.as_ref().is_none_or(|action| *action == claim.action);
        let is_param = self.only.as_ref().is_none_or(|(name, value)| claim.params.get(name) == Some(value));
        if !(is_action && is_param) || self.times == 0 {
            return false;
        }
        if 0 < self.skip {
            self.skip -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}

/// The fault of the first trouble that meets this call.
pub fn meeting(troubles: &mut Vec<Trouble>, claim: &Claim) -> Option<Fault> {
    let fault = troubles.iter_mut().find_map(|trouble| trouble.meets(claim).then(|| trouble.fault.clone()));
    troubles.retain(|trouble| 0 < trouble.times);
    fault
}

/// An answer before it meets the wire.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub request_id: String,
    pub json: String,
}

impl Reply {
    pub fn refused(refusal: &Refusal, request_id: &str) -> Self {
        Self {
            status: refusal.status,
            request_id: request_id.to_owned(),
            json: refusal.body(request_id).to_string(),
        }
    }

    /// The answer as it should be.
    pub fn whole(self) -> Response<Body> {
        let body = full(self.json.clone());
        self.response("application/json;charset=utf-8", body)
    }

    /// What comes instead. None: the connection ends.
    pub async fn spoilt(mut self, mishap: Mishap) -> Option<Response<Body>> {
        const JSON: &str = "application/json;charset=utf-8";
        let half = self.json.len() / 2;
        let (kind, body) = match mishap {
            Mishap::Close => return None,
            Mishap::Hang => std::future::pending().await,
            Mishap::Html => {
                self.status = 502;
                let page =
                    "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1>";
                ("text/html", full(format!("{page}</center><hr><center>Tengine</center></body></html>")))
            }
            Mishap::Empty => (JSON, full(String::new())),
            Mishap::Garbage => (JSON, full("\u{1}\u{2}not json\u{fffd}".into())),
            Mishap::Truncated => {
                (JSON, full(String::from_utf8_lossy(&self.json.as_bytes()[..half]).into_owned()))
            }
            Mishap::Drip => (JSON, dripping(self.json.clone())),
            Mishap::Endless => (JSON, endless()),
        };
        Some(self.response(kind, body))
    }

    fn response(self, kind: &str, body: Body) -> Response<Body> {
        let response = Response::builder().status(self.status).header("content-type", kind);
        response.header("x-acs-request-id", self.request_id).body(body).unwrap()
    }
}

fn full(text: String) -> Body {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed()
}

fn dripping(text: String) -> Body {
    let bytes = stream::iter(text.into_bytes()).then(|byte| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Frame::data(Bytes::copy_from_slice(&[byte])))
    });
    BodyExt::boxed(StreamBody::new(
        Box::pin(bytes) as std::pin::Pin<Box<dyn futures::Stream<Item = _> + Send + Sync>>
    ))
}

fn endless() -> Body {
    let open = stream::iter([Bytes::from_static(b"{\"DomainRecords\":{\"Record\":[{\"Remark\":\"")]);
    let chunks =
        open.chain(stream::repeat(Bytes::from(vec![b'a'; 65_536]))).map(|chunk| Ok(Frame::data(chunk)));
    BodyExt::boxed(StreamBody::new(chunks))
}
