//! The grades of an opinion: a closed list each, with the word that is kept and sent, and the number of RADPEER where
//! there is one.

/// Makes a closed list of grades: variants, their words, and the way back.
macro_rules! grades {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All of them, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word that is kept and sent.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// The grade of a word; `None` when it is none.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|grade| grade.word() == word)
            }
        }
    };
}

grades! {
    /// How far the second reading agrees with the first.
    Agreement {
        /// RADPEER 1.
        Agree = "agree",
        /// A discrepancy that can be understood, or that matters little: RADPEER 2.
        Minor = "minor-discrepancy",
        /// A diagnosis that should be made: RADPEER 3.
        Major = "major-discrepancy",
        /// The reader cannot judge, and says why.
        CannotJudge = "cannot-judge",
    }
}

grades! {
    /// Whether what was seen otherwise matters to the patient.
    Significance {
        /// Nothing was seen otherwise, or it does not matter.
        None = "none",
        /// Unlikely to matter: RADPEER a.
        Unlikely = "unlikely",
        /// Likely to matter: RADPEER b.
        Likely = "likely",
    }
}

grades! {
    /// What the opinion changes in what is done.
    Management {
        /// Nothing.
        None = "none",
        /// Less, or more gently.
        MoreConservative = "more-conservative",
        /// More.
        MoreInvasive = "more-invasive",
        /// More is to be seen first.
        MoreImaging = "more-imaging",
    }
}

grades! {
    /// What the opinion changes in the stage of a disease.
    Stage {
        /// There is no stage to speak of.
        NotApplicable = "not-applicable",
        /// Nothing.
        Unchanged = "unchanged",
        /// The stage is higher.
        Higher = "higher",
        /// The stage is lower.
        Lower = "lower",
    }
}

grades! {
    /// How sure the reader is.
    Confidence {
        /// Not very.
        Low = "low",
        /// Fairly.
        Moderate = "moderate",
        /// Very.
        High = "high",
    }
}

impl Agreement {
    /// Whether the two readings differ.
    #[must_use]
    pub const fn is_discrepancy(self) -> bool {
        matches!(self, Self::Minor | Self::Major)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back() {
        for grade in Agreement::ALL {
            assert_eq!(Agreement::parse(grade.word()), Some(*grade));
        }
        assert_eq!(
            Management::parse("more-imaging"),
            Some(Management::MoreImaging)
        );
        assert_eq!(Stage::parse("Higher"), None);
    }
}
