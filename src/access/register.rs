//! The register of accounts and API tokens: what may be written into it, and what the trail says of it. The shell, the API
//! and the pages change it here and nowhere else, so that they refuse the same.
//!
//! What somebody asks for is checked before anything is written; who is there, and whether an administrator stays, in the
//! transaction of the change itself ([`AccessLedger`]). A passcode is hashed on the way in, a token leaves as a
//! [`Secret`]: neither is kept.

use std::collections::BTreeSet;

use crate::access::account::{
    Account, AccountChange, AccountName, Issuer, LABEL_BYTES_MAX, NewAccount, NewToken,
    PasscodeError, Revoking, TOKEN_DAYS_MAX, TOKEN_STUDIES_MAX, hashed,
};
use crate::access::audit::{ActionCode, Actor, AuditRecord, Event, EventType};
use crate::access::email::Email;
use crate::access::ledger::{AccessError, AccessLedger, LedgerError};
use crate::access::passcode::{HashError, TOO_MANY};
use crate::access::role::Roles;
use crate::access::secret::{Digest, NoRandomness, Secret};
use crate::dicom::Uid;

const DAY_MS: i64 = 86_400_000;

/// Why nothing was written into the register.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// What is asked for makes no sense.
    #[error("{0}")]
    Invalid(&'static str),
    /// Not a passcode that is taken.
    #[error(transparent)]
    Passcode(PasscodeError),
    /// More than the account has.
    #[error("a token has no role that its account has not: {0}")]
    Beyond(Roles),
    /// No such account or token, or one already; the last administrator; too many.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// No random numbers.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl From<LedgerError> for RegisterError {
    fn from(error: LedgerError) -> Self {
        AccessError::from(error).into()
    }
}

impl From<PasscodeError> for RegisterError {
    fn from(error: PasscodeError) -> Self {
        match error {
            PasscodeError::Hash(HashError::NoRandomness) => NoRandomness.into(),
            PasscodeError::Hash(HashError::Busy) => LedgerError::Busy(TOO_MANY).into(),
            PasscodeError::Short | PasscodeError::Hash(_) => Self::Passcode(error),
        }
    }
}

/// A token that is asked for.
#[derive(Debug, Clone)]
pub struct Issuing {
    /// Whose.
    pub account: AccountName,
    /// Which roles of its account it shall have; `None` for all of them.
    pub roles: Option<Roles>,
    /// The only studies that it is good for; none of them for all that its roles reach.
    pub studies: BTreeSet<Uid>,
    /// What it is for.
    pub label: String,
    /// How long it is good for.
    pub days: i64,
}

/// A token that was issued.
#[derive(Debug)]
pub struct Issued {
    /// Its number.
    pub id: i64,
    /// The token itself: nobody can tell it again.
    pub secret: Secret,
    /// Until when it is good.
    pub expires_ms: i64,
}

/// The register, open for somebody who may change it. That they may is the door's to see to.
pub struct Register<'a> {
    ledger: &'a dyn AccessLedger,
    who: Actor,
    token: Option<i64>,
    now_ms: i64,
}

impl<'a> Register<'a> {
    /// Opens it for `who` at `now_ms`.
    #[must_use]
    pub fn new(ledger: &'a dyn AccessLedger, who: Actor, now_ms: i64) -> Self {
        Self {
            ledger,
            who,
            token: None,
            now_ms,
        }
    }

    /// Says by which API token they came.
    #[must_use]
    pub fn by_token(mut self, token: Option<i64>) -> Self {
        self.token = token;
        self
    }

    /// The account of a name, as it is now.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub fn account(&self, name: &AccountName) -> Result<Account, RegisterError> {
        let account = self.ledger.account(name.as_str())?;
        Ok(account.ok_or(AccessError::NotFound("there is no such account"))?)
    }

    /// Makes an account.
    ///
    /// # Errors
    /// [`RegisterError::Passcode`]; [`AccessError::Conflict`], [`AccessError::TooMany`].
    pub fn add(
        &self,
        name: AccountName,
        roles: Roles,
        email: Option<Email>,
        passcode: &str,
    ) -> Result<(), RegisterError> {
        check_roles(roles)?;
        let passcode = hashed(passcode)?;
        let record = self.record(EventType::UserSecurityAttributesChanged, &name);
        let record = record.saying(format!("made, {roles}"));
        let new = NewAccount {
            name,
            roles,
            passcode,
            email,
            created_ms: self.now_ms,
        };
        Ok(self.ledger.add_account(&new, &record)?)
    }

    /// Changes what an account is, all of it or nothing.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], [`AccessError::LastAdministrator`].
    pub fn change(&self, name: &AccountName, change: &AccountChange) -> Result<(), RegisterError> {
        if let Some(roles) = change.roles {
            check_roles(roles)?;
        }
        if *change == AccountChange::default() {
            return Err(RegisterError::Invalid("nothing is to be changed"));
        }
        // The address itself is its owner's, and no matter of the trail.
        let said = [
            change.roles.map(|roles| format!("roles are {roles}")),
            change.email.as_ref().map(|email| match email {
                Some(_) => "another e-mail address".to_owned(),
                None => "no e-mail address".to_owned(),
            }),
            change.is_enabled.map(|is_enabled| match is_enabled {
                true => "enabled".to_owned(),
                false => "disabled".to_owned(),
            }),
        ];
        let said: Vec<_> = said.into_iter().flatten().collect();
        let event_type = match change.roles {
            Some(_) => EventType::SecurityRolesChanged,
            None => EventType::UserSecurityAttributesChanged,
        };
        let record = self.record(event_type, name).saying(said.join("; "));
        Ok(self.ledger.change_account(name.as_str(), change, &record)?)
    }

    /// Gives an account another passcode; its sessions end.
    ///
    /// # Errors
    /// [`RegisterError::Passcode`], [`AccessError::NotFound`].
    pub fn set_passcode(&self, name: &AccountName, passcode: &str) -> Result<(), RegisterError> {
        // A hash is dear, and of nobody it is worth nothing.
        self.account(name)?;
        let passcode = hashed(passcode)?;
        let record = self.record(EventType::UserSecurityAttributesChanged, name);
        let record = record.saying("another passcode");
        Ok(self
            .ledger
            .set_passcode(name.as_str(), &passcode, &record)?)
    }

    /// Gives an account the passcode that its owner wants, who has shown the one of now; their other sessions end.
    ///
    /// # Errors
    /// [`RegisterError::Passcode`]; [`AccessError::NotFound`] when it has another passcode by now, or is disabled.
    pub fn change_passcode(
        &self,
        account: &Account,
        passcode: &str,
        kept: &Digest,
    ) -> Result<(), RegisterError> {
        let passcode = hashed(passcode)?;
        let record = self.blank(EventType::UserSecurityAttributesChanged);
        let record = record.on(format!("account {}", account.name));
        let record = record.saying("another passcode, by its owner");
        let change = (&*account.passcode, &*passcode);
        Ok(self
            .ledger
            .change_passcode(&account.name, change, kept, &record)?)
    }

    /// Issues a token.
    ///
    /// # Errors
    /// [`RegisterError::Beyond`]; [`AccessError::NotFound`] without the account, [`AccessError::TooMany`].
    pub fn issue(&self, asked: Issuing) -> Result<Issued, RegisterError> {
        check_token(&asked)?;
        let account = self.account(&asked.account)?;
        let roles = asked.roles.unwrap_or(account.roles).within(account.roles);
        if roles.is_empty() || asked.roles.is_some_and(|asked| asked != roles) {
            return Err(RegisterError::Beyond(account.roles));
        }
        let secret = Secret::new()?;
        let record = self.record(EventType::UserSecurityAttributesChanged, &asked.account);
        let record = asked.studies.iter().fold(record, AuditRecord::about);
        let told = |id| {
            let record = record.clone();
            record.saying(format!("token {id} was issued, {roles}"))
        };
        let new = NewToken {
            digest: secret.digest(),
            account: asked.account,
            label: asked.label,
            roles,
            studies: (!asked.studies.is_empty()).then_some(asked.studies),
            issued_ms: self.now_ms,
            expires_ms: self.now_ms.saturating_add(asked.days * DAY_MS),
            issuer: Issuer {
                who: self.who.name.clone(),
                token: self.token,
            },
        };
        let id = self.ledger.issue_token(&new, &told)?;
        Ok(Issued {
            id,
            secret,
            expires_ms: new.expires_ms,
        })
    }

    /// Revokes a token at once.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], also when it was revoked before.
    pub fn revoke(&self, id: i64) -> Result<(), RegisterError> {
        self.revoked(id, Revoking::Alone).map(|_| ())
    }

    /// Revokes a token with those that it issued, those that these issued, and so on; gives the numbers of all that were good
    /// until then.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], also when all of them were revoked before.
    pub fn revoke_with_issued(&self, id: i64) -> Result<Vec<i64>, RegisterError> {
        self.revoked(id, Revoking::WithIssued)
    }

    fn revoked(&self, id: i64, reach: Revoking) -> Result<Vec<i64>, RegisterError> {
        let told = |one: i64| {
            let record = self.blank(EventType::UserSecurityAttributesChanged);
            let record = record.on(format!("token {one}"));
            record.saying(match one == id {
                true => "revoked".to_owned(),
                false => format!("revoked with token {id}, which it was issued by"),
            })
        };
        Ok(self.ledger.revoke_token(id, reach, self.now_ms, &told)?)
    }

    fn record(&self, event_type: EventType, name: &AccountName) -> AuditRecord {
        self.blank(event_type).on(format!("account {name}"))
    }

    fn blank(&self, event_type: EventType) -> AuditRecord {
        let (event, who) = (Event::SecurityAlert, self.who.clone());
        AuditRecord::new(event, ActionCode::Update, who, self.now_ms).of_type(event_type)
    }
}

fn check_roles(roles: Roles) -> Result<(), RegisterError> {
    match roles.is_empty() {
        true => Err(RegisterError::Invalid(
            "an account without a role can do nothing",
        )),
        false => Ok(()),
    }
}

fn check_token(asked: &Issuing) -> Result<(), RegisterError> {
    let wrong = [
        (
            asked.label.len() > LABEL_BYTES_MAX,
            "the label is longer than 128 bytes",
        ),
        (
            asked.label.chars().any(char::is_control),
            "the label has to stand on one line",
        ),
        (
            asked.studies.len() > TOKEN_STUDIES_MAX,
            "a token names at most 1000 studies",
        ),
        (
            !(1..=TOKEN_DAYS_MAX).contains(&asked.days),
            "a token is good for 1 to 3650 days",
        ),
    ];
    match wrong.into_iter().find(|(is_wrong, _)| *is_wrong) {
        Some((_, why)) => Err(RegisterError::Invalid(why)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::AuditLedger as _;
    use crate::db::Ledger;

    const PASSCODE: &str = "correct horse battery";

    struct House {
        ledger: Ledger,
        _folder: tempfile::TempDir,
    }

    impl House {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let ledger = Ledger::open(&folder.path().join("ledger.sqlite"), 1).unwrap();
            Self {
                ledger,
                _folder: folder,
            }
        }

        fn register(&self) -> Register<'_> {
            let who = Actor {
                name: "root".into(),
                ..Actor::default()
            };
            Register::new(&self.ledger, who, 1_000)
        }

        fn rows(&self) -> Vec<(String, String)> {
            let rows = self.ledger.audit_rows(0, 100).unwrap().into_iter();
            rows.map(|row| (row.record.object, row.record.detail))
                .collect()
        }
    }

    fn name(text: &str) -> AccountName {
        AccountName::parse(text).unwrap()
    }

    fn roles(text: &str) -> Roles {
        Roles::parse(text).unwrap()
    }

    fn asked(roles: Option<Roles>) -> Issuing {
        Issuing {
            account: name("anna"),
            roles,
            studies: BTreeSet::new(),
            label: "of a viewer".into(),
            days: 2,
        }
    }

    #[test]
    fn what_was_written_stands_in_the_trail_and_what_was_refused_does_not() {
        let house = House::new();
        let register = house.register();
        let add = |roles, passcode| register.add(name("anna"), roles, None, passcode);
        for (words, passcode) in [("", PASSCODE), ("viewer", "short")] {
            assert!(add(roles(words), passcode).is_err());
        }
        add(roles("administrator"), PASSCODE).unwrap();
        assert!(add(roles("viewer"), PASSCODE).is_err());
        let change = AccountChange {
            email: Some(Email::parse("anna@example.org").ok()),
            roles: Some(roles("administrator reader")),
            is_enabled: Some(true),
        };
        register.change(&name("anna"), &change).unwrap();
        for nothing in [
            AccountChange::default(),
            AccountChange::enabled(false),
            AccountChange {
                roles: Some(Roles::NONE),
                ..AccountChange::default()
            },
        ] {
            assert!(register.change(&name("anna"), &nothing).is_err());
        }
        assert!(register.set_passcode(&name("bert"), PASSCODE).is_err());
        register.set_passcode(&name("anna"), PASSCODE).unwrap();
        let issued = register.issue(asked(None)).unwrap();
        register.revoke(issued.id).unwrap();
        assert!(register.revoke(issued.id).is_err());
        let told = house.rows();
        let told: Vec<_> = told.iter().map(|(on, what)| (&**on, &**what)).collect();
        assert_eq!(
            told,
            [
                ("account anna", "made, administrator"),
                (
                    "account anna",
                    "roles are administrator reader; another e-mail address; enabled"
                ),
                ("account anna", "another passcode"),
                ("account anna", "token 1 was issued, administrator reader"),
                ("token 1", "revoked"),
            ]
        );
    }

    #[test]
    fn a_token_is_no_more_than_its_account() {
        let house = House::new();
        let register = house.register();
        let who = roles("viewer sender");
        register.add(name("anna"), who, None, PASSCODE).unwrap();
        assert!(matches!(
            register.issue(asked(Some(roles("viewer reader")))),
            Err(RegisterError::Beyond(_))
        ));
        assert!(matches!(
            register.issue(asked(Some(Roles::NONE))),
            Err(RegisterError::Beyond(_))
        ));
        let issued = register.issue(asked(Some(roles("viewer")))).unwrap();
        assert_eq!(issued.expires_ms, 1_000 + 2 * DAY_MS);
        let wrong: [fn(&mut Issuing); 5] = [
            |asked| asked.days = 0,
            |asked| asked.days = TOKEN_DAYS_MAX + 1,
            |asked| asked.label = "x".repeat(LABEL_BYTES_MAX + 1),
            |asked| asked.label = "two\nlines".into(),
            |asked| {
                let uids = (0..=TOKEN_STUDIES_MAX).map(|n| format!("1.2.{n}"));
                asked.studies = uids.filter_map(|text| Uid::parse(&text).ok()).collect();
            },
        ];
        for spoil in wrong {
            let mut asked = asked(None);
            spoil(&mut asked);
            assert!(matches!(
                register.issue(asked),
                Err(RegisterError::Invalid(_))
            ));
        }
    }
}
