//! What keeps one peer from harming others: counts, sizes, and the end of the server.

use super::*;

/// A-ASSOCIATE-RJ: transient, presentation related, local limit exceeded.
const LIMIT_EXCEEDED: [u8; 10] = [3, 0, 0, 0, 0, 4, 0, 2, 3, 2];

#[test]
fn one_association_too_many_is_rejected_for_now() {
    let server = Server::with(|settings| settings.associations_max = 2);
    let first = server.associate();
    let mut second = server.associate();
    let mut third = server.connect();
    third.say(&proposal().bytes());
    assert_eq!(third.hear().unwrap(), LIMIT_EXCEEDED);
    assert_eq!(second.echo(), 0x0000);
    first.release();
    assert_eq!(server.associate().echo(), 0x0000);
}

#[test]
fn silent_connections_keep_nobody_out() {
    let server = Server::with(|settings| settings.associations_max = 1);
    let mut silent: Vec<Requestor> = (0..100).map(|_| server.connect()).collect();
    let mut peer = server.associate();
    assert_eq!(peer.echo(), 0x0000);
    // The first to come had to go.
    assert_eq!(silent[0].hear(), None);
    peer.release();
}

#[test]
fn an_object_above_the_limit_is_read_away_and_refused() {
    let server = Server::with(|settings| settings.object_bytes_max = 100_000);
    let mut peer = server.associate();
    assert_eq!(
        peer.store(&Object {
            pixel_bytes: 150_000,
            ..OBJECT
        }),
        0xA720
    );
    assert_eq!(peer.store(&OBJECT), 0x0000);
}

#[test]
fn a_refused_object_without_end_is_aborted() {
    let server = Server::with(|settings| settings.object_bytes_max = 100_000);
    let mut peer = server.associate();
    peer.say(&pdus(STORAGE, true, &OBJECT.command(1), 16384));
    let fragment = p_data(&pdv(STORAGE, 0, &[0; 16000]));
    for _ in 0..30 {
        peer.say(&fragment);
    }
    assert_eq!(peer.hear().unwrap(), abort(0, 0));
    assert_eq!(peer.hear(), None);
}

#[test]
fn many_at_once_lose_nothing() {
    const INSTANCES: [&str; 4] = ["1.2.3.4.10", "1.2.3.4.11", "1.2.3.4.12", "1.2.3.4.13"];
    let server = Server::start();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut peer = server.associate();
                for instance in INSTANCES {
                    assert_eq!(peer.store(&Object { instance, ..OBJECT }), 0x0000);
                }
                peer.release();
            });
        }
    });
    assert_eq!(server.archive.totals().unwrap().instances, 4);
}

#[test]
fn a_stop_ends_the_idle_at_once_and_lets_the_busy_finish() {
    let server = Server::start();
    let mut silent = server.connect();
    let mut idle = server.associate();
    let mut busy = server.begin(&OBJECT);
    let (running, archive) = (server.running, server.archive);
    let address = running.local_addr();
    thread::scope(|scope| {
        let stopped = scope.spawn(move || running.stop(PATIENCE));
        assert_eq!(idle.hear().unwrap(), abort(0, 0));
        assert_eq!(silent.hear(), None);
        drop(idle);
        busy.say(&pdus(STORAGE, false, &OBJECT.bytes(), 16384));
        assert_eq!(busy.status(STORAGE, 9), 0x0000);
        assert_eq!(busy.hear().unwrap(), abort(0, 0));
        drop(busy);
        stopped.join().unwrap();
    });
    assert!(TcpStream::connect(address).is_err());
    assert_eq!(archive.totals().unwrap().instances, 1);
}

#[test]
fn a_stop_aborts_the_busy_when_its_grace_is_over() {
    let server = Server::start();
    let mut busy = server.begin(&OBJECT);
    let (running, archive) = (server.running, server.archive);
    thread::scope(|scope| {
        let stopped = scope.spawn(move || running.stop(SHORT));
        assert_eq!(busy.hear().unwrap(), abort(0, 0));
        drop(busy);
        stopped.join().unwrap();
    });
    assert_eq!(archive.totals().unwrap().instances, 0);
}

#[test]
fn an_address_in_use_is_an_error() {
    let server = Server::start();
    let settings = Settings {
        listen: server.address(),
        ae_title: AeTitle::parse("OVERREAD").unwrap(),
        called_ae_titles: AeTitles::Any,
        calling_ae_titles: AeTitles::Any,
        modalities: crate::dimse::Modalities::default(),
        tls: None,
        identity: None,
        max_pdu_bytes: 16384,
        associations_max: 1,
        moves_max: 1,
        artim_timeout: SHORT,
        idle_timeout: SHORT,
        object_bytes_max: 1,
        commitment_keep: SHORT,
        outgoing: crate::dimse::scu::Settings::of(AeTitle::parse("OVERREAD").unwrap()),
    };
    assert!(Listener::bind(settings, server.archive.clone(), None).is_err());
}
