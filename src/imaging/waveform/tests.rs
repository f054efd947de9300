//! Waveforms read from metadata and bytes.

use super::*;

fn read(more: &str) -> Result<Waveforms, Error> {
    let json = format!(
        r#"{{"54000100":{{"vr":"SQ","Value":[{{"54001004":{{"Value":[16]}},"54001006":{{"Value":["SS"]}},"003A0005":{{"Value":[2]}},
        "003A0010":{{"Value":[3]}},"003A001A":{{"Value":["500"]}},"5400100A":{{"vr":"OW","InlineBinary":"AIA="}},
        "54001010":{{"vr":"OW","InlineBinary":"AQAKAP7/FAADAACA"}},"003A0200":{{"Value":[{{"003A0210":{{"Value":["2.5"]}},
        "003A0212":{{"Value":[2]}},"003A0213":{{"Value":[100]}},"003A0208":{{"Value":[{{"00080104":{{"Value":["Lead I (Einthoven)"]}}}}]}},
        "003A0211":{{"Value":[{{"00080100":{{"Value":["uV"]}}}}]}}}}]}}{more}}}]}}}}"#
    );
    Waveforms::of(&ImageMetadata::parse(json.as_bytes())?, true)
}

#[test]
fn samples_are_calibrated_and_padding_is_a_gap() {
    let read = read("").unwrap();
    let [one, other] = &read.groups[0].channels[..] else {
        panic!()
    };
    assert_eq!((&*one.name, &*one.unit, &*other.name), ("I", "uV", "CH 2"));
    let values = |channel: &Channel| channel.bins.iter().map(|bin| bin.low.0).collect::<Vec<_>>();
    assert_eq!(values(one), [105.0, 90.0, 115.0]);
    assert_eq!(values(other)[..2], [10.0, 20.0]);
    assert!(other.bins[2].is_empty());
    assert!(read.wanted().is_empty());
}

#[test]
fn what_makes_no_sense_is_refused() {
    for more in [
        r#","54001004":{"Value":[8]}"#,
        r#","54001006":{"Value":["XX"]}"#,
        r#","003A0005":{"Value":[0]}"#,
        r#","003A0005":{"Value":[70000]}"#,
        r#","003A0010":{"Value":[4]}"#,
        r#","003A001A":{"Value":[0]}"#,
        r#","003A001A":{"Value":["nan"]}"#,
        r#","54001010":{"vr":"OW"}"#,
        r#","003A0200":{"Value":[{"003A0210":{"Value":[0]}}]}"#,
    ] {
        assert!(read(more).is_err(), "{more}");
    }
    let metadata = ImageMetadata::parse(b"{}").unwrap();
    assert_eq!(
        Waveforms::of(&metadata, false).unwrap_err(),
        Error::NoPixels
    );
}

#[test]
fn long_channels_keep_their_peaks() {
    let more = r#","003A0005":{"Value":[1]},"003A0010":{"Value":[4000000000]},"003A001A":{"Value":[2500]},
        "54001010":{"vr":"OW","BulkDataURI":"/studies/1/bulkdata/54000100/0/54001010"}"#;
    let mut read = read(more).unwrap();
    let wanted = read.wanted();
    // Twenty seconds.
    assert_eq!((wanted[0].bytes, wanted[0].set_bytes), (100_000, 2));
    assert_eq!(&*wanted[0].path, "54000100/0/54001010");
    let mut samples = vec![0_i16; 60_000];
    samples[12_345] = -30_000;
    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    read.feed(0, &bytes);
    let bins = &read.groups[0].channels[0].bins;
    assert_eq!(bins.len(), 50_000_usize.div_ceil(7));
    assert_eq!(bins[12_345 / 7].low, (-149_900.0, 12_345));
}

#[test]
fn every_interpretation_is_read() {
    // The last four as Python's audioop has them (ulaw2lin, alaw2lin).
    for (cell, kind, expected) in [
        (&[0x80_u8][..], Kind::Signed, -128.0),
        (&[0x80], Kind::Unsigned, 128.0),
        (&[0xFE, 0xFF], Kind::Signed, -2.0),
        (&[0xFE, 0xFF, 0xFF, 0xFF], Kind::Signed, -2.0),
        (&[0xFE, 0xFF, 0xFF, 0xFF], Kind::Unsigned, 4_294_967_294.0),
        (&[0xFF; 8], Kind::Signed, -1.0),
        (&[0x00], Kind::MuLaw, -32_124.0),
        (&[0xC3], Kind::MuLaw, 1692.0),
        (&[0x00], Kind::ALaw, -5504.0),
        (&[0xC3], Kind::ALaw, 360.0),
    ] {
        assert!(
            (value(cell, kind) - expected).abs() < 1e-9,
            "{cell:?} {kind:?}"
        );
    }
}
