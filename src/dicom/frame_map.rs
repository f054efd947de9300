//! Where each frame of an instance lies, worked out once when it arrives.

/// A run of bytes in the (inflated) data set: offset from its first byte, length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

/// The frames of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameMap {
    /// No pixel data.
    None,
    /// Native pixel data: frames of `frame_bits` bits follow each other from `span.offset` without gaps
    /// (PS3.5 §8.1.1: not even to a byte when one bit a pixel).
    Native {
        /// The whole pixel data value, padding included.
        span: Span,
        /// The bits of one frame.
        frame_bits: u64,
        /// How many frames are really there.
        frames: u32,
    },
    /// Encapsulated: each frame is one or more fragments, in order.
    Encapsulated {
        /// Per frame, its fragments. Never an empty frame.
        frames: Vec<Vec<Span>>,
    },
}
