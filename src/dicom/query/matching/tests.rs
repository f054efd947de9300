//! Keys and values, and which of them match by PS3.4 §C.2.2.2.

use super::*;

#[track_caller]
fn parse(vr: VR, text: &str) -> Result<Matching, MatchError> {
    Matching::parse(
        vr,
        text,
        Syntax {
            has_empty_values: true,
            lists: Lists::Any,
            ..Syntax::WEB
        },
    )
}

#[track_caller]
fn check(vr: VR, key: &str, value: &str, expected: bool) {
    let matching = parse(vr, key).expect("a good key");
    assert_eq!(
        matches(&matching, vr, Some(value)),
        expected,
        "{key:?} {value:?}"
    );
    if let (VR::PN, Some(name)) = (vr, NameKey::new(&matching)) {
        assert_eq!(name.matches(Some(value)), expected, "{key:?} {value:?}");
    }
}

#[test]
fn the_first_values_are_found() {
    let values: Vec<_> = (1..=65).map(|n| format!("V{n}")).collect();
    let value = values.join("\\");
    check(VR::LO, "V64", &value, true);
    check(VR::LO, "V65", &value, false);
    let late = format!("{}V65", "\\".repeat(64));
    check(VR::LO, "V65", &late, false);
    check(VR::LO, "\"\"", &late, true);
    check(VR::LT, "*V65", &value, true);
    assert!(matches_list(
        &Matching::Single("V65".into()),
        VR::LO,
        &value
    ));
}

#[test]
fn keys_are_read_by_their_vr() {
    let range = |a: &str, b: &str| {
        let end = |e: &str| (!e.is_empty()).then(|| Box::<str>::from(e));
        Ok(Matching::Range(end(a), end(b)))
    };
    for (vr, text, expected) in [
        (VR::LO, "", Ok(Matching::Universal)),
        (VR::LO, "*", Ok(Matching::Universal)),
        (VR::UI, "*", Ok(Matching::Universal)),
        (VR::PN, "\"\"", Ok(Matching::Empty)),
        (VR::LO, "a, b", Ok(Matching::Single("a, b".into()))),
        (VR::LO, " a?c ", Ok(Matching::Wildcard("a?c".into()))),
        (VR::LT, " a\\b ", Ok(Matching::Single(" a\\b".into()))),
        (
            VR::UI,
            "1.2,1.3\\1.4",
            Ok(Matching::List(vec![
                "1.2".into(),
                "1.3".into(),
                "1.4".into(),
            ])),
        ),
        (
            VR::CS,
            "CT,MR",
            Ok(Matching::List(vec!["CT".into(), "MR".into()])),
        ),
        (VR::UI, "1.2.*", Err(MatchError::Uid)),
        (VR::CS, "C*\\MR", Err(MatchError::WildcardInList)),
        (VR::IS, "1*", Err(MatchError::Number)),
        (VR::US, "nan", Err(MatchError::Number)),
        (VR::DA, "20240101", Ok(Matching::Single("20240101".into()))),
        (
            VR::DA,
            "2024.01.01",
            Ok(Matching::Single("20240101".into())),
        ),
        (VR::DA, "20240101-20240131", range("20240101", "20240131")),
        (VR::DA, "-20240131", range("", "20240131")),
        (VR::DA, "20240101-", range("20240101", "")),
        (VR::DA, "20240131-20240101", Err(MatchError::Backwards)),
        (VR::DA, "202401", Err(MatchError::Date)),
        (VR::DA, "-", Err(MatchError::Date)),
        (VR::DA, "2024*", Err(MatchError::Date)),
        (VR::TM, "2230", Ok(Matching::Single("2230".into()))),
        (VR::TM, "10-18", range("100000.000000", "185959.999999")),
        (VR::TM, "1800-1000", Err(MatchError::Backwards)),
        (
            VR::DT,
            "2023-2024",
            range("20230101000000.000000", "20241231235959.999999"),
        ),
        (
            VR::DT,
            "20240101-0500",
            Ok(Matching::Single("20240101-0500".into())),
        ),
        (VR::DT, "20240101-0500-", range("20240101050000.000000", "")),
        (VR::DT, "-20240101-0500", range("", "20240102045959.999999")),
        (
            VR::DT,
            "20240101-0500-20240102+0100",
            range("20240101050000.000000", "20240102225959.999999"),
        ),
        (
            VR::DT,
            "20240101-20240102",
            range("20240101000000.000000", "20240102235959.999999"),
        ),
    ] {
        assert_eq!(parse(vr, text), expected, "{vr} {text:?}");
    }
    assert_eq!(
        Matching::parse(VR::CS, "CT,MR", Syntax::DIMSE),
        Ok(Matching::Single("CT,MR".into()))
    );
    assert_eq!(
        Matching::parse(VR::LO, "\"\"", Syntax::WEB),
        Ok(Matching::Single("\"\"".into()))
    );
}

#[test]
fn several_values_are_all_asked_for_or_refused() {
    let all = Syntax {
        lists: Lists::All,
        ..Syntax::WEB
    };
    for (vr, text, refused, multiple) in [
        (VR::CS, "CT,MR", true, Ok(true)),
        (VR::CS, "CT\\MR", true, Ok(true)),
        (VR::LO, "a,b", false, Ok(true)),
        (VR::LO, "a\\b", true, Ok(true)),
        (VR::PN, "Doe, Jane", false, Ok(true)),
        (VR::CS, "CT,M*", true, Err(MatchError::WildcardInList)),
        (VR::IS, "1,2", true, Err(MatchError::List)),
        (VR::UI, "1.2,1.3", false, Ok(false)),
        (VR::LT, "a,b\\c", false, Ok(false)),
        (VR::CS, "CT", false, Ok(false)),
    ] {
        let alone = Matching::parse(vr, text, Syntax::WEB);
        assert_eq!(alone == Err(MatchError::List), refused, "{vr} {text}");
        let found = Matching::parse(vr, text, all).map(|m| matches!(m, Matching::All(_)));
        assert_eq!(found, multiple, "{vr} {text}");
    }
    let both = Matching::parse(VR::CS, "MR,CT", all).expect("good");
    for (value, expected) in [("CT\\MR", true), ("CT\\PT\\MR", true), ("CT", false)] {
        assert_eq!(matches(&both, VR::CS, Some(value)), expected, "{value}");
    }
}

#[test]
fn names_match_by_sound_when_asked() {
    let fuzzy = Syntax {
        has_fuzzy_names: true,
        ..Syntax::WEB
    };
    for (key, name, expected) in [
        ("meier", "Meyer^Anna", true),
        ("anna mayer", "Meyer^Anna", true),
        ("Meier^Otto", "Meyer^Anna", false),
        ("*ohn*", "Doe^John", true),
        ("*ohn*", "Doe^Anna", false),
        ("%_", "%_", true),
        ("", "", true),
    ] {
        let matching = Matching::parse(VR::PN, key, fuzzy).expect("good");
        assert_eq!(matches(&matching, VR::PN, Some(name)), expected, "{key}");
    }
}

#[test]
fn values_match_by_the_rules_of_their_vr() {
    for (vr, key, value, expected) in [
        (VR::LO, "abc", "abc", true),
        (VR::LO, "abc", "ABC", false),
        (VR::LO, "b", "a\\b", true),
        (VR::LO, "a*c", "abbc", true),
        (VR::LO, "*b*", "abc", true),
        (VR::LO, "a?c", "äc", false),
        (VR::LO, "?c", "äc", true),
        (VR::LO, "a*", "", false),
        (VR::LO, "", "", true),
        (VR::LO, "\"\"", "", true),
        (VR::LO, "\"\"", "x", false),
        (VR::LT, "a\\b", "a\\b", true),
        (VR::CS, "CT,MR", "MR", true),
        (VR::CS, "CT,MR", "US", false),
        (VR::UI, "1.2", "1.2", true),
        (VR::UI, "1.2", "1.20", false),
        (VR::IS, "7", "007", true),
        (VR::IS, "+7", "7", true),
        (VR::DS, "1.5", "1.50\\2", true),
        (VR::US, "512", "512", true),
        (VR::DA, "20240101", "2024.01.01", true),
        (VR::DA, "20240101-20240131", "20240115", true),
        (VR::DA, "20240101-20240131", "20240201", false),
        (VR::DA, "20240101-", "", false),
        (VR::DA, "-20240131", "nonsense", false),
        (VR::TM, "2230", "223015.2", true),
        (VR::TM, "223000", "2230", true),
        (VR::TM, "1000-1800", "180059", true),
        (VR::TM, "1000-1800", "180100", false),
        (VR::DT, "20240101", "20240101235959.9", true),
        (VR::DT, "20240101120000+0100", "20240101110000+0000", true),
        (VR::PN, "doe^jane", "Doe^Jane^^^", true),
        (VR::PN, "DOE^JANE^", "Doe^Jane", true),
        (VR::PN, "Muller*", "Müller^Jürgen", true),
        (VR::PN, "Müller^J*", "MULLER^JURGEN", true),
        (
            VR::PN,
            "山田*",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
            true,
        ),
        (
            VR::PN,
            "=山田^太郎",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
            true,
        ),
        (VR::PN, "Yamada*=鈴木*", "Yamada^Tarou=山田^太郎", false),
        (VR::PN, "Doe^*", "Doe", true),
        (VR::PN, "Doe", "Doe^Jane", false),
        (VR::PN, "*jane", "Doe^Jane\\Roe^Richard", true),
        (VR::PN, "roe*", "Doe^Jane\\Roe^Richard", true),
        (VR::PN, "smith*", " \u{3000}Smith^J", true),
        (VR::PN, "smith*", "\u{ff33}mith^J", true),
        (VR::PN, "smith*", "Müller^J", false),
        (VR::PN, "smith*", "Smit", false),
        (VR::PN, "son*", "Søn^A", true),
        (VR::PN, "sun", "SU\u{308}N", true),
        (VR::PN, "*son*", "Jönsson^A", true),
        (VR::PN, "*son*", "Sonne^A", true),
        (VR::PN, "o'neil*", "O\u{2019}Neil^A", true),
        (VR::PN, "o`neil", "O'Neil", true),
        (VR::PN, "doe smith*", "  Doe   Smith ^ Jane", true),
        (VR::PN, "tarou*", "Yamada^A=Tarou^B", true),
        (VR::PN, "^^dr*", "^^Dr", true),
    ] {
        check(vr, key, value, expected);
    }
    assert!(matches(&Matching::Empty, VR::LO, None));
    assert!(matches(&Matching::Universal, VR::LO, None));
    assert!(!matches(&Matching::Single("x".into()), VR::LO, None));
}

#[test]
fn a_date_range_and_a_time_range_are_one_interval() {
    let date = parse(VR::DA, "20060705-20060707").expect("good");
    let time = parse(VR::TM, "1000-1800").expect("good");
    let (first, last) = combined(&date, &time).expect("two ranges");
    for (date, time, expected) in [
        ("20060705", "095959", false),
        ("20060705", "1000", true),
        ("20060706", "0300", true),
        ("20060707", "180059", true),
        ("20060707", "1801", false),
    ] {
        assert_eq!(
            matches_combined(first.as_deref(), last.as_deref(), Some(date), Some(time)),
            expected,
            "{date} {time}"
        );
    }
    assert!(combined(&date, &Matching::Single("10".into())).is_none());
    let open = parse(VR::DA, "20060705-").expect("good");
    assert_eq!(
        combined(&open, &time),
        Some((Some("20060705100000.000000".into()), None))
    );
}

#[test]
fn globbing() {
    for (pattern, text, expected) in [
        ("a*b*c", "aXbYbZc", true),
        ("a*b*c", "aXbYbZ", false),
        ("**", "", true),
        ("?", "", false),
        ("a*", "a", true),
        ("*a", "ba", true),
        ("*ab", "aab", true),
    ] {
        assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
    }
}
