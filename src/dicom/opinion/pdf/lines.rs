//! Paragraphs broken into lines (a part of UAX #14: after spaces and hyphens, around ideographs, anywhere in a word that
//! no line holds), each put in visual order by UAX #9.

use std::ops::Range;

use unicode_bidi::BidiInfo;
use unicode_normalization::char::is_combining_mark;

use super::fonts::{Fonts, Glyph, Style};

/// A line, from left to right.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) glyphs: Vec<Glyph>,
    /// In points.
    pub(super) width: f32,
    /// Whether its paragraph begins at the right.
    pub(super) is_rtl: bool,
}

/// A text of several paragraphs in lines of `width` points at most.
pub(super) fn wrap(
    fonts: &mut Fonts,
    text: &str,
    style: Style,
    size: f32,
    width: f32,
) -> Vec<Line> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let paragraph = paragraph.trim_end();
        if paragraph.is_empty() {
            lines.push(Line::default());
            continue;
        }
        let bidi = BidiInfo::new(paragraph, None);
        for range in ranges(fonts, paragraph, style, width * 1000.0 / size) {
            lines.push(line(fonts, &bidi, range, style, size));
        }
    }
    lines
}

/// A text on one line, whatever its width.
pub(super) fn single(fonts: &mut Fonts, text: &str, style: Style, size: f32) -> Line {
    let text = text.replace('\n', " ");
    let bidi = BidiInfo::new(&text, None);
    line(fonts, &bidi, 0..text.len(), style, size)
}

fn line(
    fonts: &mut Fonts,
    bidi: &BidiInfo<'_>,
    range: Range<usize>,
    style: Style,
    size: f32,
) -> Line {
    let text = bidi.text;
    let kept = text[range.clone()].trim_end().len();
    let range = range.start..range.start + kept;
    let paragraph = bidi
        .paragraphs
        .iter()
        .find(|paragraph| paragraph.range.contains(&range.start));
    let mut line = Line::default();
    let Some(paragraph) = paragraph.filter(|_| !range.is_empty()) else {
        return line;
    };
    line.is_rtl = paragraph.level.is_rtl();
    let range = range.start..range.end.min(paragraph.range.end);
    let (levels, runs) = bidi.visual_runs(paragraph, range);
    for run in runs {
        let is_rtl = levels.get(run.start).is_some_and(|level| level.is_rtl());
        fonts.shape(&text[run], style, is_rtl, &mut line.glyphs);
    }
    line.width = line.glyphs.iter().map(|glyph| glyph.advance).sum::<f32>() * size / 1000.0;
    line
}

/// Where the lines of a paragraph lie, `width` in thousandths of the size.
fn ranges(fonts: &mut Fonts, text: &str, style: Style, width: f32) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let (mut start, mut end, mut taken) = (0, 0, 0.0);
    for piece in pieces(text) {
        let whole = &text[piece.clone()];
        let shown = fonts.width(whole.trim_end(), style);
        let with_space = if whole.ends_with(' ') {
            fonts.width(whole, style)
        } else {
            shown
        };
        if taken + shown > width && end > start {
            lines.push(start..end);
            (start, taken) = (end, 0.0);
        }
        if shown <= width {
            (end, taken) = (piece.end, taken + with_space);
            continue;
        }
        // A word that no line holds.
        for part in clusters(whole) {
            let part = piece.start + part.start..piece.start + part.end;
            let wide = fonts.width(&text[part.clone()], style);
            if taken + wide > width && end > start {
                lines.push(start..end);
                (start, taken) = (end, 0.0);
            }
            (end, taken) = (part.end, taken + wide);
        }
    }
    if end > start {
        lines.push(start..end);
    }
    lines
}

/// What stays together on a line, with the spaces behind it.
fn pieces(text: &str) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut before = None;
    for (at, c) in text.char_indices() {
        if let Some(before) = before
            && may_break(before, c)
        {
            pieces.push(start..at);
            start = at;
        }
        before = Some(c);
    }
    if start < text.len() {
        pieces.push(start..text.len());
    }
    pieces
}

fn may_break(before: char, after: char) -> bool {
    if after.is_whitespace() || hangs(after) {
        return false;
    }
    if before.is_whitespace() && !matches!(before, '\u{A0}' | '\u{202F}') {
        return true;
    }
    let opens = matches!(
        before,
        '(' | '[' | '「' | '『' | '（' | '《' | '〈' | '【' | '“' | '‘'
    );
    let closes = matches!(
        after,
        ')' | ']'
            | ','
            | '.'
            | ';'
            | ':'
            | '!'
            | '?'
            | '、'
            | '。'
            | '，'
            | '．'
            | '；'
            | '：'
            | '！'
            | '？'
            | '」'
            | '』'
            | '）'
            | '》'
            | '〉'
            | '】'
            | '”'
            | '’'
            | 'ー'
            | 'ッ'
            | 'っ'
            | '々'
            | '%'
            | '％'
    );
    !opens && !closes && (is_ideographic(before) || is_ideographic(after))
        || matches!(before, '-' | '‐' | '–' | '—') && after.is_alphabetic()
}

/// What belongs to the character before it.
fn hangs(c: char) -> bool {
    is_combining_mark(c)
        || matches!(c, '\u{200C}'..='\u{200F}' | '\u{2060}' | '\u{FE00}'..='\u{FE0F}')
}

/// Characters with their marks.
fn clusters(text: &str) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        if at > start && !hangs(c) {
            all.push(start..at);
            start = at;
        }
    }
    all.push(start..text.len());
    all
}

fn is_ideographic(c: char) -> bool {
    matches!(c, '\u{2E80}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FFEF}' | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, size_of_line: f32, expected: &[&str]) {
        let mut fonts = Fonts::default();
        let lines: Vec<_> = ranges(&mut fonts, text, Style::Regular, size_of_line)
            .into_iter()
            .map(|range| &text[range])
            .collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn lines_break_where_people_break_them() {
        check("one two three", 5000.0, &["one two ", "three"]);
        check("aaaaaaaaaaaa b", 4000.0, &["aaaaaa", "aaaaaa ", "b"]);
        check("右肺上叶见结节。", 4000.0, &["右肺上叶", "见结节。"]);
        check(
            "e\u{301}e\u{301}e\u{301}e\u{301}",
            1300.0,
            &["e\u{301}e\u{301}", "e\u{301}e\u{301}"],
        );
    }

    #[test]
    fn every_character_is_on_a_line() {
        for text in [
            "",
            " ",
            "\u{301}",
            "a\u{200D}b",
            "ש a ש",
            "- - -",
            &"x".repeat(3000),
        ] {
            let mut fonts = Fonts::default();
            let lines = ranges(&mut fonts, text, Style::Bold, 10.0);
            assert_eq!(
                lines
                    .iter()
                    .map(|range| &text[range.clone()])
                    .collect::<String>(),
                text
            );
        }
    }
}
