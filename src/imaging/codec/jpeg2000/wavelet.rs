//! The reversible 5/3 wavelet forward (ISO/IEC 15444-1 Annex F.4), over a plane that begins at an
//! even place of the reference grid.

/// Splits the top left `columns` × `rows` of a plane of `stride` into its four bands, in place:
/// low ones first, either way.
pub(super) fn split(plane: &mut [i32], stride: usize, columns: usize, rows: usize) {
    // Columns first (Figure F.24), a whole row of them at once.
    let mut lines: Vec<i32> = Vec::with_capacity(columns * rows);
    for row in plane.chunks(stride).take(rows) {
        lines.extend(&row[..columns]);
    }
    for (first, is_low) in [(1, false), (0, true)] {
        for row in (first..rows).step_by(2).filter(|_| rows > 1) {
            let above = if row == 0 { 1 } else { row - 1 };
            let below = if row + 1 == rows { row - 1 } else { row + 1 };
            for column in 0..columns {
                let (above, below) = (
                    lines[above * columns + column],
                    lines[below * columns + column],
                );
                let here = &mut lines[row * columns + column];
                *here = lifted(*here, above, below, is_low);
            }
        }
    }
    let mut line = vec![0; columns];
    for (place, row) in plane.chunks_mut(stride).take(rows).enumerate() {
        let source = source(place, rows) * columns;
        line.copy_from_slice(&lines[source..source + columns]);
        split_line(&mut line);
        for (place, sample) in row[..columns].iter_mut().enumerate() {
            *sample = line[self::source(place, columns)];
        }
    }
}

/// Where the coefficient that belongs at `place` is before even and odd ones are parted.
fn source(place: usize, length: usize) -> usize {
    let low = length.div_ceil(2);
    if place < low {
        2 * place
    } else {
        2 * (place - low) + 1
    }
}

/// Equations F-9 and F-10.
fn lifted(here: i32, before: i32, after: i32, is_low: bool) -> i32 {
    if is_low {
        here + ((before + after + 2) >> 2)
    } else {
        here - ((before + after) >> 1)
    }
}

/// §F.4.6, mirrored at the ends; even and odd stay where they are.
fn split_line(line: &mut [i32]) {
    let length = line.len();
    if length < 2 {
        return;
    }
    for (first, is_low) in [(1, false), (0, true)] {
        for at in (first..length).step_by(2) {
            let before = line[if at == 0 { 1 } else { at - 1 }];
            let after = line[if at + 1 == length { at - 1 } else { at + 1 }];
            line[at] = lifted(line[at], before, after, is_low);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: high 2−(1+4)/2=0, 9−(4+4)/2=5; low 1+(0+0+2)/4=1, 4+(0+5+2)/4=5.
    #[test]
    fn a_line_is_split_as_the_equations_say() {
        let mut line = [1, 2, 4, 9];
        split(&mut line, 4, 4, 1);
        assert_eq!(line, [1, 5, 0, 5]);
        let mut column = [1, 2, 4, 9];
        split(&mut column, 1, 1, 4);
        assert_eq!(column, [1, 5, 0, 5]);
        let mut lone = [-7];
        split(&mut lone, 1, 1, 1);
        assert_eq!(lone, [-7]);
    }
}
