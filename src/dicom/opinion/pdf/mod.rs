//! A small PDF of text: sheets of A4 that fill from the top, with headings, paragraphs, facts in two columns and tables,
//! and a line at the foot of each. Any text may be given: what no face writes becomes a box, which [`Sheets::missing`]
//! tells.

mod fonts;
mod lines;
mod objects;

use std::fmt::Write as _;

use fonts::{Fonts, Style};
use lines::{Line, single, wrap};
use objects::PAGE;

/// The margins, in points.
const MARGIN: f32 = 56.0;
const FOOT: f32 = 64.0;
const WIDTH: f32 = PAGE.0 - 2.0 * MARGIN;

const INK: &str = "0.10 0.11 0.12";
const QUIET: &str = "0.38 0.41 0.44";
const ACCENT: &str = "0.05 0.32 0.46";
const RULE: &str = "0.80 0.83 0.85";

/// The size of plain text, and from one line to the next.
const SIZE: f32 = 10.0;
const LEADING: f32 = 14.0;

/// Room for the label of a fact.
const LABEL: f32 = 92.0;

/// What the file says of itself.
#[derive(Debug)]
pub(super) struct About<'a> {
    pub(super) title: &'a str,
    pub(super) author: &'a str,
    /// RFC 5646.
    pub(super) language: &'a str,
    /// `YYYYMMDDHHMMSS`, in UTC.
    pub(super) created: &'a str,
}

/// Pages that are being filled.
pub(super) struct Sheets {
    fonts: Fonts,
    pages: Vec<String>,
    /// Where the next line begins, from the bottom.
    y: f32,
}

impl Sheets {
    pub(super) fn new() -> Self {
        Self {
            fonts: Fonts::default(),
            pages: vec![String::new()],
            y: PAGE.1 - MARGIN,
        }
    }

    /// The characters that no face writes, so far.
    pub(super) fn missing(&self) -> Vec<char> {
        self.fonts.missing().collect()
    }

    /// The name of the document with a word at its right, above a line across the page.
    pub(super) fn title(&mut self, title: &str, aside: &str) {
        let aside = wrap(&mut self.fonts, aside, Style::Regular, 10.0, WIDTH * 0.45);
        let title = wrap(&mut self.fonts, title, Style::Bold, 20.0, WIDTH * 0.52);
        let top = self.y;
        for (at, line) in title.iter().take(3).enumerate() {
            self.draw(line, MARGIN, top - 20.0 - at as f32 * 24.0, 20.0, ACCENT);
        }
        for (at, line) in aside.iter().take(5).enumerate() {
            let x = PAGE.0 - MARGIN - line.width;
            self.draw(line, x, top - 13.0 - at as f32 * 13.0, 10.0, QUIET);
        }
        let title = 24.0 * title.len().min(3) as f32;
        let aside = 13.0 * aside.len().min(5) as f32;
        self.y = top - title.max(aside) - 10.0;
        self.rule(1.2, ACCENT);
        self.y -= 8.0;
    }

    /// Labels and values in two columns, from left to right; what has no value is left out.
    pub(super) fn facts(&mut self, facts: &[(&str, String)]) {
        let facts: Vec<_> = facts
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let column = WIDTH / 2.0;
        for pair in facts.chunks(2) {
            let cells: Vec<_> = pair
                .iter()
                .map(|(label, value)| {
                    let label = single(&mut self.fonts, label, Style::Regular, 9.0);
                    (
                        label,
                        wrap(
                            &mut self.fonts,
                            value,
                            Style::Regular,
                            SIZE,
                            column - LABEL - 10.0,
                        ),
                    )
                })
                .collect();
            let lines = cells
                .iter()
                .map(|(_, value)| value.len())
                .max()
                .unwrap_or(0);
            for at in 0..lines {
                self.need(LEADING);
                for (side, (label, value)) in cells.iter().enumerate() {
                    let x = MARGIN + column * side as f32;
                    if at == 0 {
                        self.draw(label, x, self.y - 10.0, 9.0, QUIET);
                    }
                    if let Some(line) = value.get(at) {
                        self.draw(line, x + LABEL, self.y - 10.0, SIZE, INK);
                    }
                }
                self.y -= LEADING;
            }
        }
        self.y -= 4.0;
    }

    /// A heading, which does not stand alone at the foot of a page.
    pub(super) fn heading(&mut self, heading: &str) {
        self.need(8.0 + 18.0 + 2.0 * LEADING);
        self.y -= 8.0;
        let line = single(&mut self.fonts, heading, Style::Bold, 11.5);
        self.draw(&line, MARGIN, self.y - 11.0, 11.5, ACCENT);
        self.y -= 18.0;
    }

    /// Plain text.
    pub(super) fn text(&mut self, text: &str) {
        self.lines(text, Style::Regular, SIZE, INK, 0.0);
    }

    /// Text that weighs more.
    pub(super) fn strong(&mut self, text: &str) {
        self.lines(text, Style::Bold, SIZE, INK, 0.0);
    }

    /// Text that weighs less, moved in.
    pub(super) fn note(&mut self, text: &str, indent: f32) {
        self.lines(text, Style::Regular, 8.5, QUIET, indent);
    }

    fn lines(&mut self, text: &str, style: Style, size: f32, color: &str, indent: f32) {
        let width = WIDTH - indent;
        let leading = size * LEADING / SIZE;
        for line in wrap(&mut self.fonts, text, style, size, width) {
            self.need(leading);
            let x = if line.is_rtl {
                PAGE.0 - MARGIN - line.width
            } else {
                MARGIN + indent
            };
            self.draw(&line, x, self.y - size, size, color);
            self.y -= leading;
        }
    }

    /// A table of two columns with lines between the rows.
    pub(super) fn table(&mut self, rows: &[(String, String)]) {
        let split = WIDTH * 0.42;
        for (name, value) in rows {
            let name = wrap(&mut self.fonts, name, Style::Regular, SIZE, split - 8.0);
            let value = wrap(&mut self.fonts, value, Style::Bold, SIZE, WIDTH - split);
            self.need(LEADING + 4.0);
            self.y -= 2.0;
            for at in 0..name.len().max(value.len()) {
                self.need(LEADING);
                if let Some(line) = name.get(at) {
                    self.draw(line, MARGIN, self.y - SIZE, SIZE, QUIET);
                }
                if let Some(line) = value.get(at) {
                    self.draw(line, MARGIN + split, self.y - SIZE, SIZE, INK);
                }
                self.y -= LEADING;
            }
            self.y -= 2.0;
            self.rule(0.5, RULE);
        }
        self.y -= 4.0;
    }

    /// Room that stays empty.
    pub(super) fn gap(&mut self, points: f32) {
        self.y -= points;
    }

    /// A line across the page, with room for what belongs together below it.
    pub(super) fn divide(&mut self) {
        self.need(LEADING * 6.0);
        self.rule(0.5, RULE);
        self.y -= 6.0;
    }

    /// The file, with a line at the foot of each page: what stands there, and which page of how many.
    pub(super) fn file(mut self, foot: &str, about: &About<'_>) -> Vec<u8> {
        let pages = self.pages.len();
        let foot = wrap(&mut self.fonts, foot, Style::Regular, 8.0, WIDTH * 0.8);
        for page in 0..pages {
            let rule = format!(
                "{RULE} RG 0.5 w {MARGIN} {} m {} {} l S\n",
                FOOT - 12.0,
                PAGE.0 - MARGIN,
                FOOT - 12.0
            );
            self.pages[page].push_str(&rule);
            for (at, line) in foot.iter().take(2).enumerate() {
                let y = FOOT - 24.0 - at as f32 * 11.0;
                draw(&mut self.pages[page], line, MARGIN, y, 8.0, QUIET);
            }
            let number = single(
                &mut self.fonts,
                &format!("Page {} of {pages}", page + 1),
                Style::Regular,
                8.0,
            );
            let x = PAGE.0 - MARGIN - number.width;
            draw(&mut self.pages[page], &number, x, FOOT - 24.0, 8.0, QUIET);
        }
        objects::file(&self.pages, &self.fonts.embedded(), about)
    }

    /// A new page when less than this is left.
    fn need(&mut self, points: f32) {
        if self.y - points < FOOT {
            self.pages.push(String::new());
            self.y = PAGE.1 - MARGIN;
        }
    }

    fn rule(&mut self, weight: f32, color: &str) {
        let (y, right) = (self.y, PAGE.0 - MARGIN);
        if let Some(page) = self.pages.last_mut() {
            let _ = writeln!(
                page,
                "{color} RG {weight} w {MARGIN} {y:.2} m {right:.2} {y:.2} l S"
            );
        }
    }

    fn draw(&mut self, line: &Line, x: f32, y: f32, size: f32, color: &str) {
        if let Some(page) = self.pages.last_mut() {
            draw(page, line, x, y, size, color);
        }
    }
}

/// The operators that show a line (ISO 32000-1 §9.4). Glyphs stand in one string as long as the pen is where the PDF
/// believes it to be.
fn draw(page: &mut String, line: &Line, x: f32, y: f32, size: f32, color: &str) {
    if line.glyphs.is_empty() {
        return;
    }
    let _ = write!(page, "BT {color} rg");
    let mut pen = x;
    // Face, where the PDF's pen is, and the base line.
    let mut open: Option<(usize, f32, f32)> = None;
    for glyph in &line.glyphs {
        let at = (
            pen + glyph.shift.0 * size / 1000.0,
            y + glyph.shift.1 * size / 1000.0,
        );
        let follows = open.is_some_and(|(face, there, base)| {
            face == glyph.face && (there - at.0).abs() < 0.02 && (base - at.1).abs() < 0.02
        });
        if !follows {
            if open.is_some() {
                page.push_str("> Tj");
            }
            if open.is_none_or(|(face, ..)| face != glyph.face) {
                let _ = write!(page, " /F{} {size} Tf", glyph.face);
            }
            let _ = write!(page, " 1 0 0 1 {:.3} {:.3} Tm <", at.0, at.1);
        }
        let _ = write!(page, "{:04X}", glyph.cid);
        open = Some((glyph.face, at.0 + glyph.width * size / 1000.0, at.1));
        pen += glyph.advance * size / 1000.0;
    }
    page.push_str("> Tj ET\n");
}
