//! The hall that the web doors share: one actix server with its limits ([`serve`], [`Settings`]),
//! the address under which the outside world reaches us ([`mod@base_url`]), errors as responses
//! ([`Problem`]), who asks and what they may ([`Caller`]), and bodies that never block an async thread ([`respond`], [`respond_with`]).
//!
//! A door is a function that adds its resources to the server ([`Door`]); its handlers find what
//! they need in [`Hall`].

pub(crate) mod administration;
mod arriving;
mod base_url;
mod body;
mod bounded;
mod buffer;
mod caller;
pub(crate) mod condition;
mod counts;
mod cross_origin;
mod drawing;
mod entrance;
mod form;
mod guard;
mod health;
pub(crate) mod inboxes;
pub mod multipart_reader;
mod problem;
pub(crate) mod quarantine;
mod query_string;
mod refusal;
pub(crate) mod removal;
mod route;
mod server;
mod settings;
pub(crate) mod trail;
mod uploads;

pub use arriving::{Arriving, Sent, drain, forward};
pub use base_url::base_url;
pub use body::{
    Chunks, Piece, Pieces, Progress, Telling, next_chunk, off_thread, respond, respond_with,
};
pub use bounded::{bounded_body, bounded_form};
pub use caller::{Caller, note_stored, now_ms, tell_stored, told, written};
pub use cross_origin::{is_foreign, is_of_our_pages};
pub use entrance::{session_cookie, unauthorized};
pub use form::{FormEvent, receive_form};
pub use problem::Problem;
pub use query_string::parameters;
pub use refusal::ShownAs;
pub use route::name_route;
pub use server::{Door, Hall, Server, serve};
pub use settings::Settings;
pub use uploads::receive_upload;
