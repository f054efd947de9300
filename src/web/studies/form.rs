//! The form above the list of studies: what it asks, and links that ask the same, in this order or another.

use std::fmt::Write;

use super::order;
use crate::dicom::Query;
use crate::dicom::asked::{Asked, AskedError};
use crate::dicom::query::{Order, OrderBy};
use crate::dicom::text_form::escaped;
use crate::http::{Problem, parameters};
use crate::web::html::InQuery;
use crate::web::language::Language;

/// What the form asks. Names are those of its fields.
#[derive(Debug)]
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
    /// How the studies follow each other, and behind which one the page begins.
    order: Order,
    /// How many the reader has passed.
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
        let mut form = Self {
            name: String::new(),
            id: String::new(),
            from: String::new(),
            to: String::new(),
            modality: String::new(),
            accession: String::new(),
            days: String::new(),
            beginnings: Default::default(),
            order: Order::NEWEST,
            offset: 0,
        };
        let (mut sort, mut after) = (String::new(), String::new());
        for (name, value) in parameters(query)? {
            match name.as_str() {
                "name" => form.name = value,
                "id" => form.id = value,
                "from" => form.from = value,
                "to" => form.to = value,
                "modality" => form.modality = value,
                "accession" => form.accession = value,
                "sort" => sort = value,
                "after" => after = value,
                // A page that nobody linked to is the first one.
                "offset" => form.offset = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        form.order = order::read(&sort, &after);
        form.days = match (form.from.trim(), form.to.trim()) {
            ("", "") => String::new(),
            (from, to) => format!("{from}-{to}"),
        };
        form.beginnings = [&form.id, &form.accession, &form.modality].map(|text| beginning(text));
        Ok(form)
    }

    /// How the list is ordered.
    pub(super) fn order(&self) -> &Order {
        &self.order
    }

    /// The query of a page of so many studies.
    ///
    /// # Errors
    /// When something typed makes no sense.
    pub(super) fn query(&self, limit: u32) -> Result<Query, AskedError> {
        let mut query = self.asked().query(limit, self.offset)?;
        query.order = self.order.clone();
        Ok(query)
    }

    fn asked(&self) -> Asked<'_> {
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
        let sort = order::word(self.order.by, self.order.is_descending);
        let mut clear = String::from("./");
        if !sort.is_empty() {
            // Whoever types anew keeps the order.
            let _ = writeln!(
                html,
                "<input type=\"hidden\" name=\"sort\" value=\"{sort}\">"
            );
            let _ = write!(clear, "?sort={sort}");
        }
        let hidden = if self.is_empty() { " hidden" } else { "" };
        let _ = write!(
            html,
            "<button>{}</button>\n<a class=\"clear\" href=\"{clear}\"{hidden}>{}</a>\n</form>\n",
            language.say("Search"),
            language.say("Clear")
        );
    }

    /// What an address says of the search in an order; ends with `&` when it says anything.
    fn address(&self, by: OrderBy, is_descending: bool) -> String {
        let mut query = String::new();
        for (name, _, value, _) in self.fields() {
            if !value.is_empty() {
                let _ = write!(query, "{name}={}&amp;", InQuery(value));
            }
        }
        match order::word(by, is_descending).as_str() {
            "" => {}
            word => {
                let _ = write!(query, "sort={word}&amp;");
            }
        }
        query
    }

    /// A link to the same search in an order, from its beginning.
    pub(super) fn ordered(&self, by: OrderBy, is_descending: bool) -> String {
        match self.address(by, is_descending).strip_suffix("&amp;") {
            Some(query) => format!("./?{query}"),
            None => "./".to_owned(),
        }
    }

    /// A link to the same search at another offset; behind a study, when it is known.
    pub(super) fn link(&self, offset: u64, after: Option<&str>) -> String {
        let query = self.address(self.order.by, self.order.is_descending);
        let after = after.map(|after| format!("&amp;after={}", InQuery(after)));
        format!("./?{query}offset={offset}{}", after.unwrap_or_default())
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
            form.query(1).unwrap();
        }
        assert!(Form::read("from=x").unwrap().query(1).is_err());
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
