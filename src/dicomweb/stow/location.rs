//! Which bulk part belongs to which attribute: a `BulkDataURI` and a Content-Location name the same
//! thing when they resolve to the same URI (RFC 3986 §5.2, against the URL of the request). Nothing
//! is ever fetched from either.

/// A resource that a URI names, as a hash: whatever its length, it takes little memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key([u8; 32]);

/// What a URI names: a resource, and the number of a frame when it ends in `/frames/n`. The pixel
/// data of an instance and its frames are the same resource, however they are named.
pub(super) fn key_of(request_url: &str, uri: &str) -> (Key, Option<u32>) {
    let resolved = resolve(request_url, uri.trim());
    let mut name = resolved.as_str();
    let mut frame = None;
    if let Some((before, number)) = name.rsplit_once("/frames/")
        && let Ok(number) = number.parse()
    {
        (name, frame) = (before, Some(number));
    }
    let whole = [
        "/frames",
        "/bulkdata/7FE00010",
        "/bulkdata/7fe00010",
        "/pixeldata",
    ];
    let name = whole
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name);
    (Key(*blake3::hash(name.as_bytes()).as_bytes()), frame)
}

/// The absolute form of a reference.
fn resolve(base: &str, reference: &str) -> String {
    if let Some((scheme, rest)) = split_scheme(reference) {
        let scheme = scheme.to_ascii_lowercase();
        return match rest.strip_prefix("//") {
            Some(rest) => with_authority(&scheme, rest),
            None => format!("{scheme}:{rest}"),
        };
    }
    let (scheme, rest) = split_scheme(base).unwrap_or(("http", base));
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    if let Some(rest) = reference.strip_prefix("//") {
        return with_authority(scheme, rest);
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
    let path = match reference.chars().next() {
        None => path.to_owned(),
        Some('/') => reference.to_owned(),
        Some('?' | '#') => format!("{path}{reference}"),
        Some(_) => format!("{folder}{reference}"),
    };
    with_authority(scheme, &format!("{authority}{path}"))
}

/// Splits the scheme off; `None` when there is none.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme.then_some((scheme, rest))
}

/// `rest` is an authority and a path: the former in lower case, the latter without dot segments.
fn with_authority(scheme: &str, rest: &str) -> String {
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (path, query) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let authority = authority.to_ascii_lowercase();
    format!("{scheme}://{authority}/{}{query}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_resolve_as_rfc_3986_shows() {
        // §5.4, with the base's query left out: a request to store has none.
        for (reference, resolved) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("g?y", "http://a/b/c/g?y"),
            ("../g", "http://a/b/g"),
            ("../../../g", "http://a/g"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("cid:part1@host", "cid:part1@host"),
            ("HTTP://A/b/./c", "http://a/b/c"),
            ("urn:uuid:f81d4fae", "urn:uuid:f81d4fae"),
        ] {
            assert_eq!(
                resolve("http://a/b/c/d", reference),
                resolved,
                "{reference}"
            );
        }
    }

    #[test]
    fn frames_belong_to_the_pixel_data_of_their_instance() {
        const URL: &str = "http://h/dicom-web/studies";
        fn key(uri: &str) -> (Key, Option<u32>) {
            key_of(URL, uri)
        }
        let instance = "studies/1/series/2/instances/3";
        let (pixels, none) = key(&format!("{instance}/bulkdata/7FE00010"));
        assert_eq!(none, None);
        assert_eq!(
            key(&format!("/dicom-web/{instance}/frames/2")),
            (pixels, Some(2))
        );
        assert_eq!(
            key(&format!("http://H/dicom-web/{instance}/frames")).0,
            pixels
        );
        assert_ne!(key(&format!("{instance}/bulkdata/00420011")).0, pixels);
        assert_eq!(key("bulk"), key(" ./bulk"));
        assert_ne!(key("bulk"), key("bulk/frames/x"));
    }
}
