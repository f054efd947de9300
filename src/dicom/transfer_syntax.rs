//! The transfer syntaxes that this archive takes (PS3.5 §10, PS3.6 Table A-1).

/// One transfer syntax.
#[derive(Debug)]
pub struct TransferSyntax {
    /// Its UID.
    pub uid: &'static str,
}
