//! How the images of a series are made: what was lost, what is written on them, how many bits and how thick.

use super::instance::{Compression, Instance};

/// How the images of a series are made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Quality {
    /// Images that have lost something, by what they say (0028,2110) or by their transfer syntax.
    pub lossy: u64,
    /// Of these, those that do not say it themselves.
    pub lossy_undeclared: u64,
    /// Images whose transfer syntax can be either, and that say nothing.
    pub perhaps_lossy: u64,
    /// The greatest ratio of compression that one of them tells (0028,2112).
    pub lossy_ratio: Option<f64>,
    /// Secondary captures.
    pub secondary_captures: u64,
    /// Images that say that something is written into the picture (0028,0301).
    pub burned_in: u64,
    /// The most bits of a pixel (0028,0101).
    pub bits_stored: Option<u32>,
    /// Images of CT, MR and PET.
    pub tomographic: u64,
    /// The least and the greatest Slice Thickness (0018,0050). Millimetres.
    pub thickness_range_mm: Option<(f64, f64)>,
}

/// How these images are made.
#[must_use]
pub fn of<'a>(images: impl Iterator<Item = &'a Instance>) -> Quality {
    let mut quality = Quality::default();
    for image in images {
        let is_told = image.is_lossy == Some(true);
        if is_told || image.compression == Compression::Lossy {
            quality.lossy += 1;
            quality.lossy_undeclared += u64::from(!is_told);
            let ratio = quality.lossy_ratio.into_iter().chain(image.lossy_ratio);
            quality.lossy_ratio = ratio.reduce(f64::max);
        } else if image.compression == Compression::Either && image.is_lossy.is_none() {
            quality.perhaps_lossy += 1;
        }
        quality.secondary_captures += u64::from(image.is_secondary_capture);
        quality.burned_in += u64::from(image.is_burned_in);
        quality.tomographic += u64::from(image.is_tomographic);
        quality.bits_stored = quality.bits_stored.max(image.bits_stored);
        for thickness in image.slices.iter().filter_map(|slice| slice.thickness_mm) {
            let (least, greatest) = quality.thickness_range_mm.unwrap_or((thickness, thickness));
            quality.thickness_range_mm = Some((least.min(thickness), greatest.max(thickness)));
        }
    }
    quality
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lossy_is_what_says_so_or_cannot_be_otherwise() {
        let image = |compression, is_lossy, lossy_ratio| Instance {
            is_image: true,
            compression,
            is_lossy,
            lossy_ratio,
            ..Instance::default()
        };
        let images = [
            image(Compression::Lossless, None, None),
            // Decoded again; what was lost stays so.
            image(Compression::Lossless, Some(true), Some(8.0)),
            image(Compression::Lossy, None, None),
            image(Compression::Lossy, Some(false), Some(12.0)),
            image(Compression::Either, None, None),
            image(Compression::Either, Some(false), Some(99.0)),
            image(Compression::Either, Some(true), None),
        ];
        let quality = of(images.iter());
        assert_eq!(
            (
                quality.lossy,
                quality.lossy_undeclared,
                quality.perhaps_lossy
            ),
            (4, 2, 1)
        );
        assert_eq!(quality.lossy_ratio, Some(12.0));
    }
}
