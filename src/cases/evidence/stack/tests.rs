//! The arithmetic of stacks. Expected values are worked out by hand, or by the formula that stands beside them.

use super::*;

const AXIAL: [[f64; 3]; 2] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
const SAGITTAL: [[f64; 3]; 2] = [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0]];

fn slice(position: [f64; 3], [row, column]: [[f64; 3]; 2], thickness_mm: f64) -> Slice {
    Slice {
        plane: Plane::new(position, row, column).unwrap(),
        thickness_mm: Some(thickness_mm),
    }
}

fn axial(heights: &[f64]) -> Vec<Slice> {
    let slices = heights
        .iter()
        .map(|z| slice([-100.0, -100.0, *z], AXIAL, 2.0));
    slices.collect()
}

fn one(slices: &[Slice]) -> Stack {
    let (mut stacks, elsewhere) = of(slices.iter().map(|slice| (false, slice)));
    assert_eq!((stacks.len(), elsewhere), (1, 0));
    stacks.remove(0)
}

#[test]
fn a_regular_stack_in_any_order() {
    let stack = one(&axial(&[4.0, 0.0, 6.0, 2.0]));
    let heights: Vec<f64> = stack.positions.iter().map(|place| place.at_mm).collect();
    assert_eq!(heights, [0.0, 2.0, 4.0, 6.0]);
    assert_eq!(
        (stack.spacing_mm, stack.thickness_mm),
        (Some(2.0), Some(2.0))
    );
    assert_eq!((stack.missing, stack.irregular, stack.uneven), (0, 0, 0));
    assert_eq!(
        (stack.slices_per_position, stack.lean_degrees),
        (1, Some(0.0))
    );
    assert_eq!(stack.normal, [0.0, 0.0, 1.0]);
    assert_eq!(stack.between_slices_mm(), Some(0.0));
}

#[test]
fn what_is_missing_is_told_with_its_place() {
    let stack = one(&axial(&[0.0, 3.0, 6.0, 15.0, 18.0, 24.0]));
    assert_eq!(
        (stack.spacing_mm, stack.missing, stack.irregular),
        (Some(3.0), 3, 0)
    );
    let gap = |from_mm, to_mm, missing| Gap {
        from_mm,
        to_mm,
        missing,
    };
    assert_eq!(stack.gaps, [gap(6.0, 15.0, 2), gap(18.0, 24.0, 1)]);
    assert_eq!(stack.spacing_range_mm, Some((3.0, 9.0)));
    // Of two distances the lower is the usual one: the mean of both is none of them.
    let few = one(&axial(&[0.0, 2.0, 6.0]));
    assert_eq!(
        (few.spacing_mm, few.missing, few.irregular),
        (Some(2.0), 1, 0)
    );
}

#[test]
fn irregular_is_what_rounding_does_not_explain() {
    // 0.625 mm, written with one decimal: 0.6 and 0.7.
    let heights: Vec<f64> = (0..40)
        .map(|n| (f64::from(n) * 6.25).round() / 10.0)
        .collect();
    assert_eq!(one(&axial(&heights)).irregular, 0);
    let stack = one(&axial(&[0.0, 5.0, 10.0, 15.6, 20.0, 25.0]));
    assert_eq!((stack.missing, stack.irregular), (0, 2));
    let stack = one(&axial(&[0.0, 5.0, 10.0, 18.0, 23.0]));
    assert_eq!((stack.missing, stack.irregular), (1, 1));
    assert_eq!(tolerance_mm(5.0), 0.25);
    assert_eq!(tolerance_mm(1.0), 0.1);
    assert_eq!(tolerance_mm(0.04), 0.01);
}

#[test]
fn the_distance_is_along_the_normal() {
    // Rows and columns turned by 30 degrees about x: the normal is (0, -sin 30, cos 30).
    let (sin, cos) = 30_f64.to_radians().sin_cos();
    let oblique = [[1.0, 0.0, 0.0], [0.0, cos, sin]];
    let slices: Vec<Slice> = (0..5)
        .map(|n| {
            slice(
                [7.0, -4.0 * sin * f64::from(n), 4.0 * cos * f64::from(n)],
                oblique,
                3.0,
            )
        })
        .collect();
    let stack = one(&slices);
    assert!((stack.spacing_mm.unwrap() - 4.0).abs() < 1e-9);
    assert!(stack.lean_degrees.unwrap() < 1e-6 && stack.irregular == 0);
    // The table moves along z while the gantry is tilted: slices are cos 30 as far apart, and lean by 30 degrees.
    let tilted: Vec<Slice> = (0..5)
        .map(|n| slice([0.0, 0.0, 4.0 * f64::from(n)], oblique, 3.0))
        .collect();
    let stack = one(&tilted);
    assert!((stack.spacing_mm.unwrap() - 4.0 * cos).abs() < 1e-9);
    assert!((stack.lean_degrees.unwrap() - 30.0).abs() < 1e-6);
}

#[test]
fn several_at_each_position_are_even() {
    let phases = axial(&[0.0, 2.0, 4.0, 0.0, 2.0, 4.0, 0.0, 2.0]);
    let stack = one(&phases);
    assert_eq!((stack.slices_per_position, stack.positions.len()), (3, 3));
    let uneven = Position {
        at_mm: 4.0,
        slices: 2,
    };
    assert_eq!(
        (stack.uneven, &stack.uneven_positions[..]),
        (1, &[uneven][..])
    );
    let twice = one(&axial(&[0.0, 2.0, 2.005, 4.0, 6.0]));
    assert_eq!((twice.slices_per_position, twice.uneven), (1, 1));
}

#[test]
fn orientations_and_localizers_stand_apart() {
    let mut slices: Vec<(bool, Slice)> = axial(&[0.0, 1.0, 2.0])
        .into_iter()
        .map(|s| (false, s))
        .collect();
    slices.push((true, slice([0.0; 3], SAGITTAL, 5.0)));
    slices.push((true, slice([0.0; 3], AXIAL, 5.0)));
    slices.push((false, slice([9.0, 0.0, 0.0], SAGITTAL, 5.0)));
    // Three digits of a cosine are the same direction.
    slices.push((
        false,
        slice(
            [0.0, 0.0, 3.0],
            [[0.999, 0.003, 0.0], [-0.003, 0.999, 0.0]],
            2.0,
        ),
    ));
    let (stacks, elsewhere) = of(slices
        .iter()
        .map(|(is_localizer, slice)| (*is_localizer, slice)));
    let told: Vec<_> = stacks.iter().map(|s| (s.is_localizer, s.slices)).collect();
    assert_eq!(
        (told, elsewhere),
        (vec![(false, 4), (false, 1), (true, 1), (true, 1)], 0)
    );
    assert_eq!(stacks[1].normal, [-1.0, 0.0, 0.0]);
    assert_eq!((stacks[1].spacing_mm, stacks[1].lean_degrees), (None, None));
}

#[test]
fn hostile_values_are_survived() {
    assert_eq!(of(std::iter::empty()), (Vec::new(), 0));
    let far = one(&axial(&[-1e6, 1e6, 0.0, 0.011, 0.022, 0.033]));
    assert!(far.missing > 0 && far.spacing_mm.unwrap().is_finite());
    let nothing = Plane::new([0.0; 3], [f64::NAN, 0.0, 0.0], [0.0, 1.0, 0.0]);
    assert_eq!(nothing, None);
    assert_eq!(
        Plane::new([0.0; 3], [f64::INFINITY; 3], [0.0, 1.0, 0.0]),
        None
    );
    // As many orientations as anybody likes.
    let turned: Vec<Slice> = (0..500)
        .map(|n| {
            let (sin, cos) = (f64::from(n) * 0.0125).sin_cos();
            slice([0.0; 3], [[cos, sin, 0.0], [0.0, 0.0, -1.0]], 1.0)
        })
        .collect();
    let (stacks, elsewhere) = of(turned.iter().map(|slice| (false, slice)));
    let within: u64 = stacks.iter().map(|stack| stack.slices).sum();
    assert_eq!((stacks.len(), within + elsewhere), (STACKS_MAX, 500));
    assert!(elsewhere > 0);
}
