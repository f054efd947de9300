//! Where a data set may end, and what its lengths, depths and counts may cost.

use super::*;

/// Some of everything, little endian explicit; with the places where it may end.
fn specimen() -> (Vec<u8>, Vec<usize>) {
    let parts: [&[&[u8]]; 5] = [
        &[REFERENCE],
        &[
            SEQUENCE,
            ITEM_UNDEFINED,
            REFERENCE_IMPLICIT,
            ITEM_END,
            SEQUENCE_END,
        ],
        &[
            b"\x08\x00\x40\x11SQ\x00\x00\x14\x00\x00\x00",
            b"\xFE\xFF\x00\xE0\x0C\x00\x00\x00",
            REFERENCE,
        ],
        &[b"\x42\x00\x11\x00OB\x00\x00\x64\x00\x00\x00", &[1; 100]],
        &[
            b"\xE0\x7F\x10\x00OB\x00\x00\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\x00\x00\x00\x00",
            b"\xFE\xFF\x00\xE0\x14\x00\x00\x00",
            &[2; 20],
            SEQUENCE_END,
        ],
    ];
    let mut bytes = Vec::new();
    let mut ends = vec![0];
    for part in parts {
        bytes.extend(part.concat());
        ends.push(bytes.len());
    }
    (bytes, ends)
}

#[test]
fn a_data_set_may_end_between_its_elements_and_nowhere_else() {
    let (bytes, ends) = specimen();
    for end in 0..=bytes.len() {
        let (_, result) = walk(EXPLICIT, &bytes[..end], &[usize::MAX]);
        let expected = if ends.contains(&end) {
            Ok(())
        } else {
            Err(Fault::Truncated { at: end as u64 })
        };
        assert_eq!(result, expected, "{end} of {} bytes", bytes.len());
    }
}

#[test]
fn nesting_is_bounded() {
    let level = [SEQUENCE, ITEM_UNDEFINED].concat();
    let too_deep = Err(Fault::TooLarge {
        limit: "ingest.depth_max",
        max: 64,
    });
    assert_eq!(walk(EXPLICIT, &level.repeat(10_000), &[4096]).1, too_deep);
    assert_eq!(walk(EXPLICIT, &level.repeat(65), &[4096]).1, too_deep);
    let whole = [
        level.repeat(64),
        [ITEM_END, SEQUENCE_END].concat().repeat(64),
    ]
    .concat();
    assert_eq!(walk(EXPLICIT, &whole, &[4096]).1, Ok(()));
}

#[test]
fn lengths_cost_nothing_before_their_bytes_arrive() {
    let heads: [&[u8]; 3] = [
        b"\x42\x00\x11\x00OB\x00\x00\xF0\xFF\xFF\xFF",
        b"\xE0\x7F\x01\x00OV\x00\x00\x20\x03\x00\x00",
        b"\x08\x00\x40\x11SQ\x00\x00\xF0\xFF\xFF\xFF\xFE\xFF\x00\xE0\xF0\xFF\xFF\xFF",
    ];
    for head in heads {
        let mut walker = Walker::new(EXPLICIT, &LIMITS, Recorder::default());
        walker.feed(head).unwrap();
        walker.feed(b"\x08\x00").unwrap();
        assert!(walker.carry.capacity() <= 64);
        assert!(matches!(walker.finish(), Err(Fault::Truncated { .. })));
    }
}

#[test]
fn fragments_are_counted() {
    let fragment = b"\xFE\xFF\x00\xE0\x00\x00\x00\x00";
    let pixels = |count: usize| {
        [
            &b"\xE0\x7F\x10\x00OB\x00\x00\xFF\xFF\xFF\xFF"[..],
            &fragment.repeat(count + 1),
            SEQUENCE_END,
        ]
        .concat()
    };
    assert_eq!(walk(EXPLICIT, &pixels(100), &[64]).1, Ok(()));
    let too_many = Err(Fault::TooLarge {
        limit: "ingest.fragments_max",
        max: 100,
    });
    assert_eq!(walk(EXPLICIT, &pixels(101), &[64]).1, too_many);
}

#[test]
fn nonsense_is_told() {
    for bytes in [
        &[SEQUENCE, b"\x08\x00\x05\x00CS\x00\x00"].concat()[..],
        b"\xE0\x7F\x10\x00OB\x00\x00\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF",
        b"\xE0\x7F\x10\x00OB\x00\x00\xFF\xFF\xFF\xFFnonsense",
    ] {
        assert!(matches!(
            walk(EXPLICIT, bytes, &[usize::MAX]).1,
            Err(Fault::Unreadable { .. })
        ));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_seen_alike_in_any_pieces(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        sizes in proptest::collection::vec(1_usize..30, 1..8),
        encoding in prop_oneof![Just(EXPLICIT), Just(IMPLICIT), Just(BIG)],
    ) {
        prop_assert_eq!(walk(encoding, &bytes, &sizes), walk(encoding, &bytes, &[usize::MAX]));
    }

    #[test]
    fn a_damaged_data_set_is_seen_alike_in_any_pieces(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        sizes in proptest::collection::vec(1_usize..30, 1..8),
        encoding in prop_oneof![Just(EXPLICIT), Just(IMPLICIT), Just(BIG)],
    ) {
        let mut bytes = specimen().0;
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        prop_assert_eq!(walk(encoding, &bytes, &sizes), walk(encoding, &bytes, &[usize::MAX]));
    }
}
