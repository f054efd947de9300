//! What an examination found: steps, findings, a verdict for each viewer. Holds UIDs, statuses and
//! numbers only; values of patients never come here.

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::faults::Fault;

/// How bad a finding is. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing is wrong.
    Ok,
    /// Worth knowing; no usual setting of a viewer suffers.
    Note,
    /// Something is missing, slow, or wrong in some setting.
    Warning,
    /// A viewer fails.
    Broken,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Viewer {
    /// OHIF 3.13 with cornerstone3D.
    Ohif,
    /// Weasis 4, opened by `$dicom:rs`.
    Weasis,
    /// 3D Slicer's DICOMweb browser, which is dicomweb-client of Python.
    Slicer,
    /// dicomweb-client of JavaScript, by itself.
    JavaScript,
    /// A browser, or any other program.
    Other,
}

impl Viewer {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 5] = [
        Self::Ohif,
        Self::Weasis,
        Self::Slicer,
        Self::JavaScript,
        Self::Other,
    ];

    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ohif => "OHIF 3.13",
            Self::Weasis => "Weasis",
            Self::Slicer => "3D Slicer, dicomweb-client (Python)",
            Self::JavaScript => "dicomweb-client (JavaScript)",
            Self::Other => "browsers and others",
        }
    }
}

/// One kind of request, made once or for several subjects.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// What it is for.
    pub title: &'static str,
    /// Under which heading it is shown.
    pub chapter: &'static str,
    /// Who asks so.
    pub viewers: &'static [Viewer],
    /// How often it was asked.
    pub asked: u32,
    /// The longest time to the first byte, in milliseconds.
    pub first_byte_ms: u64,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
}

impl Step {
    /// The worst of its findings.
    #[must_use]
    pub fn level(&self) -> Level {
        let levels = self.findings.iter().map(|finding| finding.fault.level);
        levels.max().unwrap_or(Level::Ok)
    }
}

/// One thing that is wrong, at the first place where it was seen.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What.
    pub fault: &'static Fault,
    /// The request: method and path, values of patients replaced by their keywords in braces.
    pub asked: String,
    /// The Accept header that went with it.
    pub accept: String,
    /// What came.
    pub came: String,
    /// How often the same was found in the same step.
    pub times: u32,
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_struct("Finding", 8)?;
        members.serialize_field("level", &self.fault.level)?;
        members.serialize_field("code", self.fault.code)?;
        members.serialize_field("asked", &self.asked)?;
        members.serialize_field("accept", &self.accept)?;
        members.serialize_field("came", &self.came)?;
        members.serialize_field("breaks", self.fault.breaks)?;
        members.serialize_field("hint", self.fault.hint)?;
        members.serialize_field("times", &self.times)?;
        members.end()
    }
}

/// All of an examination.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The DICOMweb root that was examined.
    pub url: String,
    /// What the server calls itself, if it does.
    pub server: Option<String>,
    /// How many studies, series and instances were looked at.
    pub studies: usize,
    /// As above.
    pub series: usize,
    /// As above.
    pub instances: usize,
    /// The kinds of instances, by name, each once.
    pub kinds: Vec<String>,
    /// How many requests were made.
    pub requests: u32,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What was asked, in order.
    pub steps: Vec<Step>,
}

impl Report {
    /// The worst of all.
    #[must_use]
    pub fn level(&self) -> Level {
        let levels = self.steps.iter().map(Step::level);
        levels.max().unwrap_or(Level::Ok)
    }

    /// How many findings there are of a level.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.findings()
            .filter(|finding| finding.fault.level == level)
            .count()
    }

    /// The worst that one viewer meets; `None` when it was not tried.
    #[must_use]
    pub fn level_for(&self, viewer: Viewer) -> Option<Level> {
        let steps = self.steps.iter();
        steps
            .filter(|step| step.viewers.contains(&viewer))
            .map(Step::level)
            .max()
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.steps.iter().flat_map(|step| &step.findings)
    }
}

impl Step {
    /// Adds a finding, or counts it with its like.
    pub(super) fn find(&mut self, finding: Finding) {
        let like = self
            .findings
            .iter_mut()
            .find(|known| std::ptr::eq(known.fault, finding.fault));
        match like {
            Some(known) => known.times += 1,
            None => {
                self.findings.push(finding);
                self.findings
                    .sort_by_key(|finding| std::cmp::Reverse(finding.fault.level));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::faults::{NO_GZIP, NOT_JSON};
    use super::*;

    fn finding(fault: &'static Fault) -> Finding {
        Finding {
            fault,
            asked: "GET /x".into(),
            accept: String::new(),
            came: "200".into(),
            times: 1,
        }
    }

    #[test]
    fn like_findings_are_counted_and_the_worst_stands_first() {
        let mut step = Step {
            title: "a",
            chapter: "b",
            viewers: &[Viewer::Weasis],
            asked: 3,
            first_byte_ms: 1,
            findings: Vec::new(),
        };
        assert_eq!(step.level(), Level::Ok);
        for fault in [&NO_GZIP, &NOT_JSON, &NO_GZIP] {
            step.find(finding(fault));
        }
        let times: Vec<_> = step
            .findings
            .iter()
            .map(|f| (f.fault.code, f.times))
            .collect();
        assert_eq!(times, [("not-json", 1), ("no-gzip", 2)]);
        let report = Report {
            steps: vec![step],
            ..Report::default()
        };
        assert_eq!(report.level(), Level::Broken);
        assert_eq!(report.level_for(Viewer::Weasis), Some(Level::Broken));
        assert_eq!(report.level_for(Viewer::Ohif), None);
        assert_eq!(
            (report.count(Level::Warning), report.count(Level::Broken)),
            (1, 1)
        );
    }
}
