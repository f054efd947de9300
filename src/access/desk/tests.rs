//! The desk over a ledger in memory of its own: time goes as the tests say.

use std::collections::BTreeMap;

use super::*;
use crate::access::account::{AccountChange, Issuer, NewAccount, NewToken, Revoking};
use crate::access::inbox::Purpose;
use crate::access::role::{Action, Roles};
use crate::access::{AuditLedger as _, GrantLedger as _, Right, Scope, View, policy};
use crate::db::Ledger;
use crate::dicom::Uid;

const NOW: i64 = 1_800_000_000_000;
const MINUTE: i64 = 60_000;
const HERE: (&str, &str) = ("192.0.2.1", "192.0.2.1");
const PASSCODE: &str = "correct horse battery";

struct House {
    ledger: Arc<Ledger>,
    desk: Desk,
    _folder: tempfile::TempDir,
}

fn house(sign_in: SignIn) -> House {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::open(&folder.path().join("ledger.sqlite"), 1).unwrap());
    let settings = Settings {
        sign_in,
        session_idle_ms: 30 * MINUTE,
        session_max_ms: 600 * MINUTE,
        pin_tries_max: 3,
        inbox_bytes_max: 1000,
    };
    House {
        desk: Desk::open(ledger.clone(), settings).unwrap(),
        ledger,
        _folder: folder,
    }
}

fn audit() -> AuditRecord {
    let event = Event::SecurityAlert;
    AuditRecord::new(event, ActionCode::Update, Actor::default(), NOW)
}

fn add(house: &House, name: &str, roles: &str) {
    let new = NewAccount {
        name: AccountName::parse(name).unwrap(),
        roles: Roles::parse(roles).unwrap(),
        passcode: Hash::of(PASSCODE.as_bytes()).unwrap().to_string(),
        email: None,
        created_ms: NOW,
    };
    house.ledger.add_account(&new, &audit()).unwrap();
}

fn last(house: &House) -> AuditRecord {
    let head = house.ledger.audit_head().unwrap();
    let rows = house.ledger.audit_rows(head.id - 1, 1).unwrap();
    rows.into_iter().next().unwrap().record
}

/// Who uses a session, as the hall does it.
fn used(house: &House, secret: &Secret, now_ms: i64) -> Option<Principal> {
    let known = house.desk.by_session(secret, now_ms).unwrap()?;
    if known.is_due {
        house.desk.touch(secret, now_ms).unwrap();
    }
    Some(known.principal)
}

#[test]
fn it_is_open_until_there_is_an_account() {
    let auto = house(SignIn::Auto);
    assert!(auto.desk.is_open(NOW).unwrap());
    add(&auto, "anna", "viewer");
    assert!(auto.desk.is_open(NOW + LOOK_MS - 1).unwrap());
    assert!(!auto.desk.is_open(NOW + LOOK_MS).unwrap());
    assert!(!auto.desk.is_open(NOW).unwrap());
    assert!(!house(SignIn::Required).desk.is_open(NOW).unwrap());
    let off = house(SignIn::Off);
    add(&off, "anna", "viewer");
    assert!(off.desk.is_open(NOW + LOOK_MS).unwrap());
}

#[test]
fn a_session_begins_and_ends() {
    let house = house(SignIn::Auto);
    add(&house, "anna", "viewer");
    let entered = house.desk.sign_in(("Anna", PASSCODE), HERE, NOW).unwrap();
    assert_eq!(&*entered.principal.name, "anna");
    let row = last(&house);
    assert_eq!(
        (
            row.event,
            row.event_type,
            row.outcome,
            row.who.name.as_str()
        ),
        (
            Event::UserAuthentication,
            Some(EventType::Login),
            AuditOutcome::Success,
            "anna"
        )
    );
    let at = |now| used(&house, &entered.secret, now);
    let found = at(NOW + 29 * MINUTE).unwrap();
    assert_eq!(policy(&found, Action::Find), Ok(Scope::All));
    assert!(policy(&found, Action::Store).is_err());
    // It was used a minute ago, so it goes on.
    assert!(at(NOW + 58 * MINUTE).is_some());
    assert!(at(NOW + 88 * MINUTE).is_none());
    // However busy, it ends.
    let busy = house.desk.sign_in(("anna", PASSCODE), HERE, NOW).unwrap();
    for minute in (10..600).step_by(10) {
        let now = NOW + minute * MINUTE;
        assert!(used(&house, &busy.secret, now).is_some());
    }
    let end = NOW + 600 * MINUTE;
    assert!(used(&house, &busy.secret, end).is_none());
    let other = Secret::new().unwrap();
    assert!(used(&house, &other, NOW).is_none());

    let third = house.desk.sign_in(("anna", PASSCODE), HERE, NOW).unwrap();
    house
        .desk
        .sign_out(&third.principal, "192.0.2.1", NOW)
        .unwrap();
    assert_eq!(last(&house).event_type, Some(EventType::Logout));
    assert!(used(&house, &third.secret, NOW).is_none());
    assert!(house.desk.sign_out(&third.principal, "", NOW).is_err());
    house
        .ledger
        .change_account("anna", &AccountChange::enabled(false), &audit())
        .unwrap();
    assert!(used(&house, &busy.secret, NOW).is_none());
}

#[test]
fn what_is_wrong_is_not_told_and_soon_has_to_wait() {
    let house = house(SignIn::Auto);
    add(&house, "anna", "viewer");
    add(&house, "bert", "viewer");
    house
        .ledger
        .change_account("bert", &AccountChange::enabled(false), &audit())
        .unwrap();
    for (name, passcode, tried) in [
        ("anna", "wrong", "anna"),
        ("bert", PASSCODE, "bert"),
        ("carl", PASSCODE, "unknown"),
        ("not a name", PASSCODE, "unknown"),
    ] {
        let refused = house.desk.sign_in((name, passcode), HERE, NOW);
        assert!(matches!(refused, Err(SignInError::Wrong)), "{name}");
        let row = last(&house);
        assert_eq!(
            (row.who.name.as_str(), row.outcome),
            (tried, AuditOutcome::MinorFailure)
        );
    }
    let elsewhere = ("192.0.2.200", "192.0.2.200");
    let mut now = NOW;
    // Of a name that there is and of one that there is not, the same becomes.
    for name in ["anna", "dora"] {
        let failures = (0..9).filter(|_| {
            let refused = house.desk.sign_in((name, "wrong"), elsewhere, now);
            matches!(refused, Err(SignInError::Wrong))
        });
        assert!((5..=6).contains(&failures.count()), "{name}");
        now += 10 * MINUTE;
    }
    // Waited for, it goes on; the right one is right again.
    house
        .desk
        .sign_in(("anna", PASSCODE), elsewhere, now)
        .unwrap();
}

#[test]
fn a_token_opens_as_much_as_it_and_its_account_may() {
    let house = house(SignIn::Auto);
    add(&house, "anna", "viewer sender");
    let issue = |roles: &str, studies: Option<&str>| {
        let secret = Secret::new().unwrap();
        let new = NewToken {
            digest: secret.digest(),
            account: AccountName::parse("anna").unwrap(),
            label: String::new(),
            roles: Roles::parse(roles).unwrap(),
            studies: studies.map(|text| [Uid::parse(text).unwrap()].into()),
            issued_ms: NOW,
            expires_ms: NOW + MINUTE,
            issuer: Issuer {
                who: "root".into(),
                token: None,
            },
        };
        let id = house.ledger.issue_token(&new, &|_| audit()).unwrap();
        (id, secret.token())
    };
    let (_, wide) = issue("viewer administrator", None);
    let principal = house.desk.by_token(&wide, NOW).unwrap().unwrap();
    assert_eq!(principal.roles.to_string(), "viewer");
    let (id, narrow) = issue("viewer", Some("1.2.3"));
    let principal = house.desk.by_token(&narrow, NOW).unwrap().unwrap();
    let scope = policy(&principal, Action::Retrieve).unwrap();
    assert!(
        scope.holds(&Uid::parse("1.2.3").unwrap()) && !scope.holds(&Uid::parse("1.2.4").unwrap())
    );
    assert_eq!(principal.actor("192.0.2.1").means, format!("token {id}"));
    assert!(
        house
            .desk
            .by_token(&narrow, NOW + MINUTE)
            .unwrap()
            .is_none()
    );
    let alone = Revoking::Alone;
    let revoked = house.ledger.revoke_token(id, alone, NOW, &|_| audit());
    assert_eq!(revoked.unwrap(), [id]);
    assert!(house.desk.by_token(&narrow, NOW).unwrap().is_none());
    house
        .ledger
        .change_account("anna", &AccountChange::enabled(false), &audit())
        .unwrap();
    for text in [&wide, "", "ovrd_", &Secret::new().unwrap().token()] {
        assert!(house.desk.by_token(text, NOW).unwrap().is_none());
    }
}

#[test]
fn what_is_no_news_has_no_row() {
    let house = house(SignIn::Auto);
    let record = |study: &str| audit().about(&Uid::parse(study).unwrap());
    let rows = || house.ledger.audit_head().unwrap().id;
    for _ in 0..3 {
        house.desk.record_once(&record("1.2.3"), NOW).unwrap();
    }
    assert_eq!(rows(), 1);
    house.desk.record_once(&record("1.2.4"), NOW).unwrap();
    let failed = record("1.2.3").ended(AuditOutcome::MinorFailure);
    house.desk.record_once(&failed, NOW).unwrap();
    house
        .desk
        .record_once(&record("1.2.3"), NOW + AGAIN_MS)
        .unwrap();
    assert_eq!(rows(), 4);
    // Another destination or one more study is something else.
    for other in [
        record("1.2.3").on("peer A"),
        record("1.2.3").on("peer B"),
        record("1.2.3").about(&Uid::parse("1.2.5").unwrap()),
    ] {
        let before = rows();
        for _ in 0..2 {
            house.desk.record_once(&other, NOW).unwrap();
        }
        assert_eq!(rows(), before + 1);
    }
    // What was looked at and not written yet stays news.
    let unwritten = record("1.2.6");
    assert!(house.desk.is_news(&unwritten, NOW) && house.desk.is_news(&unwritten, NOW));
    // Of whom nobody knows there is one row a network, whatever they call themselves.
    let before = rows();
    for name in ["a", "b"] {
        let mut nobody = record("1.2.7").ended(AuditOutcome::MinorFailure);
        nobody.who.name = name.into();
        nobody.who.address = "192.0.2.9".into();
        house.desk.record_once(&nobody, NOW).unwrap();
    }
    assert_eq!(rows(), before + 1);
}

fn giving(to: To) -> Giving {
    Giving {
        case: 7,
        studies: match to {
            To::Inbox(_) | To::Reader { .. } => BTreeMap::new(),
            _ => [(Uid::parse("1.2.3").unwrap(), View::WithoutReports)].into(),
        },
        to,
        not_before_ms: NOW,
        expires_ms: NOW + 60 * MINUTE,
        opens_max: None,
        right: Right::View,
        label: "Dr. B".into(),
    }
}

fn give(house: &House, giving: Giving) -> (i64, String) {
    let given = house.desk.give(giving, &Actor::default(), NOW).unwrap();
    let link = given.secret.map(|secret| secret.text());
    (given.id, link.unwrap_or_default())
}

#[test]
fn a_link_lets_in_for_as_long_as_its_grant_is_good() {
    let house = house(SignIn::Required);
    let (id, link) = give(&house, giving(To::Link { pin: None }));
    let opened = house.desk.open_link(&link, None, HERE, NOW).unwrap();
    assert_eq!((&*opened.principal.name, opened.case), ("link 1", 7));
    let row = last(&house);
    assert_eq!(
        (row.event, row.outcome),
        (Event::UserAuthentication, AuditOutcome::Success)
    );
    assert_eq!((&*row.who.means, &*row.object), ("link 1", "case 7"));
    let study = Uid::parse("1.2.3").unwrap();
    let who = used(&house, &opened.secret, NOW + 59 * MINUTE).unwrap();
    let scope = policy(&who, Action::Retrieve).unwrap();
    assert_eq!(
        scope,
        Scope::Studies([(study.clone(), View::WithoutReports)].into())
    );
    assert!(!who.may_download(&study));
    let may = |who: &Principal| {
        let actions = Action::WORDS.into_iter();
        let actions = actions.filter(|(action, _)| policy(who, *action).is_ok());
        actions.map(|(_, word)| word).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(may(&who), "find retrieve");
    let (_, task) = give(&house, giving(To::Reader { pin: None }));
    let reader = house.desk.open_link(&task, None, HERE, NOW).unwrap();
    assert_eq!(may(&reader.principal), "find retrieve cancel work");
    house.desk.sign_out(&reader.principal, HERE.0, NOW).unwrap();
    assert!(used(&house, &reader.secret, NOW).is_none());
    assert!(used(&house, &opened.secret, NOW + 60 * MINUTE).is_none());
    let grant = house.ledger.grant(id).unwrap().unwrap();
    house
        .desk
        .take_back(&grant, &Actor::default(), NOW)
        .unwrap();
    assert!(used(&house, &opened.secret, NOW).is_none());
    // Another begins, and its owner leaves.
    let (_, link) = give(&house, giving(To::Link { pin: None }));
    let opened = house.desk.open_link(&link, None, HERE, NOW).unwrap();
    house.desk.sign_out(&opened.principal, HERE.0, NOW).unwrap();
    assert!(used(&house, &opened.secret, NOW).is_none());
}

#[test]
fn a_pin_is_tried_a_few_times() {
    let house = house(SignIn::Required);
    let pin = || Some("2718".to_owned());
    let (_, link) = give(&house, giving(To::Link { pin: pin() }));
    let mut now = NOW;
    let mut open = |pin: Option<&str>| {
        now += MINUTE;
        house.desk.open_link(&link, pin, HERE, now)
    };
    assert!(matches!(open(None), Err(LinkError::WrongPin)));
    assert!(matches!(open(Some("2717")), Err(LinkError::WrongPin)));
    assert!(open(Some("2718")).is_ok());
    for _ in 0..3 {
        assert!(matches!(open(Some("x")), Err(LinkError::WrongPin)));
    }
    assert!(matches!(open(Some("2718")), Err(LinkError::Gone)));
    let unknown = house
        .desk
        .open_link(&"A".repeat(43), Some("2718"), HERE, now);
    assert!(matches!(unknown, Err(LinkError::Gone)));
}

#[test]
fn an_inbox_stores_and_searches_nothing() {
    let house = house(SignIn::Required);
    let (id, link) = give(&house, giving(To::Inbox(Purpose::default())));
    let opened = house.desk.open_link(&link, None, HERE, NOW).unwrap();
    assert_eq!(opened.principal.inbox(), Some(id));
    let study = Uid::parse("1.9").unwrap();
    house
        .desk
        .take_in(id, &study, &Actor::default(), NOW)
        .unwrap();
    let who = used(&house, &opened.secret, NOW).unwrap();
    for (action, _) in Action::WORDS {
        let scope = policy(&who, action);
        match action {
            Action::Store => assert_eq!(scope, Ok(Scope::of([study.clone()]))),
            _ => assert!(scope.is_err(), "{action:?}"),
        }
    }
}

#[test]
fn what_makes_no_sense_is_not_given() {
    let open = house(SignIn::Off);
    let given = open.desk.give(
        giving(To::Inbox(Purpose::default())),
        &Actor::default(),
        NOW,
    );
    assert!(matches!(given, Err(GrantError::Open)));
    let house = house(SignIn::Required);
    let before = house.ledger.audit_head().unwrap().id;
    let wrong: [fn(&mut Giving); 7] = [
        |g| g.case = 0,
        |g| g.studies.clear(),
        |g| g.expires_ms = g.not_before_ms,
        |g| g.expires_ms = g.not_before_ms + 400 * 24 * 60 * MINUTE,
        |g| g.opens_max = Some(0),
        |g| g.label = "a\nb".into(),
        |g| {
            g.to = To::Link {
                pin: Some("123".into()),
            }
        },
    ];
    for change in wrong {
        let mut giving = giving(To::Link { pin: None });
        change(&mut giving);
        let given = house.desk.give(giving, &Actor::default(), NOW);
        assert!(matches!(given, Err(GrantError::Invalid(_))), "{given:?}");
    }
    assert_eq!(house.ledger.audit_head().unwrap().id, before);
}
