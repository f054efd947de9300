//! Structure sets as a picture (PS3.3 §C.8.8.5, §C.8.8.6): the contours of all regions, each in its
//! display color, seen along the third axis of the patient: his left on the right, his back below.
//! Slices lie over each other. Names are not drawn: they may hold anything.

mod read;

use read::{Numbers, Root};

use super::canvas::{Canvas, Pen, Point};
use super::color::Rgb;
use super::metadata::unmarked;
use super::{Error, Picture, View};

/// The most points of all contours together.
const POINTS_MAX: usize = 4_000_000;
/// Each side of the picture, and what stays free at its edges. Pixels.
const SIDE: u32 = 1024;
const MARGIN: f64 = 48.0;
/// The picture never shows less. Millimetres.
const EXTENT_MIN: f64 = 10.0;
/// Points of a contour that are nearer to each other than this share of a pixel are one.
const NEAR: f64 = 1.0;
/// How much one line covers: where many slices lie, it gets brighter.
const COVER: f64 = 0.6;
/// Half a cross that stands for a single point. Pixels.
const CROSS: f64 = 9.0;

const BACKGROUND: Rgb = [12, 14, 18];
const WORDS: Rgb = [150, 156, 166];

/// The contours of a structure set.
#[derive(Debug)]
pub struct StructureSet(Vec<Outline>);

#[derive(Debug)]
struct Outline {
    color: Rgb,
    kind: Kind,
    points: Vec<[f32; 2]>,
    /// The path of a link to what the metadata leave out.
    link: Option<Box<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    Point,
    Open,
    #[default]
    Closed,
}

impl StructureSet {
    /// Reads prepared DICOM JSON (PS3.18 §F.2). Memory stays within a few times its length.
    ///
    /// # Errors
    /// [`Error::Malformed`], and [`Error::Unsupported`] for too many points.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let root: Root = serde_json::from_slice(&unmarked(json))
            .map_err(|_| Error::Malformed("the structure set"))?;
        let mut outlines = Vec::new();
        for region in root.regions.0 {
            let color = region.color();
            outlines.extend(region.contours.0.into_iter().map(|contour| Outline {
                color,
                kind: contour.kind.0,
                points: contour.data.points,
                link: contour.data.link,
            }));
        }
        let set = Self(outlines);
        set.check_count()?;
        Ok(set)
    }

    fn check_count(&self) -> Result<(), Error> {
        let points: usize = self.0.iter().map(|outline| outline.points.len()).sum();
        if points > POINTS_MAX {
            return Err(Error::Unsupported("a structure set of so many points"));
        }
        Ok(())
    }

    /// Gets the points of contours that the metadata only link: `text` gives the bytes of a DS by the
    /// path in its URI (`30060039/0/30060040/7/30060050`).
    ///
    /// # Errors
    /// What `text` says; [`Error::Malformed`] when there is nothing behind a link,
    /// [`Error::Unsupported`] for too many points.
    pub fn complete<E: From<Error>>(
        &mut self,
        mut text: impl FnMut(&str) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<(), E> {
        let mut left = POINTS_MAX;
        for outline in &mut self.0 {
            if let Some(link) = outline.link.take() {
                let bytes = text(&link)?.ok_or(Error::Malformed("contour data"))?;
                let mut numbers = Numbers::default();
                for number in bytes.split(|byte| *byte == b'\\') {
                    let number = std::str::from_utf8(number).unwrap_or_default();
                    numbers.push(number.trim_matches([' ', '\0']).parse().ok());
                }
                outline.points = numbers.points;
            }
            left = left
                .checked_sub(outline.points.len())
                .ok_or(Error::Unsupported("a structure set of so many points"))?;
        }
        Ok(())
    }

    /// Draws all contours, fitted into a square; one with none at all says so.
    ///
    /// # Errors
    /// [`Error::Outside`] when the view shows nothing of it, [`Error::Unsupported`] when the lines are
    /// more than are drawn.
    pub fn draw(&self, view: &View) -> Result<Picture, Error> {
        let mut canvas = Canvas::new((SIDE, SIDE), view, BACKGROUND)?;
        let Some(map) = Map::of(self.0.iter().flat_map(|outline| &outline.points)) else {
            canvas.text("NO CONTOURS", [414.0, 500.0], 3.0, WORDS);
            return canvas.finish();
        };
        map.scale_bar(&mut canvas);
        for outline in &self.0 {
            outline.draw(&map, &mut canvas);
        }
        canvas.finish()
    }
}

impl Outline {
    fn draw(&self, map: &Map, canvas: &mut Canvas) {
        let mut pen = Pen {
            color: self.color,
            width: 1.6,
            cover: COVER,
        };
        let mut points = self.points.iter().map(|point| map.place(*point));
        let Some(first) = points.next() else { return };
        if self.kind == Kind::Point || self.points.len() == 1 {
            pen.cover = 1.0;
            for [x, y] in std::iter::once(first).chain(points) {
                canvas.line([x - CROSS, y], [x + CROSS, y], &pen);
                canvas.line([x, y - CROSS], [x, y + CROSS], &pen);
            }
            return;
        }
        let near = NEAR / canvas.scale();
        let mut from = first;
        for to in points {
            if (to[0] - from[0]).abs().max((to[1] - from[1]).abs()) >= near {
                canvas.line(from, to, &pen);
                from = to;
            }
        }
        if self.kind == Kind::Closed {
            canvas.line(from, first, &pen);
        }
    }
}

/// From millimetres to places in the picture, the same both ways.
struct Map {
    center: [f64; 2],
    scale: f64,
}

impl Map {
    /// The one that shows all points; `None` when there are none.
    fn of<'a>(points: impl Iterator<Item = &'a [f32; 2]>) -> Option<Self> {
        let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
        for point in points {
            for axis in 0..2 {
                low[axis] = low[axis].min(point[axis]);
                high[axis] = high[axis].max(point[axis]);
            }
        }
        if low[0] > high[0] {
            return None;
        }
        let side = |axis: usize| f64::from(high[axis]) - f64::from(low[axis]);
        let extent = side(0).max(side(1)).max(EXTENT_MIN);
        Some(Self {
            center: [0, 1].map(|axis| f64::midpoint(f64::from(low[axis]), f64::from(high[axis]))),
            scale: (f64::from(SIDE) - 2.0 * MARGIN) / extent,
        })
    }

    fn place(&self, point: [f32; 2]) -> Point {
        [0, 1].map(|axis| {
            f64::from(SIDE) / 2.0 + (f64::from(point[axis]) - self.center[axis]) * self.scale
        })
    }

    /// A bar of a round length, about a fifth of the picture, with its length.
    fn scale_bar(&self, canvas: &mut Canvas) {
        let lengths = [1, 2, 5].map(|n| [1, 10, 100, 1000, 10_000, 100_000].map(|ten| n * ten));
        let wanted = f64::from(SIDE) / 5.0;
        let mut lengths: Vec<u32> = lengths.into_iter().flatten().collect();
        lengths.sort_unstable();
        let millimetres = lengths
            .into_iter()
            .rfind(|length| f64::from(*length) * self.scale <= wanted)
            .unwrap_or(1);
        let (left, y) = (20.0, f64::from(SIDE) - 20.0);
        let right = left + f64::from(millimetres) * self.scale;
        let pen = Pen {
            color: WORDS,
            width: 2.0,
            cover: 1.0,
        };
        canvas.line([left, y], [right, y], &pen);
        for x in [left, right] {
            canvas.line([x, y - 5.0], [x, y + 5.0], &pen);
        }
        canvas.text(
            &format!("{millimetres} mm"),
            [left + 6.0, y - 24.0],
            2.0,
            WORDS,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(contours: &str) -> StructureSet {
        let json = format!(
            r#"{{"00100010":{{"vr":"PN","Value":[{{"Alphabetic":"A"}}]}},"30060039":{{"vr":"SQ","Value":[{{}},{{
            "3006002A":{{"vr":"IS","Value":["255",0,0]}},"30060040":{{"vr":"SQ","Value":[{contours}]}}}}]}}}}"#
        );
        StructureSet::parse(json.as_bytes()).unwrap()
    }

    fn lit(picture: &Picture, x: usize, y: usize) -> bool {
        let place = |x: usize, y: usize| (y * SIDE as usize + x) * 3;
        (y - 1..=y + 1).any(|y| (x - 1..=x + 1).any(|x| picture.samples[place(x, y)] > 100))
    }

    #[test]
    fn contours_are_fitted_into_the_square() {
        let set = set(
            r#"{"30060042":{"Value":["CLOSED_PLANAR"]},"30060050":{"vr":"DS","Value":[-50,"-25",1,50,-25.0,1,50,25,1,-50,25,1]}},
            {"30060050":{"vr":"DS"}},{"30060042":{"Value":["POINT"]},"30060050":{"Value":[0,0,0]}}"#,
        );
        assert_eq!(set.0.len(), 2);
        let picture = set.draw(&View::default()).unwrap();
        // 100 mm over 928 pixels.
        for (x, y) in [
            (48, 280),
            (976, 280),
            (976, 744),
            (48, 744),
            (512, 280),
            (48, 512),
            (512, 512),
        ] {
            assert!(lit(&picture, x, y), "{x} {y}");
        }
        assert!(!lit(&picture, 300, 400) && !lit(&picture, 512, 100));
    }

    #[test]
    fn linked_contours_are_completed() {
        let mut set = set(
            r#"{"30060050":{"vr":"DS","BulkDataURI":"/studies/1/bulkdata/30060039/1/30060040/0/30060050"}}"#,
        );
        let text = |path: &str| {
            assert_eq!(path, "30060039/1/30060040/0/30060050");
            Ok::<_, Error>(Some(br"1\2\3\ 4 \5\6\x\1\1\1e9\2\3\7\8".to_vec()))
        };
        set.complete(text).unwrap();
        assert_eq!(set.0[0].points, [[1.0, 2.0], [4.0, 5.0]]);
        let mut missing =
            self::set(r#"{"30060050":{"vr":"DS","BulkDataURI":"/studies/1/bulkdata/30060050"}}"#);
        let none = missing.complete(|_| Ok::<_, Error>(None));
        assert_eq!(none, Err(Error::Malformed("contour data")));
    }

    #[test]
    fn nothing_to_draw_is_said_and_hostile_places_are_no_harm() {
        for json in ["{}", r#"{"30060039":{"vr":"SQ"}}"#] {
            let set = StructureSet::parse(json.as_bytes()).unwrap();
            let picture = set.draw(&View::default()).unwrap();
            assert!(picture.samples.iter().any(|sample| *sample == WORDS[0]));
        }
        for json in ["", "7", r#"{"30060039":{"Value":7}}"#] {
            assert!(StructureSet::parse(json.as_bytes()).is_err(), "{json}");
        }
        let one = set(r#"{"30060050":{"Value":[1000000,-1e6,0,-1e6,1e6,0,null,1,2]}}"#);
        assert_eq!(one.0[0].points.len(), 2);
        assert!(one.draw(&View::default()).is_ok());
    }
}
