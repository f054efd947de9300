//! Content codings of JSON and XML answers (RFC 9110 §8.4): zstd, br and gzip, applied while the body
//! streams.

use std::io::{self, Write};

use actix_web::http::header::{self, HeaderMap};
use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::write::GzEncoder;

use crate::archive::Error;
use crate::http::Chunks;

/// Fast ones: metadata shrinks tenfold at the lowest levels already.
const GZIP_LEVEL: u32 = 3;
const ZSTD_LEVEL: i32 = 3;
const BROTLI_LEVEL: u32 = 4;
/// How far back brotli looks: 2^18 bytes, for the memory of one response.
const BROTLI_WINDOW: u32 = 18;
/// Coded bytes are sent on in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;

/// How a body is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
}

impl Coding {
    /// The best coding that the client takes; of those it takes alike, the quickest for its size.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        const PREFERRED: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];
        let mut named = [None; PREFERRED.len()];
        let mut any = None;
        let lines = headers
            .get_all(header::ACCEPT_ENCODING)
            .filter_map(|line| line.to_str().ok());
        for member in lines.flat_map(|line| line.split(',')) {
            let (name, parameters) = member.split_once(';').unwrap_or((member, ""));
            let quality = parameters
                .trim()
                .strip_prefix("q=")
                .map_or(Some(1.0), |q| q.parse::<f32>().ok());
            let name = name.trim().to_ascii_lowercase();
            let name = name.strip_prefix("x-").unwrap_or(&name);
            if name == "*" {
                any = quality;
            } else if let Some(at) = PREFERRED.iter().position(|c| c.name() == Some(name)) {
                named[at] = quality;
            }
        }
        let mut best = (Self::Identity, 0.0);
        for (coding, quality) in PREFERRED.into_iter().zip(named) {
            let quality = quality.or(any).unwrap_or(0.0);
            if quality > best.1 {
                best = (coding, quality);
            }
        }
        best.0
    }

    /// Its name in `Content-Encoding`, `None` for identity.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
            Self::Brotli => Some("br"),
        }
    }

    /// Codes a body on its way.
    ///
    /// # Errors
    /// When the encoder cannot be set up.
    pub(super) fn apply(self, chunks: Chunks) -> Result<Chunks, Error> {
        let encoder = match self {
            Self::Identity => return Ok(chunks),
            Self::Gzip => Encoder::Gzip(GzEncoder::new(
                Vec::new(),
                flate2::Compression::new(GZIP_LEVEL),
            )),
            Self::Zstd => {
                Encoder::Zstd(zstd::Encoder::new(Vec::new(), ZSTD_LEVEL).map_err(failed)?)
            }
            Self::Brotli => Encoder::Brotli(Box::new(CompressorWriter::new(
                Vec::new(),
                PIECE_BYTES,
                BROTLI_LEVEL,
                BROTLI_WINDOW,
            ))),
        };
        Ok(Box::new(Coded {
            chunks,
            encoder: Some(encoder),
        }))
    }
}

fn failed(cause: io::Error) -> Error {
    Error::broken("content coding", cause)
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
}

impl Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Zstd(encoder) => encoder.write_all(bytes),
            Self::Brotli(encoder) => encoder.write_all(bytes),
        }
    }

    fn coded(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
        }
    }
}

struct Coded {
    chunks: Chunks,
    /// `None` once the last bytes are given.
    encoder: Option<Encoder>,
}

impl Coded {
    fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(encoder) = &mut self.encoder else {
            return Ok(None);
        };
        for chunk in &mut self.chunks {
            encoder.write(&chunk?).map_err(failed)?;
            if encoder.coded().len() >= PIECE_BYTES {
                return Ok(Some(Bytes::from(std::mem::take(encoder.coded()))));
            }
        }
        let rest = self
            .encoder
            .take()
            .map(Encoder::finish)
            .transpose()
            .map_err(failed)?;
        Ok(rest.map(Bytes::from))
    }
}

impl Iterator for Coded {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.piece().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn the_client_chooses_the_coding() {
        let cases = [
            ("", Coding::Identity),
            ("gzip, deflate, br, zstd", Coding::Zstd),
            ("gzip, deflate", Coding::Gzip),
            ("GZIP;q=1.0, zstd;q=0.5", Coding::Gzip),
            ("zstd;q=0, *;q=0.1", Coding::Brotli),
            ("zstd;q=0, br;q=0, *;q=0.1", Coding::Gzip),
            ("identity, *;q=0", Coding::Identity),
            ("deflate, br", Coding::Brotli),
            ("br, gzip;q=0.9", Coding::Brotli),
            ("br;q=0.2, x-gzip;q=0.9", Coding::Gzip),
            ("deflate, compress", Coding::Identity),
            ("gzip;q=x", Coding::Identity),
        ];
        for (text, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(
                header::ACCEPT_ENCODING,
                HeaderValue::from_str(text).unwrap(),
            );
            assert_eq!(Coding::of(&headers), expected, "{text}");
        }
        assert_eq!(Coding::of(&HeaderMap::new()), Coding::Identity);
    }

    #[test]
    fn what_is_coded_decodes_to_the_same() {
        // Incompressible enough to need several pieces.
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()
        };
        let chunks: Vec<Bytes> = (0..80)
            .map(|_| (0..2500).flat_map(|_| noise()).collect())
            .collect();
        for coding in [Coding::Identity, Coding::Gzip, Coding::Zstd, Coding::Brotli] {
            let pieces = coding
                .apply(Box::new(chunks.clone().into_iter().map(Ok)))
                .unwrap();
            let coded: Vec<Bytes> = pieces.map(Result::unwrap).collect();
            assert!(coded.len() > 1, "{coding:?}");
            let coded = coded.concat();
            let mut plain = Vec::new();
            match coding {
                Coding::Identity => plain = coded,
                Coding::Gzip => drop(
                    flate2::read::GzDecoder::new(&*coded)
                        .read_to_end(&mut plain)
                        .unwrap(),
                ),
                Coding::Zstd => plain = zstd::decode_all(&*coded).unwrap(),
                Coding::Brotli => drop(
                    brotli::Decompressor::new(&*coded, 4096)
                        .read_to_end(&mut plain)
                        .unwrap(),
                ),
            }
            assert_eq!(plain, chunks.concat());
        }
    }
}
