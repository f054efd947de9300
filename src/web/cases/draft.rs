//! What was typed into the forms of a reader, as their draft keeps it, and how a form is put onto it.
//!
//! A form may be old when it is sent: images were marked on another page, another tab has saved. So it tells what it was made
//! with. Key images that came or went elsewhere stay so; texts that were saved elsewhere give way to none, nor do they
//! replace what was typed here: who has written at two places decides.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use serde_json::{Map, Value};

use super::form::{Fields, key_image_text};
use super::words;
use crate::cases::grade::{Agreement, Management, Significance, Stage};
use crate::cases::{Comparison, Draft, DraftTag, Fault, Impression};
use crate::dicom::text_form::escaped;
use crate::web::language::Language;

/// The field of a draft, and of a form, with its key images.
const KEY_IMAGES: &str = "key_images";
/// The field of a form with an image that it shows, whether still ticked or not.
const SHOWN_IMAGE: &str = "shown_image";

/// The two forms of a reader, one after the other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// What was seen.
    Impression,
    /// How it compares with the first report.
    Comparison,
}

impl Step {
    const ALL: [Self; 2] = [Self::Impression, Self::Comparison];

    /// Its fields, with what people call them.
    pub(super) const fn texts(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Impression => &[
                ("findings", "Findings"),
                ("impression", "Impression"),
                ("recommendation", "Recommendation"),
                ("confidence", "How sure you are"),
            ],
            Self::Comparison => &[
                ("agreement", "With the first report"),
                ("cannot_judge_reason", "Why you cannot judge"),
                ("significance", "Does the difference matter"),
                ("management", "What changes in what is done"),
                ("stage", "What changes in the stage"),
                ("comment", "Comment"),
            ],
        }
    }

    /// The hidden field that says which texts the form was made with.
    const fn read(self) -> &'static str {
        match self {
            Self::Impression => "impression_read",
            Self::Comparison => "comparison_read",
        }
    }
}

/// What was typed and is not said yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Typed {
    texts: BTreeMap<&'static str, String>,
    pub(super) key_images: Vec<String>,
    /// Among those in the draft what another program has put there, which no form shows.
    other_images: Vec<Value>,
    /// What another program keeps in the draft, which no form shows.
    others: Map<String, Value>,
}

impl Typed {
    /// What a draft holds. What is of another kind than ours is not ours to show, and stays.
    pub(super) fn of(draft: Option<&Draft>) -> Self {
        let others = draft.and_then(|draft| serde_json::from_str(&draft.body).ok());
        let mut typed = Self {
            others: others.unwrap_or_default(),
            ..Self::default()
        };
        for (name, _) in Step::ALL.iter().flat_map(|step| step.texts()) {
            if let Some(text) = typed.others.get(*name).and_then(Value::as_str) {
                typed.texts.insert(name, text.to_owned());
                typed.others.remove(*name);
            }
        }
        let images = match typed.others.remove(KEY_IMAGES) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(images)) => images,
            Some(other) => vec![other],
        };
        for image in images {
            match image {
                Value::String(text) => typed.key_images.push(text),
                other => typed.other_images.push(other),
            }
        }
        typed
    }

    /// As it is kept.
    pub(super) fn body(&self) -> String {
        let mut body = self.others.clone();
        for (name, text) in &self.texts {
            body.insert((*name).to_owned(), text.as_str().into());
        }
        let ours = self.key_images.iter().map(|text| text.as_str().into());
        let images = ours.chain(self.other_images.iter().cloned()).collect();
        body.insert(KEY_IMAGES.to_owned(), Value::Array(images));
        Value::Object(body).to_string()
    }

    /// What an opinion says, to be corrected.
    pub(super) fn said(impression: &Impression, comparison: &Comparison) -> Self {
        fn word<T: Copy>(grade: Option<T>, word: impl Fn(T) -> &'static str) -> &'static str {
            grade.map(word).unwrap_or_default()
        }
        let texts = [
            ("findings", impression.findings.as_str()),
            ("impression", &impression.impression),
            ("recommendation", &impression.recommendation),
            ("confidence", impression.confidence.word()),
            ("agreement", word(comparison.agreement, Agreement::word)),
            (
                "significance",
                word(comparison.significance, Significance::word),
            ),
            ("management", word(comparison.management, Management::word)),
            ("stage", word(comparison.stage, Stage::word)),
            ("cannot_judge_reason", &comparison.cannot_judge_reason),
            ("comment", &comparison.comment),
        ];
        let texts = texts.map(|(name, text)| (name, text.to_owned()));
        Self {
            texts: texts.into(),
            key_images: impression.key_images.iter().map(key_image_text).collect(),
            ..Self::default()
        }
    }

    /// A text; empty when nothing was typed.
    pub(super) fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }

    /// The texts of a form, as a browser sends them back or not: with other ends of lines, and nothing around them.
    fn plain(&self, step: Step) -> Vec<String> {
        let texts = step.texts().iter();
        let plain = |text: &str| {
            text.replace("\r\n", "\n")
                .replace('\r', "\n")
                .trim()
                .to_owned()
        };
        texts.map(|(name, _)| plain(self.text(name))).collect()
    }

    fn tag(&self, step: Step) -> String {
        let texts = Value::from(self.plain(step)).to_string();
        DraftTag::of_text(&texts).to_string()
    }

    fn take(&mut self, step: Step, from: &Self) {
        for (name, _) in step.texts() {
            self.texts.insert(name, from.text(name).to_owned());
        }
    }
}

/// A form put onto the draft that there is.
pub(super) struct Put {
    pub(super) typed: Typed,
    /// Whether the form shows all of it; else it may be kept, and not yet be said.
    pub(super) is_as_shown: bool,
    /// Whether other texts were saved since than the form was made with: then it is not to be kept.
    pub(super) clashes: bool,
}

impl Put {
    /// # Errors
    /// When a key image of the form is none.
    pub(super) fn onto(kept: Typed, fields: &Fields) -> Result<Self, Fault> {
        fields.key_images()?;
        let sent = sent(fields);
        let mut put = Self {
            typed: kept,
            is_as_shown: true,
            clashes: false,
        };
        if Step::ALL.iter().all(|step| !fields.is_ticked(step.read())) {
            // A program that says nothing of what it has read means all of it.
            for step in Step::ALL {
                put.typed.take(step, &sent);
            }
            // Of images it speaks with the impression only.
            let texts = Step::Impression.texts().iter();
            let mut named = texts.map(|(name, _)| *name).chain(["key_image"]);
            if named.any(|name| fields.is_ticked(name)) {
                put.typed.key_images = sent.key_images;
            }
            return Ok(put);
        }
        for step in Step::ALL {
            if fields.is_ticked(step.read()) {
                put.texts(step, &sent, fields.text(step.read()));
            }
        }
        put.images(&sent, fields);
        Ok(put)
    }

    fn texts(&mut self, step: Step, sent: &Typed, read: &str) {
        if self.typed.plain(step) == sent.plain(step) {
            return;
        }
        if sent.tag(step) == read {
            // Nobody has typed here, and somebody elsewhere.
            self.is_as_shown = false;
            return;
        }
        self.clashes |= self.typed.tag(step) != read;
        self.typed.take(step, sent);
    }

    fn images(&mut self, sent: &Typed, fields: &Fields) {
        let ticked: HashSet<&str> = sent.key_images.iter().map(String::as_str).collect();
        let shown: HashSet<&str> = fields.all(SHOWN_IMAGE).collect();
        let images = &mut self.typed.key_images;
        images.retain(|image| ticked.contains(&**image) || !shown.contains(&**image));
        let known: HashSet<String> = images.iter().cloned().collect();
        let is_new = |image: &&String| !known.contains(*image) && !shown.contains(image.as_str());
        images.extend(sent.key_images.iter().filter(is_new).cloned());
        if fields.is_ticked(Step::Impression.read()) {
            let kept: HashSet<&str> = images.iter().map(String::as_str).collect();
            self.is_as_shown &= kept == ticked;
        }
    }
}

/// What a form says, whether its key images are such or not.
pub(super) fn sent(fields: &Fields) -> Typed {
    let names = Step::ALL.iter().flat_map(|step| step.texts());
    // Browsers end lines with two characters, whatever they were given.
    let text = |(name, _): &(&'static str, _)| (*name, fields.text(name).replace("\r\n", "\n"));
    Typed {
        texts: names.map(text).collect(),
        key_images: fields.all("key_image").map(str::to_owned).collect(),
        ..Typed::default()
    }
}

/// The hidden fields that say what a form is made with.
pub(super) fn write_read(html: &mut String, step: Step, kept: &Typed) {
    let mut hidden = |name, value: &str| {
        let value = escaped(value);
        let _ = writeln!(
            html,
            "<input type=\"hidden\" name=\"{name}\" value=\"{value}\" autocomplete=\"off\">"
        );
    };
    hidden(step.read(), &kept.tag(step));
    if step == Step::Impression {
        for image in &kept.key_images {
            hidden(SHOWN_IMAGE, image);
        }
    }
}

/// What is saved and not what stands in the form, for who has to decide between them.
pub(super) fn write_saved(
    html: &mut String,
    language: Language,
    step: Step,
    (kept, shown): (&Typed, &Typed),
) {
    let title = language.say("What is saved");
    write_others(html, language, title, &[step], (kept, shown));
}

/// The same of what was typed, where there is no form any more to show it in.
pub(super) fn write_unsaved(
    html: &mut String,
    language: Language,
    (kept, unsaved): (&Typed, &Typed),
) {
    let mut texts = String::new();
    write_others(
        &mut texts,
        language,
        language.say("What you typed, which is not saved"),
        &Step::ALL,
        (unsaved, kept),
    );
    if !texts.is_empty() {
        let _ = writeln!(html, "<div class=\"card\">{texts}</div>");
    }
}

/// The texts that one has otherwise than the other.
fn write_others(
    html: &mut String,
    language: Language,
    title: &str,
    steps: &[Step],
    (one, other): (&Typed, &Typed),
) {
    let pairs = |step: &Step| {
        let texts = one.plain(*step).into_iter().zip(other.plain(*step));
        step.texts().iter().zip(texts)
    };
    let others: Vec<_> = (steps.iter().flat_map(pairs))
        .filter(|(_, (one, other))| one != other)
        .map(|((field, name), (one, _))| (*name, words::shown(language, field, one)))
        .collect();
    if others.is_empty() {
        return;
    }
    let _ = writeln!(html, "<section aria-label=\"{title}\"><h3>{title}</h3>");
    for (name, text) in others {
        let name = language.say(name);
        let text = match &*text {
            "" => language.say("nothing"),
            text => text,
        };
        let _ = writeln!(
            html,
            "<p class=\"also\">{name}</p><p class=\"said\">{}</p>",
            escaped(text)
        );
    }
    html.push_str("</section>\n");
}

#[cfg(test)]
mod tests;
