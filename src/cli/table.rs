//! Aligned tables on a terminal. Values come from DICOM objects: control characters, which could
//! steer the terminal, and direction marks, which could turn a line round, are shown as `·`.

use std::io::{self, Write};

use unicode_normalization::char::is_combining_mark;

/// Space between two columns.
const GAP: &str = "  ";

/// Writes a heading and rows of the same number of cells, each column as wide as its widest cell.
pub(super) fn write(out: &mut dyn Write, heading: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| printable(cell)).collect())
        .collect();
    let mut widths: Vec<usize> = heading.iter().map(|cell| width(cell)).collect();
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let heading: Vec<String> = heading.iter().map(|cell| (*cell).to_owned()).collect();
    for row in std::iter::once(&heading).chain(&rows) {
        let mut line = String::new();
        for (cell, widest) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', widest.saturating_sub(width(cell))));
            line.push_str(GAP);
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A value that cannot steer the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if is_steering(c) { '·' } else { c })
        .collect()
}

fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The columns a text takes: two for East Asian wide characters, none for combining marks.
fn width(text: &str) -> usize {
    text.chars()
        .map(|c| match c {
            _ if is_combining_mark(c) => 0,
            '\u{1100}'..='\u{115f}'
            | '\u{2e80}'..='\u{a4cf}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{f900}'..='\u{faff}'
            | '\u{fe30}'..='\u{fe6f}'
            | '\u{ff00}'..='\u{ff60}'
            | '\u{ffe0}'..='\u{ffe6}'
            | '\u{20000}'..='\u{3fffd}' => 2,
            _ => 1,
        })
        .sum()
}

/// Universal time, as RFC 3339 has it, to the second.
pub(super) fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(
        |_| ms.to_string(),
        |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_whatever_the_script() {
        let mut out = Vec::new();
        let rows = [
            vec!["山田^太郎".into(), "1".into()],
            vec!["Müller".into(), "2".into()],
        ];
        write(&mut out, &["NAME", "N"], &rows).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "NAME       N\n山田^太郎  1\nMüller     2\n");
    }

    #[test]
    fn values_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\r\n\u{202e}c"), "a·[2Jb···c");
    }
}
