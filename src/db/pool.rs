//! Connections that are handed out in turn.

use std::sync::{Condvar, Mutex, PoisonError};

use rusqlite::Connection;

pub(in crate::db) struct Pool {
    free: Mutex<Vec<Connection>>,
    returned: Condvar,
}

impl Pool {
    /// At least one, or whoever asks waits for ever.
    pub(in crate::db) fn new(connections: Vec<Connection>) -> Self {
        Self {
            free: Mutex::new(connections),
            returned: Condvar::new(),
        }
    }

    /// Runs `work` on a connection; waits until one is free.
    pub(in crate::db) fn lend<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        let lent = Lent {
            connection: Some(self.take()),
            home: self,
        };
        work(lent.connection.as_ref().expect("lent until dropped"))
    }

    fn take(&self) -> Connection {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(connection) = free.pop() {
                return connection;
            }
            free = self
                .returned
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A connection that goes home when dropped, after a panic too.
struct Lent<'a> {
    connection: Option<Connection>,
    home: &'a Pool,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.home
                .free
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
            self.home.returned.notify_one();
        }
    }
}
