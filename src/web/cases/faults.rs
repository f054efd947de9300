//! What is wrong with a form of a case, in the language of who sent it: which field, and what about it. The API says the same
//! in English, with the names that its JSON has.

use crate::cases::{self, Fault, Refusal};
use crate::http::Problem;
use crate::web::language::Language;

/// What people call the fields.
const FIELDS: [(&str, &str); 30] = [
    ("agreement", "Compared with the first report"),
    ("body_part", "Body part"),
    ("cannot_judge_reason", "Why you cannot judge"),
    ("comment", "Comment"),
    ("confidence", "How sure you are"),
    ("context", "What else should the reader know?"),
    ("corrects", "Opinion"),
    ("days", "Good for how many days"),
    ("draft", "Draft"),
    ("due", "Answer wanted by"),
    ("expires", "Expires"),
    ("findings", "Findings"),
    ("first_report", "First report"),
    ("impression", "Impression"),
    ("key_images", "Key images"),
    ("link", "link"),
    ("management", "What changes in what is done"),
    ("opinions", "Opinions"),
    ("priors", "Earlier studies that go along"),
    ("question", "Question"),
    ("reader", "Reader"),
    ("readers", "Readers"),
    ("reason", "Why"),
    ("recommendation", "Recommendation"),
    ("report_instances", "First report"),
    ("significance", "Does the difference matter"),
    ("stage", "What changes in the stage"),
    ("studies", "Studies"),
    ("subspecialty", "Subspecialty"),
    ("urgency", "Urgency"),
];
/// What is wrong, where a number says how much.
const NUMBERED: [&str; 4] = [
    "are more than {number}",
    "have more than {number} instances",
    "is longer than {number} bytes",
    "name more than {number} frames, or one before the first",
];

/// Words for a fault.
pub(super) fn fault(language: Language, fault: &Fault) -> String {
    let found = FIELDS.iter().find(|(field, _)| *field == fault.field);
    match found {
        Some((_, name)) if language != Language::English => {
            format!("{}: {}", language.say(name), why(language, &fault.why))
        }
        _ => fault.to_string(),
    }
}

/// Why something about a case was not done: what anybody may be told of it, and the same in words.
pub(super) fn error(language: Language, error: cases::Error) -> (Problem, String) {
    let words = match &error {
        cases::Error::Invalid(wrong) => Some(fault(language, wrong)),
        cases::Error::Refused(Refusal::TooMany(what)) => {
            let too_many = language.say("there are as many as may be");
            Some(format!("{too_many}: {}", language.sentence(what)))
        }
        _ => None,
    };
    let problem = Problem::from(error);
    let words = words.unwrap_or_else(|| language.sentence(&problem.to_string()));
    (problem, words)
}

fn why(language: Language, why: &str) -> String {
    let digits = |c: char| c.is_ascii_digit();
    let number: String = why.chars().filter(|c| digits(*c)).collect();
    let numbered = NUMBERED
        .iter()
        .find(|text| text.replace("{number}", &number) == why);
    match numbered {
        Some(text) => language.fill(text, &[("number", &number)]),
        None => language.sentence(why),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_fault_of_a_case_has_its_words() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = 0;
        for folder in ["cases", "web/cases"] {
            for entry in std::fs::read_dir(sources.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    continue;
                }
                let source = std::fs::read_to_string(path).unwrap();
                let source = source.split("#[cfg(test)]").next().unwrap();
                for after in source.split("Fault::new(").skip(1) {
                    let mut texts = after.split('"');
                    if !texts.next().unwrap().trim().is_empty() {
                        continue;
                    }
                    let field = texts.next().unwrap();
                    // No form has it.
                    if field == "to" {
                        continue;
                    }
                    let is_known = FIELDS.iter().any(|(known, _)| *known == field);
                    assert!(is_known, "{field}");
                    if texts.next().unwrap().trim() == "," {
                        let text = texts.next().unwrap();
                        assert_ne!(why(Language::German, text), text);
                        found += 1;
                    }
                }
            }
        }
        assert!(found > 25, "{found}");
    }

    #[test]
    fn faults_are_said_by_what_people_call_the_field() {
        let long = Fault::new("key_images", "are more than 100");
        let german = fault(Language::German, &long);
        assert_eq!(german, "Schlüsselbilder: es sind mehr als 100");
        assert_eq!(fault(Language::English, &long), long.to_string());
        let frames = "name more than 7 frames, or one before the first";
        assert_ne!(why(Language::Hindi, frames), frames);
        let many = cases::Error::Refused(Refusal::TooMany("tasks"));
        let (problem, words) = error(Language::German, many);
        assert_eq!(problem.to_string(), "there are as many as may be: tasks");
        assert_eq!(words, "mehr sind nicht möglich: Aufgaben");
    }
}
