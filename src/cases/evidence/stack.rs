//! Where the slices of a series lie. Slices of one orientation are a stack: each is at the projection of its Image
//! Position (Patient) on the normal of its Image Orientation (Patient), which is the vector product of row and column
//! (PS3.3 C.7.6.2.1.1), so an oblique stack and a tilted gantry have the true distance between slices.
//!
//! Several slices at one position are no fault by themselves (phases, echoes, b-values): what most positions have is what
//! each should have, and what has more or fewer is uneven.

use super::LIST_MAX;
use super::instance::Slice;

/// Stacks of a series that are kept apart. A rotating series has an orientation for each of some tens of planes.
pub const STACKS_MAX: usize = 64;

/// Direction cosines that differ by no more are the same: some write three digits, and half a degree is no other
/// orientation to anybody who reads.
const COSINE_TOLERANCE: f64 = 0.01;

/// What the sums of a computer leave over is no difference.
const ROUND_OFF: f64 = 1e-6;

/// Slices that are no further apart are at one position: no clinical slice is as thin. Millimetres.
const SAME_MM: f64 = 0.01;

/// A distance may differ from the usual one by so much of it: what is measured across the slices is off by no more.
const SPACING_TOLERANCE: f64 = 0.05;

/// Or by so much, because positions are sometimes written with one decimal. Millimetres.
const ROUNDING_MM: f64 = 0.1;

/// But never by more of the usual distance than this, however small that is.
const ROUNDING_TOLERANCE_MAX: f64 = 0.25;

/// Where a slice lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plane {
    /// Image Position (Patient), (0020,0032). Millimetres.
    pub position: [f64; 3],
    /// The first three of Image Orientation (Patient), (0020,0037): the direction of rows.
    pub row: [f64; 3],
    /// The last three: the direction of columns.
    pub column: [f64; 3],
}

/// Slices side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// Whether they are localizers.
    pub is_localizer: bool,
    /// The direction of rows and of columns of the first of them.
    pub orientation: [f64; 6],
    /// The unit vector on which positions lie.
    pub normal: [f64; 3],
    /// How many slices.
    pub slices: u64,
    /// Where they lie, ascending.
    pub positions: Vec<Position>,
    /// How many slices most positions have; the fewest of such numbers.
    pub slices_per_position: u64,
    /// Positions with another number of slices, as many as all of them; [`LIST_MAX`] are listed.
    pub uneven: u64,
    /// The first of these.
    pub uneven_positions: Vec<Position>,
    /// The usual distance of neighbours: the lower median. Millimetres.
    pub spacing_mm: Option<f64>,
    /// The least and the greatest distance of neighbours. Millimetres.
    pub spacing_range_mm: Option<(f64, f64)>,
    /// Slices that would fit between neighbours that are about a multiple of the usual distance apart.
    pub missing: u64,
    /// Between which; [`LIST_MAX`] at most.
    pub gaps: Vec<Gap>,
    /// Distances that are no multiple of the usual one.
    pub irregular: u64,
    /// The usual Slice Thickness (0018,0050): the lower median. Millimetres.
    pub thickness_mm: Option<f64>,
    /// By how much the line from the first to the last slice leans away from the normal: a tilted gantry (0018,1120)
    /// gives such a stack. Degrees.
    pub lean_degrees: Option<f64>,
}

/// A place in a stack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// Along the normal. Millimetres.
    pub at_mm: f64,
    /// How many slices lie there.
    pub slices: u64,
}

/// Neighbours with room for slices between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gap {
    /// Position of the one. Millimetres.
    pub from_mm: f64,
    /// Position of the other. Millimetres.
    pub to_mm: f64,
    /// How many slices would fit between them.
    pub missing: u64,
}

impl Plane {
    /// A plane, its directions made unit vectors; `None` when they are no two directions at right angles. The values
    /// are finite.
    #[must_use]
    pub fn new(position: [f64; 3], row: [f64; 3], column: [f64; 3]) -> Option<Self> {
        let (row, column) = (unit(row)?, unit(column)?);
        let is_square = dot(row, column).abs() <= COSINE_TOLERANCE;
        is_square.then_some(Self {
            position,
            row,
            column,
        })
    }

    fn is_along(&self, other: &Self) -> bool {
        let pairs = self.row.iter().chain(&self.column);
        let others = other.row.iter().chain(&other.column);
        pairs
            .zip(others)
            .all(|(one, other)| (one - other).abs() <= COSINE_TOLERANCE)
    }

    fn normal(&self) -> [f64; 3] {
        let ([a, b, c], [x, y, z]) = (self.row, self.column);
        let product = [b * z - c * y, c * x - a * z, a * y - b * x];
        // Of two unit vectors at nearly right angles.
        unit(product).unwrap_or(product)
    }
}

/// A vector of length one; `None` when it is far from that, as direction cosines are not.
fn unit(vector: [f64; 3]) -> Option<[f64; 3]> {
    let length = dot(vector, vector).sqrt();
    let is_direction = (length - 1.0).abs() <= COSINE_TOLERANCE;
    is_direction.then(|| vector.map(|part| part / length))
}

fn dot(one: [f64; 3], other: [f64; 3]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// How far a distance may be from the usual one. Millimetres.
#[must_use]
pub fn tolerance_mm(spacing_mm: f64) -> f64 {
    let rounding = ROUNDING_MM.min(ROUNDING_TOLERANCE_MAX * spacing_mm);
    rounding.max(SPACING_TOLERANCE * spacing_mm)
}

/// The stacks of slices (each with whether it is a localizer), those with most slices first; and how many slices are
/// in none because there were too many orientations.
#[must_use]
pub fn of<'a>(slices: impl Iterator<Item = (bool, &'a Slice)>) -> (Vec<Stack>, u64) {
    let mut groups: Vec<(bool, Plane, Vec<&Slice>)> = Vec::new();
    let mut elsewhere = 0;
    let mut last = 0;
    for (is_localizer, slice) in slices {
        let is_of = |(known, plane, _): &(bool, Plane, Vec<&Slice>)| {
            *known == is_localizer && plane.is_along(&slice.plane)
        };
        // Most slices lie like the one before.
        let found = match groups.get(last).is_some_and(is_of) {
            true => Some(last),
            false => groups.iter().position(is_of),
        };
        match found {
            Some(at) => {
                last = at;
                groups[at].2.push(slice);
            }
            None if groups.len() < STACKS_MAX => {
                last = groups.len();
                groups.push((is_localizer, slice.plane, vec![slice]));
            }
            None => elsewhere += 1,
        }
    }
    let stacks = groups.into_iter();
    let mut stacks: Vec<Stack> = stacks
        .map(|(is_localizer, plane, slices)| stack(is_localizer, &plane, &slices))
        .collect();
    stacks.sort_by_key(|stack| (stack.is_localizer, std::cmp::Reverse(stack.slices)));
    (stacks, elsewhere)
}

fn stack(is_localizer: bool, plane: &Plane, slices: &[&Slice]) -> Stack {
    let normal = plane.normal();
    let mut places: Vec<(f64, [f64; 3])> = slices
        .iter()
        .map(|slice| (dot(slice.plane.position, normal), slice.plane.position))
        .collect();
    places.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut positions: Vec<Position> = Vec::new();
    for (at_mm, _) in &places {
        match positions.last_mut() {
            // Compared with the first at a position, so that a row of near ones is not one.
            Some(position) if at_mm - position.at_mm <= SAME_MM => position.slices += 1,
            _ => positions.push(Position {
                at_mm: *at_mm,
                slices: 1,
            }),
        }
    }
    let slices_per_position = most_common(positions.iter().map(|position| position.slices));
    let is_uneven = |position: &&Position| position.slices != slices_per_position;
    let lean_degrees = match (places.first(), places.last()) {
        (Some(first), Some(last)) if positions.len() > 1 => Some(lean(first, last, normal)),
        _ => None,
    };
    let [a, b, c] = plane.row;
    let [x, y, z] = plane.column;
    let mut stack = Stack {
        is_localizer,
        orientation: [a, b, c, x, y, z],
        normal,
        slices: slices.len() as u64,
        slices_per_position,
        uneven: positions.iter().filter(is_uneven).count() as u64,
        uneven_positions: positions
            .iter()
            .filter(is_uneven)
            .take(LIST_MAX)
            .copied()
            .collect(),
        spacing_mm: None,
        spacing_range_mm: None,
        missing: 0,
        gaps: Vec::new(),
        irregular: 0,
        thickness_mm: lower_median(slices.iter().filter_map(|slice| slice.thickness_mm)),
        lean_degrees,
        positions,
    };
    stack.look_at_distances();
    stack
}

impl Stack {
    fn look_at_distances(&mut self) {
        let neighbours = || {
            self.positions
                .windows(2)
                .filter_map(|pair| <&[Position; 2]>::try_from(pair).ok())
        };
        let distances = || neighbours().map(|[one, other]| other.at_mm - one.at_mm);
        let Some(usual) = lower_median(distances()) else {
            return;
        };
        let (least, greatest) = (
            distances().fold(f64::INFINITY, f64::min),
            distances().fold(0.0, f64::max),
        );
        let tolerance = tolerance_mm(usual);
        let (mut missing, mut gaps, mut irregular) = (0_u64, Vec::new(), 0);
        for [one, other] in neighbours() {
            let distance = other.at_mm - one.at_mm;
            // No distance is smaller than SAME_MM, none is infinite; a conversion stops at the greatest number.
            let steps = (distance / usual).round().max(1.0);
            if steps > 1.0 {
                let between = steps as u64 - 1;
                missing = missing.saturating_add(between);
                if gaps.len() < LIST_MAX {
                    gaps.push(Gap {
                        from_mm: one.at_mm,
                        to_mm: other.at_mm,
                        missing: between,
                    });
                }
            }
            if (distance - steps * usual).abs() > tolerance * (1.0 + ROUND_OFF) {
                irregular += 1;
            }
        }
        self.spacing_mm = Some(usual);
        self.spacing_range_mm = Some((least, greatest));
        (self.missing, self.gaps, self.irregular) = (missing, gaps, irregular);
    }

    /// How much of the patient lies unseen between slices, negative where they overlap. Millimetres.
    #[must_use]
    pub fn between_slices_mm(&self) -> Option<f64> {
        Some(self.spacing_mm? - self.thickness_mm?)
    }
}

/// The angle between the normal and the line from the one place to the other. Degrees.
fn lean((from_mm, from): &(f64, [f64; 3]), (to_mm, to): &(f64, [f64; 3]), normal: [f64; 3]) -> f64 {
    let along = to_mm - from_mm;
    let mut aside = [0.0; 3];
    for axis in 0..3 {
        aside[axis] = to[axis] - from[axis] - along * normal[axis];
    }
    dot(aside, aside).sqrt().atan2(along).to_degrees()
}

/// Of an even number of values the lower one of the two in the middle: one that occurs. `None` of no values.
pub(super) fn lower_median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    let middle = values.len().checked_sub(1)? / 2;
    let (_, median, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    Some(*median)
}

/// The value that comes most often, the least of several; 0 of none.
fn most_common(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    let runs = values.chunk_by(|one, other| one == other);
    // The first of equally long ones stays.
    let mut best: &[u64] = &[];
    for run in runs {
        if run.len() > best.len() {
            best = run;
        }
    }
    best.first().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
