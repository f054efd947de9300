//! Where everybody comes in: by an API token (`Authorization: Bearer`, or `Basic` with the account's name and the token),
//! by the cookie of a session, or nobody has to say. [`admit`] finds out who asks before any handler runs, and turns away
//! who has not signed in.
//!
//! A browser sends the cookie with whatever any page makes it send, so what changes something has to come from a page
//! of ours (`Origin`, `Sec-Fetch-Site`) or carry the session's token (`X-CSRF-Token`); `SameSite` stands behind that.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::base_url::{forwarded_pair, is_rebound, last_of};
use super::caller::Proof;
use super::refusal::is_of_a_person;
use super::{Caller, Hall, Problem, Settings, base_url, cross_origin, now_ms, off_thread, told};
use crate::access::Principal;
use crate::access::audit::{ActionCode, AuditOutcome, Event, EventType};
use crate::access::secret::Secret;

/// What the cookie of a session is called; over TLS with the prefix that no other host can set (RFC 6265bis §4.1.3).
const COOKIE: &str = "overread_session";
const SECURE_COOKIE: &str = "__Host-overread_session";

/// The header that carries the token against forged requests.
const CSRF_HEADER: &str = "x-csrf-token";

/// How to sign in, for programs. Browsers would show a window of their own for it.
const CHALLENGE: &str = "Bearer realm=\"Overread\", Basic realm=\"Overread\", charset=\"UTF-8\"";
const CHALLENGE_TO_BROWSERS: &str = "Bearer realm=\"Overread\"";

/// What anybody may have: whether we live, the ways in, and what their pages are made of.
const PUBLIC: &[&str] = &["/healthz", "/readyz", "/sign-in", "/api/v1/session"];
const PUBLIC_BELOW: &[&str] = &["/assets/", "/l/", "/language/"];

/// The most cookies of our name that are looked at.
const COOKIES_MAX: usize = 4;

/// Finds out who asks, before any handler runs.
pub(super) async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(hall) = request.app_data::<web::Data<Hall>>().cloned() else {
        let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server has no hall");
        return Ok(request.error_response(problem));
    };
    let is_asking = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let asked = identified(request.request(), &hall).await;
    let refused = match asked {
        Ok(caller) => {
            let is_in = caller.principal().is_some() || is_public(request.path());
            if is_in {
                request.extensions_mut().insert(caller);
                let answered = next.call(request).await?;
                return Ok(answered.map_into_boxed_body());
            }
            match to_sign_in(request.request(), &hall) {
                Some(response) => return Ok(request.into_response(response)),
                None => unauthorized(request.headers(), "sign in first"),
            }
        }
        Err(problem) => problem,
    };
    let refused = if is_asking {
        refused
    } else {
        refused.and_close()
    };
    Ok(request.error_response(refused))
}

fn is_public(path: &str) -> bool {
    PUBLIC.contains(&path) || PUBLIC_BELOW.iter().any(|below| path.starts_with(below))
}

async fn identified(request: &HttpRequest, hall: &web::Data<Hall>) -> Result<Caller, Problem> {
    let (desk, now_ms) = (hall.desk(), now_ms());
    let address = address(request, hall.settings());
    let caller = |principal, proof| Caller::new(principal, address.clone(), proof);
    if desk.is_open(now_ms)? {
        if is_rebound(request, hall.settings()) {
            let text = "while nobody has to sign in, this server answers to addresses, localhost and http.public_url only";
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, text));
        }
        return Ok(caller(Some(Principal::anyone()), Proof::Nothing));
    }
    let headers = request.headers();
    if let Some(given) = headers.get(header::AUTHORIZATION) {
        let credentials = Credentials::parse(given);
        let secret = credentials
            .as_ref()
            .and_then(|given| Secret::parse_token(&given.token));
        let digest = secret.map(|secret| secret.digest());
        let found = match &digest {
            Some(digest) => desk.by_token_digest(digest, now_ms)?,
            None => None,
        };
        let is_theirs = |who: &Principal| {
            let name = credentials.as_ref().and_then(|given| given.name.as_deref());
            name.is_none_or(|name| who.name.eq_ignore_ascii_case(name))
        };
        if let (Some(principal), Some(digest)) = (found.filter(is_theirs), digest) {
            return Ok(caller(Some(principal), Proof::Token(digest)));
        }
        let record = caller(None, Proof::Nothing)
            .record(Event::UserAuthentication, ActionCode::Execute)
            .of_type(EventType::Login)
            .ended(AuditOutcome::MinorFailure)
            .saying("an API token that is good for nothing");
        told(hall, record).await?;
        return Err(unauthorized(
            headers,
            "this token is not good, or not any more",
        ));
    }
    for secret in cookies(headers, is_secure(request, hall.settings())) {
        let Some(known) = desk.by_session(&secret, now_ms)? else {
            continue;
        };
        check_forged(request, hall.settings(), &secret)?;
        if known.is_due {
            let (desk, secret) = (Arc::clone(desk), secret.clone());
            off_thread(move || desk.touch(&secret, now_ms)).await??;
        }
        return Ok(caller(Some(known.principal), Proof::Session(secret)));
    }
    Ok(caller(None, Proof::Nothing))
}

/// Refuses what a page of somebody else may have had the browser send.
fn check_forged(
    request: &HttpRequest,
    settings: &Settings,
    secret: &Secret,
) -> Result<(), Problem> {
    let headers = request.headers();
    // A WebSocket begins with a GET, and any page may open one.
    let is_harmless = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) && !headers.contains_key(header::UPGRADE);
    if is_harmless {
        return Ok(());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text(CSRF_HEADER).is_some_and(|given| secret.is_form_token(given)) {
        return Ok(());
    }
    let is_own = match headers.get(header::ORIGIN) {
        Some(_) => cross_origin::is_own(headers, &base_url(request, settings)?),
        None => text("sec-fetch-site") == Some("same-origin"),
    };
    if is_own {
        return Ok(());
    }
    let text =
        "a session changes things only from our own pages, or with its token in X-CSRF-Token";
    Err(Problem::new(StatusCode::FORBIDDEN, text))
}

/// What `Authorization` says.
struct Credentials {
    /// Of `Basic`.
    name: Option<String>,
    token: String,
}

impl Credentials {
    fn parse(value: &HeaderValue) -> Option<Self> {
        let (scheme, rest) = value.to_str().ok()?.trim().split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self {
                name: None,
                token: rest.into(),
            });
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (name, token) = text.split_once(':')?;
        Some(Self {
            name: Some(name.into()),
            token: token.into(),
        })
    }
}

/// The secrets in cookies of our name, a few at most: another host of our domain may have set one too. Over TLS those
/// that no other host can set count, and no others: somebody could be signed in as somebody else without knowing it.
fn cookies(headers: &HeaderMap, is_secure: bool) -> Vec<Secret> {
    let ours = if is_secure { SECURE_COOKIE } else { COOKIE };
    let lines = headers.get_all(header::COOKIE);
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == ours)
        .filter_map(|(_, value)| Secret::parse(value))
        .take(COOKIES_MAX)
        .collect()
}

/// Whether the browser speaks TLS, to us or to the proxy in front.
fn is_secure(request: &HttpRequest, settings: &Settings) -> bool {
    base_url(request, settings).is_ok_and(|base| base.starts_with("https://"))
}

/// The header that gives a browser its session, or takes it away.
///
/// # Errors
/// 400 when the request names no usable host.
pub fn session_cookie(
    request: &HttpRequest,
    settings: &Settings,
    secret: Option<&Secret>,
) -> Result<HeaderValue, Problem> {
    let is_secure = base_url(request, settings)?.starts_with("https://");
    let (name, secure) = if is_secure {
        (SECURE_COOKIE, "; Secure")
    } else {
        (COOKIE, "")
    };
    let value = match secret {
        Some(secret) => format!("{name}={}", secret.text()),
        None => format!("{name}=; Max-Age=0"),
    };
    HeaderValue::from_str(&format!("{value}; Path=/; HttpOnly; SameSite=Lax{secure}"))
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no cookie can be made"))
}

/// 401, with how to do better.
pub fn unauthorized(headers: &HeaderMap, text: &'static str) -> Problem {
    let is_browser =
        headers.contains_key("sec-fetch-mode") || headers.contains_key("x-requested-with");
    let challenge = if is_browser {
        CHALLENGE_TO_BROWSERS
    } else {
        CHALLENGE
    };
    Problem::new(StatusCode::UNAUTHORIZED, text).with(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(challenge),
    )
}

/// Leads a person to the page where they sign in, and back from there.
fn to_sign_in(request: &HttpRequest, hall: &Hall) -> Option<actix_web::HttpResponse> {
    let (method, path) = (request.method(), request.path());
    if method != Method::GET || !is_of_a_person(method, path, request.headers()) {
        return None;
    }
    let base = base_url(request, hall.settings()).ok()?;
    let then = request.uri().path_and_query()?.as_str();
    let mut location = format!("{base}/sign-in?then=");
    for byte in then.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            location.push(char::from(byte));
        } else {
            location.push_str(&format!("%{byte:02X}"));
        }
    }
    let mut response = actix_web::HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, location));
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    Some(response.finish())
}

/// The address of who asks: the peer's, or what a proxy that we trust says last.
fn address(request: &HttpRequest, settings: &Settings) -> String {
    let Some(peer) = request
        .peer_addr()
        .map(|address| address.ip().to_canonical())
    else {
        return String::new();
    };
    let is_proxy = settings
        .trusted_proxies
        .iter()
        .any(|proxy| proxy.to_canonical() == peer);
    let told = if is_proxy {
        told_address(request.headers())
    } else {
        None
    };
    told.unwrap_or(peer).to_canonical().to_string()
}

/// What a proxy says last: `for` of `Forwarded` (RFC 7239 §6), and only without any such header `X-Forwarded-For`, which
/// it has then left as it came.
fn told_address(headers: &HeaderMap) -> Option<IpAddr> {
    if !headers.contains_key(header::FORWARDED) {
        return last_of(headers, "x-forwarded-for")?.parse().ok();
    }
    let node = forwarded_pair(last_of(headers, "forwarded")?, "for")?;
    if let Some(rest) = node.strip_prefix('[') {
        return rest.split(']').next()?.parse().ok();
    }
    // An address of the sixth version stands in brackets, so whatever follows a colon is a port.
    node.split(':').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_bearer_or_basic() {
        let parse = |text: &str| {
            let given = Credentials::parse(&HeaderValue::from_str(text).unwrap())?;
            Some((given.name, given.token))
        };
        assert_eq!(parse("Bearer abc"), Some((None, "abc".into())));
        assert_eq!(parse("bearer  abc "), Some((None, "abc".into())));
        assert_eq!(
            parse("Basic YW5uYTphOmI="),
            Some((Some("anna".into()), "a:b".into()))
        );
        for text in [
            "Bearer",
            "Digest abc",
            "Basic !",
            "Basic YW5uYQ==",
            "Basic /w==",
            "",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn cookies_of_our_name_are_found_among_others() {
        let secrets = [(); 6].map(|()| Secret::new().unwrap());
        let mut headers = HeaderMap::new();
        let line = format!(
            "a=b; {COOKIE}={}; {COOKIE}=short; {SECURE_COOKIE}={}",
            secrets[0].text(),
            secrets[1].text()
        );
        headers.append(header::COOKIE, line.parse().unwrap());
        assert_eq!(cookies(&headers, false), secrets[..1]);
        assert_eq!(cookies(&headers, true), secrets[1..2]);
        for secret in &secrets[1..] {
            let line = format!("{COOKIE}={}", secret.text());
            headers.append(header::COOKIE, line.parse().unwrap());
        }
        assert_eq!(cookies(&headers, false), secrets[..COOKIES_MAX]);
    }

    #[test]
    fn a_proxy_says_where_somebody_is() {
        let told = |lines: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                let name = header::HeaderName::from_static(name);
                headers.append(name, value.parse().unwrap());
            }
            told_address(&headers).map(|address| address.to_string())
        };
        let plain = ("x-forwarded-for", "198.51.100.9, 198.51.100.7");
        assert_eq!(told(&[plain]), Some("198.51.100.7".into()));
        for (value, address) in [
            ("for=192.0.2.1, for=192.0.2.43", Some("192.0.2.43")),
            ("for=\"192.0.2.43:4711\";proto=https", Some("192.0.2.43")),
            (
                "proto=http; For=\"[2001:db8::1]:4711\"",
                Some("2001:db8::1"),
            ),
            ("for=\"[2001:db8::1]\"", Some("2001:db8::1")),
            ("for=_hidden", None),
            ("for=unknown", None),
            ("proto=https", None),
        ] {
            let told = told(&[plain, ("forwarded", value)]);
            assert_eq!(told.as_deref(), address, "{value}");
        }
        assert_eq!(told(&[]), None);
    }

    #[test]
    fn only_the_way_in_is_for_anybody() {
        for path in ["/healthz", "/sign-in", "/assets/pages.css", "/l/x"] {
            assert!(is_public(path), "{path}");
        }
        for path in [
            "/",
            "/metrics",
            "/dicom-web/studies",
            "/assets",
            "/viewer",
            "/sign-in/x",
            "/l",
            "/wado",
            "/sending",
        ] {
            assert!(!is_public(path), "{path}");
        }
    }
}
