//! Who commits: whoever waits, one after the other, and the thread for those who do not. And the start,
//! which commits what is whole and has no row.

use std::sync::Arc;

use overread::access::Scope;
use overread::archive::blob::BlobStore;
use overread::archive::{Archive, Declared, Error, Outcome, Removal, Target};
use overread::{db, store};

use crate::house::{EXPLICIT_LE, House, image, on_every_shelf, origin, settings, uid};

const SENDERS: usize = 8;
const EACH: usize = 30;

fn instance(sender: usize, n: usize) -> Vec<u8> {
    let study = format!("1.2.{sender}");
    image(
        &study,
        &format!("{study}.1.{n}"),
        ("P1", "Doe^Jane"),
        b"pixels",
    )
}

/// Sends without waiting, then waits for all.
fn send_ahead(house: &House, sender: usize) {
    let handed: Vec<_> = (0..EACH)
        .map(|n| {
            let syntax = uid(EXPLICIT_LE);
            let incoming = house
                .archive
                .receive_dataset(origin(), &syntax, Declared::default());
            let mut incoming = incoming.unwrap();
            incoming.write(&instance(sender, n)).unwrap();
            incoming.hand_over().unwrap()
        })
        .collect();
    for one in handed {
        assert_eq!(one.wait().unwrap().outcome, Outcome::Stored);
    }
}

#[test]
fn everybody_is_answered_whether_they_wait_at_once_or_later_and_while_others_remove() {
    on_every_shelf(&settings(), |house| {
        std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                scope.spawn(move || match sender % 4 {
                    0 => send_ahead(house, sender),
                    1 => {
                        for n in 0..EACH {
                            house.store(&instance(sender, n));
                            let removed = house.archive.remove(
                                Removal {
                                    target: Target::Study(uid(&format!("1.2.{sender}"))),
                                    reason: "test",
                                    sender: "".into(),
                                    peer: "".into(),
                                },
                                &Scope::All,
                            );
                            assert_eq!(removed.unwrap().instances, 1);
                        }
                    }
                    _ => {
                        for n in 0..EACH {
                            assert_eq!(house.store(&instance(sender, n)), Outcome::Stored);
                        }
                    }
                });
            }
        });
        let removing = SENDERS / 4;
        assert_eq!(house.instances(), ((SENDERS - removing) * EACH) as u64);
    });
}

#[test]
fn a_start_removes_no_blob_that_it_does_not_understand() {
    let blobs: Arc<dyn BlobStore> = Arc::new(store::Memory::default());
    let index = Arc::new(db::Memory::default());
    let foreign = blobs
        .put(b"head", b"body", b"\xffa note of a later version")
        .unwrap();
    let opened = Archive::open(index, blobs.clone(), settings());
    assert!(matches!(opened, Err(Error::Broken(_))));
    let mut held = [0; 8];
    blobs.read_at(&foreign, 0, &mut held).unwrap();
    assert_eq!(held, *b"headbody");
}
