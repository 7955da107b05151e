//! The route table: method, path, permission, body limit, handler. The router reads it, and nothing else routes.

use hyper::Method;

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Its method.
    pub method: Verb,
    /// Its path; a segment in braces takes any one segment.
    pub path: &'static str,
    /// What a caller needs.
    pub permission: Permission,
    /// Longest body in bytes.
    pub body_limit: usize,
    /// Who answers.
    pub handler: Handler,
}

/// A method that a route may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// GET, which answers HEAD too.
    Get,
    /// POST
    Post,
}

/// What a caller needs to be allowed. There is no "none": every route names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// See whether the gateway lives and is ready.
    ReadHealth,
    /// Read the metrics.
    ReadMetrics,
    /// Read features.
    ReadFeatures,
    /// Ask for predictions.
    Predict,
}

/// Who answers a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// Fused prediction.
    Predict,
    /// Feast's feature read.
    OnlineFeatures,
    /// Liveness and a report.
    Health,
    /// Readiness.
    Ready,
    /// Prometheus text.
    Metrics,
}

const MIB: usize = 1024 * 1024;

/// Every route of the gateway.
#[rustfmt::skip]
pub const ROUTES: [Route; 5] = [
    route(Verb::Post, "/v1/predict/{endpoint}", Permission::Predict,      16 * MIB, Handler::Predict),
    route(Verb::Post, "/get-online-features",   Permission::ReadFeatures, 16 * MIB, Handler::OnlineFeatures),
    route(Verb::Get,  "/health",                Permission::ReadHealth,          0, Handler::Health),
    route(Verb::Get,  "/ready",                 Permission::ReadHealth,          0, Handler::Ready),
    route(Verb::Get,  "/metrics",               Permission::ReadMetrics,         0, Handler::Metrics),
];

/// What the table says about a request line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Match<'p> {
    /// This route, and the segment that its braces took.
    Route(&'static Route, &'p str),
    /// The path is there, with other methods.
    OtherMethod(&'static str),
    /// No such path.
    Unknown,
}

/// # Cost
/// At most one comparison per route; no allocation.
pub(crate) fn find<'p>(method: &Method, path: &'p str) -> Match<'p> {
    let mut other = None;
    for route in &ROUTES {
        let Some(segment) = taken(route.path, path) else { continue };
        if route.method.answers(method) {
            return Match::Route(route, segment);
        }
        other = Some(route.method.allow());
    }
    other.map_or(Match::Unknown, Match::OtherMethod)
}

/// The segment that `pattern`'s braces take of `path`, empty without braces; `None` when they do not match.
fn taken<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    match pattern.split_once('{') {
        None => (pattern == path).then_some(""),
        Some((front, _)) => path.strip_prefix(front).filter(|segment| !segment.is_empty() && !segment.contains('/')),
    }
}

impl Verb {
    fn answers(self, method: &Method) -> bool {
        match self {
            Self::Get => method == Method::GET || method == Method::HEAD,
            Self::Post => method == Method::POST,
        }
    }

    const fn allow(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
        }
    }
}

const fn route(method: Verb, path: &'static str, permission: Permission, body_limit: usize, handler: Handler) -> Route {
    Route { method, path, permission, body_limit, handler }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_has_its_permission_and_reads_need_less_than_predictions() {
        let table = ROUTES.iter().map(|route| (route.path, route.permission)).collect::<Vec<_>>();
        assert_eq!(
            table,
            [
                ("/v1/predict/{endpoint}", Permission::Predict),
                ("/get-online-features", Permission::ReadFeatures),
                ("/health", Permission::ReadHealth),
                ("/ready", Permission::ReadHealth),
                ("/metrics", Permission::ReadMetrics),
            ]
        );
    }

    #[test]
    fn no_two_routes_share_method_and_path_and_only_posts_have_bodies() {
        let distinct = ROUTES.iter().map(|route| (route.method.allow(), route.path)).collect::<BTreeSet<_>>();
        assert_eq!(distinct.len(), ROUTES.len());
        assert!(ROUTES.iter().all(|route| (route.body_limit > 0) == (route.method == Verb::Post)));
    }

    #[test]
    fn paths_match_whole_and_braces_take_one_segment() {
        let found = |path| match find(&Method::POST, path) {
            Match::Route(route, segment) => format!("{:?} {segment}", route.handler),
            Match::OtherMethod(allow) => allow.to_owned(),
            Match::Unknown => "unknown".to_owned(),
        };
        assert_eq!(found("/v1/predict/arrival_delay"), "Predict arrival_delay");
        assert_eq!(found("/v1/predict/"), "unknown");
        assert_eq!(found("/v1/predict/a/b"), "unknown");
        assert_eq!(found("/get-online-features"), "OnlineFeatures ");
        assert_eq!(found("/get-online-features/"), "unknown");
        assert_eq!(found("/health"), "GET, HEAD");
        assert_eq!(found("/v2/models"), "unknown");
    }
}
