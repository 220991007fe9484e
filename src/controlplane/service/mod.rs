//! The surface: a tower service from HTTP requests to HTTP answers. It joins path, engine and rendering, and decides
//! nothing itself. A panic below it becomes a 500: the caller may be one of our own controllers, and a panic that
//! reaches kube's runtime ends the whole controller.

mod body;
mod read;
mod review;
mod scale;
mod strict;
mod write;

use std::{
    convert::Infallible,
    fmt::Display,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use serde_json::Value;

use super::{
    discovery,
    engine::{Done, Engine},
    path::{self, Address, Query, Target},
    registry::{Origin, Resource},
    render::{Accept, Render},
    status::Refusal,
    table::Include,
};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user name.
    pub name: String,
    /// The groups.
    pub groups: Vec<String>,
}

impl Identity {
    /// The one user there is: whoever holds the token, and the process itself.
    pub fn admin() -> Identity {
        Identity {
            name: "admin".to_owned(),
            groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
        }
    }
}

/// The Kubernetes API as a tower service.
#[derive(Clone)]
pub struct ApiService {
    engine: Arc<Engine>,
    identity: Option<Identity>,
}

/// One request, read.
pub(super) struct Ask {
    engine: Arc<Engine>,
    identity: Identity,
    method: Method,
    headers: HeaderMap,
    query: Query,
    body: Bytes,
}

impl ApiService {
    /// Serves `engine` to a caller who was identified, or to one who was not and may only ask for health and version.
    pub fn new(engine: Arc<Engine>, identity: Option<Identity>) -> ApiService {
        ApiService { engine, identity }
    }

    async fn answer<B>(self, request: Request<B>) -> Response<Body>
    where
        B: axum::body::HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Display,
    {
        let (parts, body) = request.into_parts();
        let target = path::target(parts.uri.path());
        let open = matches!(target, Target::Health | Target::Version);
        let identity = match self.identity {
            Some(identity) => identity,
            None if open => Identity {
                name: "system:anonymous".to_owned(),
                groups: vec!["system:unauthenticated".to_owned()],
            },
            None => return refusal(&Refusal::unauthorized()),
        };
        let body = match body::collect(body).await {
            Ok(body) => body,
            Err(error) => return refusal(&error),
        };
        let Parts { method, uri, headers, .. } = parts;
        let query = Query::parse(uri.query().unwrap_or_default());
        let ask = Ask { engine: self.engine, identity, method, headers, query, body };
        ask.answer(target).await.unwrap_or_else(|error| refusal(&error))
    }
}

impl<B> tower::Service<Request<B>> for ApiService
where
    B: axum::body::HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Display,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let what = format!("{} {}", request.method(), request.uri().path());
        let head = request.method() == Method::HEAD;
        let answer = AssertUnwindSafe(self.clone().answer(request)).catch_unwind();
        async move {
            let answer = answer.await.unwrap_or_else(|_| {
                tracing::error!(request = what, "the plane panicked; this is a bug");
                refusal(&Refusal::internal("the request hit a bug in the server; its log says where"))
            });
            // HTTP/2 takes a body after HEAD for a broken protocol.
            Ok(if head { answer.map(|_| Body::empty()) } else { answer })
        }
        .boxed()
    }
}

impl Ask {
    async fn answer(self, target: Target) -> Result<Response<Body>, Refusal> {
        match target {
            Target::Resource(address) => {
                let served = self.engine.registry.served();
                let found = served.find(&address.group, &address.version, &address.plural);
                let mut response = self.resource(address).await?;
                if let Some(words) = found.and_then(|one| one.deprecated.clone()) {
                    warn(&mut response, &words);
                }
                Ok(response)
            }
            Target::Health if self.query.flag("verbose") => Ok(discovery::health(&self.engine, true)),
            Target::Unknown => Err(Refusal::no_such_path()),
            other if self.method == Method::GET || self.method == Method::HEAD => {
                discovery::answer(&self.engine, &other, &self.headers)
            }
            _ => Err(Refusal::method_not_allowed()),
        }
    }

    async fn resource(self, address: Address) -> Result<Response<Body>, Refusal> {
        let served = self.engine.registry.served();
        let found = served.find(&address.group, &address.version, &address.plural);
        let resource = found.ok_or_else(Refusal::no_such_path)?;
        if address.namespace.is_some() && !resource.namespaced {
            return Err(Refusal::no_such_path());
        }
        if resource.origin == Origin::Review {
            return self.review(&resource);
        }
        if resource.namespaced && address.namespace.is_none() && address.name.is_some() {
            return Err(Refusal::no_such_path());
        }
        match (address.subresource.as_deref(), address.name.is_some()) {
            (Some("scale"), true) if resource.scale.is_some() => self.scale(&resource, &address).await,
            (Some("status"), true) if resource.status => self.object(&resource, &address).await,
            (Some("finalize"), true) if resource.is("", "namespaces") => {
                self.object(&resource, &address).await
            }
            (Some(_), _) => Err(Refusal::no_such_path()),
            (None, true) => self.object(&resource, &address).await,
            (None, false) => self.collection(&resource, &address).await,
        }
    }

    async fn object(self, resource: &Arc<Resource>, address: &Address) -> Result<Response<Body>, Refusal> {
        match self.method {
            Method::GET | Method::HEAD => self.get(resource, address),
            Method::PUT => self.put(resource, address).await,
            Method::PATCH => self.patch(resource, address).await,
            Method::DELETE if address.subresource.is_none() => self.delete(resource, address).await,
            _ => Err(Refusal::method_not_allowed()),
        }
    }

    async fn collection(
        self,
        resource: &Arc<Resource>,
        address: &Address,
    ) -> Result<Response<Body>, Refusal> {
        match self.method {
            Method::GET if self.query.flag("watch") => self.watch(resource, address).await,
            Method::GET | Method::HEAD => self.list(resource, address).await,
            Method::POST if resource.namespaced && address.namespace.is_none() => {
                Err(Refusal::bad_request("an empty namespace may not be set during creation"))
            }
            Method::POST => self.post(resource, address).await,
            Method::DELETE => self.delete_collection(resource, address).await,
            _ => Err(Refusal::method_not_allowed()),
        }
    }

    fn render(&self, resource: &Arc<Resource>) -> Result<(Render, Accept), Refusal> {
        let accept = Accept::read(&self.headers)?;
        let include = Include::parse(self.query.get("includeObject"));
        Ok((Render { resource: resource.clone(), shape: accept.shape, include }, accept))
    }

    /// The answer to a write.
    fn done(&self, resource: &Arc<Resource>, done: Done) -> Result<Response<Body>, Refusal> {
        let (render, accept) = self.render(resource)?;
        let status = if done.created { StatusCode::CREATED } else { StatusCode::OK };
        let mut response = document(status, &render.value(done.object), accept.yaml);
        for text in &done.warnings {
            warn(&mut response, text);
        }
        Ok(response)
    }
}

/// Adds a warning for the client's eyes.
fn warn(response: &mut Response<Body>, text: &str) {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
        response.headers_mut().append(header::WARNING, value);
    }
}

/// A refusal as an answer.
pub(super) fn refusal(refusal: &Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = document(status, &refusal.document(), false);
    if let Some(seconds) = refusal.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A document as an answer.
pub(super) fn document(status: StatusCode, value: &Value, yaml: bool) -> Response<Body> {
    if yaml {
        return match serde_saphyr::to_string(value) {
            Ok(text) => bytes(status, "application/yaml", text.into_bytes()),
            Err(error) => refusal(&Refusal::internal(error)),
        };
    }
    bytes(status, "application/json", value.to_string().into_bytes())
}

/// Bytes as an answer.
pub(super) fn bytes(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}
