//! Signals: the first SIGINT or SIGTERM asks for an orderly stop, the second stops at once; SIGHUP
//! asks to read files again, where there are any, and else ends the process as it always does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

/// The exit code after a second signal, as shells give it for SIGINT.
const AT_ONCE: i32 = 130;

/// Whether somebody asked us to stop. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Starts to listen for signals, on a thread of its own. `asked` runs there at the first.
    ///
    /// # Errors
    /// When the system gives no thread or handler.
    pub fn on_signals(asked: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let stop = Self::default();
        let flag = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
            )
        };
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                runtime.block_on(async move {
                    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                    flag.0.store(true, Ordering::Release);
                    asked();
                    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                    std::process::exit(AT_ONCE);
                });
            })?;
        Ok(stop)
    }

    /// Whether it is time to stop.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Does `act` whenever SIGHUP comes, on a thread of its own, for the life of the process.
///
/// # Errors
/// When the system gives no thread or handler.
pub fn on_hangup(act: impl Fn() + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let mut hangup = {
        let _inside = runtime.enter();
        signal(SignalKind::hangup())?
    };
    thread::Builder::new()
        .name("hangup".into())
        .spawn(move || {
            runtime.block_on(async move {
                while hangup.recv().await.is_some() {
                    act();
                }
            });
        })?;
    Ok(())
}
