//! Who may ask the board. A page of another site that a browser has open can send requests to this machine: it learns nothing. Where
//! other machines can reach the board, whoever asks must know its token.

use hyper::{
    HeaderMap, Method, Request, StatusCode, Uri,
    header::{AUTHORIZATION, COOKIE, HOST, HeaderName, ORIGIN},
};
use sha2::{Digest, Sha256};
use std::{fs::File, io::Read, net::SocketAddr};

/// Bytes of a token.
const TOKEN: usize = 16;
/// Names of this machine alone.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Who may ask.
#[derive(Clone, Debug)]
pub struct Gate {
    token: Option<String>,
    /// Names that lead to this machine alone; any where others can reach the board.
    names: Option<Vec<String>>,
    cookie: String,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    Open,
    /// It brought the token: from now on the browser has it in a cookie, and the address is shown without it.
    Sent {
        cookie: String,
    },
    Refused(StatusCode, &'static str),
}

impl Gate {
    /// A gate for an address; a token is asked for where other machines can reach it, and where one is wanted.
    ///
    /// # Errors
    /// The system's, where it gives no random numbers.
    pub fn new(address: SocketAddr, wants_token: bool) -> std::io::Result<Self> {
        let is_local = address.ip().is_loopback();
        let own = SocketAddr::new(address.ip(), 0).to_string();
        let names = LOCAL.iter().map(|name| (*name).to_owned()).chain([own.trim_end_matches(":0").to_owned()]);
        let token = if is_local && !wants_token { None } else { Some(random()?) };
        // Cookies don't tell ports apart.
        Ok(Self {
            token,
            names: is_local.then(|| names.collect()),
            cookie: format!("infomax-board-{}", address.port()),
        })
    }

    /// What whoever asks must know.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Whether a request may pass.
    pub fn passage<B>(&self, request: &Request<B>) -> Passage {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Passage::Refused(StatusCode::METHOD_NOT_ALLOWED, "the board only shows");
        }
        let headers = request.headers();
        // A name that leads here from elsewhere would make another site's page one of this machine's.
        if self.names.as_ref().is_some_and(|names| !is_named(names, headers, request.uri())) {
            return Passage::Refused(StatusCode::FORBIDDEN, "the board answers to localhost and 127.0.0.1 alone");
        }
        if is_foreign(headers) {
            return Passage::Refused(StatusCode::FORBIDDEN, "the board does not answer pages of other sites");
        }
        let Some(token) = &self.token else { return Passage::Open };
        let given = super::query::Query::of(request.uri());
        if given.get("token").is_some_and(|given| is_same(given, token)) {
            return Passage::Sent { cookie: format!("{}={token}; HttpOnly; SameSite=Strict; Path=/", self.cookie) };
        }
        let in_cookie = self.cookie_of(headers).is_some_and(|given| is_same(given, token));
        let bearer = text(headers, &AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        if in_cookie || bearer.is_some_and(|given| is_same(given, token)) {
            return Passage::Open;
        }
        Passage::Refused(StatusCode::UNAUTHORIZED, "open the address that `infomax board` has printed, with its token")
    }

    fn cookie_of<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let cookies = text(headers, &COOKIE)?.split(';').filter_map(|cookie| cookie.trim().split_once('='));
        cookies.into_iter().find(|(name, _)| *name == self.cookie).map(|(_, value)| value)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a request was sent to a name of this machine; the port may be another where it is forwarded.
fn is_named(names: &[String], headers: &HeaderMap, uri: &Uri) -> bool {
    let host = text(headers, &HOST).or_else(|| uri.authority().map(|authority| authority.as_str()));
    let Some(host) = host else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    names.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// Whether a page of another site sent it. A person who follows a link from there is welcome.
fn is_foreign(headers: &HeaderMap) -> bool {
    let fetch = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_cross = matches!(fetch("sec-fetch-site"), Some("cross-site" | "same-site"));
    if is_cross && fetch("sec-fetch-mode") != Some("navigate") {
        return true;
    }
    let (Some(origin), Some(host)) = (text(headers, &ORIGIN), text(headers, &HOST)) else { return false };
    origin.split_once("://").is_none_or(|(_, own)| !own.eq_ignore_ascii_case(host))
}

/// Compares by hashes, whose first difference tells nothing about the token.
fn is_same(given: &str, token: &str) -> bool {
    Sha256::digest(given) == Sha256::digest(token)
}

fn random() -> std::io::Result<String> {
    let mut bytes = [0; TOKEN];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(gate: &Gate, method: &str, uri: &str, headers: &[(&str, &str)]) -> Passage {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        gate.passage(&request.body(()).unwrap())
    }

    fn status(passage: Passage) -> u16 {
        match passage {
            Passage::Refused(status, _) => status.as_u16(),
            _ => 200,
        }
    }

    #[test]
    fn only_this_machine_s_own_pages_are_answered() {
        let gate = Gate::new("127.0.0.1:7117".parse().unwrap(), false).unwrap();
        let get = |headers: &[(&str, &str)]| status(asked(&gate, "GET", "/", headers));
        for host in ["127.0.0.1:7117", "localhost:9000", "LOCALHOST", "[::1]:7117", "127.0.0.1"] {
            assert_eq!(get(&[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:7117", "localhost.evil:80", "evil@localhost:1", ""] {
            assert_eq!(get(&[("host", host)]), 403, "{host}");
        }
        assert_eq!(get(&[]), 403);
        let own = ("host", "localhost:7117");
        assert_eq!(get(&[own, ("origin", "http://localhost:7117")]), 200);
        for origin in ["http://evil.example", "null", "http://localhost:7118"] {
            assert_eq!(get(&[own, ("origin", origin)]), 403, "{origin}");
        }
        assert_eq!(get(&[own, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]), 403);
        assert_eq!(get(&[own, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]), 200);
        let other = Gate::new("127.0.0.2:7117".parse().unwrap(), false).unwrap();
        assert_eq!(asked(&other, "GET", "/", &[("host", "127.0.0.2:7117")]), Passage::Open);
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            assert_eq!(status(asked(&gate, method, "/", &[own])), 405);
        }
    }

    #[test]
    fn whoever_comes_from_elsewhere_must_know_the_token() {
        let gate = Gate::new("0.0.0.0:7117".parse().unwrap(), false).unwrap();
        let token = gate.token().unwrap().to_owned();
        assert_eq!(token.len(), 2 * TOKEN);
        let get = |uri: &str, headers: &[(&str, &str)]| asked(&gate, "GET", uri, headers);
        assert_eq!(status(get("/", &[])), 401);
        assert_eq!(status(get("/?token=00", &[])), 401);
        let sent = get(&format!("/?token={token}"), &[]);
        let Passage::Sent { cookie } = sent else { panic!("{sent:?}") };
        assert!(cookie.contains("HttpOnly; SameSite=Strict"));
        let own = format!("a=b; infomax-board-7117={token}");
        assert_eq!(get("/", &[("cookie", &own), ("host", "any.example:7117")]), Passage::Open);
        assert_eq!(status(get("/", &[("cookie", &format!("infomax-board-7118={token}"))])), 401);
        assert_eq!(get("/", &[("authorization", &format!("Bearer {token}"))]), Passage::Open);
        let wanted = Gate::new("127.0.0.1:7117".parse().unwrap(), true).unwrap();
        assert_ne!(wanted.token(), Gate::new("127.0.0.1:7117".parse().unwrap(), true).unwrap().token());
        assert_eq!(status(asked(&wanted, "GET", "/", &[("host", "localhost")])), 401);
    }
}
