//! Files that lie in `/web` and are part of the program.

use std::sync::LazyLock;

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use crate::http::Problem;
use crate::web::language::Language;
use crate::web::texts;

const SCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";

/// Name in the URL, media type, bytes.
const ASSETS: &[(&str, &str, &[u8])] = &[
    (
        "pages.css",
        "text/css; charset=utf-8",
        include_bytes!("../../web/pages.css"),
    ),
    ("studies.js", SCRIPT, include_bytes!("../../web/studies.js")),
    ("asking.js", SCRIPT, include_bytes!("../../web/asking.js")),
    ("unfold.js", SCRIPT, include_bytes!("../../web/unfold.js")),
    ("tags.js", SCRIPT, include_bytes!("../../web/tags.js")),
    ("upload.js", SCRIPT, include_bytes!("../../web/upload.js")),
    ("files.js", SCRIPT, include_bytes!("../../web/files.js")),
    ("sending.js", SCRIPT, include_bytes!("../../web/sending.js")),
    ("texts.js", SCRIPT, include_bytes!("../../web/texts.js")),
    (
        "watching.js",
        SCRIPT,
        include_bytes!("../../web/watching.js"),
    ),
    (
        "worklist.js",
        SCRIPT,
        include_bytes!("../../web/worklist.js"),
    ),
    ("reading.js", SCRIPT, include_bytes!("../../web/reading.js")),
    (
        "reading/draft.js",
        SCRIPT,
        include_bytes!("../../web/reading/draft.js"),
    ),
    (
        "reading/form.js",
        SCRIPT,
        include_bytes!("../../web/reading/form.js"),
    ),
    (
        "reading/keys.js",
        SCRIPT,
        include_bytes!("../../web/reading/keys.js"),
    ),
    (
        "reading/asking.js",
        SCRIPT,
        include_bytes!("../../web/reading/asking.js"),
    ),
    (
        "icon.svg",
        "image/svg+xml",
        include_bytes!("../../web/icon.svg"),
    ),
    (
        "look.css",
        "text/css; charset=utf-8",
        include_bytes!("../../web/look.css"),
    ),
    ("look.js", SCRIPT, include_bytes!("../../web/look.js")),
    (
        "look/attributes.js",
        SCRIPT,
        include_bytes!("../../web/look/attributes.js"),
    ),
    (
        "look/cine.js",
        SCRIPT,
        include_bytes!("../../web/look/cine.js"),
    ),
    (
        "look/geometry.js",
        SCRIPT,
        include_bytes!("../../web/look/geometry.js"),
    ),
    (
        "look/gestures.js",
        SCRIPT,
        include_bytes!("../../web/look/gestures.js"),
    ),
    (
        "look/images.js",
        SCRIPT,
        include_bytes!("../../web/look/images.js"),
    ),
    (
        "look/link.js",
        SCRIPT,
        include_bytes!("../../web/look/link.js"),
    ),
    (
        "look/loader.js",
        SCRIPT,
        include_bytes!("../../web/look/loader.js"),
    ),
    (
        "look/marks.js",
        SCRIPT,
        include_bytes!("../../web/look/marks.js"),
    ),
    (
        "look/overlay.js",
        SCRIPT,
        include_bytes!("../../web/look/overlay.js"),
    ),
    (
        "look/pane.js",
        SCRIPT,
        include_bytes!("../../web/look/pane.js"),
    ),
    (
        "look/panel.js",
        SCRIPT,
        include_bytes!("../../web/look/panel.js"),
    ),
    (
        "look/picture.js",
        SCRIPT,
        include_bytes!("../../web/look/picture.js"),
    ),
    (
        "look/tones.js",
        SCRIPT,
        include_bytes!("../../web/look/tones.js"),
    ),
];

/// Stands before names in addresses that may be kept for ever: what all files together are. Modules name each other by
/// their place, so all of them come of one version.
static STAMP: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = blake3::Hasher::new();
    for (name, _, bytes) in ASSETS {
        hasher.update(name.as_bytes()).update(bytes);
    }
    for bytes in texts::files() {
        hasher.update(bytes);
    }
    hasher.finalize().to_hex()[..16].to_owned()
});

/// The address of a file after `assets/`, of this very version.
pub(super) fn stamped(name: &str) -> String {
    format!("{}/{name}", *STAMP)
}

/// What modules say in a language, where it is not English: the address of it after `assets/`.
pub(super) fn texts(language: Language) -> Option<String> {
    texts::of_scripts(language).map(|_| stamped(&format!("texts/{}.json", language.tag())))
}

fn found(name: &str) -> Option<(&'static str, &'static [u8])> {
    let texts = name.strip_prefix("texts/");
    if let Some(tag) = texts.and_then(|name| name.strip_suffix(".json")) {
        return Some((JSON, texts::of_scripts(Language::by_tag(tag)?)?));
    }
    let found = ASSETS.iter().find(|(known, ..)| *known == name);
    found.map(|(_, media_type, bytes)| (*media_type, *bytes))
}

/// The modules that `look.js` is made of.
pub(super) fn modules_of_look() -> impl Iterator<Item = &'static str> {
    let names = ASSETS.iter().map(|(name, ..)| *name);
    names.filter(|name| name.starts_with("look/"))
}

/// `GET /assets/{name}`, where a name may have folders, and a stamp before it.
pub(super) async fn asset(name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let plain = name.strip_prefix(STAMP.as_str());
    let plain = plain.and_then(|name| name.strip_prefix('/'));
    let (media_type, bytes) = found(plain.unwrap_or(&name)).ok_or_else(Problem::not_found)?;
    let age = match plain {
        Some(_) => "public, max-age=31536000, immutable",
        None => "public, max-age=300",
    };
    Ok(HttpResponse::Ok()
        .content_type(media_type)
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'",
        ))
        .insert_header((header::CACHE_CONTROL, age))
        .body(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_find_each_other() {
        for (name, media_type, bytes) in ASSETS.iter().filter(|asset| asset.1 == SCRIPT) {
            let text = std::str::from_utf8(bytes).unwrap();
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            let imports = text.lines().filter(|line| line.starts_with("import "));
            for import in imports {
                let asked = import.split('\'').nth(1).unwrap();
                let place = match (folder, asked.strip_prefix("../")) {
                    (_, Some(above)) => above.to_owned(),
                    ("", None) => asked.strip_prefix("./").unwrap().to_owned(),
                    (folder, None) => format!("{folder}/{}", asked.strip_prefix("./").unwrap()),
                };
                let found = ASSETS.iter().find(|asset| asset.0 == place);
                assert_eq!(
                    found.map(|found| found.1),
                    Some(*media_type),
                    "{name}: {place}"
                );
            }
        }
        assert!(modules_of_look().count() > 10);
    }
}
