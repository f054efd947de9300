//! The transfer syntax in which each instance leaves us (PS3.18 §8.7.3.4): what is on offer of one
//! as it is stored, against what the request accepts.
//!
//! Explicit VR Little Endian is the default and made of whatever the archive can make it of. A
//! lossy object is given as stored instead: there is no original to go back to. Lossless transfer
//! syntaxes are made for who names them. Implicit VR Little Endian and Explicit VR Big Endian are
//! not used on the web by name.

use super::accept::{Accept, Offer, Packing};
use super::media::DICOM;
use crate::access::Scope;
use crate::archive::{Archive, Located, Syntax};
use crate::dicom::transfer_syntax::{
    EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
};
use crate::http::Problem;
use crate::imaging::codec::Codec;

/// Syntaxes that lose something, for which the stored form is the default (PS3.18 §8.7.3.4).
const LOSSY: &[&str] = &[
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.93",
    "1.2.840.10008.1.2.4.100",
    "1.2.840.10008.1.2.4.100.1",
    "1.2.840.10008.1.2.4.101",
    "1.2.840.10008.1.2.4.101.1",
    "1.2.840.10008.1.2.4.102",
    "1.2.840.10008.1.2.4.102.1",
    "1.2.840.10008.1.2.4.103",
    "1.2.840.10008.1.2.4.103.1",
    "1.2.840.10008.1.2.4.104",
    "1.2.840.10008.1.2.4.104.1",
    "1.2.840.10008.1.2.4.105",
    "1.2.840.10008.1.2.4.105.1",
    "1.2.840.10008.1.2.4.106",
    "1.2.840.10008.1.2.4.106.1",
    "1.2.840.10008.1.2.4.107",
    "1.2.840.10008.1.2.4.108",
    "1.2.840.10008.1.2.4.112",
    "1.2.840.10008.1.2.4.203",
];

/// What can be made of others, as far as they let us: the default, then those that must be named.
const MADE: &[Syntax] = &[
    Syntax::ExplicitLittle,
    Syntax::Encoded(Codec::JpegLs),
    Syntax::Encoded(Codec::Jpeg2000),
    Syntax::Encoded(Codec::Rle),
];

/// How an instance is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) packing: Packing,
    pub(super) syntax: Syntax,
}

/// Whether the request takes whatever is stored, so that no instance has to be looked at.
pub(super) fn takes_anything(accept: &Accept, is_one: bool) -> bool {
    of_offers(accept, &offers("*", &[], is_one)).is_some()
}

/// How one instance alone is given, where that can be told at once: to who takes it as it is stored.
pub(super) fn choose_stored(located: &Located, accept: &Accept) -> Option<Choice> {
    let stored = located.transfer_syntax_uid.as_str();
    let choice = of_offers(accept, &offers(stored, &made_of(stored), true))?;
    (choice.syntax == Syntax::Stored).then_some(choice)
}

fn made_of(stored: &str) -> Vec<Syntax> {
    let is_other = |syntax: &Syntax| syntax.uid(stored) != stored;
    MADE.iter().copied().filter(is_other).collect()
}

/// How an instance is given to who accepts so; `is_one` when it alone is asked for.
///
/// # Errors
/// 406 with what is on offer, and when the archive fails.
pub(super) fn choose(
    archive: &Archive,
    scope: &Scope,
    located: &Located,
    accept: &Accept,
    is_one: bool,
) -> Result<Choice, Problem> {
    let stored = located.transfer_syntax_uid.as_str();
    let mut made = made_of(stored);
    loop {
        let choice = of_offers(accept, &offers(stored, &made, is_one))
            .ok_or_else(|| refused(stored, is_one))?;
        // Only asked when it matters: to find out may take reading the object.
        if choice.syntax == Syntax::Stored || archive.can_give(located, choice.syntax, scope)? {
            return Ok(choice);
        }
        made.retain(|syntax| *syntax != choice.syntax);
    }
}

fn of_offers(accept: &Accept, offers: &[(Offer<'_>, Syntax)]) -> Option<Choice> {
    let plain: Vec<Offer<'_>> = offers.iter().map(|(offer, _)| offer.clone()).collect();
    let chosen = accept.choose(&plain)?;
    let (offer, syntax) = offers.iter().find(|(offer, _)| offer == chosen)?;
    Some(Choice {
        packing: offer.packing,
        syntax: *syntax,
    })
}

fn refused(stored: &str, is_one: bool) -> Problem {
    let what = if is_one {
        "the instance is"
    } else {
        "an instance is"
    };
    let by_name = if is_nameless(stored) {
        String::new()
    } else {
        format!(" or transfer-syntax={stored}")
    };
    Problem::not_acceptable(format!(
        "{what} stored as {stored} and cannot be given as asked for; \
         ask for multipart/related; type=\"application/dicom\"; transfer-syntax=*{by_name}"
    ))
}

/// Not to be used on the web by name: only who takes any syntax gets them.
fn is_nameless(stored: &str) -> bool {
    [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN].contains(&stored)
}

/// What we can give of a file stored in a transfer syntax, the stored bytes first. `"*"` stands for
/// one of unknown syntax: only who takes any takes that.
fn offers<'a>(stored: &'a str, made: &[Syntax], is_one: bool) -> Vec<(Offer<'a>, Syntax)> {
    let of = |packing| {
        let as_stored = Offer {
            packing,
            essence: DICOM,
            transfer_syntax: Some(if is_nameless(stored) { "*" } else { stored }),
            is_default_syntax: stored == EXPLICIT_VR_LITTLE_ENDIAN || LOSSY.contains(&stored),
        };
        let other = |syntax: &Syntax| {
            let offer = Offer {
                packing,
                essence: DICOM,
                transfer_syntax: Some(syntax.uid(stored)),
                is_default_syntax: *syntax == Syntax::ExplicitLittle,
            };
            (offer, *syntax)
        };
        let made: Vec<_> = made.iter().map(other).collect();
        std::iter::once((as_stored, Syntax::Stored)).chain(made)
    };
    let packings: &[Packing] = if is_one {
        &[Packing::Multipart, Packing::Single]
    } else {
        &[Packing::Multipart]
    };
    packings.iter().flat_map(|packing| of(*packing)).collect()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{ACCEPT, HeaderMap, HeaderValue};

    use super::*;

    fn accept(text: &str) -> Accept {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(text).unwrap());
        Accept::of(&headers, None).unwrap()
    }

    #[test]
    fn explicit_little_endian_by_default_and_by_name_else_as_stored() {
        const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
        const LOSSLESS: &str = "1.2.840.10008.1.2.4.70";
        const BASELINE: &str = "1.2.840.10008.1.2.4.50";
        let (as_stored, explicit) = (Some(Syntax::Stored), Some(Syntax::ExplicitLittle));
        // Stored, whether it can be made explicit, asked for, given.
        let cases = [
            (IMPLICIT_VR_LITTLE_ENDIAN, true, None, explicit),
            (IMPLICIT_VR_LITTLE_ENDIAN, true, Some("*"), as_stored),
            (
                IMPLICIT_VR_LITTLE_ENDIAN,
                true,
                Some(EXPLICIT_VR_LITTLE_ENDIAN),
                explicit,
            ),
            (
                IMPLICIT_VR_LITTLE_ENDIAN,
                true,
                Some(IMPLICIT_VR_LITTLE_ENDIAN),
                None,
            ),
            (
                EXPLICIT_VR_BIG_ENDIAN,
                true,
                Some(EXPLICIT_VR_BIG_ENDIAN),
                None,
            ),
            (EXPLICIT_VR_LITTLE_ENDIAN, false, None, as_stored),
            (DEFLATED, true, None, explicit),
            (DEFLATED, true, Some(DEFLATED), as_stored),
            (
                LOSSLESS,
                true,
                Some("1.2.840.10008.1.2.4.80"),
                Some(Syntax::Encoded(Codec::JpegLs)),
            ),
            (LOSSLESS, true, None, explicit),
            (LOSSLESS, true, Some("*"), as_stored),
            (BASELINE, true, None, as_stored),
            (BASELINE, true, Some(EXPLICIT_VR_LITTLE_ENDIAN), explicit),
            (LOSSLESS, false, None, None),
            (LOSSLESS, false, Some(LOSSLESS), as_stored),
            (LOSSLESS, false, Some("*"), as_stored),
            (BASELINE, false, None, as_stored),
            (BASELINE, false, Some(EXPLICIT_VR_LITTLE_ENDIAN), None),
        ];
        for (stored, can_be_explicit, wanted, expected) in cases {
            for packing in [
                "application/dicom",
                "multipart/related; type=\"application/dicom\"",
            ] {
                let syntax =
                    wanted.map_or_else(String::new, |uid| format!("; transfer-syntax={uid}"));
                let accept = accept(&format!("{packing}{syntax}"));
                let made = if can_be_explicit { MADE } else { &[] };
                let choice = of_offers(&accept, &offers(stored, made, true));
                assert_eq!(
                    choice.map(|choice| choice.syntax),
                    expected,
                    "{stored} {wanted:?}"
                );
            }
        }
    }
}
