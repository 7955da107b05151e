//! One request of one connection: id, route, permission, room, body; then its face.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Body as _, Incoming},
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use tidegate_catalog::{CallContext, Deadline, ErrorCode, Monotonic, Principal, Priority, TraceContext};
use tidegate_proto::status::{self, Fault};
use tidegate_store::{Cells, ReadPlan};

use super::{
    body::{self, BodyLimits, WholeBody},
    patience::Phase,
    reply::{REQUEST_ID, Reply, refused},
    route::{self, Handler, Match, Permission, Route},
    trace::{self, TRACEPARENT},
};
use crate::{
    app::App,
    config::MAX_REQUEST_ID_BYTES,
    faces::{online_features, operations, predict},
    ids::CallId,
    refusal::Refusal,
};

/// A connection's share of the gateway and the buffers that its calls reuse, one after the other.
pub(crate) struct Connection {
    app: Arc<App>,
    scratch: Mutex<Scratch>,
    phase: Arc<Phase>,
}

/// Buffers that outlive a call. HTTP/1.1 answers one call at a time, so each finds them free.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Entity keys.
    pub(crate) keys: BytesMut,
    /// What the store is asked.
    pub(crate) read: ReadPlan,
    /// What it answers.
    pub(crate) cells: Cells,
    /// The answer.
    pub(crate) out: BytesMut,
}

/// What a call may leave behind for the next one on its connection.
const KEPT_BYTES: usize = 256 * 1024;
const KEPT_CELLS: usize = 16 * 1024;

impl Scratch {
    /// The buffers for the next call: those that a large one has grown go, for a connection may be idle for long.
    fn trimmed(self, answer_bytes: usize) -> Self {
        let large = answer_bytes > KEPT_BYTES
            || self.cells.len() > KEPT_CELLS
            || self.keys.capacity() > KEPT_BYTES
            || self.cells.row_bytes() > KEPT_BYTES;
        if large { Self::default() } else { self }
    }
}

/// One call, before its face knows how long it may take.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) request_id: HeaderValue,
    pub(crate) principal: Principal,
    pub(crate) arrived: Monotonic,
    /// What the caller asked for.
    pub(crate) budget: Option<Duration>,
    /// The caller's trace.
    pub(crate) trace: Option<TraceContext>,
}

impl Call {
    /// The context that goes through every stage; the time counts from the arrival, at most `longest`.
    pub(crate) fn context(&self, usual: Duration, longest: Duration) -> CallContext {
        CallContext {
            request_id: self.request_id.to_str().unwrap_or("").into(),
            principal: self.principal.clone(),
            deadline: Deadline::after(self.arrived, self.budget.unwrap_or(usual).min(longest)),
            priority: Priority::Normal,
            trace: self.trace,
        }
    }
}

impl Connection {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self { app, scratch: Mutex::default(), phase: Arc::default() }
    }

    /// What the connection is doing, for its stream.
    pub(crate) fn phase(&self) -> Arc<Phase> {
        Arc::clone(&self.phase)
    }

    /// Answers one request; every refusal is an answer too.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let _in_call = self.phase.call();
        let arrived = self.app.clock.monotonic();
        let id = self.app.ids.call();
        let (head, body) = request.into_parts();
        let request_id = request_id(&head.headers, id);
        let path = head.uri.path();
        let (route, segment) = match route::find(&head.method, path) {
            Match::Route(route, segment) => (route, segment),
            Match::OtherMethod(allow) => {
                let refusal = Refusal::MethodNotAllowed { allow };
                return Ok(refused(&refusal, refusal.http(), &request_id));
            }
            Match::Unknown => {
                let refusal = Refusal::UnknownPath { path: path.chars().take(200).collect() };
                return Ok(refused(&refusal, refusal.http(), &request_id));
            }
        };
        let trace = head.headers.get(TRACEPARENT).and_then(|value| trace::parse(value.as_bytes()));
        let call = Call { id, request_id, principal: Principal::Local, arrived, budget: None, trace };
        let counted = Counted { app: &self.app, route, code: Some(ErrorCode::Cancelled) };
        let (request_id, answered) = self.routed((route, segment), call, &head.headers, body).await;
        counted.ended(answered.as_ref().err().map(Refusal::code));
        Ok(match answered {
            Ok(reply) => reply.into_response(request_id),
            Err(refusal) => {
                logged(&self.app, &refusal, route, &request_id);
                let feast = route.handler == Handler::OnlineFeatures;
                refused(&refusal, if feast { refusal.feast_http() } else { refusal.http() }, &request_id)
            }
        })
    }

    async fn routed(
        &self,
        (route, segment): (&'static Route, &str),
        mut call: Call,
        headers: &HeaderMap,
        body: Incoming,
    ) -> (HeaderValue, Result<Reply, Refusal>) {
        let app = &*self.app;
        if !permitted(&call.principal, route.permission) {
            return (call.request_id, Err(Refusal::NotPermitted { permission: route.permission }));
        }
        let answered = match route.handler {
            Handler::Health | Handler::Ready | Handler::Metrics if body.size_hint().lower() > 0 => {
                Err(Refusal::BodyTooLarge { limit_bytes: route.body_limit })
            }
            Handler::Health => Ok(operations::health(app)),
            Handler::Ready => Ok(operations::ready(app).await),
            Handler::Metrics => Ok(operations::metrics(app)),
            Handler::Predict | Handler::OnlineFeatures => {
                self.data_call((route, segment), &mut call, headers, body).await
            }
        };
        (call.request_id, answered)
    }

    /// A call of the data plane: within the bound on calls in flight, with a body.
    async fn data_call(
        &self,
        (route, segment): (&'static Route, &str),
        call: &mut Call,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Result<Reply, Refusal> {
        let app = &*self.app;
        let head = app.refuse_when_full().and_then(|()| {
            call.budget = deadline_header(headers)?;
            require_json(headers)
        });
        if let Err(refusal) = head {
            body::drain(body, app.config.client_timeout).await;
            return Err(refusal);
        }
        let body = self.whole_body(route, call, body).await?;
        let _room = app.admit()?;
        let _counted = InFlight::enter(app);
        let mut scratch = std::mem::take(&mut *self.scratch.lock().unwrap_or_else(PoisonError::into_inner));
        let answered = match route.handler {
            Handler::OnlineFeatures => online_features::answer(app, call, &body.bytes, &mut scratch).await,
            _ => predict::answer(app, call, segment, &body.bytes, &mut scratch).await,
        };
        let answer_bytes = answered.as_ref().map_or(0, Bytes::len);
        *self.scratch.lock().unwrap_or_else(PoisonError::into_inner) = scratch.trimmed(answer_bytes);
        answered.map(Reply::json)
    }

    /// The body, within the client's time; a caller that brings less time for the whole call has no more for its body.
    async fn whole_body(&self, route: &Route, call: &Call, body: Incoming) -> Result<WholeBody<'_>, Refusal> {
        let config = &self.app.config;
        let time = call.budget.map_or(config.client_timeout, |budget| budget.min(config.client_timeout));
        let limits = BodyLimits { bytes: route.body_limit, time, room: &self.app.body_room };
        body::read(body, limits).await.map_err(|refusal| match refusal {
            Refusal::BodyLate { .. } if time < config.client_timeout => {
                Refusal::TimeOver { before: "the body had arrived" }
            }
            other => other,
        })
    }
}

/// Whether `principal` may do what `permission` stands for: denied unless a rule says otherwise. Until callers are
/// authenticated there is one rule: whoever reaches the address may use the data plane.
const fn permitted(principal: &Principal, permission: Permission) -> bool {
    match (principal, permission) {
        (
            Principal::Local,
            Permission::ReadHealth | Permission::ReadMetrics | Permission::ReadFeatures | Permission::Predict,
        ) => true,
        (Principal::Named(_), _) => false,
    }
}

/// The caller's id where it is short visible ASCII, else ours.
fn request_id(headers: &HeaderMap, id: CallId) -> HeaderValue {
    let usable = |value: &&HeaderValue| {
        value.len() <= MAX_REQUEST_ID_BYTES && !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    match headers.get(REQUEST_ID).filter(usable) {
        Some(value) => value.clone(),
        None => HeaderValue::from_bytes(&id.request()).unwrap_or(HeaderValue::from_static("0")),
    }
}

fn deadline_header(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let Some(value) = headers.get("x-deadline-ms") else { return Ok(None) };
    let millis = value.to_str().ok().and_then(|text| text.parse::<u32>().ok()).filter(|millis| *millis > 0);
    match millis {
        Some(millis) => Ok(Some(Duration::from_millis(u64::from(millis)))),
        None => {
            Err(Refusal::BadDeadline { found: String::from_utf8_lossy(value.as_bytes()).chars().take(40).collect() })
        }
    }
}

/// A body without a declared type is taken for JSON; one declared as something else is refused.
fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(declared) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let text = declared.to_str().unwrap_or("");
    let media = text.split(';').next().unwrap_or("").trim();
    if media.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refusal::NotJson { found: text.chars().take(64).collect() })
}

fn logged(app: &App, refusal: &Refusal, route: &Route, request_id: &HeaderValue) {
    let code = refusal.code();
    let id = request_id.to_str().unwrap_or("");
    match status::wire(code).fault {
        Fault::Ours => {
            // a flood of shed calls must not hide the one that failed
            let limits = &app.limits;
            let limit = if code == ErrorCode::ResourceExhausted { &limits.shed_calls } else { &limits.failed_calls };
            if let Some(held_back) = limit.allow(app.clock.monotonic()) {
                tracing::warn!(request_id = id, route = route.path, %code, error = %refusal, held_back, "call failed");
            }
        }
        Fault::Caller => tracing::debug!(request_id = id, route = route.path, %code, error = %refusal, "call refused"),
    }
}

/// Counts a call by its code; one that is dropped before, because its client went away, as cancelled.
struct Counted<'a> {
    app: &'a App,
    route: &'static Route,
    code: Option<ErrorCode>,
}

impl Counted<'_> {
    fn ended(mut self, code: Option<ErrorCode>) {
        self.code = code;
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.app.metrics.count(self.route, self.code);
    }
}

/// Counts a call for as long as it is answered, also when its caller goes away.
struct InFlight<'a> {
    app: &'a App,
}

impl<'a> InFlight<'a> {
    fn enter(app: &'a App) -> Self {
        app.metrics.in_flight.increment(1.0);
        Self { app }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.app.metrics.in_flight.decrement(1.0);
    }
}
