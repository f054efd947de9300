//! Metadata (PS3.18 §10.4.1.1.2): as many data sets as there are instances, whole headers, and bulk data
//! that can be reached from where the viewer stands.

use super::{Found, Place, datasets};
use crate::doctor::address;
use crate::doctor::client::{Answer, header};
use crate::doctor::datasets::{is_hollow, tag_name, text};
use crate::doctor::faults;
use crate::doctor::subjects::{Instance, has_pixels, is_new_kind};

/// Kinds that are kept of one answer.
const KINDS_MAX: usize = 4;
/// An answer below this many bytes needs no compression.
const GZIP_FROM: usize = 32 << 10;

/// Storage classes whose every instance is an image (PS3.4 Annex B), those that matter most.
const IMAGES: &[&str] = &[
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.3.1",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.6.1",
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.12.1",
    "1.2.840.10008.5.1.4.1.1.12.2",
    "1.2.840.10008.5.1.4.1.1.20",
    "1.2.840.10008.5.1.4.1.1.128",
];

/// What every image says of its pixels (PS3.3 §C.7.6.3).
const PIXEL_MODULE: &[&str] = &[
    "00280002", "00280004", "00280010", "00280011", "00280100", "00280101", "00280103",
];

/// Looks at the data sets of a series or study, and keeps one instance of each kind.
pub(in crate::doctor) fn metadata(
    answer: &Answer,
    expected: Option<u64>,
    place: Place<'_>,
    found: &mut Found,
) -> Option<Vec<Instance>> {
    let mut kinds: Vec<Instance> = Vec::new();
    let (mut nameless, mut cut, mut no_image) = (0, 0, 0);
    let (mut missing, mut elsewhere) = (None, None);
    let count = datasets(answer, found, &mut |dataset| {
        if text(dataset, "00080018").is_none() || text(dataset, "0020000E").is_none() {
            nameless += 1;
        }
        let is_image = text(dataset, "00080016").is_some_and(|class| IMAGES.contains(&class));
        let lacking = PIXEL_MODULE
            .iter()
            .find(|tag| dataset.get(**tag).is_none() || is_hollow(dataset, tag));
        match lacking {
            Some(tag) if is_image && has_pixels(dataset) => {
                cut += 1;
                missing = missing.take().or_else(|| Some(tag_name(tag)));
            }
            Some(_) if is_image => no_image += 1,
            _ => {}
        }
        let Some(instance) = Instance::of(dataset) else {
            return;
        };
        for (tag, uri) in &instance.bulk {
            if let Some(origin) = leads_elsewhere(uri, place.origin) {
                elsewhere = Some((tag_name(tag), origin));
            }
        }
        if kinds.len() < KINDS_MAX && is_new_kind(&instance, &kinds) {
            kinds.push(instance);
        }
    })?;
    if nameless > 0 {
        found.push((
            &faults::UID_MISSING,
            format!("no (0020,000E) or (0008,0018) in {nameless} of {count} data sets"),
        ));
    }
    if let Some(tag) = missing {
        found.push((
            &faults::METADATA_SUBSET,
            format!("no {tag} in {cut} of {count} images"),
        ));
    }
    if no_image > 0 {
        found.push((
            &faults::METADATA_NO_IMAGE,
            format!(
                "no (7FE0,0010) and no whole pixel description in {no_image} of {count} images"
            ),
        ));
    }
    if expected.is_some_and(|expected| expected != count as u64) {
        let expected = expected.unwrap_or_default();
        found.push((
            &faults::METADATA_COUNT,
            format!("{count} data sets, the list says {expected} instances"),
        ));
    }
    if let Some((tag, origin)) = elsewhere {
        found.push((
            &faults::BULK_ELSEWHERE,
            format!("the BulkDataURI of {tag} leads to {origin}"),
        ));
    }
    if answer.body.len() >= GZIP_FROM && header(&answer.headers, "content-encoding").is_none() {
        found.push((
            &faults::NO_GZIP,
            format!("{} KiB, not compressed", answer.body.len() >> 10),
        ));
    }
    Some(kinds)
}

/// The origin that a BulkDataURI leads to, when it is another one.
fn leads_elsewhere(uri: &str, origin: &str) -> Option<String> {
    if !address::is_absolute(uri) {
        return None;
    }
    // Without a scheme of its own it has that of the page.
    let scheme = origin.split("//").next().unwrap_or_default();
    let whole = match uri.strip_prefix("//") {
        Some(rest) => format!("{scheme}//{rest}"),
        None => uri.to_owned(),
    };
    match address::origin(&whole) {
        Ok(other) => (other != origin).then_some(other),
        Err(_) => Some("no web address".into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{answer, codes};
    use super::*;

    fn ct() -> Value {
        json!({
            "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
            "00080018": {"vr": "UI", "Value": ["1.2.3.4.5"]},
            "0020000E": {"vr": "UI", "Value": ["1.2.3.4"]},
            "00280002": {"vr": "US", "Value": [1]}, "00280004": {"vr": "CS", "Value": ["MONOCHROME2"]},
            "00280010": {"vr": "US", "Value": [4]}, "00280011": {"vr": "US", "Value": [4]},
            "00280100": {"vr": "US", "Value": [16]}, "00280101": {"vr": "US", "Value": [12]},
            "00280103": {"vr": "US", "Value": [0]},
        })
    }

    fn found(datasets: &Value, expected: u64) -> Vec<&'static str> {
        let mut found = Found::new();
        let place = Place {
            origin: "https://pacs.example.org",
            ..Place::default()
        };
        let answer = answer("application/dicom+json", datasets.to_string().as_bytes());
        metadata(&answer, Some(expected), place, &mut found);
        codes(&found)
    }

    #[test]
    fn cut_metadata_are_found_and_whole_ones_are_not_blamed() {
        assert_eq!(found(&json!([ct()]), 1), Vec::<&str>::new());
        assert_eq!(found(&json!([ct()]), 2), ["metadata-count"]);
        let mut cut = ct();
        cut.as_object_mut().unwrap().remove("00280010");
        assert_eq!(found(&json!([cut]), 1), ["metadata-without-image"]);
        cut["7FE00010"] = json!({"vr": "OW", "BulkDataURI": "x"});
        assert_eq!(found(&json!([cut]), 1), ["metadata-subset"]);
        let mut nameless = ct();
        nameless.as_object_mut().unwrap().remove("00080018");
        assert_eq!(found(&json!([nameless]), 1), ["uid-missing"]);
        let mut long = ct();
        long["00204000"] = json!({"vr": "LT", "Value": ["x".repeat(GZIP_FROM)]});
        assert_eq!(found(&json!([long]), 1), ["no-gzip"]);
    }

    #[test]
    fn bulk_data_must_be_where_the_viewer_is() {
        for (uri, is_wrong) in [
            ("https://pacs.example.org/x", false),
            ("https://pacs.example.org:443/x", false),
            ("//pacs.example.org/x", false),
            ("../bulkdata/x", false),
            ("instances/1.2/bulkdata/a:b", false),
            ("http://pacs.example.org/x", true),
            ("https://10.0.0.5:8042/x", true),
            ("file:///etc/passwd", true),
        ] {
            let mut one = ct();
            one["7FE00010"] = json!({"vr": "OW", "BulkDataURI": uri});
            let expected: &[&str] = if is_wrong { &["bulk-elsewhere"] } else { &[] };
            assert_eq!(found(&json!([one]), 1), expected, "{uri}");
        }
    }
}
