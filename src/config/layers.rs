//! Merging the layers of the configuration. Each layer above the defaults is compared with them:
//! the same keys, the same types. Kept apart from the checks of values, which know no layers.

use std::path::PathBuf;

use toml::{Table, Value};

use super::{DEFAULT_TOML, Error};

/// Environment variables that begin so and name a section are ours; one we do not know is an error.
const ENVIRONMENT_PREFIX: &str = "OVERREAD_";

/// A key set on the command line.
#[derive(Debug, Clone)]
pub struct Flag {
    /// The flag as it is typed, for errors: `--http`.
    pub name: &'static str,
    /// The key it sets: `http.listen`.
    pub key: &'static str,
    /// Its value, in the notation of the environment.
    pub value: String,
}

impl Flag {
    /// A flag that sets a key.
    #[must_use]
    pub fn new(name: &'static str, key: &'static str, value: impl Into<String>) -> Self {
        Self {
            name,
            key,
            value: value.into(),
        }
    }
}

/// Where settings come from, besides the defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Defaults of a command's own, under everything that a person says.
    pub presets: Vec<Flag>,
    /// `--config FILE`.
    pub file: Option<PathBuf>,
    /// The environment, or the part of it that a test wants.
    pub environment: Vec<(String, String)>,
    /// Flags, in the order of their weight.
    pub flags: Vec<Flag>,
}

impl Sources {
    /// The environment of this process. A variable of ours that is not Unicode is kept, so that
    /// it is refused rather than passed over.
    #[must_use]
    pub fn from_environment() -> Self {
        let environment = std::env::vars_os()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .collect();
        Self {
            environment,
            ..Self::default()
        }
    }
}

/// Puts the layers on top of each other.
pub(super) fn merge(sources: &Sources) -> Result<Table, Error> {
    let defaults = defaults();
    let mut merged = defaults.clone();
    merge_flags(&mut merged, &defaults, &sources.presets)?;
    if let Some(path) = &sources.file {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable {
            path: path.clone(),
            source,
        })?;
        let layer: Table = text
            .parse()
            .map_err(|error: toml::de::Error| Error::Syntax {
                path: path.clone(),
                message: error.to_string(),
            })?;
        merge_file(&mut merged, &defaults, layer, &path.display().to_string())?;
    }
    for (name, value) in &sources.environment {
        if name.starts_with(ENVIRONMENT_PREFIX) {
            merge_variable(&mut merged, &defaults, name, value)?;
        }
    }
    merge_flags(&mut merged, &defaults, &sources.flags)?;
    Ok(merged)
}

/// The defaults. They are part of the program, and a test loads them.
pub(super) fn defaults() -> Table {
    DEFAULT_TOML
        .parse()
        .expect("config/default.toml is valid TOML")
}

fn merge_flags(merged: &mut Table, defaults: &Table, flags: &[Flag]) -> Result<(), Error> {
    for flag in flags {
        let (section, key) = flag.key.split_once('.').expect("flags name section.key");
        let default = &defaults[section][key];
        put(
            merged,
            section,
            key,
            from_text(default, flag.key, flag.name, &flag.value)?,
        );
    }
    Ok(())
}

fn merge_file(
    merged: &mut Table,
    defaults: &Table,
    layer: Table,
    origin: &str,
) -> Result<(), Error> {
    for (section, values) in layer {
        let Some(known) = defaults.get(&section).and_then(Value::as_table) else {
            return Err(unknown(section, origin, defaults.keys().cloned()));
        };
        let Value::Table(values) = values else {
            return Err(Error::WrongType {
                key: section,
                origin: origin.into(),
                expected: "a section",
            });
        };
        for (key, value) in values {
            let path = format!("{section}.{key}");
            let Some(default) = known.get(&key) else {
                return Err(unknown(path, origin, dotted(defaults)));
            };
            if !is_like(default, &value) {
                return Err(Error::WrongType {
                    key: path,
                    origin: origin.into(),
                    expected: type_name(default),
                });
            }
            put(merged, &section, &key, value);
        }
    }
    Ok(())
}

fn merge_variable(
    merged: &mut Table,
    defaults: &Table,
    name: &str,
    value: &str,
) -> Result<(), Error> {
    for path in dotted(defaults) {
        if variable(&path) == name {
            let (section, key) = path.split_once('.').expect("dotted paths have a dot");
            let value = from_text(&defaults[section][key], &path, name, value)?;
            put(merged, section, key, value);
            return Ok(());
        }
    }
    // A slip of the pen is an error; a variable of somebody else's, such as a test's, is theirs.
    let is_ours = |known: String| known.replacen("__", "_", 1) == name;
    if name.contains("__") || dotted(defaults).any(|path| is_ours(variable(&path))) {
        let known = dotted(defaults).map(|path| format!("{} ({path})", variable(&path)));
        return Err(unknown(name.to_owned(), "the environment", known));
    }
    Ok(())
}

fn put(merged: &mut Table, section: &str, key: &str, value: Value) {
    if let Some(table) = merged.get_mut(section).and_then(Value::as_table_mut) {
        table.insert(key.to_owned(), value);
    }
}

/// Every `section.key` of a table.
pub(super) fn dotted(table: &Table) -> impl Iterator<Item = String> {
    table
        .iter()
        .filter_map(|(section, values)| Some((section, values.as_table()?)))
        .flat_map(|(section, values)| values.keys().map(move |key| format!("{section}.{key}")))
}

/// The environment variable of a `section.key`.
pub(super) fn variable(path: &str) -> String {
    format!(
        "{ENVIRONMENT_PREFIX}{}",
        path.replacen('.', "__", 1).to_uppercase()
    )
}

/// Reads a value without TOML quotes: what stands in an environment variable or after a flag.
/// Lists are separated by commas.
fn from_text(default: &Value, key: &str, origin: &str, text: &str) -> Result<Value, Error> {
    let value = match default {
        Value::Integer(_) => text.trim().parse().ok().map(Value::Integer),
        Value::Boolean(_) => text.trim().parse().ok().map(Value::Boolean),
        Value::Array(_) => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Some(Value::Array(
                items.map(|item| Value::String(item.to_owned())).collect(),
            ))
        }
        _ => Some(Value::String(text.to_owned())),
    };
    value.ok_or_else(|| Error::WrongType {
        key: key.to_owned(),
        origin: origin.to_owned(),
        expected: type_name(default),
    })
}

fn is_like(default: &Value, value: &Value) -> bool {
    match (default, value) {
        (Value::Array(_), Value::Array(items)) => items.iter().all(Value::is_str),
        _ => default.same_type(value),
    }
}

fn type_name(default: &Value) -> &'static str {
    match default {
        Value::Integer(_) => "a whole number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list of texts",
        _ => "a text",
    }
}

fn unknown(key: String, origin: &str, known: impl Iterator<Item = String>) -> Error {
    let nearest = known
        .min_by_key(|candidate| edit_distance(&key, candidate))
        .unwrap_or_default();
    Error::UnknownKey {
        key,
        origin: origin.to_owned(),
        nearest,
    }
}

/// Levenshtein distance: how many letters to add, drop or change.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
