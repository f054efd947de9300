//! User Identity Negotiation (PS3.7 §D.3.3.7): who calls, besides the AE title that anybody can write.
//! Users come from a file of the configuration, tokens are signed by a key of it; the owner of an account gives its name,
//! and one of its API tokens as the passcode.
//!
//! What cannot be verified is rejected for good by the service provider (1/2/1); what could not be
//! tried now, for now (2/3/1). Kerberos tickets and SAML assertions are always rejected. Nothing of
//! what a peer sends is logged before it is known to be right.

mod gate;
mod token;
mod users;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use dicom_ul::pdu::{
    AssociationRJ, AssociationRJResult, AssociationRJServiceProviderASCEReason as AcseReason,
    AssociationRJServiceProviderPresentationReason as PresentationReason, AssociationRJSource,
    UserIdentity, UserIdentityType,
};
use tracing::{error, info};

use crate::access::Desk;
use crate::access::passcode::{self, Workspace};
use crate::access::secret::Secret;
use crate::dimse::modalities::Rights;
use crate::dimse::tls::{self, FileError};
use crate::dimse::visitor::Visitor;

use gate::{Closed, Gate};
use token::{TokenError, Tokens};
use users::Users;

/// The settings that the files are named by.
const USERS: &str = "dicom.users";
const JWT_KEY: &str = "dicom.jwt_key";

/// How identities are dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether who says nothing of himself is rejected.
    pub is_required: bool,
    /// The file of users.
    pub users: Option<PathBuf>,
    /// The file that tokens are verified with, and the audience that they have to be meant for.
    pub tokens: Option<(PathBuf, String)>,
}

/// Somebody whose identity is good, or who has none and needs none.
#[derive(Debug, Clone)]
pub(crate) struct User {
    /// As the file or a verified token has it.
    pub(crate) name: Option<Box<str>>,
    pub(crate) rights: Rights,
    /// Who has an account.
    pub(crate) visitor: Option<Visitor>,
    /// Wants to be told that all is well.
    pub(crate) wants_answer: bool,
}

impl User {
    /// Nobody in particular.
    pub(crate) const ANYBODY: Self = Self {
        name: None,
        rights: Rights::ALL,
        visitor: None,
        wants_answer: false,
    };
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("no user identity, and one is required (dicom.user_identity)")]
    Missing,
    #[error("more than one user identity")]
    Several,
    #[error("unknown user, or wrong passcode")]
    Unknown,
    #[error("a token that is no good: {0}")]
    Token(#[from] TokenError),
    #[error("no key to verify tokens with (dicom.jwt_key)")]
    NoKey,
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    #[error("the accounts cannot be read")]
    Unreadable,
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl Refused {
    /// A-ASSOCIATE-RJ (PS3.8 §9.3.4).
    pub(crate) fn rejection(self) -> AssociationRJ {
        let (result, source) = match self {
            Self::Closed(_) | Self::Unreadable => (
                AssociationRJResult::Transient,
                AssociationRJSource::ServiceProviderPresentation(
                    PresentationReason::TemporaryCongestion,
                ),
            ),
            _ => (
                AssociationRJResult::Permanent,
                AssociationRJSource::ServiceProviderASCE(AcseReason::NoReasonGiven),
            ),
        };
        AssociationRJ { result, source }
    }
}

/// A line of the file of users.
///
/// # Errors
/// When it would be none: an odd name, a right that there is not.
pub fn line(name: &str, hash: &str, rights: Option<&str>) -> Result<String, String> {
    let line = match rights {
        None => format!("{name}:{hash}"),
        Some(rights) => format!("{name}:{hash}:{rights}"),
    };
    match line.parse::<Users>() {
        _ if name.starts_with('#') => Err("the name begins with #".into()),
        _ if line.contains(['\n', '\r']) => Err("there is more than one line".into()),
        Err(problem) => Err(problem.trim_start_matches("line 1 ").to_owned()),
        Ok(_) => Ok(line),
    }
}

/// Everybody we know.
pub(super) struct Identities {
    settings: Settings,
    known: RwLock<Arc<Known>>,
    gate: Gate,
}

struct Known {
    users: Users,
    tokens: Option<Tokens>,
}

impl Settings {
    fn read(&self) -> Result<Known, FileError> {
        let users = match &self.users {
            None => Users::none(),
            Some(path) => {
                tls::warn_when_open_to_all(USERS, path);
                String::from_utf8(tls::read(USERS, path)?)
                    .map_err(|_| "is no UTF-8".to_owned())
                    .and_then(|text| text.parse())
                    .map_err(|problem: String| tls::problem(USERS, path, &problem))?
            }
        };
        let tokens = match &self.tokens {
            None => None,
            Some((path, audience)) => {
                let tokens = Tokens::new(&tls::read(JWT_KEY, path)?, audience);
                Some(tokens.map_err(|problem| tls::problem(JWT_KEY, path, &problem))?)
            }
        };
        Ok(Known { users, tokens })
    }
}

impl Identities {
    /// Reads the files.
    pub(super) fn open(settings: Settings) -> Result<Self, FileError> {
        let known = RwLock::new(Arc::new(settings.read()?));
        Ok(Self {
            settings,
            known,
            gate: Gate::default(),
        })
    }

    /// Reads the files again, for associations from now on. What cannot be used changes nothing.
    pub(super) fn reload(&self) {
        match self.settings.read() {
            Ok(known) => {
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
                info!("the DICOM users are read again");
            }
            Err(cause) => {
                error!(%cause, "the new DICOM users cannot be used: the old ones stay in force");
            }
        }
    }

    /// Who it is that says so.
    pub(super) fn verify(
        &self,
        claimed: &[&UserIdentity],
        host: IpAddr,
        deadline: Instant,
        desk: Option<&Arc<Desk>>,
    ) -> Result<User, Refused> {
        let claimed = match claimed {
            [] if self.settings.is_required => return Err(Refused::Missing),
            [] => return Ok(User::ANYBODY),
            [one] => *one,
            _ => return Err(Refused::Several),
        };
        let known = Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner));
        let primary = claimed.primary_field();
        let mut visitor = None;
        let (name, rights) = 'who: {
            match claimed.identity_type() {
                UserIdentityType::Username => {
                    let name = user_name(&primary)?;
                    let rights = known.users.named(&name).ok_or(Refused::Unknown)?;
                    (Some(name), rights)
                }
                UserIdentityType::UsernamePassword => {
                    let name = user_name(&primary)?;
                    if let (Some(desk), Some(token)) = (desk, token_of(&claimed.secondary_field()))
                    {
                        let found = Visitor::recognize(desk, &name, &token);
                        let found = found.map_err(|cause| {
                            error!(%cause, "the accounts cannot be read");
                            Refused::Unreadable
                        })?;
                        let (found, name) = found.ok_or(Refused::Unknown)?;
                        visitor = Some(found);
                        break 'who (Some(name), Rights::ALL);
                    }
                    let rights = self.enter(&known.users, &name, claimed, host, deadline)?;
                    (Some(name), rights)
                }
                UserIdentityType::Jwt => {
                    let tokens = known.tokens.as_ref().ok_or(Refused::NoKey)?;
                    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
                    // A clock before 1970 makes every token one of the future.
                    let now = since_1970.map_or(0.0, |now| now.as_secs_f64());
                    let (subject, rights) = tokens.check(&primary, now)?;
                    (subject.filter(|name| users::is_name(name)), rights)
                }
                UserIdentityType::KerberosServiceTicket => {
                    return Err(Refused::Unsupported("Kerberos"));
                }
                UserIdentityType::SamlAssertion => return Err(Refused::Unsupported("SAML")),
                _ => return Err(Refused::Unsupported("this type of user identity")),
            }
        };
        Ok(User {
            name,
            rights,
            visitor,
            wants_answer: claimed.positive_response_requested(),
        })
    }

    /// Checks a passcode, in turn. Somebody unknown takes as long.
    fn enter(
        &self,
        users: &Users,
        name: &str,
        claimed: &UserIdentity,
        host: IpAddr,
        deadline: Instant,
    ) -> Result<Rights, Refused> {
        let passcode = claimed.secondary_field();
        if passcode.len() > passcode::BYTES_MAX {
            return Err(Refused::Unknown);
        }
        let (rights, hash) = users.with_passcode(name);
        let hash = hash.ok_or(Refused::Unknown)?;
        let check =
            |workspace: &mut Workspace| hash.is_of(&passcode, workspace) && rights.is_some();
        match self.gate.pass(host, deadline, check)? {
            true => rights.ok_or(Refused::Unknown),
            false => Err(Refused::Unknown),
        }
    }
}

/// The API token that a passcode is, if it is one. Fields of odd length may be padded.
fn token_of(field: &[u8]) -> Option<Secret> {
    let text = std::str::from_utf8(field).ok()?;
    Secret::parse_token(text.trim_end_matches(['\0', ' ']))
}

/// A name as it came. Some pad fields of odd length.
fn user_name(field: &[u8]) -> Result<Box<str>, Refused> {
    let text = std::str::from_utf8(field).map_err(|_| Refused::Unknown)?;
    let name = text.trim_end_matches(['\0', ' ']);
    users::is_name(name)
        .then(|| name.into())
        .ok_or(Refused::Unknown)
}
