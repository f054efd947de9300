//! Accounts, sessions and API tokens as they are kept.

use std::collections::BTreeSet;
use std::fmt;

use crate::access::email::Email;
use crate::access::passcode::{Hash, HashError};
use crate::access::role::Roles;
use crate::access::secret::Digest;
use crate::dicom::Uid;

/// The longest name of an account. Bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The shortest passcode of a new account (NIST SP 800-63B §3.1.1.2 asks for 8 and advises 15). Characters.
pub const PASSCODE_CHARS_MIN: usize = 12;
/// The most accounts.
pub const ACCOUNTS_MAX: usize = 10_000;
/// The most sessions of one account; the oldest ends when one more begins.
pub const SESSIONS_MAX: usize = 32;
/// The most tokens of one account, revoked and expired ones left out.
pub const TOKENS_MAX: usize = 100;
/// The most studies that a token is good for, when it says.
pub const TOKEN_STUDIES_MAX: usize = 1000;
/// The longest label of a token. Bytes.
pub const LABEL_BYTES_MAX: usize = 128;
/// The longest life of a token, and that of one that says none. Days.
pub const TOKEN_DAYS_MAX: i64 = 3650;
/// See [`TOKEN_DAYS_MAX`].
pub const TOKEN_DAYS: i64 = 90;

/// The name of an account: small letters, digits and `.`, `_`, `-`, `@`, `+`; nothing that could be mistaken for
/// another name, or break a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountName(Box<str>);

/// What the names of links begin with.
const LINK: &str = "link ";

/// A text that can be no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name is 1 to 64 of a-z, 0-9, '.', '_', '-', '@' and '+', and begins with a letter or a digit"
)]
pub struct NoName;

impl AccountName {
    /// Reads one. Capital letters count as small ones.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, NoName> {
        let name = text.to_ascii_lowercase();
        let is_good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-@+".contains(&b);
        let begins_well = name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric());
        // Whoever nobody is called so.
        let is_taken = name == "anonymous";
        (begins_well && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_good) && !is_taken)
            .then(|| Self(name.into()))
            .ok_or(NoName)
    }

    /// The name under which whoever holds the link of a grant acts. No account has it: names have no spaces.
    #[must_use]
    pub fn of_link(grant: i64) -> Self {
        Self(format!("{LINK}{grant}").into())
    }

    /// Reads one that was kept: of an account, or of a link.
    ///
    /// # Errors
    /// When it is neither.
    pub fn kept(text: &str) -> Result<Self, NoName> {
        let grant = text.strip_prefix(LINK).and_then(|grant| grant.parse().ok());
        grant.map_or_else(|| Self::parse(text), |grant| Ok(Self::of_link(grant)))
    }

    /// The grant whose link it is of; `None` of an account.
    #[must_use]
    pub fn link(&self) -> Option<i64> {
        self.0.strip_prefix(LINK)?.parse().ok()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a passcode is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasscodeError {
    /// Easily guessed.
    #[error("the passcode is shorter than {PASSCODE_CHARS_MIN} characters")]
    Short,
    /// Too long, or no random numbers.
    #[error("the passcode {0}")]
    Hash(#[from] HashError),
}

/// A passcode of an account, as it is kept.
///
/// # Errors
/// When it is too short or too long, there are no random numbers, or too many passcodes wait for their turn.
pub fn hashed(passcode: &str) -> Result<String, PasscodeError> {
    if passcode.chars().count() < PASSCODE_CHARS_MIN {
        return Err(PasscodeError::Short);
    }
    Ok(Hash::in_turn(passcode.as_bytes())?.to_string())
}

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// What it is called.
    pub name: AccountName,
    /// What its owner is here.
    pub roles: Roles,
    /// The passcode as it is kept.
    pub passcode: String,
    /// Where its owner is told what is asked of them.
    pub email: Option<Email>,
    /// When.
    pub created_ms: i64,
}

/// What is to be changed of an account; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// What its owner is here from now on.
    pub roles: Option<Roles>,
    /// Where its owner is told from now on what is asked of them, or that they are not.
    pub email: Option<Option<Email>>,
    /// Whether its owner may come in from now on.
    pub is_enabled: Option<bool>,
}

impl AccountChange {
    /// Lets the owner in, or no more.
    #[must_use]
    pub fn enabled(is_enabled: bool) -> Self {
        Self {
            is_enabled: Some(is_enabled),
            ..Self::default()
        }
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: i64,
    /// What it is called.
    pub name: String,
    /// What its owner is here.
    pub roles: Roles,
    /// The passcode as it is kept (`access::passcode`).
    pub passcode: String,
    /// Where its owner is told what is asked of them.
    pub email: Option<Email>,
    /// Whether its owner may come in.
    pub is_enabled: bool,
    /// When it was made.
    pub created_ms: i64,
}

/// A session that begins.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Of its secret.
    pub digest: Digest,
    /// Whose.
    pub account: i64,
    /// The passcode that was checked, as it is kept: another may have been set while it was.
    pub passcode: String,
    /// When it begins.
    pub begun_ms: i64,
    /// When it ends, however busy it is.
    pub expires_ms: i64,
    /// Sessions that were not seen since then have ended, and are forgotten.
    pub idle_since_ms: i64,
}

/// A session, and whose it is.
#[derive(Debug, Clone)]
pub struct Session {
    /// Whose.
    pub account: Account,
    /// When it was last used, to a minute or so.
    pub seen_ms: i64,
    /// When it ends, however busy it is.
    pub expires_ms: i64,
}

/// Who issued a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// As the trail names them: an account, or who sat at the shell.
    pub who: String,
    /// The number of the token by which they came, if they came by one.
    pub token: Option<i64>,
}

/// An API token to be issued.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Of the token as it is shown once.
    pub digest: Digest,
    /// Whose.
    pub account: AccountName,
    /// What it is for.
    pub label: String,
    /// Which roles of its account it has.
    pub roles: Roles,
    /// Which studies it is good for; `None` for all that its roles reach.
    pub studies: Option<BTreeSet<Uid>>,
    /// When.
    pub issued_ms: i64,
    /// Until when it is good.
    pub expires_ms: i64,
    /// By whom.
    pub issuer: Issuer,
}

/// An API token, and whose it is.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its number.
    pub id: i64,
    /// Whose.
    pub account: Account,
    /// What it is for.
    pub label: String,
    /// Which roles it was issued with.
    pub roles: Roles,
    /// Which studies it is good for.
    pub studies: Option<BTreeSet<Uid>>,
    /// When it was issued.
    pub issued_ms: i64,
    /// Until when it is good.
    pub expires_ms: i64,
    /// When it was revoked, if it was.
    pub revoked_ms: Option<i64>,
    /// Who issued it; nobody knows of those from before that was kept.
    pub issuer: Option<Issuer>,
}

/// What goes with a token that is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoking {
    /// Nothing else.
    Alone,
    /// The tokens that it issued, those that these issued, and so on.
    WithIssued,
}

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// It opens what its roles and studies say.
    Good,
    /// Nothing: somebody revoked it.
    Revoked,
    /// Nothing any more.
    Expired,
    /// Nothing for as long as its account is disabled.
    AccountDisabled,
}

impl TokenState {
    /// The words for it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::AccountDisabled => "account disabled",
        }
    }
}

impl Token {
    /// What it is good for at `now_ms`.
    #[must_use]
    pub fn state(&self, now_ms: i64) -> TokenState {
        match self.revoked_ms {
            Some(_) => TokenState::Revoked,
            None if now_ms >= self.expires_ms => TokenState::Expired,
            None if !self.account.is_enabled => TokenState::AccountDisabled,
            None => TokenState::Good,
        }
    }

    /// Whether it opens anything at `now_ms`.
    #[must_use]
    pub fn is_good(&self, now_ms: i64) -> bool {
        self.state(now_ms) == TokenState::Good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_passcodes_are_not_taken() {
        assert_eq!(hashed("elevenchars"), Err(PasscodeError::Short));
        assert!(hashed("twelve chärs").unwrap().starts_with("$argon2id$"));
        assert!(matches!(
            hashed(&"x".repeat(2000)),
            Err(PasscodeError::Hash(_))
        ));
    }

    #[test]
    fn names_are_plain() {
        for (text, name) in [
            ("Anna", "anna"),
            ("a.b-c_d@example.org", "a.b-c_d@example.org"),
            ("7", "7"),
        ] {
            assert_eq!(AccountName::parse(text).unwrap().as_str(), name);
        }
        for text in [
            "",
            ".a",
            "a b",
            "anonymous",
            "ä",
            "a\n",
            "a:b",
            &"a".repeat(65),
        ] {
            assert_eq!(AccountName::parse(text), Err(NoName), "{text}");
        }
    }
}
