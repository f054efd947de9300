//! The two notations of a data set on the web: DICOM JSON, one array for all, and the Native DICOM
//! Model, one part of `multipart/related` for each (PS3.18 §8.7.3, Annex F; Tables 10.4.4-1 and
//! 10.6.4-1). XML is made from the JSON that is there anyway, a data set at a time.

use actix_web::http::header;

use super::accept::{Accept, Offer, Packing};
use super::call::Call;
use super::media::{DICOM_JSON, DICOM_XML, JSON};
use super::multipart_writer::Boundary;
use crate::archive::Error;
use crate::dicom::xml;
use crate::http::Problem;

const JSONS: [Offer<'static>; 2] = [
    Offer::plain(Packing::Single, DICOM_JSON),
    Offer::plain(Packing::Single, JSON),
];
const XML_PARTS: Offer<'static> = Offer::plain(Packing::Multipart, DICOM_XML);
const XML_ALONE: Offer<'static> = Offer::plain(Packing::Single, DICOM_XML);

/// How data sets are written in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notation {
    /// DICOM JSON under this media type.
    Json(&'static str),
    /// Native DICOM Model, a part for each.
    XmlParts,
    /// Native DICOM Model as the whole body: the answer to a store, which is one data set.
    Xml,
}

impl Notation {
    /// For an answer of any number of data sets.
    ///
    /// # Errors
    /// 406 when the caller takes none.
    pub(super) fn of_list(accept: &Accept) -> Result<Self, Problem> {
        Self::choose(accept, &[JSONS[0].clone(), JSONS[1].clone(), XML_PARTS])
    }

    /// For an answer of one data set.
    ///
    /// # Errors
    /// 406 when the caller takes none.
    pub(super) fn of_one(accept: &Accept) -> Result<Self, Problem> {
        Self::choose(
            accept,
            &[JSONS[0].clone(), JSONS[1].clone(), XML_ALONE, XML_PARTS],
        )
    }

    /// For the answer to a store, which is JSON when the caller says nothing.
    ///
    /// # Errors
    /// 406 when the caller takes none.
    pub(super) fn of_store(call: &Call) -> Result<Self, Problem> {
        if call.headers().contains_key(header::ACCEPT) {
            return Self::of_one(&call.accept()?);
        }
        Ok(Self::Json(DICOM_JSON))
    }

    fn choose(accept: &Accept, offers: &[Offer<'static>]) -> Result<Self, Problem> {
        match accept.choose(offers) {
            Some(offer) if *offer == XML_PARTS => Ok(Self::XmlParts),
            Some(offer) if *offer == XML_ALONE => Ok(Self::Xml),
            Some(offer) => Ok(Self::Json(offer.essence)),
            None => Err(Problem::not_acceptable(
                "this resource is available as application/dicom+json and as multipart/related; type=\"application/dicom+xml\"",
            )),
        }
    }

    /// The Content-Type of the body.
    pub(super) fn content_type(self) -> String {
        match self {
            Self::Json(media) => media.to_owned(),
            Self::XmlParts => boundary().content_type(DICOM_XML),
            Self::Xml => DICOM_XML.to_owned(),
        }
    }

    /// Appends the next data set of a list. `location` is the URL of what it represents, empty when
    /// it represents no resource.
    ///
    /// # Errors
    /// `json` is none of ours.
    pub(super) fn write(
        self,
        out: &mut Vec<u8>,
        is_first: bool,
        location: &str,
        json: &[u8],
    ) -> Result<(), Error> {
        if let Self::Json(_) = self {
            out.push(if is_first { b'[' } else { b',' });
            out.extend_from_slice(json);
            return Ok(());
        }
        let document = document(json)?;
        out.extend_from_slice(&boundary().part(DICOM_XML, location, Some(document.len() as u64)));
        out.extend_from_slice(&document);
        out.extend_from_slice(&Boundary::part_end());
        Ok(())
    }

    /// Appends what stands behind the last data set of a list.
    pub(super) fn end(self, out: &mut Vec<u8>) {
        match self {
            Self::Json(_) => out.push(b']'),
            Self::XmlParts | Self::Xml => out.extend_from_slice(&boundary().close()),
        }
    }

    /// The body of an answer of one data set.
    ///
    /// # Errors
    /// `json` is none of ours.
    pub(super) fn one(self, json: Vec<u8>) -> Result<Vec<u8>, Error> {
        match self {
            Self::Json(_) => Ok(json),
            Self::Xml => document(&json),
            Self::XmlParts => {
                let mut out = Vec::new();
                self.write(&mut out, true, "", &json)?;
                self.end(&mut out);
                Ok(out)
            }
        }
    }
}

fn document(json: &[u8]) -> Result<Vec<u8>, Error> {
    let mut document = Vec::with_capacity(json.len().saturating_mul(2));
    xml::write(json, &mut document).map_err(|error| Error::broken("DICOM JSON as XML", error))?;
    Ok(document)
}

/// The same in every answer, so that equal bodies have equal bytes and entity tags. No document of ours
/// holds it: a line break inside a value is written by its number.
fn boundary() -> Boundary {
    Boundary::fixed("overread-native-dicom-model")
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderMap, HeaderValue};

    use super::*;

    fn choose(header: &str) -> [Option<Notation>; 2] {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(header).unwrap());
        let accept = Accept::of(&headers, None).unwrap();
        [
            Notation::of_list(&accept).ok(),
            Notation::of_one(&accept).ok(),
        ]
    }

    #[test]
    fn the_notation_is_what_is_wanted_most() {
        use Notation::{Json, Xml, XmlParts};
        let cases = [
            ("*/*", Some(Json(DICOM_JSON)), Some(Json(DICOM_JSON))),
            ("application/json", Some(Json(JSON)), Some(Json(JSON))),
            ("application/dicom+xml", None, Some(Xml)),
            (
                "multipart/related; type=application/dicom+xml",
                Some(XmlParts),
                Some(XmlParts),
            ),
            ("multipart/related", Some(XmlParts), Some(XmlParts)),
            (
                r#"application/dicom+json;q=0.5, multipart/related; type="application/dicom+xml""#,
                Some(XmlParts),
                Some(XmlParts),
            ),
            (
                r#"application/dicom+json, multipart/related; type="application/dicom+xml"; q=0.9"#,
                Some(Json(DICOM_JSON)),
                Some(Json(DICOM_JSON)),
            ),
            (
                r#"multipart/related; type="application/dicom+xml"; q=0, */*;q=0.1"#,
                Some(Json(DICOM_JSON)),
                Some(Json(DICOM_JSON)),
            ),
            ("image/png", None, None),
        ];
        for (header, list, one) in cases {
            assert_eq!(choose(header), [list, one], "{header}");
        }
    }

    #[test]
    fn lists_are_arrays_or_parts() {
        let body = |notation: Notation| {
            let mut out = Vec::new();
            notation.write(&mut out, true, "http://h/a", b"{}").unwrap();
            notation.write(&mut out, false, "", b"{}").unwrap();
            notation.end(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(body(Notation::Json(DICOM_JSON)), "[{},{}]");
        let xml = body(Notation::XmlParts);
        assert_eq!(xml.matches("<NativeDicomModel ").count(), 2);
        assert_eq!(
            xml.matches("\r\nContent-Location: http://h/a\r\n").count(),
            1
        );
        assert!(xml.ends_with("\r\n--overread-native-dicom-model--\r\n"));
    }
}
