//! Graphic objects (PS3.3 §C.10.5.2): points, lines, curves, circles and ellipses, in pixels of the
//! image or parts of what is displayed. Compound ones and their styles are not read: whoever writes
//! them writes these beside (§C.10.5.2.2).

use super::tags::{
    DIMENSIONS, GRAPHIC_TYPE, GRAPHIC_UNITS, IS_FILLED, OfState, POINT_COUNT, POINTS,
};
use crate::imaging::Error;
use crate::imaging::marks::{Budget, Mask, Placement};
use crate::imaging::metadata::{Bulk, Item};

type Point = (f64, f64);

const MALFORMED: Error = Error::Malformed("a graphic object");
/// Sides of the figure that stands for a circle, and of a curve between two of its points.
const SIDES_MAX: f64 = 1024.0;
const CURVE_STEPS: u32 = 8;

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Graphic {
    kind: Kind,
    units: Units,
    is_filled: bool,
    points: Vec<Point>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Point,
    Polyline,
    Interpolated,
    Circle,
    Ellipse,
}

/// (0070,0003) and its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Units {
    /// Of the image, its first corner 0\0.
    Pixel,
    /// Parts of what is displayed.
    Display,
}

impl Units {
    /// # Errors
    /// [`Error::Unsupported`] for those of whole slides.
    pub(super) fn read(item: &Item<OfState>, tag: u32) -> Result<Self, Error> {
        match item.text(tag) {
            Some("PIXEL") => Ok(Self::Pixel),
            Some("DISPLAY") => Ok(Self::Display),
            Some("MATRIX") => Err(Error::Unsupported("an annotation of a pixel matrix")),
            _ => Err(Error::Malformed("the units of an annotation")),
        }
    }

    /// A point in the picture.
    pub(super) fn place(self, placement: &Placement, point: Point) -> Point {
        match self {
            Self::Pixel => placement.picture_of(point),
            Self::Display => placement.picture_of_display(point),
        }
    }
}

impl Graphic {
    /// # Errors
    /// [`Error::Malformed`] when points are missing or no numbers, [`Error::Unsupported`] for more
    /// than `points_max` of them or other types.
    pub(super) fn read(
        item: &Item<OfState>,
        points_max: usize,
        bulk: Bulk<'_>,
    ) -> Result<Self, Error> {
        let kind = match item.text(GRAPHIC_TYPE) {
            Some("POINT") => Kind::Point,
            Some("POLYLINE") => Kind::Polyline,
            Some("INTERPOLATED") => Kind::Interpolated,
            Some("CIRCLE") => Kind::Circle,
            Some("ELLIPSE") => Kind::Ellipse,
            _ => return Err(Error::Unsupported("this type of graphic object")),
        };
        let count = item.count(POINT_COUNT).ok_or(MALFORMED)? as usize;
        if count > points_max {
            return Err(Error::Unsupported("so many annotations"));
        }
        if item
            .count(DIMENSIONS)
            .is_some_and(|dimensions| dimensions != 2)
        {
            return Err(MALFORMED);
        }
        let data = item.element(POINTS).ok_or(MALFORMED)?;
        let data = data.floats(bulk).ok_or(MALFORMED)?;
        let fewest = match kind {
            Kind::Point => 1,
            Kind::Polyline | Kind::Interpolated | Kind::Circle => 2,
            Kind::Ellipse => 4,
        };
        if count < fewest || data.len() < 2 * count {
            return Err(MALFORMED);
        }
        let points = data.chunks_exact(2).take(count);
        Ok(Self {
            kind,
            units: Units::read(item, GRAPHIC_UNITS)?,
            is_filled: item.text(IS_FILLED) == Some("Y"),
            points: points.map(|pair| (pair[0], pair[1])).collect(),
        })
    }

    pub(super) fn point_count(&self) -> usize {
        self.points.len()
    }

    /// Sets its pixels.
    pub(super) fn mark(
        &self,
        placement: &Placement,
        mask: &mut Mask,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        let place = |point: &Point| self.units.place(placement, *point);
        let line: Vec<Point> = match self.kind {
            Kind::Point => return budget.cross(mask, place(&self.points[0])),
            Kind::Polyline => self.points.iter().map(place).collect(),
            Kind::Interpolated => curve(&self.points.iter().map(place).collect::<Vec<_>>()),
            Kind::Circle => {
                let (center, edge) = (self.points[0], self.points[1]);
                let radius = (edge.0 - center.0).hypot(edge.1 - center.1);
                let round = round(center, (radius, 0.0), (0.0, radius), SIDES_MAX);
                round.iter().map(place).collect()
            }
            Kind::Ellipse => {
                let [a, b, c, d] = [0, 1, 2, 3].map(|n| self.points[n]);
                let half = |a: Point, b: Point| ((b.0 - a.0) / 2.0, (b.1 - a.1) / 2.0);
                let center = (f64::midpoint(a.0, b.0), f64::midpoint(a.1, b.1));
                let round = round(center, half(a, b), half(c, d), SIDES_MAX);
                round.iter().map(place).collect()
            }
        };
        let is_closed = matches!(self.kind, Kind::Circle | Kind::Ellipse)
            || self.points.first() == self.points.last();
        if self.is_filled && is_closed {
            budget.fill(mask, &line)?;
        }
        budget.line(mask, &line)
    }
}

/// A circle or ellipse by its middle and half its axes, as a closed line.
fn round(center: Point, one: Point, other: Point, sides: f64) -> Vec<Point> {
    (0..=sides as u32)
        .map(|side| {
            let (sin, cos) = (f64::from(side) / sides * std::f64::consts::TAU).sin_cos();
            (
                center.0 + one.0 * cos + other.0 * sin,
                center.1 + one.1 * cos + other.1 * sin,
            )
        })
        .collect()
}

/// A smooth line through all points (Catmull and Rom; the standard leaves the way between them open).
fn curve(points: &[Point]) -> Vec<Point> {
    let at = |place: usize| points[place.min(points.len() - 1)];
    let mut line = vec![points[0]];
    for place in 0..points.len() - 1 {
        let (before, from, to, after) = (
            at(place.saturating_sub(1)),
            at(place),
            at(place + 1),
            at(place + 2),
        );
        for step in 1..=CURVE_STEPS {
            let t = f64::from(step) / f64::from(CURVE_STEPS);
            let along = |p0: f64, p1: f64, p2: f64, p3: f64| {
                let first = 2.0 * p1 + (p2 - p0) * t;
                let second = (2.0 * p0 - 5.0 * p1 + 4.0 * p2 - p3) * t * t;
                let third = (3.0 * p1 - p0 - 3.0 * p2 + p3) * t * t * t;
                (first + second + third) / 2.0
            };
            line.push((
                along(before.0, from.0, to.0, after.0),
                along(before.1, from.1, to.1, after.1),
            ));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, count: u32, points: &str) -> Result<Graphic, Error> {
        let json = format!(
            r#"{{"00700005":{{"Value":["PIXEL"]}},"00700020":{{"Value":[2]}},"00700021":{{"Value":[{count}]}},
            "00700022":{{"vr":"FL","Value":[{points}]}},"00700023":{{"Value":["{kind}"]}}}}"#
        );
        Graphic::read(&Item::parse(json.as_bytes()).unwrap(), 1000, &mut |_| None)
    }

    #[test]
    fn graphics_have_the_points_they_need() {
        assert!(read("POLYLINE", 2, "1,2,3,4").is_ok());
        assert!(read("POINT", 1, "1,2").is_ok());
        for (kind, count, points) in [
            ("POLYLINE", 3, "1,2,3,4"),
            ("POLYLINE", 1, "1,2"),
            ("POINT", 0, ""),
            ("CIRCLE", 1, "1,2"),
            ("ELLIPSE", 3, "1,2,3,4,5,6"),
            ("POLYLINE", 2, "1,2,3,null"),
            ("POLYLINE", 2, r#"1,2,3,"NaN""#),
        ] {
            assert_eq!(read(kind, count, points), Err(MALFORMED), "{kind} {points}");
        }
        assert!(matches!(
            read("SPIRAL", 2, "1,2,3,4"),
            Err(Error::Unsupported(_))
        ));
        assert!(matches!(
            read("POLYLINE", 1001, "1,2"),
            Err(Error::Unsupported(_))
        ));
    }

    #[test]
    fn curves_go_through_their_points() {
        let points = [(0.0, 0.0), (4.0, 8.0), (9.0, 1.0)];
        let line = curve(&points);
        assert!(points.iter().all(|point| line.contains(point)));
        assert_eq!(line.len(), 17);
    }
}
