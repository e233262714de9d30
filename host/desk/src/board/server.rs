//! Answers browsers: a thread for the network, a few for the pages.

use super::{
    follow::Following,
    gate::{Gate, Passage},
    query::Query,
    route::{Answer, PATHS, answer},
};
use crate::error::{Error, Result};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY,
        SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, net::TcpListener, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Connections at once; further ones wait.
const CONNECTIONS: usize = 512;
/// How long a browser may take to say what it wants.
const ASKING: Duration = Duration::from_secs(15);
/// Pages that are made at once; for others their browsers wait, and nothing is made for one that has gone.
const PAGES: usize = 3;
/// Whatever a run or a class is called, a browser fetches and runs nothing but the board's own.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers until the process is ended.
///
/// # Errors
/// The system's, where it gives no threads or no socket.
pub fn serve(socket: TcpListener, gate: Gate, following: Arc<Following>) -> Result<()> {
    let failed = |error| Error::io("serve", "the board")(error);
    socket.set_nonblocking(true).map_err(failed)?;
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_io().enable_time().max_blocking_threads(PAGES).build().map_err(failed)?;
    runtime.block_on(async move {
        let socket = tokio::net::TcpListener::from_std(socket).map_err(failed)?;
        let (gate, free) = (Arc::new(gate), Arc::new(Semaphore::new(CONNECTIONS)));
        let pages = Arc::new(Semaphore::new(PAGES));
        loop {
            let place = Arc::clone(&free).acquire_owned().await.expect("it is never closed");
            let stream = match socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Too many open files, or a browser that left before it was let in.
                    log::debug!("a connection was not accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (gate, following, pages) = (Arc::clone(&gate), Arc::clone(&following), Arc::clone(&pages));
            let connection = async move {
                let _place = place;
                let service = service_fn(move |request| {
                    served(request, Arc::clone(&gate), Arc::clone(&following), Arc::clone(&pages))
                });
                let mut http = http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(ASKING).max_buf_size(64 << 10);
                // A browser that goes away is no fault.
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            };
            drop(tokio::spawn(connection));
        }
    })
}

async fn served(
    request: Request<Incoming>,
    gate: Arc<Gate>,
    following: Arc<Following>,
    pages: Arc<Semaphore>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_head = request.method() == Method::HEAD;
    let mut response = match gate.passage(&request) {
        Passage::Refused(status, told) => plain(status, told),
        Passage::Sent { cookie } => {
            let rest = Query::of(request.uri()).without("token");
            // Whatever else stands there may be another machine's name.
            let path = Some(request.uri().path()).filter(|path| PATHS.contains(path)).unwrap_or("/");
            let place = if rest.is_empty() { path.to_owned() } else { format!("{path}?{rest}") };
            let mut response = plain(StatusCode::SEE_OTHER, "");
            set(&mut response, LOCATION, &place);
            set(&mut response, SET_COOKIE, &cookie);
            response
        }
        Passage::Open => {
            let _free = pages.acquire().await;
            let uri = request.uri().clone();
            let made = spawn_blocking(move || answer(&uri, &following)).await;
            made.map_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR, "this page could not be made"), respond)
        }
    };
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        set(&mut response, name, value);
    }
    if is_head {
        *response.body_mut() = Full::default();
    }
    Ok(response)
}

fn respond(answer: Answer) -> Response<Full<Bytes>> {
    let (status, kind, bytes) = match answer {
        Answer::Page(text) => (StatusCode::OK, "text/html; charset=utf-8", text.into_bytes()),
        Answer::Missing(text) => (StatusCode::NOT_FOUND, "text/html; charset=utf-8", text.into_bytes()),
        Answer::Parts(text) => (StatusCode::OK, "application/json", text.into_bytes()),
        Answer::Unchanged => (StatusCode::NO_CONTENT, "text/plain", Vec::new()),
        Answer::Script(text) => (StatusCode::OK, "text/javascript; charset=utf-8", text.into()),
        Answer::Style(text) => (StatusCode::OK, "text/css; charset=utf-8", text.into_bytes()),
        Answer::Picture(bytes) => (StatusCode::OK, "image/png", bytes),
    };
    let mut response = Response::new(Full::new(Bytes::from(bytes)));
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, kind);
    response
}

fn plain(status: StatusCode, told: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(told.as_bytes())));
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, "text/plain; charset=utf-8");
    response
}

fn set(response: &mut Response<Full<Bytes>>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
