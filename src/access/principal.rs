//! Who asks, and the verdict on what they ask for ([`policy`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::access::audit::Actor;
use crate::access::grant::{Given, Right};
use crate::access::role::{Action, INBOX, LINK, POLICY, Reach, Roles};
use crate::access::secret::Digest;
use crate::access::{Scope, View};
use crate::dicom::{AeTitle, Uid};

/// How somebody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// Not at all: nobody has to sign in.
    Nothing,
    /// By a session, under the digest of its secret.
    Session(Digest),
    /// By an API token of this number.
    Token(i64),
    /// By a session that began by the link of this grant, under the digest of the session's secret.
    Link(Digest, i64),
    /// The same of a link for a reader, who has a task of the case.
    Reader(Digest, i64),
    /// The same of an inbox link.
    Inbox(Digest, i64),
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The name of the account, or `anonymous`.
    pub name: Box<str>,
    /// What they are, by the account and by the token.
    pub roles: Roles,
    /// The studies that their token is good for; `None` when it does not say.
    pub studies: Option<Arc<BTreeSet<Uid>>>,
    /// What was given to them by grants; `None` when they are no reader.
    pub given: Option<Arc<Given>>,
    /// How they are known.
    pub means: Means,
}

/// Somebody has no right to what they ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not among the rights of this account or token: {}", .0.word())]
pub struct Refused(pub Action);

impl Principal {
    /// Whoever reaches us, where nobody has to sign in.
    #[must_use]
    pub fn anyone() -> Self {
        Self {
            name: "anonymous".into(),
            roles: Roles::ALL,
            studies: None,
            given: None,
            means: Means::Nothing,
        }
    }

    /// Whether we know who it is.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.means != Means::Nothing
    }

    /// The AE title under which they are told of workitems: their name in capital letters. No two people have the same;
    /// who has a name of more than 16 characters, or is anybody, has none.
    #[must_use]
    pub fn ae_title(&self) -> Option<AeTitle> {
        let title = AeTitle::parse(&self.name.to_ascii_uppercase()).ok();
        title.filter(|_| self.is_known())
    }

    /// The inbox that they came by.
    #[must_use]
    pub fn inbox(&self) -> Option<i64> {
        match self.means {
            Means::Inbox(_, grant) => Some(grant),
            _ => None,
        }
    }

    /// The number of the API token that they came by.
    #[must_use]
    pub fn token(&self) -> Option<i64> {
        match self.means {
            Means::Token(id) => Some(id),
            _ => None,
        }
    }

    /// Whether workitems are any matter of theirs: a link to bring studies, or to look at some, has no task.
    #[must_use]
    pub fn has_worklist(&self) -> bool {
        !matches!(self.means, Means::Link(..) | Means::Inbox(..))
    }

    /// Whether they may have whole objects of a study that they may see; who was given it to look at may not.
    #[must_use]
    pub fn may_download(&self, study_instance_uid: &Uid) -> bool {
        let is_by_role = POLICY.iter().any(|(role, reach, actions)| {
            self.roles.hold(*role)
                && *reach == Reach::Everything
                && actions.contains(&Action::Retrieve)
        });
        let given = self.given.as_ref();
        let right = given.and_then(|given| given.right(study_instance_uid));
        match right {
            // What was given to be looked at is no more by a token that names it.
            Some(right) => is_by_role || right == Right::Download,
            None => is_by_role || self.studies.is_some(),
        }
    }

    /// What is left of a scope when only whole objects are asked for.
    #[must_use]
    pub fn whole(&self, scope: Scope) -> Scope {
        match scope {
            Scope::Studies(mut studies) => {
                studies.retain(|study, _| self.may_download(study));
                Scope::Studies(studies)
            }
            Scope::All | Scope::Nothing => scope,
        }
    }

    /// As the audit trail names them, at a network address.
    #[must_use]
    pub fn actor(&self, address: &str) -> Actor {
        Actor {
            name: self.name.to_string(),
            means: match self.means {
                Means::Nothing => String::new(),
                Means::Session(_) => "session".into(),
                Means::Link(_, id) | Means::Reader(_, id) => format!("link {id}"),
                Means::Inbox(_, id) => format!("inbox {id}"),
                Means::Token(id) => format!("token {id}"),
            },
            address: address.into(),
        }
    }
}

/// What `principal` may do `action` to.
///
/// # Errors
/// When no role of theirs may do it at all. A token for some studies never stores: what arrives could be of any. What
/// comes by an inbox is looked at one by one: its scope is what has come. A token for a study that somebody reads blind
/// shows no more of it.
pub fn policy(principal: &Principal, action: Action) -> Result<Scope, Refused> {
    let given = || match &principal.given {
        Some(given) => Scope::Studies(given.studies()),
        None => Scope::Nothing,
    };
    let only = match principal.means {
        Means::Inbox(..) => Some(INBOX),
        Means::Link(..) => Some(LINK),
        Means::Nothing | Means::Session(_) | Means::Token(_) | Means::Reader(..) => None,
    };
    if only.is_some_and(|only| !only.contains(&action)) {
        return Err(Refused(action));
    }
    if principal.inbox().is_some() {
        return Ok(given());
    }
    let rows = || {
        POLICY
            .iter()
            .filter(|(role, _, actions)| principal.roles.hold(*role) && actions.contains(&action))
    };
    if rows().next().is_none() {
        return Err(Refused(action));
    }
    if action == Action::Store && principal.studies.is_some() {
        return Err(Refused(action));
    }
    if let Some(studies) = &principal.studies {
        let views = principal.given.as_ref().map(|given| given.studies());
        let view = |study: &Uid| {
            let given = views.as_ref().and_then(|views| views.get(study));
            given.copied().unwrap_or(View::Whole)
        };
        let studies = studies.iter().map(|study| (study.clone(), view(study)));
        return Ok(Scope::Studies(studies.collect()));
    }
    let is_wide = rows().any(|(_, reach, _)| *reach == Reach::Everything);
    Ok(if is_wide { Scope::All } else { given() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(roles: &str, studies: Option<&[&str]>) -> Principal {
        let uid = |text: &&str| Uid::parse(text).unwrap();
        Principal {
            name: "a".into(),
            roles: Roles::parse(roles).unwrap(),
            studies: studies.map(|studies| Arc::new(studies.iter().map(uid).collect())),
            given: None,
            means: Means::Token(1),
        }
    }

    #[test]
    fn a_short_name_is_an_ae_title() {
        let title = |name: &str| {
            let principal = Principal {
                name: name.into(),
                ..principal("reader", None)
            };
            principal.ae_title().map(|title| title.to_string())
        };
        assert_eq!(title("dr.anna-1"), Some("DR.ANNA-1".into()));
        assert_eq!(title("anna@clinic.example"), None);
        assert_eq!(Principal::anyone().ae_title(), None);
    }

    #[test]
    fn who_may_do_what() {
        let all = Action::WORDS.map(|(action, _)| action);
        for action in all {
            assert_eq!(policy(&Principal::anyone(), action), Ok(Scope::All));
            let nobody = principal("", None);
            assert_eq!(policy(&nobody, action), Err(Refused(action)));
        }
        let may = |roles: &str| {
            let principal = principal(roles, None);
            let may = all
                .into_iter()
                .filter(|action| policy(&principal, *action).is_ok());
            may.map(Action::word).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(may("sender"), "store");
        assert_eq!(may("requester"), "find retrieve store send request cancel");
        assert_eq!(may("reader"), "find retrieve cancel work");
        assert_eq!(may("viewer"), "find retrieve");
        assert_eq!(may("viewer sender"), "find retrieve store");
    }

    #[test]
    fn a_reader_sees_what_was_given_only() {
        let reader = principal("reader", None);
        assert_eq!(policy(&reader, Action::Find), Ok(Scope::Nothing));
        let given = principal("reader", Some(&["1.2.3"]));
        let scope = policy(&given, Action::Retrieve).unwrap();
        let holds = |text: &str| scope.holds(&Uid::parse(text).unwrap());
        assert!(holds("1.2.3") && !holds("1.2.4"));
        // A narrow token of somebody who sees everything is as narrow.
        let narrow = principal("administrator", Some(&["1.2.3"]));
        assert_eq!(policy(&narrow, Action::Remove), Ok(scope));
        assert_eq!(policy(&narrow, Action::Store), Err(Refused(Action::Store)));
    }

    #[test]
    fn a_token_shows_no_more_than_its_owner_sees() {
        let uid = |text: &str| Uid::parse(text).unwrap();
        let views = [
            (uid("1.1"), View::WithoutReports),
            (uid("1.2"), View::Whole),
        ];
        let given = Given::default().and(views.into(), Right::View);
        let reader = Principal {
            given: Some(Arc::new(given)),
            ..principal("reader", Some(&["1.1", "1.2", "1.3"]))
        };
        let scope = policy(&reader, Action::Retrieve).unwrap();
        let seen = ["1.1", "1.2", "1.3", "1.4"].map(|study| scope.view(&uid(study)));
        let (whole, blind) = (Some(View::Whole), Some(View::WithoutReports));
        assert_eq!(seen, [blind, whole, whole, None]);
        let taken = ["1.1", "1.2", "1.3"].map(|study| reader.may_download(&uid(study)));
        assert_eq!(taken, [false, false, true]);
    }
}
