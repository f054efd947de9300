//! The query parameters of rendered resources (PS3.18 §8.3.5.1). What is malformed is a 400; what
//! the standard does not know is ignored.

use crate::http::Problem;
use crate::imaging::{Crop, Fit, PICTURE_PIXELS_MAX, SIDE_MAX, View, VoiFunction, Window};

/// The quality of a JPEG when none is asked for.
const QUALITY_DEFAULT: u8 = 90;
/// The most annotation values that a warning repeats, and how long one may be.
const ANNOTATIONS_MAX: usize = 8;
const ANNOTATION_LENGTH_MAX: usize = 32;

const WINDOW_FORM: &str = "window is center,width,function: two numbers and linear, linear-exact or sigmoid; \
     the width at least 1 for linear, else more than 0";

/// What a request says of the pictures it wants.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Parameters {
    pub(super) view: View,
    /// 1 to 100.
    pub(super) quality: u8,
    /// Whether a color profile goes along.
    pub(super) has_profile: bool,
    /// What was asked for and is not done.
    pub(super) warning: Option<String>,
}

impl Parameters {
    /// Reads those of a rendered resource.
    ///
    /// # Errors
    /// 400 when one is malformed.
    pub(super) fn of_rendered(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let value = |name| value(parameters, name);
        let (fit, crop) = match value("viewport") {
            Some(text) => viewport(text)?,
            None => Default::default(),
        };
        Ok(Self {
            view: View {
                window: value("window").map(window).transpose()?,
                crop,
                fit,
                has_overlays: value("overlays").map_or(Ok(false), has_overlays)?,
                part: None,
                is_wordless: false,
                is_glance: false,
            },
            quality: value("quality").map_or(Ok(QUALITY_DEFAULT), quality)?,
            has_profile: value("iccprofile").map_or(Ok(false), has_profile)?,
            warning: value("annotation").map(annotation).transpose()?.flatten(),
        })
    }

    /// Reads those of a presentation state, which has the greys, the area and the overlays decided
    /// (PS3.18 §8.3.5.1.3, §8.3.5.1.4).
    ///
    /// # Errors
    /// 400 when one is malformed, or decided already.
    pub(super) fn of_presentation(parameters: &[(String, String)]) -> Result<Self, Problem> {
        for name in ["window", "overlays"] {
            if value(parameters, name).is_some() {
                return Err(Problem::bad_request(format!(
                    "{name} is not taken: the presentation state decides it"
                )));
            }
        }
        let is_cut = |text: &str| text.split(',').count() > 2;
        if value(parameters, "viewport").is_some_and(is_cut) {
            return Err(Problem::bad_request(
                "the viewport of a presentation state is a width and a height: it decides the area itself",
            ));
        }
        Self::of_rendered(parameters)
    }

    /// Those of a view that the URI Service asks for, with `imageQuality` and `imageAnnotation`
    /// (PS3.18 §9.1.2).
    ///
    /// # Errors
    /// 400 when one is malformed.
    pub(in super::super) fn of_view(
        view: View,
        image_quality: Option<&str>,
        image_annotation: Option<&str>,
    ) -> Result<Self, Problem> {
        Ok(Self {
            view,
            quality: image_quality.map_or(Ok(QUALITY_DEFAULT), quality)?,
            has_profile: false,
            warning: image_annotation.map(annotation).transpose()?.flatten(),
        })
    }

    /// Reads those of a thumbnail, which has a viewport without a source region only
    /// (PS3.18 §8.3.5.1.4); `side` is the box when there is none.
    ///
    /// # Errors
    /// 400 when it is malformed.
    pub(super) fn of_thumbnail(
        parameters: &[(String, String)],
        side: u32,
    ) -> Result<Self, Problem> {
        let fit = match value(parameters, "viewport") {
            Some(text) if text.split(',').count() != 2 => {
                return Err(Problem::bad_request(
                    "the viewport of a thumbnail is a width and a height",
                ));
            }
            Some(text) => viewport(text)?.0,
            None => Fit::Within(side, side),
        };
        Ok(Self {
            view: View {
                fit,
                // Nobody is identified by a thumbnail (PS3.18 §10.4.3.3.4).
                is_wordless: true,
                is_glance: true,
                ..View::default()
            },
            quality: QUALITY_DEFAULT,
            has_profile: false,
            warning: None,
        })
    }
}

fn value<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = parameters.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// `center,width,function`, in values of the modality (PS3.18 §8.3.5.1.4).
fn window(text: &str) -> Result<Window, Problem> {
    let read = || {
        let pieces: Vec<&str> = text.split(',').collect();
        let [center, width, function] = pieces[..] else {
            return None;
        };
        let function = match function {
            "linear" => VoiFunction::Linear,
            "linear-exact" => VoiFunction::LinearExact,
            "sigmoid" => VoiFunction::Sigmoid,
            _ => return None,
        };
        Window::new(number(center)?, number(width)?, function)
    };
    read().ok_or_else(|| Problem::bad_request(WINDOW_FORM))
}

/// `vw,vh[,sx,sy,sw,sh]` (PS3.18 §8.3.5.1.3): the picture is cut out of the frame, then scaled until
/// its width or its height is that of the viewport. Inner values may be left empty.
fn viewport(text: &str) -> Result<(Fit, Crop), Problem> {
    let malformed = || {
        Problem::bad_request(format!(
            "viewport is width,height or width,height,left,top,columns,rows in pixels; \
             width and height from 1 to {SIDE_MAX}, together at most {PICTURE_PIXELS_MAX} pixels"
        ))
    };
    let pieces: Vec<&str> = text.split(',').collect();
    if !(2..=6).contains(&pieces.len()) {
        return Err(malformed());
    }
    let side = |text: &str| {
        let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let side = text.parse().ok().filter(|_| is_digits);
        side.filter(|side| (1..=SIDE_MAX).contains(side))
    };
    let (width, height) = side(pieces[0])
        .zip(side(pieces[1]))
        .filter(|(width, height)| u64::from(*width) * u64::from(*height) <= PICTURE_PIXELS_MAX)
        .ok_or_else(malformed)?;
    let source = |place: usize| match pieces.get(place) {
        None | Some(&"") => Ok(None),
        Some(text) => number(text).map(Some).ok_or_else(malformed),
    };
    // Casts saturate; what lies outside the image is found when it is drawn.
    let first = |place| match source(place)? {
        Some(first) if first < 0.0 => Err(malformed()),
        first => Ok(first.unwrap_or(0.0).round() as u32),
    };
    let extent = |place| match source(place)? {
        Some(extent) if extent.abs() < 0.5 => Err(malformed()),
        Some(extent) => Ok((Some(extent.abs().round() as u32), extent < 0.0)),
        None => Ok((None, false)),
    };
    let ((columns, is_mirrored), (rows, is_flipped)) = (extent(4)?, extent(5)?);
    let crop = Crop {
        left: first(2)?,
        top: first(3)?,
        width: columns,
        height: rows,
        is_mirrored,
        is_flipped,
    };
    Ok((Fit::Fill(width, height), crop))
}

/// 1 to 100 (PS3.18 §8.3.5.1.2).
fn quality(text: &str) -> Result<u8, Problem> {
    let is_digits = text.bytes().all(|b| b.is_ascii_digit());
    let quality = text.parse().ok().filter(|_| is_digits);
    quality
        .filter(|quality| (1..=100).contains(quality))
        .ok_or_else(|| Problem::bad_request("quality is a whole number from 1 to 100"))
}

/// Pictures are in sRGB, which they say when they are asked to (PS3.18 §8.3.5.1.5).
fn has_profile(text: &str) -> Result<bool, Problem> {
    match text {
        "no" => Ok(false),
        "yes" | "srgb" => Ok(true),
        "adobergb" | "rommrgb" => Err(Problem::bad_request(
            "pictures are available in sRGB only: iccprofile is no, yes or srgb",
        )),
        _ => Err(Problem::bad_request(
            "iccprofile is no, yes, srgb, adobergb or rommrgb",
        )),
    }
}

/// Ours, not the standard's: whether the overlays of the image are drawn (PS3.3 §C.9.2).
fn has_overlays(text: &str) -> Result<bool, Problem> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(Problem::bad_request("overlays is yes or no")),
    }
}

/// Nothing of the patient is ever written into a picture, so no value is supported; that is told in the words of
/// PS3.18 §8.3.5.1.1.
fn annotation(text: &str) -> Result<Option<String>, Problem> {
    if text.is_empty() {
        return Err(Problem::bad_request("annotation has no value"));
    }
    // Only words are repeated: this goes into a header.
    let is_word = |word: &&str| {
        let is_letter = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        !word.is_empty() && word.len() <= ANNOTATION_LENGTH_MAX && word.bytes().all(is_letter)
    };
    let words: Vec<&str> = text
        .split(',')
        .map(str::trim)
        .filter(is_word)
        .take(ANNOTATIONS_MAX)
        .collect();
    Ok(Some(format!(
        "The following annotation values are not supported: {}",
        words.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Parameters, Problem> {
        Parameters::of_rendered(&[(name.into(), value.into())])
    }

    #[test]
    fn malformed_values_are_refused() {
        let cases: &[(&str, &[&str])] = &[
            (
                "window",
                &[
                    "",
                    "40,400",
                    "40,400,",
                    "40,400,LINEAR",
                    "40,400,linear,1",
                    "x,400,linear",
                    "40,0,linear",
                    "40,0.5,linear",
                    "40,0,sigmoid",
                    "40,-1,linear-exact",
                    "nan,400,linear",
                    "40,inf,linear",
                    ",,",
                ],
            ),
            (
                "viewport",
                &[
                    "",
                    "0,5",
                    "5,0",
                    "5",
                    "-5,5",
                    "+5,5",
                    "5.5,5",
                    "a,b",
                    "1,2,3,4,5,6,7",
                    "5,5,x",
                    "5,5,-1",
                    "5,5,,,0",
                    "5,5,,,,0",
                    "100000000,100000000",
                    "8193,1",
                    "8192,8192",
                    "5,5,nan",
                    ",,1,1,1,1",
                    " 5,5",
                ],
            ),
            ("quality", &["", "0", "101", "x", "-1", "+5", "50.5", "256"]),
            ("annotation", &[""]),
            ("overlays", &["", "1", "YES"]),
            ("iccprofile", &["", "YES", "adobergb", "rommrgb", "p3"]),
        ];
        for (name, values) in cases {
            for value in *values {
                assert!(read(name, value).is_err(), "{name}={value}");
            }
        }
        assert!(read("unknown", "x").is_ok());
        let of_presentation =
            |name: &str, value: &str| Parameters::of_presentation(&[(name.into(), value.into())]);
        for (name, value) in [
            ("window", "40,400,linear"),
            ("overlays", "yes"),
            ("viewport", "9,9,1,1,2,2"),
            ("quality", "0"),
        ] {
            assert!(of_presentation(name, value).is_err(), "{name}={value}");
        }
        assert!(of_presentation("viewport", "9,9").is_ok());
    }

    #[test]
    fn viewports_cut_and_turn() {
        let (fit, crop) = viewport("512,256,,,256,-128").unwrap();
        assert_eq!(fit, Fit::Fill(512, 256));
        let expected = Crop {
            width: Some(256),
            height: Some(128),
            is_flipped: true,
            ..Crop::default()
        };
        assert_eq!(crop, expected);
        let (_, crop) = viewport("9,9,10,20.4,-5.6").unwrap();
        let expected = Crop {
            left: 10,
            top: 20,
            width: Some(6),
            is_mirrored: true,
            ..Crop::default()
        };
        assert_eq!(crop, expected);
        assert_eq!(viewport("9,9,1e300").unwrap().1.left, u32::MAX);
    }

    #[test]
    fn defaults_and_warnings() {
        let plain = Parameters::of_rendered(&[]).unwrap();
        assert_eq!((plain.quality, plain.has_profile), (QUALITY_DEFAULT, false));
        let warning = read("annotation", "foo,patient,\r\nx: y").unwrap().warning;
        assert_eq!(
            warning.as_deref(),
            Some("The following annotation values are not supported: foo, patient")
        );
        let thumbnail =
            |text: &str| Parameters::of_thumbnail(&[("viewport".into(), text.into())], 128);
        assert_eq!(thumbnail("64,32").unwrap().view.fit, Fit::Fill(64, 32));
        assert!(thumbnail("64,64,0,0").is_err() && thumbnail("64").is_err());
    }
}
