//! Passcodes as they are kept: Argon2 (RFC 9106) in the PHC string format, so that who reads the
//! file that holds them knows none, and other programs can make and check them too.

use std::fmt;

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use ring::rand::{SecureRandom, SystemRandom};

use crate::access::turns::Turns;

/// A longer passcode is no passcode; its hash is not even tried.
pub const BYTES_MAX: usize = 1024;

/// Why somebody is turned away whose passcode would have to wait.
pub const TOO_MANY: &str = "too many passcodes are hashed at once";

/// One passcode is hashed at a time: each takes 19 MiB while it is.
static HASHING: Turns<()> = Turns::new(());

/// What one check may cost, whoever made the hash: memory in KiB, passes, and lanes.
const MEMORY_KIB_MAX: u32 = 128 * 1024;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;

/// A passcode that cannot be read back.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash(PasswordHash);

/// Room to work in, kept from one check to the next: taken and given back by many threads, megabytes
/// would stay with each of them.
#[derive(Default)]
pub struct Workspace(Vec<Block>);

/// Why there is no hash. Holds no part of the text: it is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Not in the PHC string format, or without salt or hash.
    #[error("is no hash such as $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH")]
    Malformed,
    /// Another function, or one that would take too long.
    #[error("is no Argon2 hash of at most 128 MiB, 16 passes and 16 lanes")]
    Parameters,
    /// The passcode is longer than [`BYTES_MAX`].
    #[error("is longer than 1024 bytes")]
    TooLong,
    /// The system gives no random numbers.
    #[error("cannot be hashed: no random numbers")]
    NoRandomness,
    /// Others wait already: to be tried again later.
    #[error("cannot be hashed now: {TOO_MANY}")]
    Busy,
}

impl Hash {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none, or checking it would cost too much.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let hash = PasswordHash::new(text).map_err(|_| HashError::Malformed)?;
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(HashError::Malformed);
        }
        Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| HashError::Parameters)?;
        let params = Params::try_from(&hash).map_err(|_| HashError::Parameters)?;
        let is_bearable = params.m_cost() <= MEMORY_KIB_MAX
            && params.t_cost() <= PASSES_MAX
            && params.p_cost() <= LANES_MAX;
        is_bearable
            .then_some(Self(hash))
            .ok_or(HashError::Parameters)
    }

    /// As [`Hash::of`], one after the other, whoever asks.
    ///
    /// # Errors
    /// [`HashError::Busy`] when too many wait already.
    pub fn in_turn(passcode: &[u8]) -> Result<Self, HashError> {
        let _turn = HASHING.wait().ok_or(HashError::Busy)?;
        Self::of(passcode)
    }

    /// Makes one, with a salt of its own: Argon2id, 19 MiB, two passes.
    ///
    /// # Errors
    /// When the passcode is too long, or there are no random numbers.
    pub fn of(passcode: &[u8]) -> Result<Self, HashError> {
        if passcode.len() > BYTES_MAX {
            return Err(HashError::TooLong);
        }
        let mut salt = [0; 16];
        SystemRandom::new()
            .fill(&mut salt)
            .map_err(|_| HashError::NoRandomness)?;
        Argon2::default()
            .hash_password_with_salt(passcode, &salt)
            .map(Self)
            .map_err(|_| HashError::Parameters)
    }

    /// Whether this is the passcode. Takes as long for a wrong one; costs memory and time, as told
    /// by the hash, and that on purpose: see to it that few do it at once.
    #[must_use]
    pub fn is_of(&self, passcode: &[u8], workspace: &mut Workspace) -> bool {
        passcode.len() <= BYTES_MAX && self.check(passcode, &mut workspace.0).unwrap_or(false)
    }

    fn check(&self, passcode: &[u8], blocks: &mut Vec<Block>) -> Option<bool> {
        let (salt, expected) = (self.0.salt.as_ref()?, self.0.hash.as_ref()?);
        let algorithm = Algorithm::try_from(self.0.algorithm.as_str()).ok()?;
        let version = self
            .0
            .version
            .map_or(Ok(Version::default()), Version::try_from);
        let params = Params::try_from(&self.0).ok()?;
        let count = params.block_count();
        if blocks.len() < count {
            blocks.resize(count, Block::default());
        }
        let mut found = [0; Output::MAX_LENGTH];
        let found = found.get_mut(..expected.len())?;
        Argon2::new(algorithm, version.ok()?, params)
            .hash_password_into_with_memory(passcode, salt, found, &mut blocks[..count])
            .ok()?;
        // Compared in constant time.
        Some(Output::new(found).ok()? == *expected)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By argon2-cffi 25.1.0: `PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)`.
    const BY_OTHERS: &str = "$argon2id$v=19$m=8,t=1,p=1$QjOHxs0H05UZSzVc2umiYA$HbinS8Mb0qduSplzuuPEDWRWS0GWx/GGrMTK/aZXtEA";

    #[test]
    fn what_others_hashed_is_checked() {
        let hash = Hash::parse(BY_OTHERS).unwrap();
        let is_of = |text: &str| hash.is_of(text.as_bytes(), &mut Workspace::default());
        assert!(is_of("Grüße") && !is_of("Grüße ") && !is_of(""));
        assert_eq!(hash.to_string(), BY_OTHERS);
    }

    #[test]
    fn each_hash_has_its_salt() {
        let [one, other] = [(); 2].map(|()| Hash::of(b"secret").unwrap());
        assert_ne!(one, other);
        let read = Hash::parse(&one.to_string()).unwrap();
        let mut workspace = Workspace::default();
        assert!(read.is_of(b"secret", &mut workspace) && !read.is_of(b"Secret", &mut workspace));
        let other = Hash::parse(BY_OTHERS).unwrap();
        assert!(
            other.is_of("Grüße".as_bytes(), &mut workspace),
            "room for more is room enough"
        );
        assert_eq!(Hash::of(&[b'x'; BYTES_MAX + 1]), Err(HashError::TooLong));
    }

    #[test]
    fn what_is_no_hash_or_too_dear_is_refused() {
        let changed = |from: &str, to: &str| Hash::parse(&BY_OTHERS.replace(from, to));
        assert_eq!(changed("m=8", "m=8388608"), Err(HashError::Parameters));
        assert_eq!(changed("t=1", "t=17"), Err(HashError::Parameters));
        assert_eq!(changed("argon2id", "scrypt"), Err(HashError::Parameters));
        for text in ["", "secret", "$argon2id$v=19$m=8,t=1,p=1", "$argon2id$"] {
            assert!(Hash::parse(text).is_err(), "{text}");
        }
        assert_eq!(format!("{:?}", Hash::parse(BY_OTHERS).unwrap()), "a hash");
    }
}
