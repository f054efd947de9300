//! Waveforms on paper: a grid of millimetres, one row a channel with its name, a line of time below.
//! Electrocardiograms have 25 mm for a second and 10 mm for a millivolt (fewer where a channel would be
//! too high for its row), with a pulse of a millivolt before each row. Other waveforms have a speed at
//! which all is shown, and a gain for each channel, which stands beside its name.

use super::canvas::{Canvas, Pen, Point};
use super::color::Rgb;
use super::waveform::{Bin, Channel, ECG_SECONDS_MAX, Group, Waveforms};
use super::{Error, Fit, Picture, View};

/// Pixels for a millimetre of paper, when nothing is made smaller or larger.
const PIXELS: f64 = 4.0;

// Millimetres.
const TOP: f64 = 5.0;
const LEFT: f64 = 15.0;
const RIGHT: f64 = 10.0;
const BOTTOM: f64 = 13.0;
/// Above each row, for its name.
const NAME: f64 = 5.0;
/// The shortest line of time.
const PLOT_MIN: f64 = 50.0;
/// How long a waveform that is no electrocardiogram may be drawn.
const PLOT_WANTED: f64 = 250.0;
/// How high one that is no electrocardiogram is drawn, and an electrocardiogram at most.
const HEIGHT_WANTED: f64 = 20.0;
const ECG_HEIGHT_MAX: f64 = 60.0;

const ECG_SPEED: f64 = 25.0;
const ECG_GAIN: f64 = 10.0;

/// A picture that has to fit into less than this share of its size shows the first channels and
/// seconds only, so that there is something to be seen.
const BRIEF_BELOW: f64 = 0.4;
const BRIEF_CHANNELS: usize = 3;
const BRIEF_SECONDS: f64 = 4.0;

const PAPER: Rgb = [255, 251, 249];
const FINE: Rgb = [252, 229, 224];
const COARSE: Rgb = [242, 186, 178];
const INK: Rgb = [22, 24, 44];
const WORDS: Rgb = [92, 70, 78];
/// The side of a dot of a letter. Pixels.
const DOT: f64 = 2.0;
/// The grid is left out where its lines would be nearer. Pixels.
const GRID_MIN: f64 = 3.0;

/// One channel on the paper.
struct Row<'a> {
    channel: &'a Channel,
    group: &'a Group,
    /// Beside its name.
    gain_text: String,
    /// Millimetres for one of its unit.
    gain: f64,
    /// The value of its line, how far it goes up from there and down. Millimetres.
    line: f64,
    up: f64,
    down: f64,
}

/// Where everything is.
struct Sheet<'a> {
    rows: Vec<Row<'a>>,
    is_ecg: bool,
    /// Millimetres for a second.
    speed: f64,
    seconds: f64,
    /// (gain in mm for a millivolt, how high a pulse is).
    millivolt: Option<f64>,
    notes: Vec<String>,
}

impl Waveforms {
    /// Draws the samples that have been fed.
    ///
    /// # Errors
    /// [`Error::Outside`] when the view shows nothing of it.
    pub fn draw(&self, view: &View) -> Result<Picture, Error> {
        let mut sheet = Sheet::of(self, usize::MAX, f64::INFINITY);
        let of = match view.fit {
            Fit::Within(width, height) | Fit::Fill(width, height) => Some((width, height)),
            Fit::Natural => None,
        };
        if let Some((width, height)) = of.filter(|_| view.is_glance) {
            let (columns, rows) = sheet.size();
            let share =
                (f64::from(width) / f64::from(columns)).min(f64::from(height) / f64::from(rows));
            if share < BRIEF_BELOW {
                sheet = Sheet::of(self, BRIEF_CHANNELS, BRIEF_SECONDS);
            }
        }
        sheet.draw(view)
    }
}

impl<'a> Sheet<'a> {
    fn of(waveforms: &'a Waveforms, channels_max: usize, seconds_max: f64) -> Self {
        let groups = &waveforms.groups;
        let time = |samples: fn(&Group) -> u64| {
            let longest = groups
                .iter()
                .map(|group| samples(group) as f64 / group.frequency);
            longest.fold(0.0, f64::max)
        };
        let (drawn, all) = (time(|group| group.samples), time(|group| group.all_samples));
        let speed = if waveforms.is_ecg {
            ECG_SPEED
        } else {
            round_down(PLOT_WANTED / drawn)
        };
        let seconds = if waveforms.is_ecg {
            drawn.min(seconds_max).min(ECG_SECONDS_MAX)
        } else {
            drawn
        };
        let channels: Vec<(&Group, &Channel)> = groups
            .iter()
            .flat_map(|group| group.channels.iter().map(move |channel| (group, channel)))
            .collect();
        let shown = &channels[..channels.len().min(channels_max)];
        let ranges: Vec<(f64, f64)> = shown
            .iter()
            .map(|(group, channel)| range(channel, (seconds * group.frequency).ceil() as u64))
            .collect();
        let millivolts: Option<Vec<f64>> = shown
            .iter()
            .map(|(_, channel)| millivolts(&channel.unit))
            .collect();
        let millivolts = millivolts.filter(|_| waveforms.is_ecg);
        let millivolt = millivolts.as_ref().map(|units| {
            let heights = ranges
                .iter()
                .zip(units)
                .map(|((low, high), mv)| (high - low) * mv);
            let highest = heights.fold(0.0, f64::max);
            if highest * ECG_GAIN <= ECG_HEIGHT_MAX {
                ECG_GAIN
            } else {
                round_down(ECG_HEIGHT_MAX / highest)
            }
        });
        let row = |place: usize| {
            let ((group, channel), (low, high)) = (shown[place], ranges[place]);
            let (gain, gain_text) = match (millivolt, &millivolts) {
                (Some(millivolt), Some(units)) => (millivolt * units[place], String::new()),
                _ => own_gain(high - low, &channel.unit),
            };
            // Around zero when the waveform is, else around its middle.
            let line = if low <= 0.0 && high >= 0.0 {
                0.0
            } else {
                f64::midpoint(low, high)
            };
            let pulse = millivolt.unwrap_or(0.0);
            Row {
                channel,
                group,
                gain_text,
                gain,
                line,
                up: fives(((high - line) * gain).max(pulse)),
                down: fives((line - low) * gain),
            }
        };
        let mut notes = vec![format!("{} mm/s", plain(speed))];
        if let Some(millivolt) = millivolt {
            notes.push(format!("{} mm/mV", plain(millivolt)));
        }
        if seconds < all * 0.999 {
            notes.push(format!(
                "first {} s of {} s",
                plain(tenths(seconds)),
                plain(tenths(all))
            ));
        }
        let all_channels: usize = groups.iter().map(|group| group.all_channels).sum();
        if shown.len() < all_channels {
            notes.push(format!("{} of {all_channels} channels", shown.len()));
        }
        if groups.len() < waveforms.all_groups {
            notes.push(format!(
                "{} of {} groups",
                groups.len(),
                waveforms.all_groups
            ));
        }
        Self {
            rows: (0..shown.len()).map(row).collect(),
            is_ecg: waveforms.is_ecg,
            speed,
            seconds,
            millivolt,
            notes,
        }
    }

    /// Millimetres that the rows take.
    fn height(&self) -> f64 {
        self.rows.iter().map(|row| NAME + row.up + row.down).sum()
    }

    fn width(&self) -> f64 {
        fives(self.seconds * self.speed).max(PLOT_MIN)
    }

    /// Pixels: at most 32 rows, none much higher than ECG_HEIGHT_MAX.
    fn size(&self) -> (u32, u32) {
        let columns = (LEFT + self.width() + RIGHT) * PIXELS;
        let rows = (TOP + self.height() + BOTTOM) * PIXELS;
        (columns.round() as u32, rows.round() as u32)
    }

    fn draw(&self, view: &View) -> Result<Picture, Error> {
        let size = self.size();
        let mut canvas = Canvas::new(size, view, PAPER)?;
        grid(&mut canvas, size);
        let mut top = TOP;
        for row in &self.rows {
            let line = top + NAME + row.up;
            if let Some(millivolt) = self.millivolt {
                pulse(&mut canvas, line, millivolt);
            }
            row.draw(&mut canvas, line, self);
            let name = format!("{}  {}", row.channel.name, row.gain_text);
            let x = if self.is_ecg { 1.0 } else { LEFT };
            write(&mut canvas, [x, top + 0.5], name.trim_end());
            top = line + row.down;
        }
        self.time(&mut canvas, top);
        write(&mut canvas, [LEFT, top + 8.0], &self.notes.join("   "));
        canvas.finish()
    }

    /// The line of time, with a number at each mark.
    fn time(&self, canvas: &mut Canvas, y: f64) {
        let pen = ink(WORDS, 1.0);
        let mut line = |from: Point, to: Point| canvas.line(pixels(from), pixels(to), &pen);
        line([LEFT, y + 1.0], [LEFT + self.width(), y + 1.0]);
        let step = round_up(ECG_SPEED / self.speed);
        let marks = (self.width() / (step * self.speed) + 1e-6) as u32;
        for mark in 0..=marks {
            let x = LEFT + f64::from(mark) * step * self.speed;
            canvas.line(pixels([x, y]), pixels([x, y + 2.5]), &pen);
            let text = plain(f64::from(mark) * step);
            let text = if mark == 0 { format!("{text} s") } else { text };
            write(canvas, [x + 0.7, y + 2.5], &text);
        }
    }
}

impl Row<'_> {
    /// From the lowest and highest of each bin to those of the next, in the order they came.
    fn draw(&self, canvas: &mut Canvas, line: f64, sheet: &Sheet<'_>) {
        let pen = ink(INK, 1.6);
        let place = |(value, at): (f64, u64)| {
            let seconds = at as f64 / self.group.frequency;
            let y = line - (value - self.line) * self.gain;
            (seconds, pixels([LEFT + seconds * sheet.speed, y]))
        };
        let mut before: Option<Point> = None;
        for bin in &self.channel.bins {
            if bin.is_empty() {
                before = None;
                continue;
            }
            let (one, other) = if bin.low.1 <= bin.high.1 {
                (bin.low, bin.high)
            } else {
                (bin.high, bin.low)
            };
            for sample in [one, other] {
                let (seconds, to) = place(sample);
                if seconds > sheet.seconds {
                    return;
                }
                canvas.line(before.unwrap_or(to), to, &pen);
                before = Some(to);
            }
        }
    }
}

/// A pulse of one millivolt, five millimetres wide.
fn pulse(canvas: &mut Canvas, line: f64, height: f64) {
    let top = line - height;
    let corners = [
        [3.0, line],
        [5.0, line],
        [5.0, top],
        [10.0, top],
        [10.0, line],
        [12.0, line],
    ];
    for pair in corners.windows(2) {
        canvas.line(pixels(pair[0]), pixels(pair[1]), &ink(WORDS, 1.2));
    }
}

fn grid(canvas: &mut Canvas, (columns, rows): (u32, u32)) {
    for (step, color) in [(1, FINE), (5, COARSE)] {
        let step = step * PIXELS as usize;
        if step as f64 * canvas.scale() < GRID_MIN {
            continue;
        }
        for x in (0..columns).step_by(step) {
            canvas.down(x.into(), [0.0, rows.into()], color);
        }
        for y in (0..rows).step_by(step) {
            canvas.across(y.into(), [0.0, columns.into()], color);
        }
    }
}

fn pixels(place: Point) -> Point {
    // To the middle of the pixel that the line of the grid is drawn in.
    place.map(|millimetres| millimetres * PIXELS + 0.5)
}

fn ink(color: Rgb, width: f64) -> Pen {
    Pen {
        color,
        width,
        cover: 1.0,
    }
}

fn write(canvas: &mut Canvas, place: Point, text: &str) {
    canvas.text(text, pixels(place), DOT, WORDS);
}

/// The lowest and highest of the first samples.
fn range(channel: &Channel, samples: u64) -> (f64, f64) {
    let shown = channel.bins.iter().filter(|bin| !bin.is_empty());
    let shown = shown.take_while(|bin: &&Bin| bin.low.1.min(bin.high.1) <= samples);
    let none = (f64::INFINITY, f64::NEG_INFINITY);
    let (low, high) = shown.fold(none, |(low, high), bin| {
        (low.min(bin.low.0), high.max(bin.high.0))
    });
    if low > high { (0.0, 0.0) } else { (low, high) }
}

/// Millivolts in one of a unit of UCUM.
fn millivolts(unit: &str) -> Option<f64> {
    Some(match unit {
        "V" => 1000.0,
        "mV" => 1.0,
        "uV" => 1e-3,
        "nV" => 1e-6,
        _ => return None,
    })
}

/// A gain for a channel of its own, in millimetres for one of its unit, and what it is called.
fn own_gain(range: f64, unit: &str) -> (f64, String) {
    // So little is flat: a gain for it would not be finite.
    if range < 1e-300 {
        return (1.0, unit.to_owned());
    }
    let per_centimetre = round_up(range / HEIGHT_WANTED * 10.0);
    (
        10.0 / per_centimetre,
        format!("{} {unit}/cm", plain(per_centimetre)),
    )
}

/// At least one box of the grid, and whole ones.
fn fives(millimetres: f64) -> f64 {
    ((millimetres / 5.0 - 1e-6).ceil() * 5.0).max(5.0)
}

/// 1, 2 or 5 times a power of ten, and no more.
fn round_down(number: f64) -> f64 {
    let ten = 10_f64.powf(number.log10().floor());
    let steps = [10.0, 5.0, 2.0].map(|step| step * ten);
    steps
        .into_iter()
        .find(|step| *step <= number * 1.000_001)
        .unwrap_or(ten)
}

/// 1, 2 or 5 times a power of ten, and no less.
fn round_up(number: f64) -> f64 {
    let ten = 10_f64.powf(number.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|step| step * ten);
    steps
        .into_iter()
        .find(|step| *step >= number * 0.999_999)
        .unwrap_or(ten * 10.0)
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// A number of few letters.
fn plain(number: f64) -> String {
    if (1e-4..1e7).contains(&number) || number == 0.0 {
        // Without what binary fractions leave behind.
        let text = format!("{number:.6}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{number:.0e}")
    }
}

#[cfg(test)]
mod tests;
