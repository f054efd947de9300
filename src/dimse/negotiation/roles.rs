//! Role selection (PS3.7 §D.3.3.4): who may send instances on an association, and in what.

use dicom_ul::pdu::{RequestorRoles, UserVariableItem};

use super::{Context, Service, trimmed};
use crate::archive::Syntax;
use crate::dicom::transfer_syntax::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN};

/// The roles that the requestor offers for a SOP class.
pub(super) fn roles<'i>(
    class_uid: &str,
    offered: &'i [UserVariableItem],
) -> Option<&'i RequestorRoles> {
    offered.iter().find_map(|item| match item {
        UserVariableItem::ScuScpRoleSelectionSubItem(uid, roles) if trimmed(uid) == class_uid => {
            Some(roles)
        }
        _ => None,
    })
}

/// The answer to a role selection: the requestor may be SCU where it has the right to store, and
/// SCP where C-GET may send it something, or of storage commitment, which it may report to us
/// (PS3.7 §D.3.3.4).
pub(super) fn role(context: &Context, offered: &[UserVariableItem]) -> Option<UserVariableItem> {
    let class_uid = context.abstract_syntax.as_str();
    let roles = roles(class_uid, offered)?;
    let (scu, scp) = match context.service {
        Service::Storage => (
            roles.scu && context.gives_instances,
            context.takes_instances,
        ),
        Service::Commitment => (roles.scu, roles.scp),
        Service::Verification | Service::QueryRetrieve(..) => return None,
    };
    let roles = RequestorRoles { scu, scp };
    Some(UserVariableItem::ScuScpRoleSelectionSubItem(
        class_uid.into(),
        roles,
    ))
}

/// Whether every instance with native pixel data can be given in a transfer syntax.
pub(super) fn is_givable(uid: &str) -> bool {
    [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN].contains(&uid)
        || Syntax::lossless(uid).is_some()
}
