//! What is special to the local disk: kills, damage, space given back, the format.

use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::store::contract::{self, pattern, read, staged};

fn put_all(store: &Filesystem, sizes: &[usize]) -> Vec<Locator> {
    let put = |(seed, size): (usize, &usize)| {
        store
            .put(b"", &pattern(seed as u64, *size), b"note")
            .unwrap()
    };
    sizes.iter().enumerate().map(put).collect()
}

fn nothing(_: u64) -> Result<Vec<Locator>, Error> {
    Ok(Vec::new())
}

/// An index that names these blobs.
fn rows(locators: &[Locator]) -> impl FnMut(u64) -> Result<Vec<Locator>, Error> {
    let mut rows = locators.to_vec();
    rows.sort_unstable();
    move |file| {
        Ok(rows
            .iter()
            .copied()
            .filter(|locator| locator.file == file)
            .collect())
    }
}

fn path(store: &Filesystem, file: u64) -> PathBuf {
    layout::path(&store.root, file)
}

#[test]
fn keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    for segment_bytes in [SEGMENT_BYTES, 1 << 16] {
        contract::check_all(&|| {
            count.set(count.get() + 1);
            Box::new(
                Filesystem::open_with(&dir.path().join(count.get().to_string()), segment_bytes)
                    .unwrap(),
            )
        });
    }
}

#[test]
fn a_kill_leaves_what_rows_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = Filesystem::open(dir.path()).unwrap();
    let blobs = put_all(&store, &[100, 50_000, 100, 9_000, 70_000]);
    let large = [
        staged(&store, b"head", &pattern(10, 9_000)),
        staged(&store, b"head", &pattern(11, 9_000)),
    ];
    store.sync(&[blobs[1]]).unwrap();
    let mut scratch = store.stage().unwrap();
    scratch.write(b"never finished").unwrap();
    std::mem::forget(scratch);
    drop(store);

    let store = Filesystem::open(dir.path()).unwrap();
    let swept = store
        .recover(&mut rows(&[blobs[1], blobs[2], large[0]]))
        .unwrap();
    assert_eq!(swept.staged_files, 1);
    assert!(swept.orphan_bytes >= 100 + 9_000 + 70_000 + 9_000);
    assert!(read(&store, &blobs[1]).unwrap() == pattern(1, 50_000));
    assert!(read(&store, &blobs[2]).unwrap() == pattern(2, 100));
    assert!(read(&store, &large[0]).unwrap()[4..] == pattern(10, 9_000));
    for gone in [blobs[0], blobs[3], blobs[4], large[1]] {
        assert!(matches!(read(&store, &gone), Err(Error::NotFound)));
    }
    assert_eq!(
        fs::metadata(path(&store, blobs[0].file)).unwrap().len() % 8,
        0
    );
    assert_eq!(store.files().unwrap().len(), 2);
    let next = store.put(b"", b"x", b"note").unwrap();
    assert!(next.file > large[1].file && next.file != blobs[0].file);
}

#[test]
fn a_checked_file_is_trusted_until_something_in_it_is_condemned() {
    let dir = tempfile::tempdir().unwrap();
    let store = Filesystem::open(dir.path()).unwrap();
    let blobs = put_all(&store, &[100, 50_000, 100]);
    let large = staged(&store, b"", b"large");
    let all = [&blobs[..], &[large]].concat();
    let asked = |store: &Filesystem, live: &[Locator]| {
        let (mut asked, mut index) = (Vec::new(), rows(live));
        store
            .recover(&mut |file| {
                asked.push(file);
                index(file)
            })
            .unwrap();
        asked
    };
    let store = {
        drop(store);
        Filesystem::open(dir.path()).unwrap()
    };
    assert_eq!(asked(&store, &all), [blobs[0].file, large.file]);
    let store = {
        drop(store);
        Filesystem::open(dir.path()).unwrap()
    };
    assert!(asked(&store, &all).is_empty());
    store.condemn(&[blobs[1], large]).unwrap();
    // The index forgets them, and the process dies before it deletes them.
    let store = {
        drop(store);
        Filesystem::open(dir.path()).unwrap()
    };
    assert_eq!(
        asked(&store, &[blobs[0], blobs[2]]),
        [blobs[0].file, large.file]
    );
    assert!(read(&store, &blobs[0]).is_ok() && read(&store, &blobs[2]).is_ok());
    assert!(matches!(read(&store, &blobs[1]), Err(Error::NotFound)));
    assert!(matches!(read(&store, &large), Err(Error::NotFound)));
    let store = {
        drop(store);
        Filesystem::open(dir.path()).unwrap()
    };
    assert!(asked(&store, &[blobs[0], blobs[2]]).is_empty());
}

#[test]
fn space_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Filesystem::open_with(dir.path(), 1 << 20).unwrap();
    let blobs = put_all(&store, &[5_000; 300]);
    store.sync(&blobs).unwrap();
    let first = blobs[0].file;
    let (in_first, rest): (Vec<Locator>, Vec<Locator>) =
        blobs.iter().partition(|locator| locator.file == first);
    assert!(!rest.is_empty());
    let used = || fs::metadata(path(&store, first)).unwrap().blocks() * 512;
    let before = used();
    let (even, odd): (Vec<_>, Vec<_>) = in_first.iter().enumerate().partition(|(i, _)| i % 2 == 0);
    let even: Vec<Locator> = even.into_iter().map(|(_, locator)| *locator).collect();
    let odd: Vec<Locator> = odd.into_iter().map(|(_, locator)| *locator).collect();
    store.delete(&even).unwrap();
    store.delete(&odd[..odd.len() - 1]).unwrap();
    assert!(used() < 24 << 10, "of {before} bytes {} are left", used());
    let last = odd[odd.len() - 1];
    assert!(read(&store, &last).is_ok());
    store.delete(&[last]).unwrap();
    assert!(!path(&store, first).exists());
    assert!(matches!(read(&store, &last), Err(Error::NotFound)));
    assert!(rest.iter().all(|locator| read(&store, locator).is_ok()));
    // The active segment stays, whatever is deleted from it.
    store.delete(&rest).unwrap();
    let after = store.put(b"", b"more", b"note").unwrap();
    assert_eq!(read(&store, &after).unwrap(), b"more");
}

#[test]
fn what_was_just_written_is_at_hand() {
    let dir = tempfile::tempdir().unwrap();
    let store = Filesystem::open(dir.path()).unwrap();
    let [first, second] = put_all(&store, &[300_000, 5_000])[..] else {
        panic!("two were put");
    };
    let mut bytes = vec![0; 300_000];
    let count = store.read_at_hand(&first, 0, &mut bytes);
    // A file system that cannot tell gives nothing.
    assert!([0, 300_000].contains(&count));
    for (offset, length) in [(1, 300_000), (u64::MAX, 1), (300_001, 0)] {
        assert_eq!(store.read_at_hand(&first, offset, &mut bytes[..length]), 0);
    }
    store.delete(&[second]).unwrap();
    assert_eq!(
        store.read_at_hand(&first, 0, &mut bytes),
        count,
        "looked at, and there"
    );
    assert_eq!(store.read_at_hand(&second, 0, &mut bytes[..5_000]), 0);
}

#[test]
fn a_failed_write_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Filesystem::open(dir.path()).unwrap();
    let kept = store.put(b"", b"kept", b"note").unwrap();
    let (_, tail) = store.small.tail().unwrap();
    let read_only = OpenFile::new(kept.file, fs::File::open(path(&store, kept.file)).unwrap());
    store.small.swap_active_file(Arc::new(read_only));
    assert!(matches!(
        store.put(b"", b"lost", b"note"),
        Err(Error::Broken(_))
    ));
    assert_eq!(store.small.tail().unwrap(), (kept.file, tail));
    let bytes = fs::read(path(&store, kept.file)).unwrap();
    let tail = usize::try_from(tail).unwrap();
    assert!(bytes[tail..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_wrong_locator_deletes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Filesystem::open(dir.path()).unwrap();
    let blobs = put_all(&store, &[100, 100]);
    let Locator {
        file,
        offset,
        length,
    } = blobs[0];
    for (offset, length) in [
        (offset + 1, length),
        (offset, length + 1),
        (0, 8),
        (31, 9),
        (u64::MAX, 1),
        (offset, u64::MAX),
    ] {
        store
            .delete(&[Locator {
                file,
                offset,
                length,
            }])
            .unwrap();
    }
    assert!(blobs.iter().all(|blob| read(&store, blob).is_ok()));
}

#[test]
fn damage_is_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let store = Filesystem::open(dir.path()).unwrap();
    let blobs = put_all(&store, &[10_000, 10_000]);
    let large = staged(&store, b"head", &pattern(1, 10_000));
    let root = store.root.clone();
    drop(store);
    OpenOptions::new()
        .write(true)
        .open(layout::path(&root, blobs[0].file))
        .unwrap()
        .set_len(BLOCK + 15_000)
        .unwrap();
    OpenOptions::new()
        .write(true)
        .open(layout::path(&root, large.file))
        .unwrap()
        .set_len(10)
        .unwrap();
    fs::write(layout::path(&root, 100), b"").unwrap();
    fs::write(layout::path(&root, 101), pattern(3, 333)).unwrap();
    fs::write(layout::path(&root, 102), pattern(3, 99_999)).unwrap();
    for foreign in [
        "files/README",
        "files/00000/lost+found",
        "files/00000/000/x.seg",
        "staging/noise",
    ] {
        fs::write(root.join(foreign), b"foreign").unwrap();
    }
    for folder in [
        "files/zz",
        "files/000000",
        "files/00000/0",
        "staging/folder",
        "files/00000/000/0000000000000042.seg",
    ] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    let store = Filesystem::open(&root).unwrap();
    store
        .recover(&mut rows(&[blobs[0], blobs[1], large]))
        .unwrap();
    assert!(read(&store, &blobs[0]).unwrap() == pattern(0, 10_000));
    assert!(matches!(read(&store, &blobs[1]), Err(Error::Broken(_))));
    assert!(matches!(read(&store, &large), Err(Error::Broken(_))));
    assert!(
        ![100, 101, 102]
            .iter()
            .any(|file| layout::path(&root, *file).exists())
    );
    assert!(root.join("files/README").exists() && !root.join("staging/noise").exists());
    store.delete(&[blobs[0], blobs[1], large]).unwrap();
    assert!(read(&store, &store.put(b"", b"on", b"note").unwrap()).is_ok());
}

#[test]
fn a_lost_manifest_costs_a_full_check_and_no_blob() {
    let dir = tempfile::tempdir().unwrap();
    let store = Filesystem::open(dir.path()).unwrap();
    let blobs = put_all(&store, &[100, 200]);
    drop(store);
    fs::remove_file(dir.path().join("MANIFEST")).unwrap();
    let store = Filesystem::open(dir.path()).unwrap();
    store.recover(&mut rows(&blobs)).unwrap();
    assert!(blobs.iter().all(|blob| read(&store, blob).is_ok()));
    assert!(store.put(b"", b"new", b"note").unwrap().file > blobs[0].file);
}

#[test]
fn a_file_can_be_read_without_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = Filesystem::open(dir.path()).unwrap();
    let blobs = put_all(&store, &[0, 1, 8, 5_000, 50_000, 7, 4_096]);
    let long = put_all(&store, &[70_000, 65_536, 2_000_000]);
    let large = staged(&store, &pattern(20, 333), &pattern(21, 10_000));
    store.delete(&blobs[3..5]).unwrap();
    for (number, expected) in [
        (blobs[0].file, [&blobs[..3], &blobs[5..]].concat()),
        (long[0].file, long.clone()),
        (large.file, vec![large]),
    ] {
        let bytes = fs::read(path(&store, number)).unwrap();
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(bytes[..40], layout::file_header(number, word(28)));
        let mut found = Vec::new();
        let mut at = usize::try_from(word(28)).unwrap();
        while at + 256 <= bytes.len() {
            let (length, start) = (word(at + 8), at + 256);
            let end = start + usize::try_from(length).unwrap();
            if word(at) == 0 {
                at += 8;
                continue;
            }
            let sum = |from, to| layout::crc(&[&bytes[from..to]]).sum().to_le_bytes();
            assert_eq!(bytes[at..at + 4], *b"OVRB");
            assert_eq!(bytes[at + 4..at + 8], sum(at + 32, end));
            assert_eq!(word(at + 16), number);
            assert_eq!(bytes[at + 24..at + 28], *b"\x04\0\0\0");
            assert_eq!(bytes[at + 28..at + 32], sum(at, at + 28));
            assert_eq!(bytes[at + 32..at + 40], *b"note\0\0\0\0");
            found.push(Locator {
                file: number,
                offset: start as u64,
                length,
            });
            at = end.next_multiple_of(8);
        }
        assert_eq!(found, expected);
    }
    assert_eq!(large.offset + 333, BLOCK);
    assert_eq!(
        store.files().unwrap(),
        [
            (blobs[0].file, 1 + 8 + 7 + 4_096),
            (long[0].file, 70_000 + 65_536 + 2_000_000),
            (large.file, 10_333)
        ]
    );
    // One word that nobody wrote.
    let noise = OpenFile::new(
        2,
        OpenOptions::new()
            .write(true)
            .open(path(&store, blobs[0].file))
            .unwrap(),
    );
    noise.file.write_all_at(b"noise", blobs[3].offset).unwrap();
    assert_eq!(store.files().unwrap()[0].1, 1 + 8 + 7 + 4_096 + 8);
}

#[test]
fn nobody_else_may_read() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a/blobs");
    let store = Filesystem::open(&root).unwrap();
    let small = store.put(b"", b"x", b"note").unwrap();
    let large = staged(&store, b"", b"x");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for file in [
        path(&store, small.file),
        path(&store, large.file),
        root.join("MANIFEST"),
        root.join("DOUBTED"),
    ] {
        assert_eq!(mode(&file), 0o600);
    }
    for folder in [
        dir.path().join("a"),
        root.clone(),
        root.join("staging"),
        root.join("files/00000"),
        root.join("files/00000/000"),
    ] {
        assert_eq!(mode(&folder), 0o700);
    }
    assert!(store.free_bytes().unwrap().unwrap() > 0);
    assert!(store.recover(&mut nothing).is_ok());
}
