//! One call through the proxy: who asks, may he, what goes wrong, and the answer as it comes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use futures::stream;
use http::request::Parts;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::asked::{Asked, Parameters};
use super::faults::{Door, Fault};
use super::ledger::Call;
use super::proxy::{Shared, Who};
use super::refusal::{self, Body, full};
use super::rights::Account;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Marks an answer that says so in its stream alone.
#[derive(Clone)]
struct TooOld;

/// A call, read.
struct Handling {
    began: Instant,
    shared: Arc<Shared>,
    asked: Asked,
    parameters: Parameters,
    parts: Parts,
    body: Bytes,
}

/// An error ends the connection without an answer.
pub async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, BoxError> {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let parameters = Parameters::read(parts.uri.query().unwrap_or_default());
    let asked = Asked::read(&parts.method, parts.uri.path(), &parameters);
    let body = body.collect().await?.to_bytes();
    let handling = Handling { began, shared, asked, parameters, parts, body };
    // What was begun is finished, whether or not the client still waits.
    tokio::spawn(handling.run()).await?
}

impl Handling {
    async fn run(self) -> Result<Response<Body>, BoxError> {
        self.behind_the_door().await;
        let lag = self.shared.faults().lag;
        tokio::time::sleep(lag).await;
        let (who, name) = self.who();
        let fault = self.shared.faults().meeting(&self.asked);
        let refused = match fault {
            Some(Fault::Conflict) => Some(refusal::conflict(&self.asked)),
            Some(Fault::TooMany) => Some(refusal::too_many()),
            Some(Fault::Internal) => Some(refusal::internal()),
            Some(Fault::Unheard) | None => None,
        };
        let answered = match refused {
            Some(refused) => Ok(refused),
            None => self.judged(who, &name).await,
        };
        self.behind_the_door().await;
        let code = answered.as_ref().map_or(0, |response| response.status().as_u16());
        let code = match &answered {
            _ if fault == Some(Fault::Unheard) => 0,
            // Also where it stands in the stream only.
            Ok(response) if response.extensions().get::<TooOld>().is_some() => 410,
            _ => code,
        };
        if self.asked.verb == "list" && code == 200 {
            self.shared.faults().listed(&self.asked);
        }
        let (began, at, injected) = (self.began, Instant::now(), fault.is_some());
        let call = Call { began, at, who: name, asked: self.asked, code, injected };
        if call.asked.verb == "patch" && code == 201 {
            // The right to create was needed too.
            let asked = Asked { verb: "create", ..call.asked.clone() };
            self.shared.ledger.note(Call { asked, ..call.clone() });
        }
        self.shared.ledger.note(call);
        if code == 0 { Err(io::Error::other("told to close").into()) } else { answered }
    }

    async fn behind_the_door(&self) {
        // The sender lives as long as we do.
        let _ = self.shared.door.subscribe().wait_for(|door| *door != Door::Hanging).await;
    }

    /// Who asks, and the name for it in the ledger.
    fn who(&self) -> (Option<Who>, String) {
        let value = self.parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let who = self.shared.tokens.lock().unwrap().get(token).cloned();
        let name = match &who {
            Some(Who::Admin) => "admin".to_owned(),
            Some(Who::Account(account)) => account.user(),
            None => "unknown".to_owned(),
        };
        (who, name)
    }

    async fn judged(&self, who: Option<Who>, name: &str) -> Result<Response<Body>, BoxError> {
        let account = match (&self.shared.judging, who) {
            (_, None) => return Ok(refusal::unauthorized()),
            (_, Some(Who::Admin)) => return self.forward(&self.shared.admin, None).await,
            (Some(server), Some(Who::Account(_))) => {
                let token = self.parts.headers.get(header::AUTHORIZATION);
                return self.forward(server, token).await;
            }
            (None, Some(Who::Account(account))) => account,
        };
        let rights = self.shared.rights().await;
        if !rights.allow(&account, &self.asked) {
            return Ok(refusal::forbidden(name, &self.asked));
        }
        let made = Asked { verb: "create", ..self.asked.clone() };
        if self.applies() && !rights.allow(&account, &made) && !self.exists().await {
            return Ok(refusal::forbidden(name, &made));
        }
        if self.asked.group.ends_with(".k8s.io") && self.asked.resource.starts_with("selfsubject") {
            return Ok(self.review(&account).await);
        }
        self.forward(&self.shared.admin, None).await
    }

    /// Whether it is an apply, which may create; a part of an object is not made by itself.
    fn applies(&self) -> bool {
        let kind = self.parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let whole = self.asked.verb == "patch" && !self.asked.resource.contains('/');
        whole && kind.is_some_and(|kind| kind.contains("apply-patch"))
    }

    async fn exists(&self) -> bool {
        let request = Request::get(self.parts.uri.path()).body(kube::client::Body::empty()).unwrap();
        self.shared.admin.send(request).await.is_ok_and(|response| response.status() != 404)
    }

    /// What the account asks about itself.
    async fn review(&self, account: &Account) -> Response<Body> {
        let mut review: Value = serde_json::from_slice(&self.body).unwrap_or_else(|_| json!({}));
        let rights = self.shared.rights().await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        review["status"] = match self.asked.resource.as_str() {
            "selfsubjectreviews" => json!({ "userInfo": { "username": account.user() } }),
            "selfsubjectrulesreviews" => {
                let namespace = text(&review["spec"]["namespace"]);
                let rules: Vec<Value> = rights.rules(account, &namespace).map(|rule| json!(rule)).collect();
                json!({ "incomplete": false, "resourceRules": rules, "nonResourceRules": [] })
            }
            _ => {
                let about = &review["spec"]["resourceAttributes"];
                let sub = text(&about["subresource"]);
                let slash = if sub.is_empty() { "" } else { "/" };
                let asked = Asked {
                    verb: verb_of(&text(&about["verb"])),
                    group: text(&about["group"]),
                    resource: format!("{}{slash}{sub}", text(&about["resource"])),
                    namespace: text(&about["namespace"]),
                    name: text(&about["name"]),
                    path: text(&review["spec"]["nonResourceAttributes"]["path"]),
                };
                json!({ "allowed": rights.allow(account, &asked) })
            }
        };
        refusal::answer(201, &review)
    }

    /// Asks the server; it judges `token` by itself where one is given.
    async fn forward(
        &self,
        client: &Client,
        token: Option<&HeaderValue>,
    ) -> Result<Response<Body>, BoxError> {
        let old = self.shared.faults().too_old(&self.asked, &self.parameters);
        if let Some(oldest) = old {
            return Ok(self.too_old(oldest));
        }
        if self.shared.faults().page_expired(&self.asked, &self.parameters) {
            let message = "The provided continue parameter is too old to display a consistent list result.";
            return Ok(refusal::answer(410, &refusal::status(410, "Expired", message, json!(null))));
        }
        let mut headers = self.parts.headers.clone();
        for name in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
            headers.remove(name);
        }
        headers.remove(header::AUTHORIZATION);
        if let Some(token) = token {
            headers.insert(header::AUTHORIZATION, token.clone());
        }
        let path = self.parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::new(kube::client::Body::from(self.body.to_vec()));
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = path.parse::<Uri>()?;
        *request.headers_mut() = headers;
        let (mut parts, body) = client.send(request).await?.into_parts();
        for name in [header::CONNECTION, header::TRANSFER_ENCODING] {
            parts.headers.remove(name);
        }
        Ok(Response::from_parts(parts, self.streamed(body)))
    }

    /// Both ways in which servers say it: at once, and as the stream's only event.
    fn too_old(&self, oldest: u64) -> Response<Body> {
        let status = refusal::too_old(&self.parameters.version, oldest);
        if oldest.is_multiple_of(2) {
            return refusal::answer(410, &status);
        }
        let event = json!({ "type": "ERROR", "object": status });
        let mut answer = refusal::answer(200, &event).map(|_| full(format!("{event}\n")));
        answer.extensions_mut().insert(TooOld);
        answer
    }

    /// The body as it comes, unless something cuts it or silences it.
    fn streamed(&self, body: kube::client::Body) -> Body {
        let is_watch = self.asked.verb == "watch";
        let lasts = self.shared.faults().watches_last.filter(|_| is_watch);
        let streaming = Streaming {
            body: Box::pin(body),
            until: lasts.map(|time| Instant::now() + time),
            door: self.shared.door.subscribe(),
            watches: is_watch.then(|| self.shared.watches.subscribe()),
        };
        let frames = stream::unfold(Some(streaming), |streaming| async move {
            let mut streaming = streaming?;
            let frame = streaming.next().await?;
            let goes_on = frame.is_ok().then_some(streaming);
            Some((frame, goes_on))
        });
        StreamBody::new(frames).boxed_unsync()
    }
}

struct Streaming {
    body: Pin<Box<kube::client::Body>>,
    until: Option<Instant>,
    door: watch::Receiver<Door>,
    watches: Option<watch::Receiver<u64>>,
}

impl Streaming {
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        let Self { body, until, door, watches } = self;
        let cut = async {
            let late = async {
                match until {
                    Some(until) => tokio::time::sleep_until(*until).await,
                    None => std::future::pending().await,
                }
            };
            let told = async {
                match watches {
                    Some(watches) => drop(watches.changed().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! { () = late => {}, () = told => {} }
        };
        let frame = async {
            let frame = body.frame().await;
            // What came while nobody answers is kept back.
            let _ = door.wait_for(|door| *door != Door::Hanging).await;
            frame.map(|frame| frame.map_err(|error| BoxError::from(error.to_string())))
        };
        tokio::select! {
            frame = frame => frame,
            () = cut => Some(Err("told to cut".into())),
        }
    }
}

fn verb_of(word: &str) -> &'static str {
    const VERBS: [&str; 8] =
        ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
    VERBS.into_iter().find(|verb| *verb == word).unwrap_or("unknown")
}
