//! Made-up archives and searches: SQLite finds what the plain look at everything finds, in the same
//! order, however far its bounds let it go.

use crate::access::{Scope, View};
use crate::archive::index::{NewInstance, Remaining, Target};
use crate::archive::{Error, Index};
use crate::db::contract::sample::{SR, SYNTAX, item_key, sample, uid};
use crate::db::sqlite::find::Bounds;
use crate::db::{Memory, Sqlite};
use crate::dicom::modules::level_of;
use crate::dicom::query::{
    DataKey, Key, Lists, Matching, Order, OrderBy, Syntax, Wanted, combined,
};
use crate::dicom::{ATTRIBUTES, AttributeId, Level, Query};

/// A sequence of numbers that is the same on every run (xorshift).
struct Dice(u64);

impl Dice {
    fn next(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % sides
    }

    fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.next(list.len())]
    }
}

const NAMES: &[&str] = &[
    // Not found by its last value, the 65th.
    r"\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\Doe^Jane",
    "Doe^Jane",
    "DOE^JANE^^^",
    "Doe^John",
    "Müller^J",
    "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "=山田",
    "Li^Bo",
    "",
    " ",
    "Doe",
    "^^",
    "Smith^A\\Doe^Jane",
    "%_^'\"",
    "ﾔﾏﾀﾞ^ﾀﾛｳ",
    "ab",
    "Meyer^Anna",
    "Mayr^Anne-Marie",
    "Smith^Ann=山田^太郎",
];
const NAME_KEYS: &[&str] = &[
    "doe^jane",
    "Doe*",
    "*oe*",
    "*山田*",
    "山*",
    "*田",
    "*li*",
    "*a*",
    "?oe*",
    "Doe^*",
    "doe^^*",
    "*^j*",
    "ヤマダ*",
    "*ダ*",
    "Yamada*=山田*",
    "\"\"",
    "%*",
    "*_^'*",
    "ab*",
    "zzz*",
    "*^",
    "=山田",
    "ab?",
    "meier",
    "anna meyer",
    "marie maier",
    "Ann, Schmidt",
    "jon doe",
    "山田太郎",
    "やまだ",
    "doe\\smith^a",
    "ヤマダ",
];
const CODES: &[&str] = &[
    r"\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\A1",
    r"B\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\A1",
    "A1",
    "A10",
    "a1",
    "",
    " A1",
    "B\\A1",
    "%",
    "A_1",
    "1",
    "01",
    " ",
    "\\",
    "A 1",
    "头部",
];
const CODE_KEYS: &[&str] = &[
    "A1", "A1*", "*1*", "*A1*", "A_1", "?1", "\"\"", "%", "*%*", "A1\\1", "01", "*头*", "*头部",
    "a?", "*A 1*", "A1,B", "B\\A1",
];
const DATES: &[&str] = &[
    "20240101",
    "20240102",
    "2024.01.03",
    "20231231",
    "",
    "20240230",
    "20240101\\20240105",
    "x",
    " ",
];
const DATE_KEYS: &[&str] = &[
    "20240101",
    "20240101-20240102",
    "20240102-",
    "-20240101",
    "20240103",
    "20240105",
    "\"\"",
    "20240104-20240106",
];
const TIMES: &[&str] = &[
    "10", "1030", "103015.5", "10:30:15", "", "x", "2359", "235960", "1030\\11",
];
const TIME_KEYS: &[&str] = &[
    "10", "1030", "10-11", "-1030", "11-", "103015.5", "\"\"", "235960",
];
const NUMBERS: &[&str] = &["1", "2", "001", "+2", "-1", "", "x", "1\\2", "10", " 2 "];
const NUMBER_KEYS: &[&str] = &["1", "2", "01", "-1", "10", "1\\2", "\"\""];
const MODALITIES: &[&str] = &["CT", "MR", "", "CT\\PT", "SR", " US"];
const MODALITY_KEYS: &[&str] = &[
    "CT", "MR,PT", "?R", "C*", "*T", "\"\"", "US", "*", "CT,MR", "PT\\CT",
];

fn pools(id: AttributeId) -> Option<(&'static [&'static str], &'static [&'static str])> {
    use dicom_core::VR;
    match id.attribute().vr {
        VR::PN => Some((NAMES, NAME_KEYS)),
        VR::DA => Some((DATES, DATE_KEYS)),
        VR::TM => Some((TIMES, TIME_KEYS)),
        VR::IS | VR::US => Some((NUMBERS, NUMBER_KEYS)),
        VR::CS => Some((MODALITIES, MODALITY_KEYS)),
        VR::LO | VR::SH => Some((CODES, CODE_KEYS)),
        _ => None,
    }
}

fn all_ids() -> impl Iterator<Item = AttributeId> {
    (0..ATTRIBUTES.len()).map(|i| AttributeId(u8::try_from(i).unwrap()))
}

fn some_instance(dice: &mut Dice, place: (u32, u32, u32)) -> NewInstance {
    let mut new = sample(place.0, place.1, place.2);
    new.received_at_ms = i64::try_from(dice.next(1000)).unwrap();
    for id in all_ids() {
        if let Some((values, _)) = pools(id)
            && dice.next(3) > 0
        {
            new.header.attributes.set(id, dice.pick(values));
        }
    }
    // Few patients, so that they have several studies.
    if dice.next(4) > 0 {
        new = new
            .with("PatientID", dice.pick(&["P1", "P2"]))
            .with("IssuerOfPatientID", "");
    }
    // A series of reports only, and reports among images.
    if place.1 == 3 || dice.next(4) == 0 {
        new = new.of_class(SR);
    }
    for _ in 0..dice.next(3) {
        let late = r"\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\S1";
        let (step, request) = (dice.pick(&["S1", "S2", "", late]), dice.pick(&["R1", "R2"]));
        let values = [
            ("ScheduledProcedureStepID", step),
            ("RequestedProcedureID", request),
        ];
        new = new.with_item("RequestAttributesSequence", &values[..=dice.next(2)]);
    }
    new.header.metadata = some_metadata(dice).into();
    new
}

/// Attributes outside the index, at every level.
fn some_metadata(dice: &mut Dice) -> String {
    let mut members = Vec::new();
    if dice.next(3) > 0 {
        let items = dice.pick(&["", "1", "1X", "2X,1Y", "1X,2Y"]);
        let item = |text: &str| {
            let (id, issuer) = text.split_at(1);
            format!(
                r#"{{"00100020":{{"vr":"LO","Value":["{id}"]}},"00100021":{{"vr":"LO","Value":["{issuer}"]}}}}"#
            )
        };
        let items: Vec<_> = items
            .split(',')
            .filter(|i| !i.is_empty())
            .map(item)
            .collect();
        members.push(match items.as_slice() {
            [] => r#""00101002":{"vr":"SQ"}"#.to_owned(),
            items => format!(r#""00101002":{{"vr":"SQ","Value":[{}]}}"#, items.join(",")),
        });
    }
    for (tag, vr) in [
        ("00104000", "LT"),
        ("001021B0", "LT"),
        ("00180050", "DS"),
        ("00181000", "LO"),
    ] {
        match dice.pick(&["-", "", "1", "2"]) {
            "-" => {}
            "" => members.push(format!(r#""{tag}":{{"vr":"{vr}"}}"#)),
            value => members.push(format!(r#""{tag}":{{"vr":"{vr}","Value":["{value}"]}}"#)),
        }
    }
    let block = dice.pick(&["10", "11"]);
    let creator = dice.pick(&["Acme", "Other"]);
    members.push(format!(
        r#""002300{block}":{{"vr":"LO","Value":["{creator}"]}}"#
    ));
    members.push(format!(
        r#""0023{block}01":{{"vr":"LO","Value":["{}"]}}"#,
        dice.pick(&["1", "2"])
    ));
    format!("{{{}}}", members.join(","))
}

fn data_key(dice: &mut Dice) -> Key {
    use dicom_core::{Tag, VR};
    let key = |tag, creator: Option<&str>, wanted| DataKey {
        tag,
        creator: creator.map(Into::into),
        wanted,
    };
    let text = |dice: &mut Dice, vr| {
        let text = dice.pick(&["1", "2", "*", "\"\""]);
        Wanted::Value(vr, Matching::parse(vr, text, SYNTAX).unwrap())
    };
    let data = match dice.next(6) {
        0 => {
            let id = key(Tag(0x0010, 0x0020), None, text(dice, VR::LO));
            let issuer = Matching::parse(VR::LO, dice.pick(&["X", "Y", "\"\""]), SYNTAX).unwrap();
            let issuer = key(Tag(0x0010, 0x0021), None, Wanted::Value(VR::LO, issuer));
            let empty = Wanted::Value(VR::SQ, Matching::Empty);
            let wanted = if dice.next(4) == 0 {
                empty
            } else {
                Wanted::Item(vec![id, issuer])
            };
            key(Tag(0x0010, 0x1002), None, wanted)
        }
        1 => {
            let (creator, value) = (dice.pick(&["Acme", "Other"]), dice.pick(&["1", "2", "?"]));
            let wanted = Wanted::Text(value.into(), SYNTAX);
            key(Tag(0x0023, 0x1001), Some(creator), wanted)
        }
        2 => key(Tag(0x0010, 0x4000), None, text(dice, VR::LT)),
        3 => key(Tag(0x0010, 0x21B0), None, text(dice, VR::LT)),
        4 => key(Tag(0x0018, 0x1000), None, text(dice, VR::LO)),
        _ => key(Tag(0x0018, 0x0050), None, text(dice, VR::LO)),
    };
    Key::Data(level_of(data.tag), data)
}

fn some_key(dice: &mut Dice) -> Key {
    let syntax = SYNTAX;
    match dice.next(14) {
        12 | 13 => data_key(dice),
        0 => {
            let text = dice.pick(MODALITY_KEYS);
            Key::ModalitiesInStudy(some_matching(dice, dicom_core::VR::CS, text))
        }
        1 => Key::SopClassesInStudy(vec![uid(SR)]),
        2 => {
            let (step, request) = (
                dice.pick(&["S1", "S2", "*", "S?", "\"\""]),
                dice.pick(&["R1", "*", "\"\""]),
            );
            item_key(
                "RequestAttributesSequence",
                &[
                    ("ScheduledProcedureStepID", step),
                    ("RequestedProcedureID", request),
                ],
            )
        }
        3 => {
            let part = |vr, text| Matching::parse(vr, text, syntax).unwrap();
            let date = part(
                dicom_core::VR::DA,
                dice.pick(&["20240101-20240102", "20240102-", "-20240102"]),
            );
            let time = part(dicom_core::VR::TM, dice.pick(&["10-11", "1030-", "-1030"]));
            let (first, last) = combined(&date, &time).unwrap();
            let (date, time) = dice.pick(&[
                &("StudyDate", "StudyTime"),
                &(
                    "PerformedProcedureStepStartDate",
                    "PerformedProcedureStepStartTime",
                ),
            ]);
            let id = |keyword| AttributeId::of_keyword(keyword).unwrap();
            Key::DateTimeRange(id(date), id(time), first, last)
        }
        4 => {
            let (keyword, text) = dice.pick(&[
                &("StudyInstanceUID", "1.1,1.3"),
                &("SeriesInstanceUID", "1.1.1,1.2.2,1.3.1"),
                &("SOPInstanceUID", "1.1.1.1,1.2.2.1"),
                &("SOPClassUID", SR),
                &("StudyInstanceUID", "1.2"),
            ]);
            super::sample::key(keyword, text)
        }
        5 | 6 => {
            let keyword = dice.pick(&[
                "PatientName",
                "PatientID",
                "StudyDate",
                "AccessionNumber",
                "ReferringPhysicianName",
            ]);
            attribute_key(dice, AttributeId::of_keyword(keyword).unwrap())
        }
        _ => loop {
            let id = AttributeId(u8::try_from(dice.next(ATTRIBUTES.len())).unwrap());
            if pools(id).is_some() {
                break attribute_key(dice, id);
            }
        },
    }
}

fn attribute_key(dice: &mut Dice, id: AttributeId) -> Key {
    let text = dice.pick(pools(id).unwrap().1);
    Key::Attribute(id, some_matching(dice, id.attribute().vr, text))
}

/// The meaning of a key with or without fuzzy and multiple value matching.
fn some_matching(dice: &mut Dice, vr: dicom_core::VR, text: &str) -> Matching {
    let syntax = Syntax {
        has_fuzzy_names: dice.next(2) == 0,
        lists: if dice.next(2) == 0 {
            Lists::All
        } else {
            Lists::Any
        },
        ..SYNTAX
    };
    Matching::parse(vr, text, syntax)
        .or_else(|_| Matching::parse(vr, text, SYNTAX))
        .unwrap()
}

fn some_query(dice: &mut Dice) -> Query {
    let levels = [
        Level::Patient,
        Level::Study,
        Level::Study,
        Level::Series,
        Level::Instance,
    ];
    let keys = (0..dice.next(4)).map(|_| some_key(dice)).collect();
    let limit = if dice.next(2) == 0 {
        100
    } else {
        u32::try_from(dice.next(6)).unwrap()
    };
    let offset = if dice.next(2) == 0 {
        0
    } else {
        dice.next(8) as u64
    };
    Query {
        level: levels[dice.next(levels.len())],
        keys,
        limit,
        offset,
        order: some_order(dice),
    }
}

fn some_order(dice: &mut Dice) -> Order {
    let ways = [
        OrderBy::StudyDate,
        OrderBy::PatientName,
        OrderBy::PatientId,
        OrderBy::Arrival,
    ];
    if dice.next(4) == 0 {
        return Order::NEWEST;
    }
    let after = ["1.1", "1.2", "1.3", "1.4", "1.5", "1.99"].map(uid);
    Order {
        by: ways[dice.next(ways.len())],
        is_descending: dice.next(2) == 0,
        after: (dice.next(3) == 0).then(|| after[dice.next(after.len())].clone()),
    }
}

fn some_scope(dice: &mut Dice) -> Scope {
    if dice.next(5) > 2 {
        return Scope::All;
    }
    let views = [View::Whole, View::WithoutReports];
    let studies = ["1.1", "1.2", "1.3", "1.4", "1.5", "1.99"].map(uid);
    let is_whole = dice.next(3) == 0;
    let mut held = studies.map(|study| (study, views[dice.next(2)])).to_vec();
    held.retain(|_| dice.next(3) > 0);
    if is_whole {
        held.iter_mut().for_each(|(_, view)| *view = View::Whole);
    }
    Scope::Studies(held.into_iter().collect())
}

/// Everything that is found by UIDs.
fn compare_places(memory: &Memory, sqlite: &Sqlite, dice: &mut Dice, held: &[NewInstance]) {
    let scope = &some_scope(dice);
    let indexes: [&dyn Index; 2] = [memory, sqlite];
    let all = indexes.map(|index| {
        let mut told = Vec::new();
        for new in held {
            let header = &new.header;
            let (study, series) = (&header.study_instance_uid, &header.series_instance_uid);
            let instance = &header.sop_instance_uid;
            let uids = (study, series, instance);
            let targets = [
                Target::Study(study.clone()),
                Target::Series(study.clone(), series.clone()),
                Target::Instance(study.clone(), series.clone(), instance.clone()),
            ];
            for target in &targets {
                let is_known = index.version(target, scope).unwrap().is_some();
                let metadata = index.metadata(target, scope, None, 100).unwrap();
                let mut after = None;
                let mut paged = Vec::new();
                while let Some(one) = index.locate(target, scope, after, 1).unwrap().pop() {
                    after = Some(one.cursor);
                    paged.push(one);
                }
                assert_eq!(paged, index.locate(target, scope, None, 100).unwrap());
                assert_eq!((is_known, paged.len()), (!paged.is_empty(), metadata.len()));
                let bulk = index.bulk(target, scope).unwrap();
                let removed = index.removed_at(target, scope).unwrap();
                let bodies: Vec<_> = metadata.into_iter().map(|p| p.metadata).collect();
                told.push(format!("{paged:?} {bodies:?} {bulk:?} {removed:?}"));
            }
            let one = index.locate_one(uids, scope, 1 << 20).unwrap();
            let current = index.current(uids, scope, 1 << 20).unwrap();
            let is_there = scope
                .view(study)
                .is_some_and(|v| v.shows(header.sop_class_uid.as_str()));
            assert_eq!((one.is_some(), current.is_some()), (is_there, is_there));
            told.push(format!("{one:?} {current:?}"));
        }
        told
    });
    assert_eq!(all[0], all[1], "{scope:?}");
}

fn compare(memory: &Memory, sqlite: &Sqlite, query: &Query, scope: &Scope) {
    let expected = memory.find(query, scope).unwrap();
    let found = sqlite.find(query, scope).unwrap();
    assert_eq!(found.rows, expected.rows, "{query:?} {scope:?}");
    if let Some(page) = sqlite.find_at_hand(query, scope).unwrap() {
        assert_eq!(page, expected, "{query:?} {scope:?}");
    }
    match (found.remaining, expected.remaining) {
        (Remaining::AtLeast(some), Remaining::Exactly(all)) => {
            assert!(some <= all, "{query:?} {scope:?}")
        }
        (found, expected) => assert_eq!(found, expected, "{query:?} {scope:?}"),
    }
}

fn check(seed: u64, bounds: Bounds, searches: usize) {
    let mut dice = Dice(seed);
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(&folder.path().join("index.sqlite"), 1)
        .unwrap()
        .bounded(bounds);
    let memory = Memory::new();
    let mut held = Vec::new();
    for round in 0..4 {
        let (mut to_memory, mut to_sqlite) = (memory.begin().unwrap(), sqlite.begin().unwrap());
        for instance in 0..12 {
            let place = (
                1 + dice.next(6) as u32,
                1 + dice.next(3) as u32,
                1 + round * 12 + instance,
            );
            let new = some_instance(&mut dice, place);
            to_memory.insert(&new).unwrap();
            to_sqlite.insert(&new).unwrap();
            held.push(new);
        }
        for _ in 0..round * 3 {
            let gone = held.swap_remove(dice.next(held.len()));
            let gone = gone.header.sop_instance_uid;
            assert_eq!(
                to_memory.remove(&gone).unwrap(),
                to_sqlite.remove(&gone).unwrap()
            );
        }
        to_memory.commit().unwrap();
        to_sqlite.commit().unwrap();
        assert_eq!(memory.totals().unwrap(), sqlite.totals().unwrap());
        for _ in 0..searches {
            let (query, scope) = (some_query(&mut dice), some_scope(&mut dice));
            compare(&memory, &sqlite, &query, &scope);
        }
        for _ in 0..4 {
            compare_places(&memory, &sqlite, &mut dice, &held);
        }
    }
    // Nothing stays behind.
    let (mut to_memory, mut to_sqlite) = (memory.begin().unwrap(), sqlite.begin().unwrap());
    for gone in held {
        let gone = gone.header.sop_instance_uid;
        assert_eq!(
            to_memory.remove(&gone).unwrap(),
            to_sqlite.remove(&gone).unwrap()
        );
    }
    to_memory.commit().unwrap();
    to_sqlite.commit().unwrap();
    assert_eq!(sqlite.totals().unwrap(), Default::default());
    assert!(sqlite.is_bare());
}

#[test]
fn searches_find_what_a_look_at_everything_finds() {
    for seed in 1..=3 {
        check(seed * 0x9e37_79b9, Bounds::DEFAULT, 150);
    }
}

#[test]
fn short_lists_and_early_ends_change_no_answer() {
    let bounds = Bounds {
        listed_max: 2,
        listed_otherwise_max: 3,
        listed_enough: 1,
        count_visits_max: 3,
        remaining_max: 2,
        ..Bounds::DEFAULT
    };
    for seed in 4..=6 {
        check(seed * 0x9e37_79b9, bounds, 150);
    }
    let bounds = Bounds {
        listed_max: 0,
        listed_otherwise_max: 0,
        listed_enough: 0,
        ..Bounds::DEFAULT
    };
    check(7 * 0x9e37_79b9, bounds, 150);
    // Walks are tried before lists, and given up.
    let bounds = Bounds {
        listed_enough: 0,
        near_listed_max: 1,
        near_visits_max: 24,
        count_visits_max: 0,
        ..Bounds::DEFAULT
    };
    for seed in 8..=10 {
        check(seed * 0x9e37_79b9, bounds, 150);
    }
}

#[test]
fn a_search_that_would_look_at_too_much_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let bounds = Bounds {
        visits_max: 5,
        listed_max: 2,
        ..Bounds::DEFAULT
    };
    let sqlite = Sqlite::open(&folder.path().join("index.sqlite"), 1)
        .unwrap()
        .bounded(bounds);
    let instances: Vec<_> = (1..=10)
        .map(|n| sample(n, 1, 1).with("PatientSex", "M"))
        .collect();
    super::sample::insert(&sqlite, &instances);
    let find = |keyword, text, limit| {
        let query = Query {
            limit,
            ..super::sample::query(Level::Study, vec![super::sample::key(keyword, text)])
        };
        sqlite.find(&query, &Scope::All)
    };
    assert!(matches!(
        find("PatientSex", "F", 10),
        Err(Error::TooBroad(_))
    ));
    assert_eq!(find("PatientSex", "M", 5).unwrap().rows.len(), 5);
    assert_eq!(find("PatientID", "P7", 10).unwrap().rows.len(), 1);
}
