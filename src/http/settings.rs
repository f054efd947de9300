//! The `[http]` and `[viewer]` sections of the configuration, checked.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How the web server listens, whom it believes, and its limits.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// `scheme://host[:port][/prefix]` without a slash at the end; `None` to tell it from each request.
    pub public_url: Option<String>,
    /// Reverse proxies whose `Forwarded` and `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Origins (`scheme://host[:port]`) that may call us from a browser; `*` for any.
    pub allowed_origins: Vec<String>,
    /// An upload that sends nothing for so long is dropped.
    pub body_idle_timeout: Duration,
    /// Uploads received at once; one more gets 503. Each holds one blocking thread.
    pub uploads_max: usize,
    /// Whether callers may remove what is stored.
    pub allow_delete: bool,
    /// How long the answer to a request for storage commitment can be asked for again.
    pub commitment_keep: Duration,
    /// The most results of one search.
    pub results_max: u32,
    /// Worker threads that serve connections; 0 for one per core.
    pub workers: usize,
    /// Where the viewer is installed, if it is (`[viewer] dir`).
    pub viewer_dir: PathBuf,
}
