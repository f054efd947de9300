//! Where the pixels of an image come to lie in a picture of it: cut, turned, mirrored and scaled
//! (PS3.3 §C.10.4, §C.10.6).

/// A box in pixels of the image, from the corner of its first pixel; it may reach beyond the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Area {
    pub(in super::super) left: f64,
    pub(in super::super) top: f64,
    /// More than 0, as is the height.
    pub(in super::super) width: f64,
    pub(in super::super) height: f64,
}

/// Whole pixels from the first to before the last.
pub(super) type Reach = (i64, i64);

/// How an image lies in its picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Placement {
    /// What the picture shows.
    pub(in super::super) shown: Area,
    /// What a presentation state displays: its relative units count from here.
    pub(in super::super) displayed: Area,
    /// How many right angles it is turned clockwise, 0 to 3.
    pub(in super::super) turns: u8,
    /// Left and right change places after that.
    pub(in super::super) is_mirrored: bool,
    /// The sides of the picture.
    pub(in super::super) size: (u32, u32),
}

impl Area {
    /// The part of it that is named by parts of 1, after turns and mirror.
    pub(in super::super) fn part(
        self,
        [left, top, right, bottom]: [f64; 4],
        turns: u8,
        is_mirrored: bool,
    ) -> Self {
        let one = straight(left, top, turns, is_mirrored);
        let other = straight(right, bottom, turns, is_mirrored);
        Self {
            left: self.left + one.0.min(other.0) * self.width,
            top: self.top + one.1.min(other.1) * self.height,
            width: (one.0 - other.0).abs() * self.width,
            height: (one.1 - other.1).abs() * self.height,
        }
    }
}

/// Parts of 1 of the turned picture as those of the image.
fn straight(u: f64, v: f64, turns: u8, is_mirrored: bool) -> (f64, f64) {
    let u = if is_mirrored { 1.0 - u } else { u };
    match turns {
        0 => (u, v),
        1 => (v, 1.0 - u),
        2 => (1.0 - u, 1.0 - v),
        _ => (1.0 - v, u),
    }
}

/// Parts of 1 of the image as those of the turned picture.
fn turned(a: f64, b: f64, turns: u8, is_mirrored: bool) -> (f64, f64) {
    let (u, v) = match turns {
        0 => (a, b),
        1 => (1.0 - b, a),
        2 => (1.0 - a, 1.0 - b),
        _ => (b, 1.0 - a),
    };
    (if is_mirrored { 1.0 - u } else { u }, v)
}

impl Placement {
    /// A point of the picture in the image.
    pub(in super::super) fn image_of(&self, x: f64, y: f64) -> (f64, f64) {
        let (u, v) = (x / f64::from(self.size.0), y / f64::from(self.size.1));
        let (a, b) = straight(u, v, self.turns, self.is_mirrored);
        let area = &self.shown;
        (area.left + a * area.width, area.top + b * area.height)
    }

    /// A point of the image in the picture.
    pub(in super::super) fn picture_of(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let area = &self.shown;
        let (a, b) = ((x - area.left) / area.width, (y - area.top) / area.height);
        let (u, v) = turned(a, b, self.turns, self.is_mirrored);
        (u * f64::from(self.size.0), v * f64::from(self.size.1))
    }

    /// A point by its parts of what is displayed, in the picture.
    pub(in super::super) fn picture_of_display(&self, (u, v): (f64, f64)) -> (f64, f64) {
        let (a, b) = straight(u, v, self.turns, self.is_mirrored);
        let area = &self.displayed;
        self.picture_of((area.left + a * area.width, area.top + b * area.height))
    }

    /// The pixels of the image that each pixel of one side of the picture shows, at least one: first
    /// the columns of the image, then its rows. They belong to the other side when it lies on its side.
    pub(in super::super) fn reaches(&self) -> (Vec<Reach>, Vec<Reach>) {
        let lies = self.turns % 2 == 1;
        let (width, height) = self.size;
        let (across, down) = if lies {
            (height, width)
        } else {
            (width, height)
        };
        let column = |n: f64| if lies { self.image_of(0.5, n) } else { self.image_of(n, 0.5) }.0;
        let row = |n: f64| if lies { self.image_of(n, 0.5) } else { self.image_of(0.5, n) }.1;
        let all = |count: u32, place: &dyn Fn(f64) -> f64| {
            let reach = |n: u32| reach(place(n.into()), place(f64::from(n) + 1.0));
            (0..count).map(reach).collect()
        };
        (all(across, &column), all(down, &row))
    }
}

/// The whole pixels between two places, the end not among them.
fn reach(one: f64, other: f64) -> Reach {
    const NOTHING: f64 = 1e-6;
    let (begin, end) = (one.min(other), one.max(other));
    if end - begin <= 1.0 + NOTHING {
        // Casts saturate.
        let middle = f64::midpoint(begin, end).floor() as i64;
        return (middle, middle.saturating_add(1));
    }
    (
        (begin + NOTHING).floor() as i64,
        (end - NOTHING).ceil() as i64,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: Area = Area {
        left: 10.0,
        top: 20.0,
        width: 4.0,
        height: 2.0,
    };

    fn place(turns: u8, is_mirrored: bool) -> Placement {
        Placement {
            shown: SHOWN,
            displayed: SHOWN,
            turns,
            is_mirrored,
            size: if turns % 2 == 1 { (2, 4) } else { (4, 2) },
        }
    }

    #[test]
    fn the_first_pixel_lands_where_turns_and_mirror_put_it() {
        // Clockwise, then mirrored (PS3.3 §C.10.6): the middle of the first pixel.
        let cases = [
            (0, false, (0.5, 0.5)),
            (1, false, (1.5, 0.5)),
            (2, false, (3.5, 1.5)),
            (3, false, (0.5, 3.5)),
            (0, true, (3.5, 0.5)),
            (1, true, (0.5, 0.5)),
            (2, true, (0.5, 1.5)),
            (3, true, (1.5, 3.5)),
        ];
        for (turns, is_mirrored, expected) in cases {
            let placement = place(turns, is_mirrored);
            assert_eq!(placement.picture_of((10.5, 20.5)), expected);
            let (x, y) = placement.image_of(expected.0, expected.1);
            assert!((x - 10.5).abs() < 1e-9 && (y - 20.5).abs() < 1e-9);
            assert_eq!(placement.picture_of_display((0.0, 0.0)), (0.0, 0.0));
            let (columns, rows) = placement.reaches();
            assert_eq!((columns.len(), rows.len()), (4, 2));
            assert!(columns.contains(&(10, 11)) && columns.contains(&(13, 14)));
            assert!(rows.contains(&(20, 21)) && rows.contains(&(21, 22)));
        }
    }

    #[test]
    fn pixels_of_a_smaller_picture_show_all_they_cover() {
        let mut placement = place(0, false);
        placement.size = (2, 1);
        assert_eq!(
            placement.reaches(),
            (vec![(10, 12), (12, 14)], vec![(20, 22)])
        );
        placement.size = (8, 2);
        assert_eq!(placement.reaches().0[..3], [(10, 11), (10, 11), (11, 12)]);
    }

    #[test]
    fn parts_are_those_of_what_is_seen() {
        let part = SHOWN.part([0.0, 0.0, 0.5, 1.0], 0, true);
        assert_eq!((part.left, part.width), (12.0, 2.0));
        let part = SHOWN.part([0.0, 0.0, 1.0, 0.5], 1, false);
        assert_eq!(
            (part.left, part.top, part.width, part.height),
            (10.0, 20.0, 2.0, 2.0)
        );
    }
}
