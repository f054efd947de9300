//! Who is to be told what of a case: the events and what a change has to tell ([`event`]), the queue of what is on its way
//! ([`queue`]), whom a notice goes to ([`addressing`]), and what nobody does but time ([`watching`]).
//!
//! A notice is kept by the change that it tells of, in the same transaction, so there is never one without the other. It
//! says which case, what and when: nothing of a patient, and nothing of what somebody wrote.

mod addressing;
mod event;
mod queue;
mod watching;

pub use addressing::Channels;
pub use event::{Audience, News, NoticeEvent, news};
pub use queue::{
    Delivery, DeliveryState, EMAIL, Listed, Notice, NoticeDestination, NoticeLedger, NoticePart,
    NoticePause, Refused, Tidied, Untidy,
};
pub use watching::Watch;
