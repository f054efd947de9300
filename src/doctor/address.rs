//! Where a URL leads (RFC 3986), as far as it must be known before anything is sent there: which
//! origin it has, what a relative reference means.

use ureq::http::Uri;

/// A checked absolute `http` or `https` URL without credentials, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// `scheme://host[:port]`, in lower case, without the port that the scheme implies.
    origin: String,
    /// Begins with a slash, does not end with one; empty for the root.
    path: String,
}

/// Why a text is no address to examine. Holds no part of the text: it may carry a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not even a URL.
    #[error("the URL is malformed; it looks like https://pacs.example.org/dicom-web")]
    Malformed,
    /// Some other scheme.
    #[error("the URL must begin with http:// or https://")]
    Scheme,
    /// `user:password@`.
    #[error(
        "the URL must not hold a password; give it by --header or OVERREAD_DOCTOR_AUTHORIZATION"
    )]
    Credentials,
    /// A query or a fragment.
    #[error("the URL must be that of the DICOMweb root, without ? and #")]
    Query,
}

impl Address {
    /// Checks what somebody typed.
    pub(super) fn parse(text: &str) -> Result<Self, AddressError> {
        if text.contains('#') || text.contains('?') {
            return Err(AddressError::Query);
        }
        let origin = origin(text)?;
        let uri: Uri = text.parse().map_err(|_| AddressError::Malformed)?;
        Ok(Self {
            origin,
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The address next door: what stands beside the last segment of the path.
    pub(super) fn sibling(&self, name: &str) -> Self {
        let parent = self.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        Self {
            origin: self.origin.clone(),
            path: format!("{parent}/{name}"),
        }
    }

    /// The whole URL.
    pub(super) fn url(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }
}

/// The origin of an absolute URL, so that equal ones compare equal.
pub(super) fn origin(url: &str) -> Result<String, AddressError> {
    let uri: Uri = url.parse().map_err(|_| AddressError::Malformed)?;
    let implied = match uri.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return Err(AddressError::Scheme),
    };
    let authority = uri.authority().ok_or(AddressError::Malformed)?;
    if authority.as_str().contains('@') {
        return Err(AddressError::Credentials);
    }
    if authority.host().is_empty() {
        return Err(AddressError::Malformed);
    }
    let scheme = uri.scheme_str().unwrap_or_default();
    let host = authority.host().to_ascii_lowercase();
    Ok(match authority.port_u16() {
        Some(port) if port != implied => format!("{scheme}://{host}:{port}"),
        _ => format!("{scheme}://{host}"),
    })
}

/// Whether a reference brings its own scheme or host.
pub(super) fn is_absolute(reference: &str) -> bool {
    reference.starts_with("//")
        || reference
            .split_once(':')
            .is_some_and(|(scheme, _)| !scheme.contains(['/', '?', '#']))
}

/// What a reference means beside `base`, a URL (RFC 3986 §5.2). `None` when it makes no sense.
pub(super) fn join(base: &str, reference: &str) -> Option<String> {
    let base_origin = origin(base).ok()?;
    if let Some(rest) = reference.strip_prefix("//") {
        let scheme = base.split(':').next()?;
        return Some(format!("{scheme}://{rest}"));
    }
    if is_absolute(reference) {
        return origin(reference).is_ok().then(|| reference.to_owned());
    }
    let (path, query) = match reference.find(['?', '#']) {
        Some(at) => reference.split_at(at),
        None => (reference, ""),
    };
    let query = query.split('#').next().unwrap_or_default();
    if path.starts_with('/') {
        return Some(format!("{base_origin}{}{query}", without_dots(path)));
    }
    let uri: Uri = base.parse().ok()?;
    if path.is_empty() {
        return Some(format!("{base_origin}{}{query}", uri.path()));
    }
    let folder = uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = without_dots(&format!("{folder}/{path}"));
    Some(format!("{base_origin}{path}{query}"))
}

/// RFC 3986 §5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut is_folder = false;
    for segment in path.split('/').skip(1) {
        is_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let end = if is_folder { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_is_checked() {
        let ok = Address::parse("HTTP://Example.org:80/a/dicom-web//").unwrap();
        assert_eq!(
            (ok.origin(), ok.path()),
            ("http://example.org", "/a/dicom-web")
        );
        assert_eq!(ok.sibling("wado").url(), "http://example.org/a/wado");
        for (text, error) in [
            ("ftp://a/b", AddressError::Scheme),
            ("127.0.0.1:8080", AddressError::Scheme),
            ("dicom-web", AddressError::Scheme),
            ("http://me:secret@a/b", AddressError::Credentials),
            ("http://a/b?c", AddressError::Query),
            ("http://", AddressError::Malformed),
        ] {
            let got = Address::parse(text).unwrap_err();
            assert!(
                got == error || got == AddressError::Malformed,
                "{text}: {got}"
            );
        }
    }

    /// RFC 3986 §5.4.1, those that have a path.
    #[test]
    fn references_are_resolved_as_the_rfc_says() {
        let base = "http://a/b/c/d";
        for (reference, whole) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("", "http://a/b/c/d"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("https://h/x", "https://h/x"),
        ] {
            assert_eq!(join(base, reference).as_deref(), Some(whole), "{reference}");
        }
        assert_eq!(join(base, "javascript:alert(1)"), None);
        assert_eq!(join(base, "file:///etc/passwd"), None);
    }
}
