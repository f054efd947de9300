//! `/viewer/`: the OHIF viewer, which `scripts/install-viewer` puts into `[viewer] dir`. It is a page
//! of scripts that speaks DICOMweb to the server it came from; [`app_config`] tells it where that is.
//!
//! Files are found in a listing of the folder ([`Catalog`]): a name from the network is looked up, never
//! joined to a path, and what is no plain file inside the folder is not listed. Without the viewer a page
//! says how it comes here.

mod app_config;
mod catalog;
mod files;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::archive;
use crate::dicom::text_form::escaped;
use crate::http::{Hall, Problem, base_url, off_thread};
use crate::web::frame::Frame;
use crate::web::language::Language;
use catalog::{Catalog, Entry, is_installed};

/// Where a study is opened, after the root of the pages: OHIF's basic mode.
pub(super) const STUDY_LINK: &str = "viewer/viewer?StudyInstanceUIDs=";

/// The page of the viewer, whatever route its script has for the rest of the address.
const INDEX: &str = "index.html";

/// Stands in the page where the address of the viewer belongs; `scripts/install-viewer` puts it there.
const ADDRESS_MARK: &str = "{{viewer}}";

/// How the page names its manifest, which a browser asks for as a stranger unless it is told not to.
const MANIFEST: &str = "rel=\"manifest\"";

/// The longest page that is read into memory to fill in the mark.
const INDEX_BYTES_MAX: u64 = 1 << 20;

/// Scripts of the viewer only, no stranger's, none inside a page; its WebAssembly codecs need to be compiled
/// (`unsafe-eval` too: their glue makes functions). Pictures, videos and documents are made from what was
/// fetched (`blob:`, `data:`). Nobody else may frame it. The codecs run without shared memory, so that no
/// cross-origin isolation is asked for.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'unsafe-eval' 'wasm-unsafe-eval'; worker-src 'self' blob:; \
    style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; font-src 'self' data:; media-src 'self' blob: data:; \
    object-src 'self' blob:; frame-src 'self' blob:; manifest-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'self'";

/// What is installed, as this worker last saw it.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<Option<Arc<Catalog>>>);

impl Shelf {
    /// The listing as it is; `is_fresh` makes sure that it is not older than the installed page.
    fn catalog(&self, dir: &Path, is_fresh: bool) -> Option<Arc<Catalog>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(catalog) = &*kept
            && (!is_fresh || catalog.is_current())
        {
            return Some(Arc::clone(catalog));
        }
        *kept = Catalog::read(dir).map(Arc::new);
        kept.clone()
    }
}

/// Whether there is a viewer to link to. Blocks: it asks the file system.
pub(super) fn is_there(hall: &Hall) -> bool {
    is_installed(&hall.settings().viewer_dir)
}

/// `GET /viewer`, which `/viewer/` is too.
pub(super) async fn front(
    request: HttpRequest,
    hall: web::Data<Hall>,
    shelf: web::Data<Shelf>,
) -> Result<HttpResponse, Problem> {
    answer(request, hall, shelf, INDEX.into()).await
}

/// `GET /viewer/…`: a file, or the page when its script has a route of that name.
pub(super) async fn under(
    request: HttpRequest,
    name: web::Path<String>,
    hall: web::Data<Hall>,
    shelf: web::Data<Shelf>,
) -> Result<HttpResponse, Problem> {
    let name = name.into_inner();
    let last = name.rsplit('/').next().unwrap_or_default();
    let name = if last.contains('.') {
        name
    } else {
        INDEX.into()
    };
    answer(request, hall, shelf, name).await
}

async fn answer(
    request: HttpRequest,
    hall: web::Data<Hall>,
    shelf: web::Data<Shelf>,
    name: String,
) -> Result<HttpResponse, Problem> {
    let base = base_url(&request, hall.settings())?;
    let is_page = name == INDEX;
    let dir = hall.settings().viewer_dir.clone();
    let Some(catalog) = off_thread(move || shelf.catalog(&dir, is_page)).await? else {
        return Ok(if is_page {
            not_installed(&request)
        } else {
            return Err(Problem::not_found());
        });
    };
    let mut response = if name == "app-config.js" {
        app_config::answer(&base)
    } else {
        let entry = catalog.get(&name).ok_or_else(Problem::not_found)?.clone();
        if is_page {
            page(entry, &base).await?
        } else {
            files::answer(&request, &name, entry).await?
        }
    };
    secure(response.headers_mut(), &base)?;
    Ok(response)
}

/// The viewer's page, with its address filled in, and its manifest asked for by whoever has signed in.
async fn page(entry: Entry, base: &str) -> Result<HttpResponse, Problem> {
    let read = off_thread(move || entry.read(INDEX_BYTES_MAX)).await?;
    let text = read.map_err(|cause| archive::Error::broken("reading the viewer's page", cause))?;
    let address = format!("{}/viewer/", path_of(base));
    let text = String::from_utf8_lossy(&text)
        .replace(ADDRESS_MARK, &escaped(&address).to_string())
        .replace(
            MANIFEST,
            &format!("{MANIFEST} crossorigin=\"use-credentials\""),
        );
    Ok(HttpResponse::Ok()
        .content_type(mime::TEXT_HTML_UTF_8)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text))
}

/// The path of a base URL: what a proxy's prefix adds.
fn path_of(base: &str) -> &str {
    let host = base.find("://").map_or(0, |at| at + "://".len());
    base[host..].find('/').map_or("", |at| &base[host + at..])
}

/// Headers of everything below `/viewer/`. The viewer may fetch from where it came, and from the
/// address that BulkDataURIs name, should that be another.
fn secure(headers: &mut HeaderMap, base: &str) -> Result<(), Problem> {
    let origin = base.strip_suffix(path_of(base)).unwrap_or(base);
    let policy = format!("{CONTENT_SECURITY_POLICY}; connect-src 'self' blob: data: {origin}");
    let policy = HeaderValue::from_str(&policy)
        .map_err(|_| Problem::bad_request("the Host header is malformed"))?;
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    Ok(())
}

fn not_installed(request: &HttpRequest) -> HttpResponse {
    let language = Language::of(request);
    let link = format!(
        "<a href=\"../\">{}</a>",
        language.say("the studies, with a quick look at their images")
    );
    let body = format!(
        "<h1>{}</h1>\n<p>{}</p>\n<p>{}</p>\n",
        language.say("The viewer is not installed"),
        language.fill(
            "Run {command} on this server: it brings OHIF, and this page becomes the viewer. The folder is {setting} of the \
             configuration.",
            &[
                ("command", &"<code>scripts/install-viewer</code>"),
                ("setting", &"<code>[viewer] dir</code>")
            ]
        ),
        language.fill("Until then: {studies}.", &[("studies", &link)])
    );
    let response = HttpResponse::build(StatusCode::NOT_FOUND);
    Frame::alone(request, "../").page(response, language.say("Viewer"), &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_of_a_proxy_is_the_path_of_the_base() {
        for (base, path) in [
            ("http://127.0.0.1:8080", ""),
            ("https://pacs.example.org/overread", "/overread"),
            ("https://pacs.example.org/a/b", "/a/b"),
            ("http://[::1]:80", ""),
        ] {
            assert_eq!(path_of(base), path);
        }
    }

    #[test]
    fn the_policy_lets_the_viewer_fetch_from_us_only() {
        let mut headers = HeaderMap::new();
        secure(&mut headers, "https://pacs.example.org/overread").unwrap();
        let policy = headers
            .get(header::CONTENT_SECURITY_POLICY)
            .unwrap()
            .to_str()
            .unwrap();
        assert!(
            policy.ends_with("; connect-src 'self' blob: data: https://pacs.example.org"),
            "{policy}"
        );
        assert!(secure(&mut headers, "http://a\nb").is_err());
    }
}
