//! A photograph of a letter or a report as a PDF of one page, so that it is a document in the study, and no image: who reads
//! blind must not see it. A JPEG keeps its codestream (ISO 32000-1 §7.4.8), turned by the page and not by its pixels.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::{Picture, Pixels};

/// The longer side of the page, in points: that of A4.
const SIDE: f64 = 842.0;

/// A page that shows the picture, turned clockwise by so many degrees, a multiple of 90.
#[must_use]
pub fn print(picture: &Picture, turned: u16) -> Vec<u8> {
    let (width, height) = (f64::from(picture.columns), f64::from(picture.rows));
    let scale = SIDE / width.max(height).max(1.0);
    let (wide, high) = (width * scale, height * scale);
    let space = match picture.samples {
        3 => "/DeviceRGB",
        _ => "/DeviceGray",
    };
    let (filter, data) = match &picture.pixels {
        Pixels::Jpeg(codestream) => ("/DCTDecode", codestream.clone()),
        Pixels::Native(pixels) => ("/FlateDecode", packed(pixels, picture.bits)),
    };
    let contents = format!("q {wide:.2} 0 0 {high:.2} 0 0 cm /I Do Q");
    let mut file = b"%PDF-1.7\n%\xE2\xE3\xCF\xD3\n".to_vec();
    let mut offsets = Vec::new();
    let mut object = |entries: &str, stream: Option<&[u8]>| {
        offsets.push(file.len());
        let number = offsets.len();
        file.extend(format!("{number} 0 obj\n<< {entries}").bytes());
        match stream {
            Some(bytes) => {
                file.extend(format!(" /Length {} >>\nstream\n", bytes.len()).bytes());
                file.extend_from_slice(bytes);
                file.extend_from_slice(b"\nendstream\nendobj\n");
            }
            None => file.extend_from_slice(b" >>\nendobj\n"),
        }
    };
    object("/Type /Catalog /Pages 2 0 R", None);
    object("/Type /Pages /Kids [3 0 R] /Count 1", None);
    object(
        &format!(
            "/Type /Page /Parent 2 0 R /MediaBox [0 0 {wide:.2} {high:.2}] /Rotate {turned} /Contents 5 0 R \
             /Resources << /XObject << /I 4 0 R >> >>"
        ),
        None,
    );
    object(
        &format!(
            "/Type /XObject /Subtype /Image /Width {} /Height {} /ColorSpace {space} /BitsPerComponent {} /Filter {filter}",
            picture.columns, picture.rows, picture.bits
        ),
        Some(&data),
    );
    object("", Some(contents.as_bytes()));
    let start = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", offsets.len() + 1).bytes());
    for offset in &offsets {
        file.extend(format!("{offset:010} 00000 n \n").bytes());
    }
    let size = offsets.len() + 1;
    file.extend(
        format!("trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n").bytes(),
    );
    file
}

/// Compressed; PDF has 16 bits in big endian.
fn packed(pixels: &[u8], bits: u16) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let written = match bits {
        16 => pixels
            .chunks_exact(2)
            .try_for_each(|pair| encoder.write_all(&[pair[1], pair[0]])),
        _ => encoder.write_all(pixels),
    };
    written
        .and_then(|()| encoder.finish())
        .expect("a Vec takes every byte")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_where_the_table_says() {
        for (bits, pixels) in [
            (8, Pixels::Native(vec![1, 2, 3, 4, 5, 6])),
            (16, Pixels::Native(vec![0; 12])),
            (8, Pixels::Jpeg(b"\xFF\xD8 a codestream".to_vec())),
        ] {
            let picture = Picture {
                rows: 2,
                columns: 3,
                samples: 1,
                bits,
                photometric: "MONOCHROME2",
                lossy_ratio: None,
                pixels,
            };
            let file = print(&picture, 90);
            let text = String::from_utf8_lossy(&file).replace('\u{fffd}', "?");
            assert!(text.contains("/Rotate 90") && text.ends_with("%%EOF\n"));
            let place = |what: &[u8]| memchr::memmem::rfind(&file, what).unwrap();
            let start = place(b"xref\n0 6\n");
            assert!(text.contains(&format!("startxref\n{start}\n")));
            for number in 1..=5 {
                let at = place(format!("{number} 0 obj\n").as_bytes());
                assert!(text.contains(&format!("{at:010} 00000 n ")), "{number}");
            }
        }
    }
}
