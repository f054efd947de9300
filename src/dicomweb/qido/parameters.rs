//! The query parameters of a search (PS3.18 §8.3.4, §10.6.1.2).

use super::answer::Plan;
use super::order;
use crate::dicom::query::{Field, Keys, Lists, Order, Query, Ranges, Syntax};
use crate::dicom::{AttributeId, Level, Uid};
use crate::http::Problem;

/// A search as it was asked.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) query: Query,
    /// What stands in each answer.
    pub(super) plan: Plan,
    /// Texts for Warning headers. They hold names of ours and of the standard, no values.
    pub(super) warnings: Vec<String>,
}

/// Parameters that are no attributes.
const WORDS: &[&str] = &[
    "limit",
    "offset",
    "includefield",
    "fuzzymatching",
    "emptyvaluematching",
    "multiplevaluematching",
    "orderby",
    "accept",
    "charset",
];

impl Question {
    /// Reads the parameters of a search at `level`, below the study and series that the path names.
    ///
    /// # Errors
    /// 400 for a known parameter with a bad value, or one that stands twice. Unknown parameters
    /// are passed over (PS3.18 §8.3.4).
    pub(super) fn read(
        parameters: &[(String, String)],
        level: Level,
        within: (Option<Uid>, Option<Uid>),
        results_max: u32,
    ) -> Result<Self, Problem> {
        let mut reader = Reader {
            keys: Keys::new(level, named(parameters)),
            seen: Vec::new(),
            warnings: Vec::new(),
            plan: Plan::new(level, &within),
        };
        for (keyword, uid) in [
            ("StudyInstanceUID", within.0),
            ("SeriesInstanceUID", within.1),
        ] {
            if let (Some(id), Some(uid)) = (AttributeId::of_keyword(keyword), uid) {
                reader.seen.push(Field::Attribute(id));
                reader.keys.fix(id, &uid);
            }
        }
        let mut words = Words::default();
        for (name, value) in parameters
            .iter()
            .filter(|(name, _)| WORDS.contains(&name.as_str()))
        {
            words.read(name, value, level, &mut reader)?;
        }
        let syntax = words.syntax();
        for (name, value) in parameters
            .iter()
            .filter(|(name, _)| !WORDS.contains(&name.as_str()))
        {
            reader.key(name, value, syntax)?;
        }
        let query = Query {
            level,
            // A range of dates with one of times is one interval (PS3.18 §8.3.4.1.1).
            keys: reader.keys.finish(Ranges::Combined),
            limit: words.limit.unwrap_or(results_max).min(results_max),
            offset: words.offset.unwrap_or(0),
            order: words.order.unwrap_or(Order::NEWEST),
        };
        Ok(Self {
            query,
            plan: reader.plan,
            warnings: reader.warnings,
        })
    }
}

/// The attributes that the parameters name, with their texts.
fn named(parameters: &[(String, String)]) -> impl Iterator<Item = (Field, &str)> {
    parameters.iter().flat_map(|(name, value)| {
        let is_list = name == "includefield";
        let included = value
            .split(',')
            .filter(move |_| is_list)
            .filter_map(|name| Some((Field::read(name.trim())?, "")));
        let key = (!is_list).then(|| Field::read(name)).flatten();
        included.chain(key.map(|field| (field, value.as_str())))
    })
}

/// The parameters that are no attributes.
#[derive(Default)]
struct Words {
    limit: Option<u32>,
    offset: Option<u64>,
    order: Option<Order>,
    has_empty_values: bool,
    has_fuzzy_names: bool,
    has_multiple_values: bool,
}

impl Words {
    fn syntax(&self) -> Syntax {
        Syntax {
            has_empty_values: self.has_empty_values,
            has_fuzzy_names: self.has_fuzzy_names,
            lists: if self.has_multiple_values {
                Lists::All
            } else {
                Lists::Refused
            },
            ..Syntax::WEB
        }
    }

    fn read(
        &mut self,
        name: &str,
        value: &str,
        level: Level,
        reader: &mut Reader,
    ) -> Result<(), Problem> {
        let once = |is_first: bool| {
            if is_first {
                Ok(())
            } else {
                Err(Problem::bad_request(format!("{name} stands twice")))
            }
        };
        match name {
            "limit" => {
                once(self.limit.is_none())?;
                self.limit = Some(u32::try_from(count(name, value)?).unwrap_or(u32::MAX));
            }
            "offset" => {
                once(self.offset.is_none())?;
                self.offset = Some(count(name, value)?);
            }
            "orderby" if level == Level::Study => {
                once(self.order.is_none())?;
                self.order = Some(order::read(value)?);
            }
            "orderby" => reader.warnings.push(
                "The orderby parameter was ignored: series and instances have one order, by number."
                    .into(),
            ),
            "includefield" => reader.include(value),
            "fuzzymatching" => self.has_fuzzy_names = truth(name, value)?,
            "multiplevaluematching" => self.has_multiple_values = truth(name, value)?,
            "emptyvaluematching" => self.has_empty_values = truth(name, value)?,
            _ => {}
        }
        Ok(())
    }
}

/// A number from 0.
///
/// # Errors
/// 400 when it is none.
pub(in crate::dicomweb) fn count(name: &str, value: &str) -> Result<u64, Problem> {
    let malformed = || Problem::bad_request(format!("{name} is not a number from 0"));
    if !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(malformed());
    }
    value.parse().map_err(|_| malformed())
}

/// `true` or `false`.
///
/// # Errors
/// 400 when it is neither.
pub(in crate::dicomweb) fn truth(name: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Problem::bad_request(format!(
            "{name} is neither true nor false"
        ))),
    }
}

struct Reader {
    keys: Keys,
    /// Every attribute asked for so far.
    seen: Vec<Field>,
    warnings: Vec<String>,
    plan: Plan,
}

impl Reader {
    fn include(&mut self, list: &str) {
        for name in list.split(',').map(str::trim) {
            if name == "all" {
                self.plan.include_all();
            } else if let Some(field) = Field::read(name) {
                self.include_field(field);
            }
        }
    }

    fn include_field(&mut self, field: Field) {
        let creator = match &field {
            Field::Other(path) => self.keys.creator(path.get(..1).unwrap_or_default()),
            _ => None,
        };
        self.plan.include(field, creator);
    }

    fn key(&mut self, name: &str, value: &str, syntax: Syntax) -> Result<(), Problem> {
        let Some(field) = Field::read(name) else {
            return Ok(());
        };
        if self.seen.contains(&field) {
            return Err(Problem::bad_request("an attribute stands twice"));
        }
        self.seen.push(field.clone());
        if let Some(reason) = self.keys.reason_to_ignore(&field) {
            let keyword = field.keyword();
            self.warnings
                .push(format!("The {keyword} parameter was ignored: {reason}."));
            return Ok(());
        }
        if field.is_creator() {
            // It was read before all others.
            return Ok(());
        }
        self.keys
            .add(&field, value, syntax)
            .map_err(|error| Problem::bad_request(format!("{}: {error}", field.keyword())))?;
        self.include_field(field);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::query::{Key, Matching};

    fn read(query: &str, level: Level) -> Result<Question, Problem> {
        Question::read(
            &crate::http::parameters(query).unwrap(),
            level,
            (None, None),
            1000,
        )
    }

    fn keys(query: &str, level: Level) -> Vec<Key> {
        read(query, level).unwrap().query.keys
    }

    fn id(keyword: &str) -> AttributeId {
        AttributeId::of_keyword(keyword).unwrap()
    }

    fn single(keyword: &str, value: &str) -> Key {
        Key::Attribute(id(keyword), Matching::Single(value.into()))
    }

    #[test]
    fn keywords_and_tags_of_either_case_mean_the_same() {
        for name in [
            "RequestAttributesSequence.AccessionNumber",
            "00400275.00080050",
            "RequestAttributesSequence.00080050",
        ] {
            let items = vec![(2, Matching::Single("A1".into()))];
            assert_eq!(
                keys(&format!("{name}=A1"), Level::Series),
                [Key::Sequence(0, items)],
                "{name}"
            );
        }
        for name in ["StudyInstanceUID", "0020000D", "0020000d"] {
            assert_eq!(
                keys(&format!("{name}=1.2"), Level::Study),
                [single("StudyInstanceUID", "1.2")]
            );
        }
    }

    #[test]
    fn keys_of_one_sequence_are_one_item() {
        let query = "00400275.00400009=S1&Modality=CT&00400275.00401001=R1";
        let items = vec![
            (0, Matching::Single("S1".into())),
            (1, Matching::Single("R1".into())),
        ];
        assert_eq!(
            keys(query, Level::Series),
            [Key::Sequence(0, items), single("Modality", "CT")]
        );
    }

    #[test]
    fn what_ohif_asks_is_understood() {
        let query = "PatientName=*doe*&00100020=*7*&limit=101&offset=0&fuzzymatching=true\
                     &includefield=00081030%2C00080060%2C00080090%2C00100030";
        let question = read(query, Level::Study).unwrap();
        let wild =
            |keyword, text: &str| Key::Attribute(id(keyword), Matching::Wildcard(text.into()));
        assert_eq!(
            question.query.keys,
            [wild("PatientName", "*doe*"), wild("PatientID", "*7*")]
        );
        assert_eq!((question.query.limit, question.query.offset), (101, 0));
        assert!(question.warnings.is_empty());
        let several = |query| keys(query, Level::Study);
        let modalities = |matching| [Key::ModalitiesInStudy(matching)];
        let both = || vec!["CT".into(), "MR".into()];
        for query in ["ModalitiesInStudy=CT,MR", "00080061=CT%5CMR"] {
            assert_eq!(several(query), modalities(Matching::List(both())));
        }
        let query = "ModalitiesInStudy=CT,MR&multiplevaluematching=true";
        assert_eq!(several(query), modalities(Matching::All(both())));
        let modalities = Key::ModalitiesInStudy(Matching::Single("MR".into()));
        assert_eq!(keys("ModalitiesInStudy=MR", Level::Study), [modalities]);
        let list = Matching::List(vec!["1.2".into(), "1.3".into()]);
        for query in [
            "StudyInstanceUID=1.2,1.3",
            "StudyInstanceUID=1.2%5C1.3",
            "0020000D=1.2%2C1.3",
        ] {
            assert_eq!(
                keys(query, Level::Study),
                [Key::Attribute(id("StudyInstanceUID"), list.clone())],
                "{query}"
            );
        }
    }

    #[test]
    fn date_and_time_ranges_are_one_interval() {
        let interval = Key::DateTimeRange(
            id("StudyDate"),
            id("StudyTime"),
            Some("20060705100000.000000".into()),
            Some("20060707180059.999999".into()),
        );
        assert_eq!(
            keys(
                "StudyDate=20060705-20060707&StudyTime=1000-1800",
                Level::Study
            ),
            [interval]
        );
        assert_eq!(
            keys("StudyTime=1000-1800&StudyDate=20060705", Level::Study).len(),
            2
        );
    }

    #[test]
    fn limits_are_clamped_and_checked() {
        let limit = |query| {
            read(query, Level::Study)
                .map(|q| (q.query.limit, q.query.offset))
                .ok()
        };
        assert_eq!(limit(""), Some((1000, 0)));
        assert_eq!(limit("limit=0&offset=7"), Some((0, 7)));
        assert_eq!(limit("limit=99999999999"), Some((1000, 0)));
        for bad in [
            "limit=-1",
            "limit=x",
            "limit=",
            "offset=-1",
            "offset=1.5",
            "limit=1&limit=2",
            "offset=99999999999999999999",
        ] {
            assert_eq!(limit(bad), None, "{bad}");
        }
    }

    #[test]
    fn bad_values_of_known_parameters_are_refused() {
        for bad in [
            "StudyDate=20261301",
            "StudyDate=today",
            "StudyTime=2561",
            "StudyInstanceUID=01.2",
            "fuzzymatching=yes",
            "emptyvaluematching=1",
            "PatientSex=M,F",
            "PatientID=1%5C2",
            "OtherPatientIDsSequence=1",
            "PatientDeathDateInAlternativeCalendar=1%5C2",
            "PatientID=1&PatientID=2",
            "PatientID=1&00100020=2",
        ] {
            assert!(read(bad, Level::Study).is_err(), "{bad}");
        }
        let twice = Question::read(
            &crate::http::parameters("StudyInstanceUID=1.2").unwrap(),
            Level::Series,
            (Some(Uid::parse("1.2").unwrap()), None),
            10,
        );
        assert!(twice.is_err(), "the path has said it already");
    }

    #[test]
    fn the_rest_is_passed_over_and_what_was_meant_is_told() {
        let question = read("foo=bar&_x=1", Level::Study).unwrap();
        assert_eq!((question.query.keys.len(), question.warnings.len()), (0, 0));
        let question = read("orderby=-SeriesNumber", Level::Series).unwrap();
        assert_eq!(
            (question.query.order, question.warnings.len()),
            (Order::NEWEST, 1)
        );
        assert!(read("orderby=PatientName&orderby=PatientID", Level::Study).is_err());
        for ignored in [
            "Modality=CT",
            "SliceThickness=1",
            "00091001=x",
            "00090010=Acme",
            "00201206=3",
            "00020010=1.2",
            "PixelData=x",
            "TimezoneOffsetFromUTC=%2B0100",
        ] {
            let question = read(ignored, Level::Study).unwrap();
            assert_eq!(
                (question.query.keys.len(), question.warnings.len()),
                (0, 1),
                "{ignored}"
            );
        }
    }

    #[test]
    fn empty_values_are_asked_for_by_two_quotes() {
        let empty = [Key::Attribute(id("AccessionNumber"), Matching::Empty)];
        assert_eq!(
            keys(
                "AccessionNumber=%22%22&emptyvaluematching=true",
                Level::Study
            ),
            empty
        );
        assert_eq!(
            keys("AccessionNumber=%22%22", Level::Study),
            [single("AccessionNumber", "\"\"")]
        );
        assert_eq!(
            keys("AccessionNumber=", Level::Study),
            [Key::Attribute(id("AccessionNumber"), Matching::Universal)]
        );
    }

    #[test]
    fn the_path_is_a_key_too() {
        let (study, series) = (Uid::parse("1.2").unwrap(), Uid::parse("1.3").unwrap());
        let question =
            Question::read(&[], Level::Instance, (Some(study), Some(series)), 10).unwrap();
        assert_eq!(
            question.query.keys,
            [
                single("StudyInstanceUID", "1.2"),
                single("SeriesInstanceUID", "1.3")
            ]
        );
    }
}
