//! The little of DER (ITU-T X.690) that certificates and public keys ask of us: elements one after
//! the other, and two questions about what is inside. Bytes in, slices out; nothing is allocated.

/// Universal and context tags.
const BOOLEAN: u8 = 0x01;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// The extensions of a certificate (RFC 5280 §4.1): `[3]`.
const EXTENSIONS: u8 = 0xA3;

/// id-ce-basicConstraints, 2.5.29.19 (RFC 5280 §4.2.1.9).
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];
/// id-ecPublicKey, 1.2.840.10045.2.1, and secp256r1, 1.2.840.10045.3.1.7 (RFC 5480 §2.1).
const EC_PUBLIC_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
const SECP256R1: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
/// rsaEncryption, 1.2.840.113549.1.1.1 (RFC 3279 §2.3.1).
const RSA_ENCRYPTION: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];

/// Takes an element off the front: its tag and its content.
fn element<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let [tag, length, rest @ ..] = *bytes else {
        return None;
    };
    let (length, rest) = match *length {
        short @ 0..=0x7F => (usize::from(short), rest),
        // Certificates need at most three bytes for a length.
        long @ 0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7F))?;
            let length = digits.iter().fold(0, |sum, d| sum << 8 | usize::from(*d));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some((*tag, content))
}

/// The content of the element that comes next, if it has this tag.
fn expect<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    element(bytes).and_then(|(found, content)| (found == tag).then_some(content))
}

/// Whether a certificate says that it belongs to an authority (RFC 5280 §4.2.1.9, cA).
pub(super) fn is_authority(mut certificate: &[u8]) -> bool {
    let mut constraints = || -> Option<&[u8]> {
        let mut certificate = expect(&mut certificate, SEQUENCE)?;
        let mut fields = expect(&mut certificate, SEQUENCE)?;
        while let Some((tag, mut content)) = element(&mut fields) {
            if tag != EXTENSIONS {
                continue;
            }
            let mut extensions = expect(&mut content, SEQUENCE)?;
            while let Some(mut extension) = expect(&mut extensions, SEQUENCE) {
                if expect(&mut extension, OBJECT_IDENTIFIER)? != BASIC_CONSTRAINTS {
                    continue;
                }
                let (mut tag, mut value) = element(&mut extension)?;
                // Whether it is critical may stand before it.
                if tag == BOOLEAN {
                    (tag, value) = element(&mut extension)?;
                }
                return (tag == OCTET_STRING)
                    .then(|| expect(&mut value, SEQUENCE))
                    .flatten();
            }
        }
        None
    };
    constraints()
        .and_then(|mut inside| expect(&mut inside, BOOLEAN))
        .is_some_and(|is_authority| is_authority != [0])
}

/// A public key of a kind that we verify signatures with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PublicKey<'a> {
    /// RSAPublicKey (RFC 8017 §A.1.1).
    Rsa(&'a [u8]),
    /// An uncompressed point of P-256 (SEC 1 §2.3.3).
    P256(&'a [u8]),
}

/// Reads a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7); `None` when it is none, or of another kind.
pub(super) fn public_key(mut info: &[u8]) -> Option<PublicKey<'_>> {
    let mut info = expect(&mut info, SEQUENCE)?;
    let mut algorithm = expect(&mut info, SEQUENCE)?;
    // The first byte of a bit string counts the bits that its last byte leaves unused.
    let [0, key @ ..] = expect(&mut info, BIT_STRING)? else {
        return None;
    };
    match expect(&mut algorithm, OBJECT_IDENTIFIER)? {
        RSA_ENCRYPTION => Some(PublicKey::Rsa(key)),
        EC_PUBLIC_KEY if expect(&mut algorithm, OBJECT_IDENTIFIER)? == SECP256R1 => {
            Some(PublicKey::P256(key))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_bounded_by_what_is_there() {
        for (bytes, expected) in [
            (&[4, 2, 7, 8, 9][..], Some((4, &[7, 8][..]))),
            (&[4, 0], Some((4, &[]))),
            (&[4, 0x81, 1, 7], Some((4, &[7]))),
            (&[4, 3, 7, 8], None),
            (&[4, 0x83, 0xFF, 0xFF, 0xFF, 0], None),
            (&[4, 0x84, 0, 0, 0, 1, 7], None),
            (&[4, 0x80, 7, 0, 0], None),
            (&[4], None),
            (&[], None),
        ] {
            assert_eq!(element(&mut &*bytes), expected, "{bytes:02X?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_not(bytes: Vec<u8>) {
            is_authority(&bytes);
            public_key(&bytes);
        }
    }
}
