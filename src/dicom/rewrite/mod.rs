//! Encoded data sets rewritten as they stream by, in bounded memory, on top of the one walk
//! ([`walk`](crate::dicom::walk)): [`Recoder`] makes them Explicit VR Little Endian, [`Splicer`]
//! replaces elements of the data set itself and leaves every other byte as it is. [`encode`] writes
//! the elements that both of them add, [`Swap`] turns the values of big endian round.

pub mod encode;
mod pixels;
mod recode;
mod splice;
mod swap;

pub use recode::Recoder;
pub use splice::{Edit, Splicer};
pub use swap::Swap;
