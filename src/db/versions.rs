//! The versions of a database file. It says what it is (`application_id`) and which version (`user_version`); each migration
//! takes it one version up, in one transaction. What a newer program made is refused before anything is written. Several
//! processes may come here at once (a command beside the server): each step looks at the version again under the write lock.

use std::borrow::Cow;

use rusqlite::Connection;

/// One kind of database file.
pub(in crate::db) struct Versions {
    /// What it is called, with its article.
    pub(in crate::db) what: &'static str,
    /// The number that stands in its head.
    pub(in crate::db) application_id: i64,
    /// The version that the first migration makes of an empty file. Programs before the first release made others.
    pub(in crate::db) first: usize,
    /// The first makes version [`Versions::first`], each other one takes it one version up.
    pub(in crate::db) migrations: &'static [&'static str],
    /// What an empty file is told before anything else.
    pub(in crate::db) pragmas: &'static str,
}

/// Why a file cannot be used.
#[derive(Debug)]
pub(in crate::db) enum Flaw {
    /// SQLite failed.
    Sql(rusqlite::Error),
    /// It is not ours, or not of this program's time.
    Unusable(Cow<'static, str>),
}

impl From<rusqlite::Error> for Flaw {
    fn from(cause: rusqlite::Error) -> Self {
        Self::Sql(cause)
    }
}

impl Versions {
    /// The newest version.
    pub(in crate::db) const fn newest(&self) -> usize {
        self.first + self.migrations.len() - 1
    }

    /// Brings a file to the newest version.
    pub(in crate::db) fn prepare(&self, connection: &Connection) -> Result<(), Flaw> {
        if self.of(connection)? == 0 {
            connection.execute_batch(self.pragmas)?;
        }
        while self.of(connection)? < self.newest() {
            if let Err(flaw) = self.step(connection) {
                // The transaction may or may not have begun; either way it must not stay open.
                connection.execute_batch("ROLLBACK").ok();
                return Err(flaw);
            }
        }
        Ok(())
    }

    /// One version up, unless somebody else was faster.
    fn step(&self, connection: &Connection) -> Result<(), Flaw> {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let next = match self.of(connection)? {
            0 => self.first,
            version => version + 1,
        };
        if let Some(migration) = self.migrations.get(next - self.first) {
            connection.execute_batch(migration)?;
            connection.execute_batch(&format!(
                "PRAGMA application_id = {}; PRAGMA user_version = {next};",
                self.application_id
            ))?;
        }
        Ok(connection.execute_batch("COMMIT")?)
    }

    /// Whether this program can use the file as it is.
    pub(in crate::db) fn check_current(&self, connection: &Connection) -> Result<(), Flaw> {
        if self.of(connection)? == self.newest() {
            return Ok(());
        }
        let text = "made by an older overread; start the server once to bring it up to date";
        Err(Flaw::Unusable(text.into()))
    }

    /// The version of a file, 0 when it is empty.
    pub(in crate::db) fn of(&self, connection: &Connection) -> Result<usize, Flaw> {
        let pragma =
            |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (application, version) = (pragma("application_id")?, pragma("user_version")?);
        // A process killed in its first moments leaves a file with a header and nothing in it.
        let is_empty = || {
            let sql = "SELECT count(*) FROM sqlite_schema";
            let tables: i64 = connection.query_row(sql, [], |row| row.get(0))?;
            Ok::<_, Flaw>(application == 0 && version == 0 && tables == 0)
        };
        if application != self.application_id && !is_empty()? {
            // Somebody else may have made it between two of these looks.
            if application == 0 && pragma("application_id")? == self.application_id {
                return self.of(connection);
            }
            let text = format!("the file is not {} of overread", self.what);
            return Err(Flaw::Unusable(text.into()));
        }
        match usize::try_from(version) {
            Ok(0) => Ok(0),
            Ok(version) if version < self.first => Err(Flaw::Unusable(
                "made by an overread from before the first release; import its files into a new data directory"
                    .into(),
            )),
            Ok(version) if version <= self.newest() => Ok(version),
            _ => Err(Flaw::Unusable("made by a newer overread".into())),
        }
    }
}
