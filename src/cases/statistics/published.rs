//! Rates that others have published, to be shown beside ours. Each was read in the abstract that its source names; what
//! could not be found in one is not here.

/// Which of our figures a published rate is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Like {
    /// [`Figures::discordant`](super::Figures::discordant)
    Discordant,
    /// [`Figures::major`](super::Figures::major)
    Major,
    /// [`Figures::management_changed`](super::Figures::management_changed)
    ManagementChanged,
    /// [`Figures::more_conservative`](super::Figures::more_conservative)
    MoreConservative,
}

impl Like {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Discordant => "discordant",
            Self::Major => "major",
            Self::ManagementChanged => "management_changed",
            Self::MoreConservative => "more_conservative",
        }
    }
}

/// A published rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Published {
    /// Which of ours it is like.
    pub like: Like,
    /// Of what.
    pub what: &'static str,
    /// How many per cent.
    pub percent: f64,
    /// How many of how many, where the abstract says so.
    pub counts: Option<(u64, u64)>,
    /// Who published it, and where.
    pub source: &'static str,
    /// Where its abstract was read.
    pub url: &'static str,
}

const SPINE_REVIEW: &str = "Gattas S, Fote GM, Brown NJ, et al. Second opinion in spine surgery: a scoping review. \
     Surg Neurol Int 2021;12:436. doi:10.25259/SNI_399_2021";
const SPINE_REVIEW_URL: &str = "https://pubmed.ncbi.nlm.nih.gov/34513199/";
const NEURO_ONCOLOGY: &str = "Hatzoglou V, Omuro AM, Haque S, et al. Second-opinion interpretations of neuroimaging \
     studies by oncologic neuroradiologists can help reduce errors in cancer care. Cancer 2016;122(17):2708-14";
const NEURO_ONCOLOGY_URL: &str = "https://synapse.mskcc.org/synapse/works/96729";
const NEURORADIOLOGY: &str = "The role of specialist neuroradiology second opinion reporting: is there added value? \
     Clin Radiol 2008;63(7):791-5. doi:10.1016/j.crad.2007.12.002";
const NEURORADIOLOGY_URL: &str = "https://pubmed.ncbi.nlm.nih.gov/18555037/";

/// All of them.
pub const PUBLISHED: &[Published] = &[
    Published {
        like: Like::Discordant,
        what: "second opinions on spine surgery, review of 14 studies",
        percent: 61.3,
        counts: None,
        source: SPINE_REVIEW,
        url: SPINE_REVIEW_URL,
    },
    Published {
        like: Like::MoreConservative,
        what: "discordant second opinions on spine surgery, conservative management recommended",
        percent: 75.0,
        counts: None,
        source: SPINE_REVIEW,
        url: SPINE_REVIEW_URL,
    },
    Published {
        like: Like::Discordant,
        what: "second opinions on degenerative spinal conditions, diagnosis differs",
        percent: 59.8,
        counts: Some((290, 485)),
        source: "Lenza M, Buchbinder R, Staples MP, et al. Second opinion for degenerative spinal conditions: an \
             option or a necessity? A prospective observational study. BMC Musculoskelet Disord 2017;18:354. \
             doi:10.1186/s12891-017-1712-0",
        url: "https://doi.org/10.1186/s12891-017-1712-0",
    },
    Published {
        like: Like::Discordant,
        what: "neuroimaging of cancer read again by oncologic neuroradiologists",
        percent: 19.0,
        counts: Some((55, 283)),
        source: NEURO_ONCOLOGY,
        url: NEURO_ONCOLOGY_URL,
    },
    Published {
        like: Like::ManagementChanged,
        what: "neuroimaging of cancer read again, management or stage would have changed",
        percent: 15.0,
        counts: Some((42, 283)),
        source: NEURO_ONCOLOGY,
        url: NEURO_ONCOLOGY_URL,
    },
    Published {
        like: Like::Discordant,
        what: "CT and MR read again by neuroradiologists, minor and major discrepancies",
        percent: 34.0,
        counts: None,
        source: NEURORADIOLOGY,
        url: NEURORADIOLOGY_URL,
    },
    Published {
        like: Like::Major,
        what: "CT and MR read again by neuroradiologists, major discrepancies",
        percent: 13.0,
        counts: None,
        source: NEURORADIOLOGY,
        url: NEURORADIOLOGY_URL,
    },
    Published {
        like: Like::Discordant,
        what: "whole-body CT of multiple trauma reviewed, scans with a missed injury",
        percent: 12.9,
        counts: Some((304, 2354)),
        source: "Whole-body CT in patients with multiple traumas: factors leading to missed injury. Radiology \
             2018;289(2):374-383. doi:10.1148/radiol.2018180492",
        url: "https://pubmed.ncbi.nlm.nih.gov/30084754/",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_give_the_per_cent() {
        for published in PUBLISHED {
            if let Some((count, of)) = published.counts {
                let percent = count as f64 * 100.0 / of as f64;
                assert!(
                    (percent - published.percent).abs() < 0.5,
                    "{}",
                    published.what
                );
            }
            assert!(published.url.starts_with("https://"));
        }
    }
}
