//! A file of the viewer as a response: its media type, the coding that the browser takes, and how long
//! it may keep it.

use std::fs::File;
use std::io::{self, Read};

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;

use super::catalog::{Entry, Stamp};
use crate::archive;
use crate::http::{Chunks, Problem, off_thread, respond};

/// A file goes out in pieces of this size.
const PIECE_BYTES: usize = 256 * 1024;

/// A name with a digest of what is in it: another content would have another name. A week, because
/// what `scripts/install-viewer` does to a file is not in its digest.
const CACHE_HASHED: &str = "public, max-age=604800, immutable";

/// Kept, and asked about each time.
const CACHE_OTHER: &str = "public, no-cache";

/// Hexadecimal digits in a name that is never used for another content.
const DIGEST_DIGITS: usize = 16;

/// Extension and media type. What is not here is octets: `nosniff` keeps browsers from guessing.
const MEDIA_TYPES: &[(&str, &str)] = &[
    ("css", "text/css; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonc", "application/json"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webapp", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
];

/// Sends the file in the best form that is there and wanted.
///
/// # Errors
/// 404 when it has gone since it was listed.
pub(super) async fn answer(
    request: &HttpRequest,
    name: &str,
    entry: Entry,
) -> Result<HttpResponse, Problem> {
    let coding = if entry.has_brotli && takes(request.headers(), "br") {
        Some(("br", ".br"))
    } else if entry.has_gzip && takes(request.headers(), "gzip") {
        Some(("gzip", ".gz"))
    } else {
        None
    };
    let has_forms = entry.has_brotli || entry.has_gzip;
    let suffix = coding.map_or("", |(_, suffix)| suffix);
    let (file, stamp) = off_thread(move || entry.open(suffix))
        .await?
        .map_err(|_| Problem::not_found())?;
    let tag = entity_tag(stamp, suffix);
    let is_known = is_known(request.headers(), &tag);
    let mut response = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((header::ETAG, tag))
        .insert_header((header::CACHE_CONTROL, cache_control(name)));
    if has_forms {
        response.insert_header((header::VARY, "Accept-Encoding"));
    }
    if is_known {
        return Ok(response.finish());
    }
    response.content_type(media_type(name));
    if let Some((coding, _)) = coding {
        response.insert_header((header::CONTENT_ENCODING, coding));
    }
    let pieces = Pieces {
        file,
        left: stamp.length,
    };
    respond(response, Some(stamp.length), Box::new(pieces) as Chunks).await
}

fn media_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    MEDIA_TYPES
        .iter()
        .find(|(known, _)| *known == extension)
        .map_or("application/octet-stream", |(_, media_type)| media_type)
}

fn cache_control(name: &str) -> &'static str {
    let has_digest = name.split(['.', '/']).any(|part| {
        part.len() == DIGEST_DIGITS && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    if has_digest {
        CACHE_HASHED
    } else {
        CACHE_OTHER
    }
}

fn entity_tag(stamp: Stamp, suffix: &str) -> String {
    let (seconds, nanoseconds) = stamp.modified;
    format!("\"{:x}-{seconds:x}-{nanoseconds:x}{suffix}\"", stamp.length)
}

/// Whether the client has this very form (RFC 9110 §13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|known| known.trim().trim_start_matches("W/"))
        .any(|known| known == tag || known == "*")
}

/// Whether the client takes a content coding (RFC 9110 §12.5.3).
fn takes(headers: &HeaderMap, coding: &str) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|member| {
            let (name, parameters) = member.split_once(';').unwrap_or((member, ""));
            let is_refused = parameters
                .trim()
                .strip_prefix("q=")
                .is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
            name.trim().eq_ignore_ascii_case(coding) && !is_refused
        })
}

/// The bytes of a file, as many as its length was when it was opened.
struct Pieces {
    file: File,
    left: u64,
}

impl Pieces {
    fn piece(&mut self) -> io::Result<Bytes> {
        let wanted = usize::try_from(self.left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        let mut piece = vec![0; wanted];
        self.file.read_exact(&mut piece)?;
        self.left = self.left.saturating_sub(wanted as u64);
        Ok(piece.into())
    }
}

impl Iterator for Pieces {
    type Item = Result<Bytes, archive::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.left > 0).then(|| {
            self.piece().map_err(|cause| {
                self.left = 0;
                archive::Error::broken("reading a file of the viewer", cause)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn types_and_ages_follow_the_name() {
        for (name, media, is_forever) in [
            (
                "app.bundle.0f6159c501addfe9.js",
                "text/javascript; charset=utf-8",
                true,
            ),
            ("0ddf166f7a343eda.wasm", "application/wasm", true),
            ("a34f9d1faa5f3315.woff2", "font/woff2", true),
            ("app.bundle.css", "text/css; charset=utf-8", false),
            ("assets/favicon.ico", "image/x-icon", false),
            ("x.exe", "application/octet-stream", false),
            ("LICENSE", "application/octet-stream", false),
        ] {
            assert_eq!(media_type(name), media, "{name}");
            assert_eq!(cache_control(name) == CACHE_HASHED, is_forever, "{name}");
        }
    }

    #[test]
    fn the_browser_says_which_coding_it_takes() {
        for (line, brotli, gzip) in [
            ("gzip, deflate, br, zstd", true, true),
            ("gzip, deflate", false, true),
            ("br;q=0, GZIP;q=0.5", false, true),
            ("", false, false),
            ("brotli", false, false),
        ] {
            let headers = headers(header::ACCEPT_ENCODING, line);
            assert_eq!(
                (takes(&headers, "br"), takes(&headers, "gzip")),
                (brotli, gzip),
                "{line}"
            );
        }
    }

    #[test]
    fn what_the_browser_has_is_told_by_its_tag() {
        let stamp = Stamp {
            length: 5,
            modified: (16, 10),
        };
        assert_eq!(entity_tag(stamp, ".br"), "\"5-10-a.br\"");
        for (line, known) in [
            ("\"5-10-a.br\"", true),
            ("\"x\", W/\"5-10-a.br\"", true),
            ("*", true),
            ("\"5-10-a\"", false),
        ] {
            let headers = headers(header::IF_NONE_MATCH, line);
            assert_eq!(is_known(&headers, "\"5-10-a.br\""), known, "{line}");
        }
    }
}
