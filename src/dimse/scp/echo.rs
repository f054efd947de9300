//! C-ECHO (PS3.7 §9.1.5, PS3.4 Annex A): whoever reaches this line, the association works.

use crate::dimse::status::{Reply, Status};

/// The only status that the service defines.
pub(crate) fn answer() -> Reply {
    Reply::plain(Status::SUCCESS)
}
