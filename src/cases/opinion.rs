//! What a reader says: first what was seen ([`Impression`]), which is committed, then how it compares with the first report
//! ([`Comparison`]), which is signed with it. Opinions are only added to: a correction is a new version.

use serde::{Deserialize, Serialize};

use super::error::Fault;
use super::grade::{Agreement, Confidence, Management, Significance, Stage};
use super::text::{Lines, tidy};
use super::words::uid;
use crate::dicom::Uid;
use crate::dicom::opinion::says_something;

/// The longest findings. Bytes.
pub const FINDINGS_BYTES_MAX: usize = 64 * 1024;
/// The longest impression, recommendation or comment. Bytes.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// The longest note on a key image, or reason. Bytes.
pub const NOTE_BYTES_MAX: usize = 1024;
/// The most key images.
pub const KEY_IMAGES_MAX: usize = 100;
/// The most frames of a key image.
pub const FRAMES_MAX: usize = 100;
/// The most versions of an opinion.
pub const VERSIONS_MAX: usize = 100;

/// An image that shows what is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyImage {
    /// Its study: that of the case, or a prior.
    #[serde(with = "uid")]
    pub study_instance_uid: Uid,
    /// Its series.
    #[serde(with = "uid")]
    pub series_instance_uid: Uid,
    /// Its own UID.
    #[serde(with = "uid")]
    pub sop_instance_uid: Uid,
    /// The frames that are meant, from 1; none for all.
    #[serde(default)]
    pub frames: Vec<u32>,
    /// What it shows.
    #[serde(default)]
    pub note: String,
}

impl KeyImage {
    /// The image of a name, as drafts and forms have it: `study/series/instance`, with `/frame` where one is meant.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut pieces = name.split('/');
        let mut uid = || Uid::parse(pieces.next()?).ok();
        let (study, series, instance) = (uid()?, uid()?, uid()?);
        let frame = pieces.next().map(str::parse);
        if pieces.next().is_some() {
            return None;
        }
        Some(Self {
            study_instance_uid: study,
            series_instance_uid: series,
            sop_instance_uid: instance,
            frames: frame.transpose().ok()?.into_iter().collect(),
            note: String::new(),
        })
    }

    /// The way back of [`KeyImage::named`].
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = format!(
            "{}/{}/{}",
            self.study_instance_uid, self.series_instance_uid, self.sop_instance_uid
        );
        if let Some(frame) = self.frames.first() {
            name.push('/');
            name.push_str(&frame.to_string());
        }
        name
    }
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impression {
    /// What there is.
    #[serde(default)]
    pub findings: String,
    /// What it means.
    pub impression: String,
    /// What should be done.
    #[serde(default)]
    pub recommendation: String,
    /// Where it can be seen.
    #[serde(default)]
    pub key_images: Vec<KeyImage>,
    /// How sure the reader is.
    pub confidence: Confidence,
}

/// How it compares with what was said before, and what it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// With the first report, or of the opinions that are judged between.
    #[serde(default)]
    pub agreement: Option<Agreement>,
    /// Whether what was seen otherwise matters.
    #[serde(default)]
    pub significance: Option<Significance>,
    /// What changes in what is done.
    #[serde(default)]
    pub management: Option<Management>,
    /// What changes in the stage.
    #[serde(default)]
    pub stage: Option<Stage>,
    /// Why the reader cannot judge.
    #[serde(default)]
    pub cannot_judge_reason: String,
    /// What else there is to say once the first report is known: the impression is as it was committed.
    #[serde(default)]
    pub comment: String,
}

/// All that an opinion says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// What was seen.
    pub impression: Impression,
    /// How it compares.
    pub comparison: Comparison,
}

impl Impression {
    /// Brings the texts into the form in which they are kept, and checks all that needs no archive.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&mut self) -> Result<(), Fault> {
        tidy(
            &mut self.findings,
            "findings",
            FINDINGS_BYTES_MAX,
            Lines::Many,
        )?;
        tidy(
            &mut self.impression,
            "impression",
            TEXT_BYTES_MAX,
            Lines::Many,
        )?;
        tidy(
            &mut self.recommendation,
            "recommendation",
            TEXT_BYTES_MAX,
            Lines::Many,
        )?;
        if !says_something(&self.impression) {
            return Err(Fault::new("impression", "is empty"));
        }
        if self.key_images.len() > KEY_IMAGES_MAX {
            let why = format!("are more than {KEY_IMAGES_MAX}");
            return Err(Fault::new("key_images", why));
        }
        for image in &mut self.key_images {
            tidy(&mut image.note, "key_images", NOTE_BYTES_MAX, Lines::Many)?;
            if image.frames.len() > FRAMES_MAX || image.frames.contains(&0) {
                let why = format!("name more than {FRAMES_MAX} frames, or one before the first");
                return Err(Fault::new("key_images", why));
            }
            image.frames.sort_unstable();
            image.frames.dedup();
        }
        Ok(())
    }
}

impl Comparison {
    /// The same. `has_earlier`: whether there is anything to compare with.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&mut self, has_earlier: bool) -> Result<(), Fault> {
        let reason = &mut self.cannot_judge_reason;
        tidy(reason, "cannot_judge_reason", NOTE_BYTES_MAX, Lines::Many)?;
        tidy(&mut self.comment, "comment", TEXT_BYTES_MAX, Lines::Many)?;
        if has_earlier && self.agreement.is_none() {
            return Err(Fault::new(
                "agreement",
                "is missing: there is a first report",
            ));
        }
        let cannot_judge = self.agreement == Some(Agreement::CannotJudge);
        if cannot_judge == self.cannot_judge_reason.is_empty() {
            let why = "goes with cannot-judge, and only with it";
            return Err(Fault::new("cannot_judge_reason", why));
        }
        let is_discrepancy = self.agreement.is_some_and(Agreement::is_discrepancy);
        if is_discrepancy && self.significance.is_none() {
            return Err(Fault::new(
                "significance",
                "is missing: there is a discrepancy",
            ));
        }
        if !is_discrepancy && !matches!(self.significance, None | Some(Significance::None)) {
            return Err(Fault::new("significance", "goes with a discrepancy only"));
        }
        Ok(())
    }
}

/// The impression of a task as it was committed; nothing changes it any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commitment {
    /// The impression.
    pub impression: Impression,
    /// When.
    pub at_ms: i64,
}

/// A signed opinion, one version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opinion {
    /// Its number among all opinions; 0 before it is kept.
    pub id: u64,
    /// The task that it answers.
    pub task: u64,
    /// From 1.
    pub version: u32,
    /// The opinion that it corrects: the version before it.
    pub corrects: Option<u64>,
    /// Why it corrects that; empty of the first version.
    pub reason: String,
    /// Who signed it.
    pub reader: Box<str>,
    /// When.
    pub signed_ms: i64,
    /// What it says.
    pub said: Said,
    /// What was in the archive for its reader then: the digest of its manifest, and how many instances that names.
    pub manifest: ManifestHead,
}

/// A manifest without its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHead {
    /// BLAKE3 of all rows.
    pub digest: [u8; 32],
    /// How many there are.
    pub instances: u64,
    /// The version that the index had of each study ([`crate::archive::Index::version`]): while it has the same, nothing
    /// has changed.
    pub versions: Vec<(Uid, u64)>,
}

impl Opinion {
    /// What is kept of what it says, as bytes.
    ///
    /// # Errors
    /// Never, as its fields are.
    pub fn body(said: &Said) -> Result<String, serde_json::Error> {
        serde_json::to_string(said)
    }

    /// BLAKE3 of a body.
    #[must_use]
    pub fn digest(body: &str) -> [u8; 32] {
        *blake3::hash(body.as_bytes()).as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(json: &str) -> Result<Comparison, String> {
        let mut comparison: Comparison =
            serde_json::from_str(json).map_err(|error| error.to_string())?;
        let checked = comparison.check(true);
        checked
            .map(|()| comparison)
            .map_err(|fault| fault.field.into())
    }

    #[test]
    fn comparisons_are_whole_or_refused() {
        for (json, expected) in [
            (r#"{"agreement": "agree"}"#, Ok(())),
            (r#"{"agreement": "agree", "significance": "none"}"#, Ok(())),
            (
                r#"{"agreement": "agree", "significance": "likely"}"#,
                Err("significance"),
            ),
            (r#"{"agreement": "major-discrepancy"}"#, Err("significance")),
            (
                r#"{"agreement": "major-discrepancy", "significance": "likely", "management": "more-conservative", "stage": "lower"}"#,
                Ok(()),
            ),
            (
                r#"{"agreement": "cannot-judge"}"#,
                Err("cannot_judge_reason"),
            ),
            (
                r#"{"agreement": "cannot-judge", "cannot_judge_reason": "blurred"}"#,
                Ok(()),
            ),
            (
                r#"{"agreement": "agree", "cannot_judge_reason": "blurred"}"#,
                Err("cannot_judge_reason"),
            ),
            ("{}", Err("agreement")),
        ] {
            let checked = comparison(json).map(|_| ());
            assert_eq!(checked, expected.map_err(str::to_owned), "{json}");
        }
        assert!(comparison(r#"{"agreement": "yes"}"#).is_err());
        assert!(comparison(r#"{"agreement": "agree", "more": 1}"#).is_err());
        assert!(Comparison::default().check(false).is_ok());
    }

    #[test]
    fn impressions_are_bounded_and_read_back() {
        let json = r#"{"impression": " A cyst.\r\n", "confidence": "high", "key_images": [{"study_instance_uid": "1.2",
            "series_instance_uid": "1.3", "sop_instance_uid": "1.4", "frames": [2, 1, 2]}]}"#;
        let mut read: Impression = serde_json::from_str(json).unwrap();
        read.check().unwrap();
        assert_eq!(
            (read.impression.as_str(), &*read.key_images[0].frames),
            ("A cyst.", &[1, 2][..])
        );
        let said = Said {
            impression: read.clone(),
            comparison: Comparison::default(),
        };
        let body = Opinion::body(&said).unwrap();
        assert_eq!(serde_json::from_str::<Said>(&body).unwrap(), said);
        let check = |change: fn(&mut Impression)| {
            let mut impression = read.clone();
            change(&mut impression);
            impression.check().map_err(|fault| fault.field)
        };
        assert_eq!(check(|i| i.impression.clear()), Err("impression"));
        assert_eq!(
            check(|i| i.findings = "x".repeat(FINDINGS_BYTES_MAX + 1)),
            Err("findings")
        );
        assert_eq!(
            check(|i| i.key_images[0].frames = vec![0]),
            Err("key_images")
        );
        assert_eq!(
            check(|i| i.key_images[0].frames = (1..=101).collect()),
            Err("key_images")
        );
        assert_eq!(
            check(|i| i.key_images = vec![i.key_images[0].clone(); KEY_IMAGES_MAX + 1]),
            Err("key_images")
        );
        assert!(serde_json::from_str::<Impression>(r#"{"impression": "x"}"#).is_err());
        assert!(serde_json::from_str::<KeyImage>(r#"{"study_instance_uid": "1..2"}"#).is_err());
    }
}
