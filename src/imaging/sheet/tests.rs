//! Sheets that stay small, and their round numbers.

use super::super::ImageMetadata;
use super::*;

#[test]
fn numbers_are_round() {
    for (number, down, up) in [
        (1.0, 1.0, 1.0),
        (3.0, 2.0, 5.0),
        (0.07, 0.05, 0.1),
        (999.0, 500.0, 1000.0),
        (1e-20, 1e-20, 1e-20),
    ] {
        assert!((round_down(number) / down - 1.0).abs() < 1e-6, "{number}");
        assert!((round_up(number) / up - 1.0).abs() < 1e-6, "{number}");
    }
    assert_eq!(
        [0.0, 25.0, 0.1, 2e30, 0.25].map(plain),
        ["0", "25", "0.1", "2e30", "0.25"]
    );
    assert_eq!([0.0, 5.0, 5.1, 10.0].map(fives), [5.0, 5.0, 10.0, 10.0]);
}

#[test]
fn hostile_times_and_values_make_small_sheets() {
    for (frequency, samples, sensitivity, unit) in [
        ("1e-6", 4_u32, "1e300", "V"),
        ("1e9", 2, "1e-300", "V"),
        ("1e-6", 4, "-1e20", "V"),
        ("1", 4, "1e25", "V"),
        ("1", 4, "1e-310", "mm[Hg]"),
        ("1", 4, "-1e-310", "mm[Hg]"),
    ] {
        let json = format!(
            r#"{{"54000100":{{"Value":[{{"54001004":{{"Value":[8]}},"54001006":{{"Value":["SB"]}},"003A0005":{{"Value":[1]}},
            "003A0010":{{"Value":[{samples}]}},"003A001A":{{"Value":["{frequency}"]}},"54001010":{{"InlineBinary":"AYB/AQ=="}},
            "003A0200":{{"Value":[{{"003A0210":{{"Value":["{sensitivity}"]}},"003A0211":{{"Value":[{{"00080100":{{"Value":["{unit}"]}}}}]}}}}]}}}}]}}}}"#
        );
        let metadata = ImageMetadata::parse(json.as_bytes()).unwrap();
        for is_ecg in [true, false] {
            let picture = Waveforms::of(&metadata, is_ecg)
                .unwrap()
                .draw(&View::default());
            let picture = picture.unwrap();
            assert!(
                (2..2200).contains(&picture.width()) && picture.height() < 450,
                "{frequency} {sensitivity}"
            );
        }
    }
}

#[test]
fn a_gain_fits_the_channel() {
    let (gain, text) = own_gain(75.0, "mm[Hg]");
    assert_eq!((gain, &*text), (0.2, "50 mm[Hg]/cm"));
    assert!(own_gain(1e30, "").0 > 0.0 && own_gain(1e-30, "").0.is_finite());
}
