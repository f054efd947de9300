//! The file `[dicom] users`: a user a line, `NAME:HASH` or `NAME:HASH:RIGHTS`, as htpasswd has them.
//! A user without a hash is known by name alone, for peers that send no more than that (User
//! Identity Type 1).

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::access::passcode::Hash;
use crate::dimse::modalities::Rights;

/// More users than a hospital has machines.
const USERS_MAX: usize = 4096;
/// The longest name. Bytes.
pub(super) const NAME_BYTES_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Users {
    by_name: BTreeMap<Box<str>, User>,
    /// What the passcode of somebody unknown is held against, so that it takes as long.
    decoy: Option<Hash>,
}

#[derive(Debug)]
struct User {
    hash: Option<Hash>,
    rights: Rights,
}

impl FromStr for Users {
    type Err = String;

    /// Problems name the line and nothing of what stands in it.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut by_name = BTreeMap::new();
        for (number, line) in (1_usize..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, user) = user(line).map_err(|problem| format!("line {number} {problem}"))?;
            if by_name.insert(name.into(), user).is_some() {
                return Err(format!("line {number} has the name of another one"));
            }
            if by_name.len() > USERS_MAX {
                return Err(format!("has more than {USERS_MAX} users"));
            }
        }
        let decoy = by_name.values().find_map(|user: &User| user.hash.clone());
        Ok(Self { by_name, decoy })
    }
}

impl Users {
    pub(super) fn none() -> Self {
        Self {
            by_name: BTreeMap::new(),
            decoy: None,
        }
    }

    /// The rights of a user who is known by name alone.
    pub(super) fn named(&self, name: &str) -> Option<Rights> {
        let user = self.by_name.get(name)?;
        user.hash.is_none().then_some(user.rights)
    }

    /// The rights of a user with a passcode, and what to hold it against. For a user whom nobody
    /// knows there is a hash too, and no rights.
    pub(super) fn with_passcode(&self, name: &str) -> (Option<Rights>, Option<&Hash>) {
        match self.by_name.get(name) {
            Some(User {
                hash: Some(hash),
                rights,
            }) => (Some(*rights), Some(hash)),
            _ => (None, self.decoy.as_ref()),
        }
    }
}

/// Whether a text may be the name of a user. What passes may stand in a log.
pub(super) fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && !text.contains(|c: char| c.is_control() || c == ':')
        && text.trim() == text
}

fn user(line: &str) -> Result<(&str, User), String> {
    let mut fields = line.split(':');
    let (Some(name), Some(hash), rights, None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err("is no NAME:HASH and no NAME:HASH:RIGHTS".into());
    };
    if !is_name(name) {
        return Err("has a name that is empty, has odd spaces or is too long".into());
    }
    let hash = match hash.trim() {
        "" => None,
        text => Some(Hash::parse(text).map_err(|error| format!("has a hash that {error}"))?),
    };
    let rights = match rights {
        None => Rights::ALL,
        Some(words) => Rights::parse(words.split_whitespace())
            .map_err(|_| "has a right that there is not".to_owned())?,
    };
    Ok((name, User { hash, rights }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dimse::modalities::Right;

    #[test]
    fn lines_are_users() {
        let hash = Hash::of(b"secret").unwrap();
        let text =
            format!("# users\n\n anna:{hash}:find get \r\nct 1::store\nall:{hash}\nno:{hash}:\n");
        let users: Users = text.parse().unwrap();
        let rights = users.named("ct 1").unwrap();
        assert!(rights.hold(Right::Store) && !rights.hold(Right::Find));
        assert_eq!(users.named("anna"), None, "a passcode is wanted");
        let (rights, found) = users.with_passcode("anna");
        assert_eq!(found, Some(&hash));
        assert!(rights.is_some_and(|r| r.hold(Right::Find) && !r.hold(Right::Store)));
        assert_eq!(users.with_passcode("all").0, Some(Rights::ALL));
        assert_eq!(users.with_passcode("no").0, Some(Rights::default()));
        for unknown in ["nobody", "ct 1"] {
            let (rights, decoy) = users.with_passcode(unknown);
            assert!(rights.is_none() && decoy.is_some(), "{unknown}");
        }
    }

    #[test]
    fn what_is_no_line_is_told_without_its_words() {
        for text in [
            "anna",
            "anna:secret",
            ":",
            "a:::b",
            "a::fly",
            "a::\na::",
            "a\tb::",
            &"x".repeat(65),
        ] {
            let problem = text.parse::<Users>().unwrap_err();
            assert!(problem.starts_with("line "), "{problem}");
            for word in ["anna", "secret", "fly"] {
                assert!(!problem.contains(word), "{problem}");
            }
        }
    }
}
