//! The choice of a representation: what a request accepts against what is on offer (PS3.18 §8.7.5,
//! §8.7.8; RFC 9110 §12.5.1).

use actix_web::http::header::{self, HeaderMap};

use super::media::{DICOM, MediaType, split};
use crate::http::Problem;

/// The most members of an Accept list that are looked at.
const MEMBERS_MAX: usize = 64;

/// What a client may not ask for beside DICOM (PS3.18 §8.7.5): the rendered media types.
const RENDERED: &[&str] = &[
    "image/jpeg",
    "image/gif",
    "image/png",
    "text/html",
    "text/plain",
    "text/rtf",
    "application/pdf",
];

/// Whether a body is one representation or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// The body is the representation.
    Single,
    /// `multipart/related` of them.
    Multipart,
}

/// A member of an Accept list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    /// `None` for `*/*`, which takes either.
    packing: Option<Packing>,
    /// What a part is, for `multipart/related` its `type`.
    essence: String,
    transfer_syntax: Option<String>,
    /// In thousandths.
    quality: u16,
}

/// One representation we could give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer<'a> {
    /// One body or parts.
    pub(super) packing: Packing,
    /// The media type of the body or of each part.
    pub(super) essence: &'a str,
    /// Its transfer syntax, `None` where the notion does not apply.
    pub(super) transfer_syntax: Option<&'a str>,
    /// Whether it also answers a request for this media type that names no transfer syntax.
    pub(super) is_default_syntax: bool,
}

impl<'a> Offer<'a> {
    /// A representation to which transfer syntaxes do not apply.
    pub(super) const fn plain(packing: Packing, essence: &'a str) -> Self {
        Self {
            packing,
            essence,
            transfer_syntax: None,
            is_default_syntax: true,
        }
    }
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let media = MediaType::parse(text)?;
        let quality = media.parameter("q").map_or(Some(1000), quality)?;
        let named = media.parameter("transfer-syntax").map(str::to_owned);
        let (kind, subtype) = media.essence.split_once('/')?;
        if kind != "multipart" {
            let packing = (kind != "*").then_some(Packing::Single);
            return Some(Self {
                packing,
                essence: media.essence,
                transfer_syntax: named,
                quality,
            });
        }
        if subtype != "related" && subtype != "*" {
            return None;
        }
        let of_part = MediaType::parse(media.parameter("type").unwrap_or("*/*"))?;
        let transfer_syntax =
            named.or_else(|| of_part.parameter("transfer-syntax").map(str::to_owned));
        Some(Self {
            packing: Some(Packing::Multipart),
            essence: of_part.essence,
            transfer_syntax,
            quality,
        })
    }

    /// How exactly this range means the offer; `None` when it does not.
    fn specificity(&self, offer: &Offer<'_>) -> Option<u8> {
        if self.packing.is_some_and(|packing| packing != offer.packing) {
            return None;
        }
        let of_type = match self.essence.as_str() {
            essence if essence.eq_ignore_ascii_case(offer.essence) => 4,
            "*/*" => 0,
            essence => {
                let kind = essence.strip_suffix('*')?;
                if !offer.essence.starts_with(kind) {
                    return None;
                }
                2
            }
        };
        let of_packing = u8::from(self.packing.is_some());
        let of_syntax = match (self.transfer_syntax.as_deref(), offer.transfer_syntax) {
            (None, _) => return offer.is_default_syntax.then_some(of_type + of_packing),
            (Some("*"), _) | (Some(_), None) => 0,
            (Some(wanted), Some(offered)) if wanted == offered => 8,
            (Some(_), Some(_)) => return None,
        };
        Some(of_type + of_packing + of_syntax)
    }
}

/// `q=0.5` in thousandths (RFC 9110 §12.4.2).
fn quality(text: &str) -> Option<u16> {
    let value: f32 = text.parse().ok()?;
    // Between 0 and 1000, so the conversion is exact enough for an order.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range"
    )]
    (0.0..=1.0)
        .contains(&value)
        .then_some((value * 1000.0) as u16)
}

/// Members that are no media range are passed over (PS3.18 §8.7.5).
fn ranges(list: &str) -> Vec<Range> {
    split(list, b',')
        .take(MEMBERS_MAX)
        .filter_map(Range::parse)
        .collect()
}

/// What a request accepts: its `accept` query parameter (PS3.18 §8.3.3.1) and its Accept header.
#[derive(Debug, Clone)]
pub(super) struct Accept {
    of_query: Vec<Range>,
    of_header: Vec<Range>,
}

impl Accept {
    /// Reads both.
    ///
    /// # Errors
    /// 406 without an Accept header (PS3.18 §8.7.5), 400 for a wildcard in the query parameter
    /// (§8.3.3.1).
    pub(super) fn of(headers: &HeaderMap, in_query: Option<&str>) -> Result<Self, Problem> {
        let lines: Vec<&str> = headers
            .get_all(header::ACCEPT)
            .filter_map(|line| line.to_str().ok())
            .collect();
        let list = lines.join(",");
        if list.trim().is_empty() {
            return Err(Problem::not_acceptable(
                "an Accept header is required; */* takes the default media type",
            ));
        }
        let of_query = ranges(in_query.unwrap_or_default());
        if of_query.iter().any(|range| range.essence.contains('*')) {
            return Err(Problem::bad_request(
                "the accept query parameter holds no wildcards; use the Accept header",
            ));
        }
        Ok(Self {
            of_query,
            of_header: ranges(&list),
        })
    }

    /// The offer that is wanted most; among equals the first.
    pub(super) fn choose<'o, 'a>(&self, offers: &'o [Offer<'a>]) -> Option<&'o Offer<'a>> {
        // A type in the query counts as far as the header takes it.
        let of_query = |offer: &Offer<'_>| {
            let is_compatible = weight(&self.of_header, &any_syntax(offer)) > 0;
            if is_compatible {
                weight(&self.of_query, offer)
            } else {
                0
            }
        };
        best(offers, of_query).or_else(|| best(offers, |offer| weight(&self.of_header, offer)))
    }

    /// Whether DICOM and rendered media types are asked for together, which is an error (PS3.18 §8.7.5).
    pub(super) fn mixes_categories(&self) -> bool {
        // What the query asks for decides; a browser's own header takes pictures of every kind.
        let asked = if self.of_query.is_empty() {
            &self.of_header
        } else {
            &self.of_query
        };
        let members = || asked.iter();
        members().any(|range| range.essence.starts_with(DICOM))
            && members().any(|range| {
                RENDERED.contains(&range.essence.as_str()) || range.essence.starts_with("video/")
            })
    }
}

fn best<'o, 'a>(
    offers: &'o [Offer<'a>],
    weight: impl Fn(&Offer<'a>) -> u16,
) -> Option<&'o Offer<'a>> {
    let mut chosen: Option<(&Offer<'a>, u16)> = None;
    for offer in offers {
        let weight = weight(offer);
        if weight > chosen.map_or(0, |(_, best)| best) {
            chosen = Some((offer, weight));
        }
    }
    chosen.map(|(offer, _)| offer)
}

/// The quality that the most specific range gives to an offer, 0 when none takes it.
fn weight(ranges: &[Range], offer: &Offer<'_>) -> u16 {
    let taken = ranges
        .iter()
        .filter_map(|range| Some((range.specificity(offer)?, range.quality)));
    taken
        .max_by_key(|(specificity, quality)| (*specificity, *quality))
        .map_or(0, |(_, quality)| quality)
}

fn any_syntax<'a>(offer: &Offer<'a>) -> Offer<'a> {
    Offer {
        transfer_syntax: None,
        is_default_syntax: true,
        ..offer.clone()
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::super::media::{DICOM_JSON, JSON, OCTETS};
    use super::*;

    fn accept(header: &str, query: Option<&str>) -> Result<Accept, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(header).unwrap());
        Accept::of(&headers, query)
    }

    const fn offer(
        packing: Packing,
        essence: &'static str,
        syntax: &'static str,
        is_default_syntax: bool,
    ) -> Offer<'static> {
        Offer {
            packing,
            essence,
            transfer_syntax: Some(syntax),
            is_default_syntax,
        }
    }

    const INSTANCE_70: [Offer<'static>; 2] = [
        offer(Packing::Multipart, DICOM, "1.2.840.10008.1.2.4.70", false),
        offer(Packing::Single, DICOM, "1.2.840.10008.1.2.4.70", false),
    ];
    const INSTANCE_LE: [Offer<'static>; 2] = [
        offer(Packing::Multipart, DICOM, "1.2.840.10008.1.2.1", true),
        offer(Packing::Single, DICOM, "1.2.840.10008.1.2.1", true),
    ];
    const FRAME_50: [Offer<'static>; 2] = [
        offer(
            Packing::Multipart,
            "image/jpeg",
            "1.2.840.10008.1.2.4.50",
            true,
        ),
        offer(Packing::Multipart, OCTETS, "1.2.840.10008.1.2.4.50", false),
    ];
    const JSONS: [Offer<'static>; 2] = [
        Offer::plain(Packing::Single, DICOM_JSON),
        Offer::plain(Packing::Single, JSON),
    ];

    #[test]
    fn the_stored_syntax_is_given_by_name_or_by_star() {
        let cases: &[(&str, bool, bool)] = &[
            // Accept, JPEG lossless stored, Explicit VR Little Endian stored
            ("*/*", false, true),
            ("application/dicom", false, true),
            ("application/*;q=0.1", false, true),
            ("multipart/related", false, true),
            (
                "multipart/related; type=application/dicom; transfer-syntax=*",
                true,
                true,
            ),
            (
                r#"multipart/related; type="application/dicom";transfer-syntax="*""#,
                true,
                true,
            ),
            (
                r#"multipart/related; type="application/dicom; transfer-syntax=*""#,
                true,
                true,
            ),
            (
                "multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2.4.70",
                true,
                false,
            ),
            (
                "multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2.1",
                false,
                true,
            ),
            (
                "multipart/related; type=application/dicom; boundary=**",
                false,
                true,
            ),
            (
                "multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90, multipart/related; type=application/dicom; transfer-syntax=*;q=0.5",
                true,
                true,
            ),
            (
                "multipart/related; type=\"application/octet-stream\"; transfer-syntax=*",
                false,
                false,
            ),
            ("image/png", false, false),
            ("application/dicom;q=0, */*;q=0", false, false),
            ("nonsense, application/dicom; transfer-syntax=*", true, true),
        ];
        for (header, of_70, of_le) in cases {
            let accept = accept(header, None).unwrap();
            assert_eq!(accept.choose(&INSTANCE_70).is_some(), *of_70, "{header}");
            assert_eq!(accept.choose(&INSTANCE_LE).is_some(), *of_le, "{header}");
        }
    }

    #[test]
    fn what_viewers_ask_of_a_frame_is_understood() {
        let cases: &[(&str, Option<&str>)] = &[
            (
                "multipart/related; type=application/octet-stream; transfer-syntax=*",
                Some(OCTETS),
            ),
            ("multipart/related; type=\"application/octet-stream\"", None),
            ("multipart/related; type=\"image/jpeg\"", Some("image/jpeg")),
            (
                "multipart/related; type=\"image/jpeg\"; transfer-syntax=1.2.840.10008.1.2.4.70",
                None,
            ),
            (
                "multipart/related; type=\"image/*\"; transfer-syntax=*",
                Some("image/jpeg"),
            ),
            ("*/*", Some("image/jpeg")),
        ];
        for (header, expected) in cases {
            let accept = accept(header, None).unwrap();
            assert_eq!(
                accept.choose(&FRAME_50).map(|offer| offer.essence),
                *expected,
                "{header}"
            );
        }
    }

    #[test]
    fn qualities_decide_and_the_most_specific_range_wins() {
        let cases: &[(&str, Option<&str>)] = &[
            ("*/*", Some(DICOM_JSON)),
            ("application/json", Some(JSON)),
            ("application/json, application/dicom+json;q=0.9", Some(JSON)),
            (
                "application/dicom+json;q=0.2, multipart/related; type=\"application/dicom+xml\";q=0.9",
                Some(DICOM_JSON),
            ),
            ("application/dicom+json;q=0, */*", Some(JSON)),
            ("application/dicom+json;q=0", None),
            ("application/dicom+json;q=2", None),
            ("multipart/related; type=\"application/dicom+xml\"", None),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Some(DICOM_JSON),
            ),
            (
                "application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*",
                Some(DICOM_JSON),
            ),
        ];
        for (header, expected) in cases {
            let accept = accept(header, None).unwrap();
            assert_eq!(
                accept.choose(&JSONS).map(|offer| offer.essence),
                *expected,
                "{header}"
            );
        }
    }

    #[test]
    fn the_query_parameter_comes_first_as_far_as_the_header_allows() {
        let choose = |header, query| {
            accept(header, Some(query))
                .unwrap()
                .choose(&JSONS)
                .map(|offer| offer.essence)
        };
        assert_eq!(choose("*/*", "application/json"), Some(JSON));
        assert_eq!(
            choose("application/dicom+json", "application/json"),
            Some(DICOM_JSON)
        );
        assert_eq!(choose("text/*", "application/json"), None);
        assert_eq!(choose("*/*", "image/png"), Some(DICOM_JSON));
        assert!(accept("*/*", Some("*/*")).is_err());
        assert!(accept("*/*", Some("image/*")).is_err());
        assert!(accept("", None).is_err());
        let dicom_70 = accept("*/*", Some("application/dicom; transfer-syntax=*")).unwrap();
        assert_eq!(dicom_70.choose(&INSTANCE_70), Some(&INSTANCE_70[1]));
    }

    #[test]
    fn dicom_and_rendered_types_do_not_mix() {
        let mixes = |header| accept(header, None).unwrap().mixes_categories();
        assert!(mixes(
            "multipart/related; type=\"application/dicom\", image/png"
        ));
        assert!(!mixes("text/html,image/avif,image/webp,*/*;q=0.8"));
        assert!(!mixes("application/dicom, */*"));
    }
}
