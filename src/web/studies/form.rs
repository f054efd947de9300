//! The form above the list of studies: what it asks, and links that ask the same.

use std::fmt::Write;

use crate::dicom::asked::{Asked, AskedError};
use crate::dicom::text_form::escaped;
use crate::http::{Problem, parameters};
use crate::web::html::InQuery;
use crate::web::language::Language;

/// What the form asks. Names are those of its fields.
#[derive(Debug, Default)]
pub(super) struct Form {
    name: String,
    id: String,
    from: String,
    to: String,
    modality: String,
    accession: String,
    /// `from` and `to` as one range of days.
    days: String,
    /// How ID, accession number and modality begin: while they are being typed they are not whole.
    beginnings: [String; 3],
    pub(super) offset: u64,
}

pub(super) fn complaint(language: Language, error: AskedError) -> &'static str {
    match error {
        AskedError::StudyDate => {
            language.say("Dates are written 2026-01-31, and the first must not be after the last.")
        }
        AskedError::TooLong => language.say("What was asked for is too long."),
    }
}

/// What begins so; who writes `*` or `?` says themselves what is to match.
fn beginning(typed: &str) -> String {
    match typed.trim() {
        "" => String::new(),
        text if text.contains(['*', '?']) => text.to_owned(),
        text => format!("{text}*"),
    }
}

impl Form {
    pub(super) fn read(query: &str) -> Result<Self, Problem> {
        let mut form = Self::default();
        for (name, value) in parameters(query)? {
            match name.as_str() {
                "name" => form.name = value,
                "id" => form.id = value,
                "from" => form.from = value,
                "to" => form.to = value,
                "modality" => form.modality = value,
                "accession" => form.accession = value,
                // A page that nobody linked to is the first one.
                "offset" => form.offset = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        form.days = match (form.from.trim(), form.to.trim()) {
            ("", "") => String::new(),
            (from, to) => format!("{from}-{to}"),
        };
        form.beginnings = [&form.id, &form.accession, &form.modality].map(|text| beginning(text));
        Ok(form)
    }

    pub(super) fn asked(&self) -> Asked<'_> {
        let [id, accession, modality] = &self.beginnings;
        Asked {
            patient_name: &self.name,
            patient_id: id,
            study_date: &self.days,
            modality,
            accession_number: accession,
        }
    }

    /// The form's fields: name, label, value, type.
    fn fields(&self) -> [(&'static str, &'static str, &str, &'static str); 6] {
        [
            ("name", "Patient name", &self.name, "search"),
            ("id", "Patient ID", &self.id, "search"),
            ("from", "Date from", &self.from, "date"),
            ("to", "Date to", &self.to, "date"),
            ("modality", "Modality", &self.modality, "search"),
            ("accession", "Accession", &self.accession, "search"),
        ]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields()
            .iter()
            .all(|(_, _, value, _)| value.trim().is_empty())
    }

    pub(super) fn write(&self, html: &mut String, language: Language) {
        html.push_str("<form class=\"filter\" method=\"get\" action=\"./\" role=\"search\">\n");
        for (name, label, value, kind) in self.fields() {
            let (label, value) = (language.say(label), escaped(value));
            let _ = writeln!(
                html,
                "<label class=\"for-{name}\">{label}<input name=\"{name}\" type=\"{kind}\" value=\"{value}\"></label>"
            );
        }
        let hidden = if self.is_empty() { " hidden" } else { "" };
        let _ = write!(
            html,
            "<button>{}</button>\n<a class=\"clear\" href=\"./\"{hidden}>{}</a>\n</form>\n",
            language.say("Search"),
            language.say("Clear")
        );
    }

    /// A link to the same search at another offset.
    pub(super) fn link(&self, offset: u64) -> String {
        let mut query = String::new();
        for (name, _, value, _) in self.fields() {
            if !value.is_empty() {
                let _ = write!(query, "{name}={}&amp;", InQuery(value));
            }
        }
        format!("./?{query}offset={offset}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_form_are_one_range() {
        for (query, days) in [
            ("", ""),
            ("from=2026-01-01", "2026-01-01-"),
            ("to=2026-01-31", "-2026-01-31"),
            ("from=2026-01-01&to=2026-01-31", "2026-01-01-2026-01-31"),
        ] {
            let form = Form::read(query).unwrap();
            assert_eq!(form.days, days);
            form.asked().query(1, 0).unwrap();
        }
        assert!(Form::read("from=x").unwrap().asked().query(1, 0).is_err());
    }

    #[test]
    fn what_is_being_typed_is_a_beginning() {
        for (typed, asked) in [("", ""), (" 12 ", "12*"), ("1?2", "1?2"), ("*", "*")] {
            assert_eq!(beginning(typed), asked);
        }
        let form = Form::read("id=MADE&modality=c").unwrap();
        assert_eq!(form.asked().patient_id, "MADE*");
        assert_eq!(form.asked().modality, "c*");
    }
}
