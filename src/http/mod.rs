//! The hall that the web doors share: one actix server with its limits ([`serve`], [`Settings`]),
//! the address under which the outside world reaches us ([`mod@base_url`]), errors as responses
//! ([`Problem`]), and bodies that never block an async thread ([`respond`], [`respond_with`]).
//!
//! A door is a function that adds its resources to the server ([`Door`]); its handlers find what
//! they need in [`Hall`].

mod base_url;
mod body;
mod buffer;
mod counts;
mod cross_origin;
mod drawing;
mod guard;
mod health;
mod problem;
mod query_string;
mod route;
mod server;
mod settings;

pub use base_url::base_url;
pub use body::{
    Chunks, Piece, Pieces, Progress, Telling, next_chunk, off_thread, respond, respond_with,
};
pub use cross_origin::is_foreign;
pub use problem::Problem;
pub use query_string::parameters;
pub use route::name_route;
pub use server::{Door, Hall, Server, serve};
pub use settings::Settings;
