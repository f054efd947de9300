//! The `[access]` section: who has to sign in on the web, and for how long a session lasts.

use serde::Deserialize;

use super::{Error, invalid, number};
use crate::access::{Settings, SignIn};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAccess {
    sign_in: String,
    session_idle_s: i64,
    session_max_s: i64,
    pin_tries_max: i64,
    inbox_bytes_max: i64,
}

impl RawAccess {
    pub(super) fn check(self) -> Result<Settings, Error> {
        let sign_in = match self.sign_in.as_str() {
            "auto" => SignIn::Auto,
            "required" => SignIn::Required,
            "off" => SignIn::Off,
            _ => {
                return Err(invalid(
                    "access.sign_in",
                    "must be \"auto\", \"required\" or \"off\"",
                ));
            }
        };
        let idle_s: i64 = number("access.session_idle_s", self.session_idle_s, 60..=86_400)?;
        let max_s: i64 = number("access.session_max_s", self.session_max_s, 60..=2_592_000)?;
        if idle_s > max_s {
            return Err(invalid(
                "access.session_idle_s",
                "must not be more than access.session_max_s",
            ));
        }
        Ok(Settings {
            sign_in,
            session_idle_ms: idle_s * 1000,
            session_max_ms: max_s * 1000,
            pin_tries_max: number("access.pin_tries_max", self.pin_tries_max, 1..=100)?,
            inbox_bytes_max: number("access.inbox_bytes_max", self.inbox_bytes_max, 1..=i64::MAX)?,
        })
    }
}
