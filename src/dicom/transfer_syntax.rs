//! The transfer syntaxes that this archive takes (PS3.5 §10 and Annex A, PS3.6 Table A-1): every
//! one of the standard that carries a whole object, JPIP and SMPTE ST 2110 excepted, and the
//! retired Explicit VR Big Endian. Objects are kept in the syntax they came in.

use crate::dicom::walk::{ByteOrder, Encoding};

/// One transfer syntax.
#[derive(Debug, PartialEq, Eq)]
pub struct TransferSyntax {
    /// Its UID.
    pub uid: &'static str,
    /// Its name in PS3.6 Table A-1.
    pub name: &'static str,
    /// How its elements are encoded.
    pub encoding: Encoding,
    /// How its bytes and its pixel data are wrapped.
    pub form: Form,
    /// The media type of its frames (PS3.18 Table 8.7.3-5). Native frames and those without a type
    /// of their own are `application/octet-stream`.
    pub media_type: &'static str,
}

/// What is done to the bytes of a data set beyond its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Nothing: pixel data are native (PS3.5 §A.1 to §A.3).
    Native,
    /// Pixel data are encapsulated in fragments (PS3.5 §A.4).
    Encapsulated,
    /// The whole data set is deflated, its pixel data are native (PS3.5 §A.5).
    Deflated,
}

const IMPLICIT: Encoding = Encoding {
    explicit: false,
    order: ByteOrder::Little,
};
const EXPLICIT: Encoding = Encoding {
    explicit: true,
    order: ByteOrder::Little,
};
const BIG: Encoding = Encoding {
    explicit: true,
    order: ByteOrder::Big,
};
const OCTETS: &str = "application/octet-stream";

/// Implicit VR Little Endian, the default of DIMSE (PS3.5 §10.1).
pub const IMPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
/// Explicit VR Little Endian, the default of the web (PS3.18 §8.7.3).
pub const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// Explicit VR Big Endian (retired).
pub const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
/// Deflated Explicit VR Little Endian.
pub const DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1.99";
/// Encapsulated Uncompressed Explicit VR Little Endian: native frames in fragments (PS3.5 §A.4.11).
pub const ENCAPSULATED_UNCOMPRESSED: &str = "1.2.840.10008.1.2.1.98";
/// RLE Lossless, whose every frame is one fragment (PS3.5 §A.4.2).
pub const RLE_LOSSLESS: &str = "1.2.840.10008.1.2.5";

const fn row(
    uid: &'static str,
    name: &'static str,
    encoding: Encoding,
    form: Form,
    media_type: &'static str,
) -> TransferSyntax {
    TransferSyntax {
        uid,
        name,
        encoding,
        form,
        media_type,
    }
}

/// Every transfer syntax taken.
#[rustfmt::skip]
pub const TRANSFER_SYNTAXES: &[TransferSyntax] = &[
    row("1.2.840.10008.1.2", "Implicit VR Little Endian", IMPLICIT, Form::Native, OCTETS),
    row("1.2.840.10008.1.2.1", "Explicit VR Little Endian", EXPLICIT, Form::Native, OCTETS),
    row("1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian", EXPLICIT, Form::Encapsulated, OCTETS),
    row("1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", EXPLICIT, Form::Deflated, OCTETS),
    row("1.2.840.10008.1.2.2", "Explicit VR Big Endian (Retired)", BIG, Form::Native, OCTETS),
    row("1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", EXPLICIT, Form::Encapsulated, "image/jpeg"),
    row("1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)", EXPLICIT, Form::Encapsulated, "image/jpeg"),
    row("1.2.840.10008.1.2.4.57", "JPEG Lossless, Non-Hierarchical (Process 14)", EXPLICIT, Form::Encapsulated, "image/jpeg"),
    row("1.2.840.10008.1.2.4.70", "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])", EXPLICIT, Form::Encapsulated, "image/jpeg"),
    row("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless Image Compression", EXPLICIT, Form::Encapsulated, "image/jls"),
    row("1.2.840.10008.1.2.4.81", "JPEG-LS Lossy (Near-Lossless) Image Compression", EXPLICIT, Form::Encapsulated, "image/jls"),
    row("1.2.840.10008.1.2.4.90", "JPEG 2000 Image Compression (Lossless Only)", EXPLICIT, Form::Encapsulated, "image/jp2"),
    row("1.2.840.10008.1.2.4.91", "JPEG 2000 Image Compression", EXPLICIT, Form::Encapsulated, "image/jp2"),
    row("1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)", EXPLICIT, Form::Encapsulated, "image/jpx"),
    row("1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2 Multi-component Image Compression", EXPLICIT, Form::Encapsulated, "image/jpx"),
    row("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level", EXPLICIT, Form::Encapsulated, "video/mpeg"),
    row("1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG2 Main Profile / Main Level", EXPLICIT, Form::Encapsulated, "video/mpeg"),
    row("1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level", EXPLICIT, Form::Encapsulated, "video/mpeg"),
    row("1.2.840.10008.1.2.4.101.1", "Fragmentable MPEG2 Main Profile / High Level", EXPLICIT, Form::Encapsulated, "video/mpeg"),
    row("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1", EXPLICIT, Form::Encapsulated, "video/mp4"),
    row("1.2.840.10008.1.2.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1", EXPLICIT, Form::Encapsulated, "video/mp4"),
    row("1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", EXPLICIT, Form::Encapsulated, "video/mp4"),
    row("1.2.840.10008.1.2.4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", EXPLICIT, Form::Encapsulated, "video/mp4"),
    row("1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", EXPLICIT, Form::Encapsulated, "video/mp4"),
    row("1.2.840.10008.1.2.4.104.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", EXPLICIT, Form::Encapsulated, "video/mp4"),
    row("1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", EXPLICIT, Form::Encapsulated, "video/mp4"),
    row("1.2.840.10008.1.2.4.105.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", EXPLICIT, Form::Encapsulated, "video/mp4"),
    row("1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", EXPLICIT, Form::Encapsulated, "video/mp4"),
    row("1.2.840.10008.1.2.4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", EXPLICIT, Form::Encapsulated, "video/mp4"),
    row("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1", EXPLICIT, Form::Encapsulated, "video/H265"),
    row("1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1", EXPLICIT, Form::Encapsulated, "video/H265"),
    row("1.2.840.10008.1.2.4.110", "JPEG XL Lossless", EXPLICIT, Form::Encapsulated, "image/jxl"),
    row("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", EXPLICIT, Form::Encapsulated, "image/jxl"),
    row("1.2.840.10008.1.2.4.112", "JPEG XL", EXPLICIT, Form::Encapsulated, "image/jxl"),
    row("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Image Compression (Lossless Only)", EXPLICIT, Form::Encapsulated, "image/jphc"),
    row("1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)", EXPLICIT, Form::Encapsulated, "image/jphc"),
    row("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000 Image Compression", EXPLICIT, Form::Encapsulated, "image/jphc"),
    row("1.2.840.10008.1.2.5", "RLE Lossless", EXPLICIT, Form::Encapsulated, "image/dicom-rle"),
    row("1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", EXPLICIT, Form::Encapsulated, OCTETS),
];

impl TransferSyntax {
    /// The row with this UID.
    #[must_use]
    pub fn of_uid(uid: &str) -> Option<&'static Self> {
        TRANSFER_SYNTAXES.iter().find(|syntax| syntax.uid == uid)
    }

    /// Whether the pixel data are one stream of moving pictures, which has no frames of its own
    /// (PS3.5 §8.2.5).
    #[must_use]
    pub fn is_video(&self) -> bool {
        self.media_type.starts_with("video/")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use dicom_dictionary_std::uids;

    use super::*;

    #[test]
    fn the_table_holds_what_the_standard_lists() {
        let of_uid = |uid| TransferSyntax::of_uid(uid).expect(uid);
        let all: HashSet<_> = TRANSFER_SYNTAXES.iter().map(|syntax| syntax.uid).collect();
        // 45 active ones of PS3.6, less 4 of JPIP and 3 of SMPTE, and one retired.
        assert_eq!((all.len(), TRANSFER_SYNTAXES.len()), (45 - 4 - 3 + 1, 39));
        for (uid, form, media_type) in [
            (uids::IMPLICIT_VR_LITTLE_ENDIAN, Form::Native, OCTETS),
            (uids::EXPLICIT_VR_LITTLE_ENDIAN, Form::Native, OCTETS),
            (
                uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
                Form::Deflated,
                OCTETS,
            ),
            (uids::JPEG_BASELINE8_BIT, Form::Encapsulated, "image/jpeg"),
            (uids::JPEGLS_LOSSLESS, Form::Encapsulated, "image/jls"),
            (uids::JPEG2000, Form::Encapsulated, "image/jp2"),
            (uids::JPEG2000MC, Form::Encapsulated, "image/jpx"),
            (uids::HTJ2K, Form::Encapsulated, "image/jphc"),
            (uids::JPEGXL, Form::Encapsulated, "image/jxl"),
            (uids::RLE_LOSSLESS, Form::Encapsulated, "image/dicom-rle"),
            (uids::MPEG4HP41, Form::Encapsulated, "video/mp4"),
            (
                uids::DEFLATED_IMAGE_FRAME_COMPRESSION,
                Form::Encapsulated,
                OCTETS,
            ),
        ] {
            assert_eq!(
                (of_uid(uid).form, of_uid(uid).media_type),
                (form, media_type),
                "{uid}"
            );
        }
        assert_eq!(
            TRANSFER_SYNTAXES
                .iter()
                .filter(|syntax| syntax.is_video())
                .count(),
            16
        );
        assert_eq!(of_uid(EXPLICIT_VR_BIG_ENDIAN).encoding, BIG);
        assert_eq!(of_uid(IMPLICIT_VR_LITTLE_ENDIAN).encoding, IMPLICIT);
        assert_eq!(TransferSyntax::of_uid(uids::JPIP_REFERENCED), None);
    }
}
