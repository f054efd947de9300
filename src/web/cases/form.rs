//! What the forms of a case send: fields, read once, with their texts as they were typed.

use std::str::FromStr;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, ResponseError, web};

use crate::cases::grade::{Agreement, Confidence, Management, Significance, Stage};
use crate::cases::{Comparison, Fault, Impression, KeyImage};
use crate::http::{Hall, Problem, bounded_form, parameters};

/// The longest form that is read. It is far more than a draft may have, so that what somebody has typed too much of comes back to
/// them: browsers do not bring back what stood in a form that is not to be kept.
const FORM_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The fields of a form, in order.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads the body of a form.
    ///
    /// # Errors
    /// 413 when it is too long; 400 when it is none.
    pub(super) async fn received(
        request: &HttpRequest,
        hall: &Hall,
        payload: web::Payload,
    ) -> Result<Self, Problem> {
        let read = bounded_form(request, hall.settings(), payload, FORM_BYTES_MAX).await;
        read.map_err(in_words)?.parse()
    }

    /// Fields that nobody has typed yet.
    pub(super) fn of<'f>(fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self(fields.into_iter().map(owned).collect())
    }

    /// The first value of a field; empty when there is none.
    pub(super) fn text(&self, wanted: &str) -> &str {
        let found = self.0.iter().find(|(name, _)| name == wanted);
        found.map_or("", |(_, value)| value)
    }

    /// All values of a field.
    pub(super) fn all<'f>(&'f self, wanted: &'f str) -> impl Iterator<Item = &'f str> {
        let fields = self.0.iter().filter(move |(name, _)| name == wanted);
        fields.map(|(_, value)| value.as_str())
    }

    /// Whether a box was ticked.
    pub(super) fn is_ticked(&self, wanted: &str) -> bool {
        self.all(wanted).next().is_some()
    }

    /// What was seen.
    ///
    /// # Errors
    /// When a choice is missing, or a key image is none.
    pub(super) fn impression(&self) -> Result<Impression, Fault> {
        let confidence = Confidence::parse(self.text("confidence"));
        Ok(Impression {
            findings: self.text("findings").to_owned(),
            impression: self.text("impression").to_owned(),
            recommendation: self.text("recommendation").to_owned(),
            key_images: self.key_images()?,
            confidence: confidence.ok_or_else(|| Fault::new("confidence", "is not said"))?,
        })
    }

    /// The key images: `study/series/instance`, with `/frame` where one is meant.
    ///
    /// # Errors
    /// When one is not of that form.
    pub(super) fn key_images(&self) -> Result<Vec<KeyImage>, Fault> {
        self.all("key_image").map(key_image).collect()
    }

    /// How it compares with what was said before.
    ///
    /// # Errors
    /// When a choice is none that there is.
    pub(super) fn comparison(&self) -> Result<Comparison, Fault> {
        Ok(Comparison {
            agreement: chosen(self.text("agreement"), "agreement", Agreement::parse)?,
            significance: chosen(
                self.text("significance"),
                "significance",
                Significance::parse,
            )?,
            management: chosen(self.text("management"), "management", Management::parse)?,
            stage: chosen(self.text("stage"), "stage", Stage::parse)?,
            cannot_judge_reason: self.text("cannot_judge_reason").to_owned(),
            comment: self.text("comment").to_owned(),
        })
    }
}

impl FromStr for Fields {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        parameters(text).map(Self)
    }
}

/// Says in words of people that a form is too long.
fn in_words(problem: Problem) -> Problem {
    if problem.status_code() != StatusCode::PAYLOAD_TOO_LARGE {
        return problem;
    }
    let text = format!(
        "the form is longer than {} MiB: nothing of it was kept, send less at once",
        FORM_BYTES_MAX >> 20
    );
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text).and_close()
}

fn chosen<T>(
    word: &str,
    field: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Fault> {
    match word {
        "" => Ok(None),
        word => parse(word)
            .map(Some)
            .ok_or_else(|| Fault::new(field, "is none of the choices")),
    }
}

/// Reads `study/series/instance[/frame]`.
///
/// # Errors
/// When it is not of that form.
pub(super) fn key_image(text: &str) -> Result<KeyImage, Fault> {
    let wrong = || Fault::new("key_images", "are not study/series/instance[/frame]");
    KeyImage::named(text).ok_or_else(wrong)
}

/// The way back of [`key_image`].
pub(super) fn key_image_text(image: &KeyImage) -> String {
    image.name()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_images_lead_back() {
        for text in ["1.2/1.3/1.4", "1.2/1.3/1.4/7"] {
            assert_eq!(key_image_text(&key_image(text).unwrap()), text);
        }
        for text in ["", "1.2/1.3", "1.2/1.3/1.4/x", "1.2/1.3/1.4/1/1", "a/b/c"] {
            assert!(key_image(text).is_err(), "{text}");
        }
    }

    #[test]
    fn forms_are_read() {
        let body = "findings=a+b&impression=%C3%BC&confidence=high&key_image=1.2/1.3/1.4&agreement=agree&stage=";
        let fields: Fields = body.parse().unwrap();
        let impression = fields.impression().unwrap();
        assert_eq!(
            (&*impression.findings, &*impression.impression),
            ("a b", "ü")
        );
        assert_eq!(impression.key_images.len(), 1);
        let comparison = fields.comparison().unwrap();
        assert_eq!(
            (comparison.agreement, comparison.stage),
            (Some(Agreement::Agree), None)
        );
        let fields: Fields = "agreement=perhaps".parse().unwrap();
        assert!(fields.comparison().is_err());
    }
}
