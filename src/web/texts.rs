//! What pages say, in all their languages: the files of `/web/texts`, one for each part of the house, by the English text.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde::Deserialize;

use crate::web::language::Language;

/// One text in the languages that are not English.
#[derive(Deserialize)]
struct Text {
    de: String,
    fr: String,
    es: String,
    hi: String,
}

impl Text {
    fn into_languages(self) -> [(Language, String); 4] {
        [
            (Language::German, self.de),
            (Language::French, self.fr),
            (Language::Spanish, self.es),
            (Language::Hindi, self.hi),
        ]
    }
}

macro_rules! area {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("../../web/texts/", $name, ".json")),
        )
    };
}

/// The files with what pages say.
const PAGES: &[(&str, &[u8])] = &[
    area!("ways_in"),
    area!("inbox"),
    area!("studies"),
    area!("cases"),
    area!("inboxes"),
    area!("administration"),
];

/// The files with what modules say, or sentences that they pass on; pages say these too.
const SCRIPTS: &[(&str, &[u8])] = &[
    area!("common"),
    area!("scripts"),
    area!("sentences"),
    area!("look"),
    area!("reading"),
];

/// What one language says, by the English text.
#[derive(Default)]
struct Catalogue {
    all: HashMap<String, String>,
    /// What modules need of it, as JSON.
    of_scripts: Vec<u8>,
}

static CATALOGUES: LazyLock<HashMap<Language, Catalogue>> = LazyLock::new(|| {
    let mut catalogues: HashMap<Language, Catalogue> = HashMap::new();
    let mut of_scripts: HashMap<Language, BTreeMap<String, String>> = HashMap::new();
    for (name, bytes) in PAGES.iter().chain(SCRIPTS) {
        let is_of_scripts = SCRIPTS.iter().any(|(known, _)| known == name);
        // The files are ours, and a test reads them all.
        let texts: BTreeMap<String, Text> = serde_json::from_slice(bytes).unwrap_or_default();
        for (english, text) in texts {
            for (language, said) in text.into_languages() {
                if is_of_scripts {
                    let texts = of_scripts.entry(language).or_default();
                    texts.insert(english.clone(), said.clone());
                }
                let catalogue = catalogues.entry(language).or_default();
                catalogue.all.insert(english.clone(), said);
            }
        }
    }
    for (language, texts) in of_scripts {
        let catalogue = catalogues.entry(language).or_default();
        catalogue.of_scripts = serde_json::to_vec(&texts).unwrap_or_default();
    }
    catalogues
});

/// How a language says an English text; `None` when it has no other words for it.
pub(super) fn said(language: Language, english: &str) -> Option<&'static str> {
    let catalogue = CATALOGUES.get(&language)?;
    catalogue.all.get(english).map(String::as_str)
}

/// What modules say in a language, as JSON; `None` in English, which they have themselves.
pub(super) fn of_scripts(language: Language) -> Option<&'static [u8]> {
    let catalogue = CATALOGUES.get(&language)?;
    Some(&catalogue.of_scripts)
}

/// All bytes of all files: what a version of them is known by.
pub(super) fn files() -> impl Iterator<Item = &'static [u8]> {
    PAGES.iter().chain(SCRIPTS).map(|(_, bytes)| *bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The sources below a folder that end so, without their tests.
    fn sources(folder: &Path, end: &str, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, end, text);
            } else if path.extension().is_some_and(|known| known == end) {
                let source = std::fs::read_to_string(&path).unwrap();
                // A module that does not import the texts says nothing by them.
                if end == "rs" || source.contains("/texts.js'") {
                    text.push_str(source.split("#[cfg(test)]").next().unwrap());
                }
            }
        }
    }

    /// What a source says across lines is one text.
    fn joined(text: &str) -> String {
        let mut joined = String::new();
        for (place, line) in text.split("\\\n").enumerate() {
            joined.push_str(if place == 0 { line } else { line.trim_start() });
        }
        joined.replace("\\'", "'").replace("\\\"", "\"")
    }

    /// What a source has for a number of its own, by any name.
    fn numbered(text: &str) -> String {
        let mut numbered = String::new();
        for (place, piece) in text.split('{').enumerate() {
            let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            match piece.split_once('}') {
                Some((named, rest)) if place > 0 && named.chars().all(name) => {
                    numbered.push_str("{number}");
                    numbered.push_str(rest);
                }
                _ if place > 0 => {
                    numbered.push('{');
                    numbered.push_str(piece);
                }
                _ => numbered.push_str(piece),
            }
        }
        numbered
    }

    fn said_in(folder: &str, end: &str) -> String {
        let mut text = String::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        sources(&root.join(folder), end, &mut text);
        joined(&text)
    }

    fn placeholders(text: &str) -> BTreeSet<&str> {
        let pieces = text.split('{').skip(1);
        pieces
            .filter_map(|piece| Some(piece.split_once('}')?.0))
            .collect()
    }

    #[test]
    fn the_files_have_every_text_once_and_well_formed() {
        let mut known: HashMap<String, &str> = HashMap::new();
        for (name, bytes) in PAGES.iter().chain(SCRIPTS) {
            let texts: BTreeMap<String, Text> = serde_json::from_slice(bytes).unwrap();
            let count = bytes.windows(5).filter(|part| part == b"\"de\":").count();
            assert_eq!(count, texts.len(), "{name} has a text twice");
            for (english, text) in texts {
                for (language, said) in text.into_languages() {
                    assert_eq!(
                        placeholders(&english),
                        placeholders(&said),
                        "{name}, {language:?}: {english}"
                    );
                    let is_plain = !said.is_empty() && !said.contains(['<', '>', '&', '"']);
                    assert!(is_plain, "{name}, {language:?}: {said}");
                }
                let before = known.insert(english.clone(), name);
                assert_eq!(before, None, "{name} has it too: {english}");
            }
        }
        assert!(known.len() > 50);
    }

    #[test]
    fn the_files_have_all_that_is_said_and_nothing_else() {
        let (rust, scripts) = (said_in("src", "rs"), said_in("web", "js"));
        let sentences = numbered(&rust);
        for english in CATALOGUES[&Language::German].all.keys() {
            let is_said = rust.contains(&format!("\"{english}\""))
                || english.contains("{number}") && sentences.contains(&format!("\"{english}\""))
                || rust.contains(&format!("{english}: {{"))
                || scripts.contains(&format!("'{english}'"));
            assert!(is_said, "nobody says {english:?}");
        }
        // What is said by name is there.
        for call in [".say(\"", ".fill(\""] {
            for said in rust.split(call).skip(1) {
                let english = said.split('"').next().unwrap();
                assert!(
                    super::said(Language::German, english).is_some(),
                    "not in web/texts: {english:?}"
                );
            }
        }
        let texts = of_scripts(Language::German).unwrap();
        let texts: BTreeMap<String, String> = serde_json::from_slice(texts).unwrap();
        for said in scripts.split("say('").skip(1) {
            let english = said.split('\'').next().unwrap();
            assert!(
                texts.contains_key(english),
                "not in web/texts for scripts: {english:?}"
            );
        }
    }
}
