//! What every [`BlobStore`] must do, as tests that run against each of them.

use std::collections::HashSet;
use std::thread;

use crate::archive::blob::{NOTE_BYTES_MAX, STAGED_HEAD_MAX};
use crate::archive::{BlobStore, Error, Locator};

type Case = (&'static str, fn(&dyn BlobStore));
type Make<'a> = &'a dyn Fn() -> Box<dyn BlobStore>;

/// Runs the whole suite; `make` gives a fresh, empty store each time.
pub(super) fn check_all(make: Make<'_>) {
    let cases: &[Case] = &[
        ("what is put is read back", what_is_put_is_read_back),
        (
            "ranges are read, and nothing outside",
            ranges_are_read_and_nothing_outside,
        ),
        (
            "staged blobs join head and body",
            staged_blobs_join_head_and_body,
        ),
        (
            "a dropped stage leaves nothing",
            a_dropped_stage_leaves_nothing,
        ),
        (
            "deleted blobs are gone, others stay",
            deleted_blobs_are_gone_others_stay,
        ),
        ("what never was is not found", what_never_was_is_not_found),
        (
            "numbers are not given out again",
            numbers_are_not_given_out_again,
        ),
        (
            "concurrent senders do not mix",
            concurrent_senders_do_not_mix,
        ),
        (
            "orphans are told with their notes",
            orphans_are_told_with_their_notes,
        ),
        ("recover keeps what rows name", recover_keeps_what_rows_name),
        (
            "recover passes a failure of the index on",
            recover_passes_a_failure_on,
        ),
    ];
    for (name, case) in cases {
        let store = make();
        println!("{store}: {name}");
        case(&*store);
    }
}

/// Bytes that tell their place, different for each seed.
pub(super) fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(super) fn read(store: &dyn BlobStore, locator: &Locator) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; usize::try_from(locator.length).unwrap()];
    let whole = store.read_at(locator, 0, &mut bytes).map(|()| bytes);
    // What is at hand is the beginning of the same, and nothing of what is gone.
    let mut at_hand = vec![0xAA; usize::try_from(locator.length).unwrap()];
    let count = store.read_at_hand(locator, 0, &mut at_hand);
    match &whole {
        Ok(bytes) => assert!(at_hand[..count] == bytes[..count]),
        Err(Error::NotFound) => assert_eq!(count, 0),
        // Cut off: what is left of it.
        Err(_) => assert!(count < at_hand.len()),
    }
    whole
}

pub(super) fn staged(store: &dyn BlobStore, head: &[u8], body: &[u8]) -> Locator {
    let mut scratch = store.stage().unwrap();
    for piece in body.chunks(10_007) {
        scratch.write(piece).unwrap();
    }
    scratch.finish(head, b"note").unwrap()
}

fn what_is_put_is_read_back(store: &dyn BlobStore) {
    let sizes = [
        (0, 0),
        (1, 0),
        (0, 1),
        (132, 5_000),
        (700, 524_288),
        (1, 4_095),
        (128, 2_097_152),
    ];
    let held: Vec<(Locator, Vec<u8>)> = sizes
        .iter()
        .enumerate()
        .map(|(seed, (head, body))| {
            let blob = pattern(seed as u64, head + body);
            (
                store.put(&blob[..*head], &blob[*head..], b"").unwrap(),
                blob,
            )
        })
        .collect();
    let locators: Vec<Locator> = held.iter().map(|(locator, _)| *locator).collect();
    store.sync(&locators).unwrap();
    store.sync(&[]).unwrap();
    for (locator, blob) in &held {
        assert_eq!(locator.length, blob.len() as u64);
        assert!(read(store, locator).unwrap() == *blob);
    }
    let distinct: HashSet<(u64, u64)> = locators.iter().map(|l| (l.file, l.offset)).collect();
    assert_eq!(distinct.len(), locators.len());
    assert!(
        store
            .files()
            .unwrap()
            .iter()
            .map(|(_, bytes)| bytes)
            .sum::<u64>()
            >= 2_097_152
    );
    assert_ne!(store.free_bytes().unwrap(), Some(0));
}

fn ranges_are_read_and_nothing_outside(store: &dyn BlobStore) {
    let blob = pattern(1, 10_000);
    store.put(&[], &pattern(2, 777), b"").unwrap();
    let put = store.put(&blob[..100], &blob[100..], b"").unwrap();
    store.put(&[], &pattern(3, 777), b"").unwrap();
    let large = staged(store, &blob[..100], &blob[100..]);
    for locator in [put, large] {
        for (start, end) in [
            (0, 0),
            (0, 1),
            (99, 101),
            (5_000, 9_000),
            (9_999, 10_000),
            (10_000, 10_000),
        ] {
            let mut buffer = vec![0; end - start];
            store.read_at(&locator, start as u64, &mut buffer).unwrap();
            assert!(buffer == blob[start..end]);
        }
        for (start, length) in [
            (0, 10_001),
            (9_999, 2),
            (10_001, 0),
            (u64::MAX, 2),
            (20_000, 1),
        ] {
            let outcome = store.read_at(&locator, start, &mut vec![0; length]);
            assert!(matches!(outcome, Err(Error::Broken(_))), "{start} {length}");
        }
    }
}

fn staged_blobs_join_head_and_body(store: &dyn BlobStore) {
    for (head, body) in [
        (0, 0),
        (0, 1),
        (1, 0),
        (STAGED_HEAD_MAX, 100_000),
        (133, 3_000_000),
    ] {
        let blob = pattern(head as u64 + 9, head + body);
        let locator = staged(store, &blob[..head], &blob[head..]);
        store.sync(&[locator]).unwrap();
        assert!(read(store, &locator).unwrap() == blob);
    }
    let too_long = vec![0; STAGED_HEAD_MAX + 1];
    let outcome = store.stage().unwrap().finish(&too_long, b"");
    assert!(matches!(outcome, Err(Error::Broken(_))));
}

fn a_dropped_stage_leaves_nothing(store: &dyn BlobStore) {
    let mut scratch = store.stage().unwrap();
    let written = pattern(4, 100_000);
    scratch.write(&written[..33]).unwrap();
    scratch.write(&written[33..]).unwrap();
    let mut part = vec![0; 5_000];
    scratch.read_at(17, &mut part).unwrap();
    assert!(part == written[17..5_017], "what is written can be read");
    for outside in [95_001, u64::MAX] {
        assert!(scratch.read_at(outside, &mut part).is_err());
    }
    drop(scratch);
    assert_eq!(store.files().unwrap(), []);
    let swept = store.recover(&mut |_| Ok(Vec::new())).unwrap();
    assert_eq!((swept.orphan_bytes, swept.staged_files), (0, 0));
}

fn deleted_blobs_are_gone_others_stay(store: &dyn BlobStore) {
    let blobs: Vec<Vec<u8>> = (0..20)
        .map(|seed| pattern(seed, 1_000 + 900 * seed as usize))
        .collect();
    let mut locators: Vec<Locator> = blobs
        .iter()
        .map(|blob| store.put(&blob[..10], &blob[10..], b"").unwrap())
        .collect();
    locators[19] = staged(store, &blobs[19][..10], &blobs[19][10..]);
    locators[18] = staged(store, &blobs[18][..10], &blobs[18][10..]);
    store.sync(&locators).unwrap();
    let is_deleted = |i: usize| (5..8).contains(&i) || i.is_multiple_of(6);
    let condemned: Vec<Locator> = (0..20)
        .rev()
        .filter(|i| is_deleted(*i))
        .map(|i| locators[i])
        .collect();
    store.condemn(&condemned).unwrap();
    for locator in &condemned {
        assert!(read(store, locator).is_ok(), "condemned is not yet deleted");
    }
    store.delete(&condemned).unwrap();
    store.delete(&condemned).unwrap();
    for (i, locator) in locators.iter().enumerate() {
        match read(store, locator) {
            Ok(bytes) => assert!(!is_deleted(i) && bytes == blobs[i], "{i}"),
            Err(Error::NotFound) => assert!(is_deleted(i), "{i}"),
            Err(other) => panic!("{i}: {other}"),
        }
    }
    assert!(matches!(
        store.sync(&locators[18..19]),
        Err(Error::NotFound)
    ));
}

fn what_never_was_is_not_found(store: &dyn BlobStore) {
    for file in [0, 1, 2, 3, 77, u64::MAX - 1, u64::MAX] {
        let nowhere = Locator {
            file,
            offset: 5_000,
            length: 10,
        };
        assert!(
            matches!(read(store, &nowhere), Err(Error::NotFound)),
            "{file}"
        );
        store.delete(&[nowhere]).unwrap();
        store.condemn(&[nowhere]).unwrap();
    }
}

fn numbers_are_not_given_out_again(store: &dyn BlobStore) {
    let mut seen = HashSet::new();
    for round in 0..200 {
        let locator = if round % 2 == 0 {
            staged(store, b"h", b"b")
        } else {
            store.put(b"h", b"b", b"note").unwrap()
        };
        assert!(seen.insert((locator.file, locator.offset)));
        store.delete(&[locator]).unwrap();
    }
}

fn concurrent_senders_do_not_mix(store: &dyn BlobStore) {
    thread::scope(|scope| {
        for sender in 0..4_u64 {
            scope.spawn(move || {
                let mut held = Vec::new();
                for i in 0..40_u64 {
                    let blob = pattern(sender * 1_000 + i, 100 + 731 * i as usize);
                    let locator = if i % 10 == 0 {
                        staged(store, &blob[..50], &blob[50..])
                    } else {
                        store.put(&blob[..50], &blob[50..], b"").unwrap()
                    };
                    held.push((locator, blob));
                    if i % 5 == 4 {
                        store
                            .sync(&held.iter().map(|(locator, _)| *locator).collect::<Vec<_>>())
                            .unwrap();
                    }
                    if i % 7 == 6 {
                        let (locator, _) = held.remove(held.len() / 2);
                        store.delete(&[locator]).unwrap();
                        assert!(matches!(read(store, &locator), Err(Error::NotFound)));
                    }
                }
                for (locator, blob) in &held {
                    assert!(read(store, locator).unwrap() == *blob);
                }
            });
        }
    });
}

fn orphans_are_told_with_their_notes(store: &dyn BlobStore) {
    let too_long = [0; NOTE_BYTES_MAX + 1];
    assert!(store.put(b"", b"x", &too_long).is_err());
    assert!(store.stage().unwrap().finish(b"", &too_long).is_err());
    let longest = pattern(9, NOTE_BYTES_MAX);
    let notes: [&[u8]; 7] = [b"", b"a", &longest, b"condemned", b"b", b"deleted", b"c"];
    let mut put: Vec<Locator> = (0..)
        .zip(notes)
        .map(|(seed, note)| store.put(b"head", &pattern(seed, 5_000), note).unwrap())
        .collect();
    let mut large = store.stage().unwrap();
    large.write(&pattern(7, 50_000)).unwrap();
    put.push(large.finish(b"head", b"large").unwrap());
    store.condemn(&[put[3]]).unwrap();
    store.delete(&[put[5]]).unwrap();
    let mut named = [put[0], put[4]];
    named.sort_unstable();
    let mut live = |file| {
        let of_file = named.iter().copied().filter(|named| named.file == file);
        Ok(of_file.collect())
    };
    let mut found = Vec::new();
    let mut keep = |locator, note: &[u8]| {
        found.push((locator, note.to_vec()));
        Ok(())
    };
    store.orphans(&mut live, &mut keep).unwrap();
    let told = |at: usize, note: &[u8]| (put[at], note.to_vec());
    let expected = [
        told(1, b"a"),
        told(2, &longest),
        told(6, b"c"),
        told(7, b"large"),
    ];
    assert_eq!(found, expected);
    let stop = store.orphans(&mut live, &mut |_, _| Err(Error::Busy("test")));
    assert!(matches!(stop, Err(Error::Busy("test"))));
    assert_eq!(
        store.recover(&mut live).unwrap().orphan_bytes,
        3 * 5_004 + 5_004 + 50_004
    );
    store
        .orphans(&mut live, &mut |_, _| panic!("all is known"))
        .unwrap();
}

fn recover_keeps_what_rows_name(store: &dyn BlobStore) {
    let blobs: Vec<Vec<u8>> = (0..12).map(|seed| pattern(seed, 6_000)).collect();
    let mut rows: Vec<(Locator, usize)> = Vec::new();
    let mut orphans = Vec::new();
    for (i, blob) in blobs.iter().enumerate() {
        let locator = if i % 4 == 3 {
            staged(store, b"", blob)
        } else {
            store.put(b"", blob, b"note").unwrap()
        };
        if i % 2 == 0 || i == 7 {
            rows.push((locator, i))
        } else {
            orphans.push(locator)
        }
    }
    rows.sort_unstable();
    let mut live = |file| {
        Ok(rows
            .iter()
            .map(|(locator, _)| *locator)
            .filter(|locator| locator.file == file)
            .collect())
    };
    let swept = store.recover(&mut live).unwrap();
    let orphan_bytes = 6_000 * orphans.len() as u64;
    assert_eq!(swept.orphan_bytes, orphan_bytes);
    for (locator, i) in &rows {
        assert!(read(store, locator).unwrap() == blobs[*i]);
    }
    for locator in &orphans {
        assert!(matches!(read(store, locator), Err(Error::NotFound)));
    }
    assert_eq!(store.recover(&mut live).unwrap().orphan_bytes, 0);
    let after = store.put(b"he", b"ad", b"note").unwrap();
    assert_eq!(read(store, &after).unwrap(), b"head");
}

fn recover_passes_a_failure_on(store: &dyn BlobStore) {
    let locator = store.put(b"a", b"b", b"note").unwrap();
    assert!(matches!(
        store.recover(&mut |_| Err(Error::Busy("test"))),
        Err(Error::Busy("test"))
    ));
    assert_eq!(read(store, &locator).unwrap(), b"ab");
}
