//! Responses: status, the headers that every response has, a body.

use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use tidegate_proto::{
    ErrorBody,
    status::{self, Retry},
};

use crate::refusal::Refusal;

/// The header that carries a call's id, both ways.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a handler answers.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

const JSON: &str = "application/json";

impl Reply {
    /// 200 with a JSON body.
    pub(crate) const fn json(body: Bytes) -> Self {
        Self { status: 200, content_type: JSON, body }
    }

    /// Completes it for the wire.
    pub(crate) fn into_response(self, request_id: HeaderValue) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(REQUEST_ID, request_id);
        response
    }
}

/// A refusal for the wire, under the status that its face gives it.
pub(crate) fn refused(refusal: &Refusal, http: u16, request_id: &HeaderValue) -> Response<Full<Bytes>> {
    let mut out = BytesMut::new();
    let message = refusal.client_message();
    let id = request_id.to_str().unwrap_or("");
    ErrorBody { code: refusal.code().as_str(), message: &message, request_id: id }.write(&mut out);
    let reply = Reply { status: http, content_type: JSON, body: out.freeze() };
    let mut response = reply.into_response(request_id.clone());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match refusal {
        Refusal::MethodNotAllowed { allow } => {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        _ if status::wire(refusal.code()).retry == Retry::Later => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}
