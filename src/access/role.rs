//! What people are, what may be done, and the one table that joins the two ([`POLICY`]).

use std::fmt;

/// What somebody is here. One account may be several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Runs the archive: may do everything.
    Administrator,
    /// Brings studies, and sees none.
    Sender,
    /// Asks for second opinions: sees every study, brings some, sends them on.
    Requester,
    /// Reads what was given to them, and nothing else.
    Reader,
    /// Looks at every study, and changes nothing.
    Viewer,
}

impl Role {
    /// All of them, with their words.
    pub const WORDS: [(Self, &'static str); 5] = [
        (Self::Administrator, "administrator"),
        (Self::Sender, "sender"),
        (Self::Requester, "requester"),
        (Self::Reader, "reader"),
        (Self::Viewer, "viewer"),
    ];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        let known = Self::WORDS.iter().find(|(role, _)| *role == self);
        known.map_or("", |(_, word)| word)
    }
}

/// A set of roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u8);

/// A word that is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("roles are administrator, sender, requester, reader and viewer")]
pub struct NoRole;

impl Roles {
    /// No role at all.
    pub const NONE: Self = Self(0);

    /// Whoever reads what was given to them.
    pub const READER: Self = Self::of(Role::Reader);

    /// Every role.
    pub const ALL: Self = Self(0b1_1111);

    /// Reads words with spaces or commas between them.
    ///
    /// # Errors
    /// When one is no role.
    pub fn parse(text: &str) -> Result<Self, NoRole> {
        let words = text.split([' ', ',']).filter(|word| !word.is_empty());
        words
            .map(Self::of_word)
            .try_fold(Self::NONE, |roles, role| {
                role.map(|role| Self(roles.0 | role.0))
            })
    }

    fn of_word(word: &str) -> Result<Self, NoRole> {
        let known = Role::WORDS.iter().find(|(_, known)| *known == word);
        known.map(|(role, _)| Self::of(*role)).ok_or(NoRole)
    }

    const fn of(role: Role) -> Self {
        Self(1 << role as u8)
    }

    /// Whether a role is among them.
    #[must_use]
    pub const fn hold(self, role: Role) -> bool {
        self.0 & Self::of(role).0 != 0
    }

    /// Those that are in both.
    const fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Whether they see every study, whatever else was given to them.
    #[must_use]
    pub fn see_everything(self) -> bool {
        POLICY.iter().any(|(role, reach, actions)| {
            self.hold(*role) && *reach == Reach::Everything && actions.contains(&Action::Retrieve)
        })
    }

    /// Whether what they may see was given to them, if they may see anything.
    #[must_use]
    pub(super) const fn are_given(self) -> bool {
        self.hold(Role::Reader)
    }

    /// Those of them that an account with these roles has: an administrator has every one, for who may do everything may
    /// have a program do less.
    #[must_use]
    pub const fn within(self, account: Self) -> Self {
        if account.hold(Role::Administrator) {
            self
        } else {
            self.and(account)
        }
    }

    /// The words of those that are among them.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let held = Role::WORDS.iter().filter(move |(role, _)| self.hold(*role));
        held.map(|(_, word)| *word)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, word) in self.words().enumerate() {
            let gap = if place == 0 { "" } else { " " };
            write!(f, "{gap}{word}")?;
        }
        Ok(())
    }
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Search for studies, series, instances.
    Find,
    /// Have them, or pictures of them.
    Retrieve,
    /// Add instances.
    Store,
    /// Remove instances for good.
    Remove,
    /// Send instances to another archive.
    Send,
    /// Open a case, create a workitem.
    Request,
    /// Ask for a workitem to be canceled: take back what was requested, or decline it.
    Cancel,
    /// Claim a workitem, and finish it.
    Work,
    /// Read counters of the server.
    Watch,
    /// See accounts, tokens and the audit trail.
    Administer,
}

impl Action {
    /// All of them, with their words.
    pub const WORDS: [(Self, &'static str); 10] = [
        (Self::Find, "find"),
        (Self::Retrieve, "retrieve"),
        (Self::Store, "store"),
        (Self::Remove, "remove"),
        (Self::Send, "send"),
        (Self::Request, "request"),
        (Self::Cancel, "cancel"),
        (Self::Work, "work"),
        (Self::Watch, "watch"),
        (Self::Administer, "administer"),
    ];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        let known = Self::WORDS.iter().find(|(action, _)| *action == self);
        known.map_or("", |(_, word)| word)
    }
}

/// How far a role reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Every study.
    Everything,
    /// The studies that were given to them.
    Given,
}

/// Which role may do what, and how far. What has no row here is refused.
#[rustfmt::skip]
pub(super) const POLICY: &[(Role, Reach, &[Action])] = &[
    (Role::Administrator, Reach::Everything, &[
        Action::Find, Action::Retrieve, Action::Store, Action::Remove, Action::Send, Action::Request, Action::Cancel,
        Action::Work, Action::Watch, Action::Administer,
    ]),
    (Role::Sender, Reach::Everything, &[Action::Store]),
    (Role::Requester, Reach::Everything, &[
        Action::Find, Action::Retrieve, Action::Store, Action::Send, Action::Request, Action::Cancel,
    ]),
    (Role::Reader, Reach::Given, &[Action::Find, Action::Retrieve, Action::Cancel, Action::Work]),
    (Role::Viewer, Reach::Everything, &[Action::Find, Action::Retrieve]),
];

/// What whoever has an inbox link may do. They search nothing: what came by it is told instance by instance, since others may
/// have added to the same studies.
pub(super) const INBOX: &[Action] = &[Action::Store];

/// What whoever has a link to look at studies may do: no task is theirs, whatever workitems are about these studies.
pub(super) const LINK: &[Action] = &[Action::Find, Action::Retrieve];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_words() {
        let roles = Roles::parse("viewer, sender").unwrap();
        assert_eq!(roles.to_string(), "sender viewer");
        assert!(roles.hold(Role::Viewer) && !roles.hold(Role::Administrator));
        assert_eq!(Roles::parse("viewer root"), Err(NoRole));
        assert!(Roles::parse(" ").unwrap().is_empty());
        assert_eq!(Roles::parse(&Roles::ALL.to_string()).unwrap(), Roles::ALL);
        let within = |roles: &str, account: &str| {
            let [roles, account] = [roles, account].map(|text| Roles::parse(text).unwrap());
            roles.within(account).to_string()
        };
        assert_eq!(within("viewer reader", "reader sender"), "reader");
        assert_eq!(within("viewer reader", "administrator"), "reader viewer");
        assert_eq!(within("administrator", "viewer"), "");
    }

    #[test]
    fn every_role_has_one_row() {
        for (role, _) in Role::WORDS {
            assert_eq!(
                POLICY.iter().filter(|(known, ..)| *known == role).count(),
                1
            );
        }
    }
}
