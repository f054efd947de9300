//! Figures of made-up verdicts, worked out by hand.

use super::*;

fn verdict(modality: &str, reader: &str, agreement: Agreement) -> Verdict {
    Verdict {
        modality: modality.into(),
        body_part: "SPINE".into(),
        subspecialty: "neuro".into(),
        reader: reader.into(),
        sender: String::new(),
        agreement: Some(agreement),
        significance: Some(Significance::None),
        management: Some(Management::None),
        asked_ms: 1_000,
        answered_ms: 1_000,
    }
}

struct Rows(Vec<Verdict>);

impl VerdictSource for Rows {
    fn each_verdict(&self, each: &mut dyn FnMut(Verdict)) -> Result<(), LedgerError> {
        self.0.iter().cloned().for_each(each);
        Ok(())
    }
}

fn table(statistics: &Statistics, by: By) -> Vec<(&str, u64)> {
    let table = statistics.tables.iter().find(|table| table.by == by);
    let groups = table.unwrap().groups.iter();
    groups
        .map(|(name, figures)| (&**name, figures.verdicts))
        .collect()
}

#[test]
fn figures_are_counted_as_they_say() {
    let mut rows = Vec::new();
    for _ in 0..4 {
        rows.push(verdict("MR", "anna", Agreement::Agree));
    }
    // Agreed, and yet more is to be seen: management changes, nothing is discordant.
    rows[0].management = Some(Management::MoreImaging);
    for n in 0..3 {
        rows.push(Verdict {
            significance: Some(Significance::Likely),
            management: Some(Management::MoreConservative),
            answered_ms: 1_000 + 100 * n,
            ..verdict("MR", "anna", Agreement::Major)
        });
    }
    rows.push(Verdict {
        significance: Some(Significance::Unlikely),
        management: Some(Management::MoreInvasive),
        // A clock went wrong: this tells nothing of how long it took.
        answered_ms: 0,
        ..verdict("MR", "anna", Agreement::Minor)
    });
    // Who could not judge has no say in what differs, whatever else they wrote.
    rows.push(Verdict {
        significance: Some(Significance::Likely),
        management: Some(Management::MoreConservative),
        ..verdict("MR", "anna", Agreement::CannotJudge)
    });
    // Nothing to compare with: this counts for what changes, and for how long it took.
    rows.push(Verdict {
        agreement: None,
        significance: None,
        management: Some(Management::MoreInvasive),
        ..verdict("MR", "anna", Agreement::Agree)
    });
    rows.push(Verdict {
        agreement: None,
        significance: None,
        management: None,
        answered_ms: 1_300,
        ..verdict("MR", "anna", Agreement::Agree)
    });
    let statistics = of_source(&Rows(rows), 5).unwrap();
    let total = statistics.total.as_ref().unwrap();
    assert_eq!(total.verdicts, 11);
    let counts: Vec<u64> = total.agreement.iter().map(|(_, count)| *count).collect();
    assert_eq!(counts, [4, 1, 3, 1]);
    assert_eq!(total.cannot_judge, Rate::new(1, 9));
    assert_eq!(total.discordant, Rate::new(4, 8));
    assert_eq!(total.major, Rate::new(3, 8));
    assert_eq!(total.significant, Rate::new(3, 8));
    assert_eq!(total.management_changed, Rate::new(6, 9));
    assert_eq!(total.more_conservative, Rate::new(3, 4));
    let turnaround = total.turnaround.unwrap();
    assert_eq!((turnaround.verdicts, turnaround.median_ms), (10, 0.0));
    // Of 0 seven times, 100, 200 and 300 the place 0.9 * 9 = 8.1.
    assert!((turnaround.percentile_90_ms - 210.0).abs() < 1e-9);
    assert_eq!(statistics.tables[0].groups[0].1, *total);
}

#[test]
fn small_groups_are_neither_told_nor_named() {
    let of = |count, modality: &str, reader: &str| {
        vec![verdict(modality, reader, Agreement::Agree); count]
    };
    let rows = [
        of(20, "CT", "anna"),
        of(10, "MR ", "ben"),
        of(3, "US", "cleo"),
    ]
    .concat();
    let statistics = of_source(&Rows(rows.clone()), 5).unwrap();
    assert_eq!(table(&statistics, By::Modality), [("CT", 20)]);
    assert_eq!(table(&statistics, By::Reader), [("anna", 20)]);
    assert_eq!(table(&statistics, By::Sender), [("", 33)]);
    assert_eq!(statistics.tables[0].suppressed, 2);
    assert!(!format!("{statistics:?}").contains("cleo"));
    let open = of_source(&Rows(rows.clone()), 0).unwrap();
    assert_eq!(
        table(&open, By::Modality),
        [("CT", 20), ("MR", 10), ("US", 3)]
    );
    let closed = of_source(&Rows(rows), 34).unwrap();
    assert_eq!(closed.total, None);
    assert!(closed.tables.iter().all(|table| table.groups.is_empty()));
    let nothing = of_source(&Rows(Vec::new()), 5).unwrap();
    assert_eq!((nothing.total, nothing.tables[0].suppressed), (None, 0));
}

#[test]
fn months_are_those_of_the_answer_and_as_small_as_any_group() {
    let month = |answered_ms, count| {
        let verdict = Verdict {
            asked_ms: 0,
            answered_ms,
            ..verdict("CT", "anna", Agreement::Agree)
        };
        vec![verdict; count]
    };
    // `date -u -d 2026-03-01 +%s`
    const MARCH: i64 = 1_772_323_200_000;
    let rows = [
        month(MARCH - 1, 5),
        month(MARCH, 6),
        month(MARCH + 31 * 86_400_000, 2),
        month(i64::MAX, 4),
    ]
    .concat();
    let statistics = of_source(&Rows(rows), 5).unwrap();
    assert_eq!(
        table(&statistics, By::Month),
        [("2026-02", 5), ("2026-03", 6)]
    );
    let months = statistics.tables.iter().find(|table| table.by == By::Month);
    assert_eq!(months.unwrap().suppressed, 2);
    // One of these tells how long it took, and that would be told of one.
    let mut rows = vec![verdict("CT", "anna", Agreement::Agree); 5];
    rows.iter_mut().skip(1).for_each(|row| row.answered_ms = 0);
    let statistics = of_source(&Rows(rows), 5).unwrap();
    assert_eq!(statistics.total.unwrap().turnaround, None);
}

#[test]
fn moments_at_the_ends_of_time_break_nothing() {
    let mut rows = vec![verdict("CT", "anna", Agreement::Agree); 3];
    (rows[0].asked_ms, rows[0].answered_ms) = (i64::MIN, i64::MAX);
    (rows[1].asked_ms, rows[1].answered_ms) = (0, i64::MAX);
    let statistics = of_source(&Rows(rows), 1).unwrap();
    let turnaround = statistics.total.unwrap().turnaround.unwrap();
    assert_eq!(turnaround.verdicts, 2);
    assert!(turnaround.median_ms.is_finite() && turnaround.percentile_90_ms.is_finite());
}
