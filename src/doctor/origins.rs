//! What a browser asks before a viewer of another origin may ask (CORS; Fetch standard §3.2.2, §4.8): a preflight,
//! which carries no credentials.

use super::asking::Ready;
use super::checks::Found;
use super::client::{Answer, Ask, BEGINNING_BYTES_MAX, header};
use super::examination::Examination;
use super::faults;
use super::replay::OTHER_ORIGINS;
use super::report::Viewer;

impl Examination<'_> {
    /// Asks as the browser does before OHIF's first request with a token.
    pub(super) fn preflight(&mut self) {
        let url = format!("{}/studies", self.root.url());
        let ready = Ready {
            title: "preflight",
            chapter: OTHER_ORIGINS,
            viewers: &[Viewer::Ohif],
            shown: format!("OPTIONS {}/studies", self.root.path()),
            ask: Ask {
                method: "OPTIONS",
                url: &url,
                headers: vec![
                    ("access-control-request-method", "GET".into()),
                    (
                        "access-control-request-headers",
                        "accept,authorization".into(),
                    ),
                ],
                body: None,
                is_anonymous: true,
                bytes_max: BEGINNING_BYTES_MAX,
            },
            refused: &faults::CORS_PREFLIGHT,
        };
        let Some(answer) = self.dispatch(&ready) else {
            return;
        };
        let origin = self.page_origin.clone().unwrap_or_default();
        let found: Found = complaint(&answer, &origin)
            .map(|words| {
                (
                    &faults::CORS_PREFLIGHT,
                    format!("{}, {words}", answer.status),
                )
            })
            .into_iter()
            .collect();
        self.record(&ready, found);
    }
}

/// Why a browser would not go on.
fn complaint(answer: &Answer, origin: &str) -> Option<&'static str> {
    let allowed = header(&answer.headers, "access-control-allow-origin");
    if allowed != Some(origin) && allowed != Some("*") {
        return Some("no Access-Control-Allow-Origin for this origin");
    }
    let headers = header(&answer.headers, "access-control-allow-headers").unwrap_or_default();
    // The star does not stand for Authorization.
    let is_there = headers
        .split(',')
        .any(|name| name.trim().eq_ignore_ascii_case("authorization"));
    (!is_there).then_some("authorization is not among Access-Control-Allow-Headers")
}

#[cfg(test)]
mod tests {
    use ureq::http::HeaderMap;
    use ureq::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_preflight_is_read_as_a_browser_reads_it() {
        const ORIGIN: &str = "https://viewer.example.org";
        let check = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                );
            }
            let answer = Answer {
                headers,
                ..Answer::default()
            };
            complaint(&answer, ORIGIN).is_none()
        };
        const ALLOW: &str = "access-control-allow-origin";
        const HEADERS: &str = "access-control-allow-headers";
        assert!(check(&[
            (ALLOW, ORIGIN),
            (HEADERS, "Accept, Authorization")
        ]));
        assert!(check(&[(ALLOW, "*"), (HEADERS, "authorization")]));
        assert!(!check(&[(ALLOW, ORIGIN), (HEADERS, "*")]));
        assert!(!check(&[
            (ALLOW, "https://other.example.org"),
            (HEADERS, "authorization")
        ]));
        assert!(!check(&[]));
    }
}
