//! JPEG-LS (ISO/IEC 14495-1, ITU-T T.87; PS3.5 §8.2.3): decoded lossless and near-lossless, encoded lossless.

mod bits;
mod decode;
mod encode;
mod header;
mod model;
mod transform;

pub use decode::decode;
pub use encode::encode;

#[cfg(test)]
mod tests;
