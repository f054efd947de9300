use super::*;
use crate::access::account::AccountName;
use crate::access::audit::{ActionCode, Actor, Event};
use crate::access::ledger::AuditLedger;
use crate::access::secret::Secret;

fn audit() -> AuditRecord {
    let event = Event::SecurityAlert;
    AuditRecord::new(event, ActionCode::Update, Actor::default(), 1)
}

fn ledger(folder: &tempfile::TempDir) -> Ledger {
    Ledger::open(&folder.path().join("ledger.sqlite"), 1).unwrap()
}

fn add(ledger: &Ledger, name: &str) -> Account {
    let new = NewAccount {
        name: AccountName::parse(name).unwrap(),
        roles: Roles::parse("viewer sender").unwrap(),
        passcode: "hash".into(),
        email: None,
        created_ms: 5,
    };
    ledger.add_account(&new, &audit()).unwrap();
    assert!(matches!(
        ledger.add_account(&new, &audit()),
        Err(AccessError::Conflict)
    ));
    ledger.account(name).unwrap().unwrap()
}

fn session(account: &Account, begun_ms: i64) -> NewSession {
    NewSession {
        digest: Secret::new().unwrap().digest(),
        account: account.id,
        passcode: account.passcode.clone(),
        begun_ms,
        expires_ms: begun_ms + 1000,
        idle_since_ms: begun_ms - 500,
    }
}

#[test]
fn sessions_are_bounded_and_end_with_the_passcode() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    assert!(!ledger.has_accounts().unwrap());
    let (anna, bert) = (add(&ledger, "anna"), add(&ledger, "bert"));
    assert!(ledger.has_accounts().unwrap());
    let of_bert = session(&bert, 100);
    ledger.begin_session(&of_bert, &audit()).unwrap();
    let many: Vec<_> = (0..40).map(|n| session(&anna, 100 + n)).collect();
    for new in &many {
        ledger.begin_session(new, &audit()).unwrap();
    }
    let is_there = |new: &NewSession| ledger.session(&new.digest).unwrap().is_some();
    let there: Vec<_> = many.iter().map(is_there).collect();
    assert_eq!(there.iter().filter(|there| **there).count(), SESSIONS_MAX);
    assert!(there[8..].iter().all(|there| *there) && is_there(&of_bert));

    ledger.touch_session(&many[39].digest, 777).unwrap();
    ledger.touch_session(&many[39].digest, 700).unwrap();
    let seen = ledger.session(&many[39].digest).unwrap().unwrap();
    assert_eq!((seen.seen_ms, seen.expires_ms), (777, 1139));
    assert_eq!(seen.account, anna);
    // Those not seen for long, and those that have expired, are forgotten.
    let later = session(&anna, 1_000);
    ledger.begin_session(&later, &audit()).unwrap();
    assert!(is_there(&later) && is_there(&many[39]) && !is_there(&many[38]));
    ledger.end_session(&later.digest, &audit()).unwrap();
    assert!(matches!(
        ledger.end_session(&later.digest, &audit()),
        Err(AccessError::NotFound(_))
    ));
    ledger.set_passcode("anna", "other", &audit()).unwrap();
    assert!(!is_there(&many[39]) && is_there(&of_bert));
    let enable = |name: &str, is_enabled| {
        ledger.change_account(name, &AccountChange::enabled(is_enabled), &audit())
    };
    enable("bert", false).unwrap();
    assert!(!is_there(&of_bert));
    // Nor does one begin by what was checked just before.
    for late in [session(&anna, 1_100), session(&bert, 1_100)] {
        let rows = ledger.audit_head().unwrap().id;
        let begun = ledger.begin_session(&late, &audit());
        assert!(matches!(begun, Err(AccessError::NotFound(_))));
        assert!(!is_there(&late) && ledger.audit_head().unwrap().id == rows);
    }
    let names = ledger.accounts("", "", 10).unwrap();
    let names: Vec<_> = names
        .iter()
        .map(|a| (a.name.as_str(), a.is_enabled))
        .collect();
    assert_eq!(names, [("anna", true), ("bert", false)]);
    assert!(enable("carl", true).is_err());
    let listed = |part: &str, after: &str, limit: usize| {
        let accounts = ledger.accounts(part, after, limit).unwrap();
        let names = accounts.into_iter().map(|account| account.name);
        names.collect::<Vec<_>>()
    };
    assert_eq!(listed("", "", 1), ["anna"]);
    assert_eq!(listed("", "anna", 9), ["bert"]);
    assert_eq!(listed("er", "", 9), ["bert"]);
    assert_eq!(listed("%", "", 9), [""; 0]);
}

#[test]
fn accounts_are_changed_and_one_administrator_stays() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    for name in ["anna", "bert"] {
        add(&ledger, name);
    }
    let roles = |words: &str| AccountChange {
        roles: Some(Roles::parse(words).unwrap()),
        ..AccountChange::default()
    };
    let enabled = AccountChange::enabled;
    let change = |name: &str, change: &AccountChange| {
        let rows = ledger.audit_head().unwrap().id;
        let changed = ledger.change_account(name, change, &audit());
        let is_told = ledger.audit_head().unwrap().id > rows;
        assert_eq!(is_told, changed.is_ok(), "a change and its row are one");
        changed
    };
    let of = |name: &str| ledger.account(name).unwrap().unwrap();
    change("anna", &roles("administrator reader")).unwrap();
    let last = |name: &str| {
        let refused = change(name, &roles("reader"));
        matches!(refused, Err(AccessError::LastAdministrator))
    };
    assert!(last("anna"));
    change("anna", &roles("administrator")).unwrap();
    assert_eq!(of("anna").roles.to_string(), "administrator");
    // One who may not come in sees to nothing.
    change("bert", &roles("administrator")).unwrap();
    change("bert", &enabled(false)).unwrap();
    assert!(last("anna"));
    // Nor does the last go by not being let in, whether or not they stay one.
    for roles in [None, Some("administrator"), Some("reader")] {
        let mut out = enabled(false);
        out.roles = roles.map(|words| Roles::parse(words).unwrap());
        assert!(matches!(
            change("anna", &out),
            Err(AccessError::LastAdministrator)
        ));
    }
    assert!(of("anna").is_enabled);
    // Who is not let in may stay outside and be less.
    change("bert", &enabled(false)).unwrap();
    change("bert", &roles("viewer")).unwrap();
    change("bert", &roles("administrator")).unwrap();
    change("bert", &enabled(true)).unwrap();
    // What is not named stays as it is.
    let email = Email::parse("anna@example.org").unwrap();
    let mut both = roles("reader");
    both.email = Some(Some(email.clone()));
    change("anna", &both).unwrap();
    assert_eq!(of("anna").email, Some(email.clone()));
    change("anna", &roles("viewer")).unwrap();
    assert_eq!((of("anna").email, of("bert").email), (Some(email), None));
    both = AccountChange {
        email: Some(None),
        ..AccountChange::default()
    };
    change("anna", &both).unwrap();
    assert_eq!(
        (of("anna").email, of("anna").roles.to_string()),
        (None, "viewer".into())
    );
    assert!(last("bert"));
    assert!(matches!(
        change("carl", &roles("reader")),
        Err(AccessError::NotFound("there is no such account"))
    ));
}

#[test]
fn tokens_come_back_and_are_revoked_once() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    add(&ledger, "anna");
    let new = |name: &str, studies: Option<&str>| NewToken {
        digest: Secret::new().unwrap().digest(),
        account: AccountName::parse(name).unwrap(),
        label: "of a viewer".into(),
        roles: Roles::parse("viewer").unwrap(),
        studies: studies.map(|text| [Uid::parse(text).unwrap()].into()),
        issued_ms: 10,
        expires_ms: 20,
        issuer: Issuer {
            who: "root".into(),
            token: None,
        },
    };
    let row = |id| audit().on(format!("token {id}"));
    let revoke = |id, at_ms| ledger.revoke_token(id, Revoking::Alone, at_ms, &row);
    let (wide, narrow) = (new("anna", None), new("anna", Some("1.2.3")));
    assert_eq!(ledger.issue_token(&wide, &row).unwrap(), 1);
    assert_eq!(ledger.issue_token(&narrow, &row).unwrap(), 2);
    let before = ledger.audit_head().unwrap().id;
    assert!(ledger.issue_token(&new("bert", None), &row).is_err());
    assert_eq!(ledger.audit_head().unwrap().id, before);
    assert!(ledger.token(&new("anna", None).digest).unwrap().is_none());
    let token = ledger.token(&narrow.digest).unwrap().unwrap();
    assert_eq!((token.id, token.studies.clone()), (2, narrow.studies));
    assert_eq!(token.account.name, "anna");
    assert!(token.is_good(19) && !token.is_good(20));
    assert_eq!(token.issuer.as_ref(), Some(&narrow.issuer));
    assert_eq!(revoke(2, 15).unwrap(), [2]);
    assert!(revoke(2, 16).is_err());
    let tokens = ledger.tokens(Some("anna"), None, 10).unwrap();
    let revoked: Vec<_> = tokens.iter().map(|token| token.revoked_ms).collect();
    assert_eq!(revoked, [Some(15), None]);
    assert!(tokens[1].studies.is_none() && !tokens[0].is_good(19));
    let older = ledger.tokens(None, Some(2), 10).unwrap();
    assert_eq!(older.iter().map(|token| token.id).collect::<Vec<_>>(), [1]);
    assert!(ledger.tokens(Some("bert"), None, 10).unwrap().is_empty());
    for _ in 0..TOKENS_MAX - 1 {
        ledger.issue_token(&new("anna", None), &row).unwrap();
    }
    assert!(matches!(
        ledger.issue_token(&new("anna", None), &row),
        Err(AccessError::TooMany(_))
    ));
}

#[test]
fn what_a_token_issued_goes_with_it_when_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    add(&ledger, "anna");
    let row = |id| audit().on(format!("token {id}"));
    let issue = |token| {
        let new = NewToken {
            digest: Secret::new().unwrap().digest(),
            account: AccountName::parse("anna").unwrap(),
            label: String::new(),
            roles: Roles::parse("viewer").unwrap(),
            studies: None,
            issued_ms: 10,
            expires_ms: 20,
            issuer: Issuer {
                who: "anna".into(),
                token,
            },
        };
        ledger.issue_token(&new, &row)
    };
    // 1 and 5 by a session; 2 and 3 by 1, 4 by 3, 6 by 5.
    for (issuer, id) in [None, Some(1), Some(1), Some(3)].into_iter().zip(1..) {
        assert_eq!(issue(issuer).unwrap(), id);
    }
    assert_eq!(issue(None).unwrap(), 5);
    assert_eq!(issue(Some(5)).unwrap(), 6);
    let revoke = |id, reach| ledger.revoke_token(id, reach, 15, &row).ok();
    let told = || {
        let rows = ledger.audit_rows(7, 100).unwrap().into_iter();
        rows.map(|row| row.record.object).collect::<Vec<_>>()
    };
    assert_eq!(told().len(), 0);
    assert_eq!(revoke(2, Revoking::Alone), Some(vec![2]));
    // A token that is revoked issues nothing more.
    assert!(issue(Some(2)).is_err());
    assert_eq!(revoke(1, Revoking::WithIssued), Some(vec![1, 3, 4]));
    assert_eq!(revoke(1, Revoking::WithIssued), None);
    assert_eq!(revoke(9, Revoking::WithIssued), None);
    assert_eq!(revoke(5, Revoking::Alone), Some(vec![5]));
    // What it issued can go later too.
    assert_eq!(revoke(5, Revoking::WithIssued), Some(vec![6]));
    let tokens = [2, 1, 3, 4, 5, 6].map(|id| format!("token {id}"));
    assert_eq!(told(), tokens);
}
