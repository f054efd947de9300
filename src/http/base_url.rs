//! The address under which the caller reached us, for every URL in an answer: the configured one,
//! else what a trusted proxy says (RFC 7239 `Forwarded`, else `X-Forwarded-Proto`, `-Host`,
//! `-Prefix`), else `Host`. Of a list the last element counts: it is what the nearest proxy wrote,
//! the ones before it may be anybody's.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap};

use super::{Problem, Settings};

/// The longest host or prefix believed, in bytes.
const PART_MAX: usize = 255;

/// `scheme://host[:port][/prefix]`, without a slash at the end.
///
/// # Errors
/// 400 when the request names no usable host.
pub fn base_url(request: &HttpRequest, settings: &Settings) -> Result<String, Problem> {
    if let Some(public) = &settings.public_url {
        return Ok(public.clone());
    }
    let peer = request.peer_addr().map(|address| address.ip());
    let is_trusted = peer.is_some_and(|peer| is_trusted(peer, &settings.trusted_proxies));
    // A request line in absolute form (a proxy's) names the host in its URI.
    let in_line = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    of_headers(request.headers(), in_line, is_trusted)
}

/// Whether a request that came to a loopback address names a host that anybody could have made to mean it. A page of
/// `evil.example` whose name is given our address a moment later has the same origin as we then (DNS rebinding), and where
/// nobody has to sign in it would read everything. Not so names without a dot, addresses, and the configured one.
pub(super) fn is_rebound(request: &HttpRequest, settings: &Settings) -> bool {
    let peer = request.peer_addr().map(|address| address.ip());
    if !settings.listen.ip().to_canonical().is_loopback()
        || peer.is_some_and(|peer| is_trusted(peer, &settings.trusted_proxies))
    {
        return false;
    }
    let in_line = request.uri().authority().map(|in_line| in_line.as_str());
    let in_head = request.headers().get(header::HOST);
    let host = in_line.or_else(|| in_head?.to_str().ok());
    let own = settings
        .public_url
        .as_deref()
        .and_then(|url| url.split("//").nth(1)?.split('/').next());
    host.is_some_and(|host| is_name_of_others(host, own))
}

fn is_name_of_others(host: &str, own: Option<&str>) -> bool {
    let name = |host: &str| {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        name.trim_end_matches('.').to_ascii_lowercase()
    };
    if host.starts_with('[') {
        return false;
    }
    let (name, own) = (name(host), own.map(name));
    let is_address = name.parse::<IpAddr>().is_ok();
    !is_address
        && name.contains('.')
        && !name.ends_with(".localhost")
        && own.as_ref() != Some(&name)
}

fn is_trusted(peer: IpAddr, proxies: &[IpAddr]) -> bool {
    proxies
        .iter()
        .any(|proxy| proxy.to_canonical() == peer.to_canonical())
}

fn of_headers(
    headers: &HeaderMap,
    in_line: Option<&str>,
    is_trusted: bool,
) -> Result<String, Problem> {
    let mut proto = None;
    let mut host = None;
    let mut prefix = None;
    if is_trusted {
        if let Some(element) = last_of(headers, "forwarded") {
            proto = forwarded_pair(element, "proto");
            host = forwarded_pair(element, "host");
        }
        proto = proto.or_else(|| last_of(headers, "x-forwarded-proto"));
        host = host.or_else(|| last_of(headers, "x-forwarded-host"));
        prefix = last_of(headers, "x-forwarded-prefix");
    }
    let host = host
        .or(in_line)
        .or_else(|| headers.get(header::HOST)?.to_str().ok())
        .filter(|host| is_host(host))
        .ok_or_else(|| Problem::bad_request("the Host header is missing or malformed"))?;
    let proto = if proto.is_some_and(|p| p.eq_ignore_ascii_case("https")) {
        "https"
    } else {
        "http"
    };
    let prefix = prefix
        .map(|p| p.trim_end_matches('/'))
        .filter(|p| is_prefix(p))
        .unwrap_or_default();
    Ok(format!("{proto}://{host}{prefix}"))
}

/// The last element of a header that may be a list, over several lines.
pub(super) fn last_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let line = headers.get_all(name).last()?.to_str().ok()?;
    line.rsplit(',')
        .next()
        .map(str::trim)
        .filter(|element| !element.is_empty())
}

/// The value of a pair in an element of `Forwarded`, without quotes.
pub(super) fn forwarded_pair<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().trim_matches('"'))
    })
}

/// Whether a text can stand in a URL as host and port: nothing that could end the host part.
fn is_host(text: &str) -> bool {
    let is_allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    !text.is_empty() && text.len() <= PART_MAX && text.bytes().all(is_allowed)
}

fn is_prefix(text: &str) -> bool {
    let is_allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'-' | b'_' | b'~');
    text.starts_with('/')
        && !text.starts_with("//")
        && text.len() <= PART_MAX
        && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn url(lines: &[(&'static str, &str)], is_trusted: bool) -> Option<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        of_headers(&headers, None, is_trusted).ok()
    }

    #[test]
    fn host_counts_when_nobody_is_trusted() {
        let lines = [
            ("host", "pacs:8080"),
            ("x-forwarded-host", "evil"),
            ("forwarded", "host=evil;proto=https"),
        ];
        assert_eq!(url(&lines, false).unwrap(), "http://pacs:8080");
        assert_eq!(
            url(&[("host", "[::1]:80")], false).unwrap(),
            "http://[::1]:80"
        );
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_its_last_word_counts() {
        let forwarded = (
            "forwarded",
            "for=1.2.3.4;host=evil, for=10.0.0.1;proto=https;host=\"a.example:8443\"",
        );
        assert_eq!(
            url(&[("host", "in"), forwarded], true).unwrap(),
            "https://a.example:8443"
        );
        let split = [
            ("host", "in"),
            ("x-forwarded-proto", "http, https"),
            ("x-forwarded-host", "evil, b.example"),
            ("x-forwarded-prefix", "/pacs/"),
        ];
        assert_eq!(url(&split, true).unwrap(), "https://b.example/pacs");
        assert_eq!(url(&[("host", "in")], true).unwrap(), "http://in");
    }

    #[test]
    fn what_could_leave_the_host_part_is_refused() {
        for bad in ["", "a/b", "a@b", "a b", "a?b", "a#b", "a\"b", "a<b"] {
            assert_eq!(url(&[("host", bad)], false), None, "{bad:?}");
        }
        assert_eq!(url(&[], false), None);
        assert_eq!(
            url(&[("host", "in"), ("x-forwarded-prefix", "//evil")], true).unwrap(),
            "http://in"
        );
    }

    #[test]
    fn a_name_with_a_dot_may_be_anybodys() {
        let own = Some("pacs.example.org:8443");
        for host in [
            "evil.example",
            "evil.example:8080",
            "EVIL.example.",
            "127.0.0.1.evil.example",
            "x.pacs.example.org",
        ] {
            assert!(is_name_of_others(host, own), "{host}");
        }
        for host in [
            "127.0.0.1:8080",
            "[::1]:8080",
            "localhost:8080",
            "pacs",
            "a.localhost",
            "PACS.example.org",
            "",
        ] {
            assert!(!is_name_of_others(host, own), "{host}");
        }
    }

    #[test]
    fn an_ipv4_proxy_is_known_on_a_dual_stack_socket() {
        let proxies = ["10.0.0.1".parse().unwrap()];
        assert!(is_trusted("::ffff:10.0.0.1".parse().unwrap(), &proxies));
        assert!(!is_trusted("10.0.0.2".parse().unwrap(), &proxies));
    }
}
