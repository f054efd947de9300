//! Waveforms (PS3.3 §C.10.9): what the Waveform Sequence says, and samples taken as they stream by,
//! each channel as the lowest and highest of so many neighbours, so that no peak is lost.

use super::metadata::Item;
use super::{Error, ImageMetadata};

const WAVEFORM_SEQUENCE: u32 = 0x5400_0100;
const WAVEFORM_BITS_ALLOCATED: u32 = 0x5400_1004;
const WAVEFORM_SAMPLE_INTERPRETATION: u32 = 0x5400_1006;
const WAVEFORM_PADDING_VALUE: u32 = 0x5400_100A;
const WAVEFORM_DATA: u32 = 0x5400_1010;
const NUMBER_OF_CHANNELS: u32 = 0x003A_0005;
const NUMBER_OF_SAMPLES: u32 = 0x003A_0010;
const SAMPLING_FREQUENCY: u32 = 0x003A_001A;
const CHANNEL_DEFINITION: u32 = 0x003A_0200;
const CHANNEL_SOURCE: u32 = 0x003A_0208;
const CHANNEL_SENSITIVITY: u32 = 0x003A_0210;
const CHANNEL_SENSITIVITY_UNITS: u32 = 0x003A_0211;
const CHANNEL_SENSITIVITY_CORRECTION: u32 = 0x003A_0212;
const CHANNEL_BASELINE: u32 = 0x003A_0213;
const CODE_VALUE: u32 = 0x0008_0100;
const CODE_MEANING: u32 = 0x0008_0104;

/// What is read of the metadata for this.
pub(super) const TAGS: &[u32] = &[
    WAVEFORM_SEQUENCE,
    WAVEFORM_BITS_ALLOCATED,
    WAVEFORM_SAMPLE_INTERPRETATION,
    WAVEFORM_PADDING_VALUE,
    WAVEFORM_DATA,
    NUMBER_OF_CHANNELS,
    NUMBER_OF_SAMPLES,
    SAMPLING_FREQUENCY,
    CHANNEL_DEFINITION,
    CHANNEL_SOURCE,
    CHANNEL_SENSITIVITY,
    CHANNEL_SENSITIVITY_UNITS,
    CHANNEL_SENSITIVITY_CORRECTION,
    CHANNEL_BASELINE,
    CODE_VALUE,
    CODE_MEANING,
];

/// The most channels of one multiplex group that are drawn.
const CHANNELS_MAX: usize = 32;
/// Further groups are drawn while there are no more channels than this.
const CHANNELS_OF_GROUPS: usize = 16;
/// The most groups that are looked at.
const GROUPS_MAX: usize = 64;
/// The most of an electrocardiogram that is drawn. Seconds.
pub(super) const ECG_SECONDS_MAX: f64 = 20.0;
/// The most that is read of all groups together. Bytes.
const BYTES_MAX: u64 = 64 << 20;
/// The most pairs of lowest and highest that are kept of a channel.
const BINS_MAX: u64 = 8192;
/// The longest name of a channel, and of a unit. Letters.
const NAME_MAX: usize = 24;
const UNIT_MAX: usize = 8;
/// Larger values are taken for gaps.
const VALUE_MAX: f64 = 1e30;

/// What a sample is (5400,1006).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Signed,
    Unsigned,
    /// G.711 µ-law and A-law.
    MuLaw,
    ALaw,
}

/// The lowest and the highest of neighbouring samples, with their places; an empty one is a gap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bin {
    pub(super) low: (f64, u64),
    pub(super) high: (f64, u64),
}

/// One channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) name: String,
    /// A code of UCUM, as a rule.
    pub(super) unit: String,
    scale: f64,
    baseline: f64,
    pub(super) bins: Vec<Bin>,
}

/// One multiplex group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) frequency: f64,
    /// How many samples of each channel there are, and how many of them are drawn.
    pub(super) all_samples: u64,
    pub(super) samples: u64,
    pub(super) all_channels: usize,
    pub(super) channels: Vec<Channel>,
    kind: Kind,
    sample_bytes: usize,
    padding: Option<Vec<u8>>,
    /// Samples in one bin.
    step: u64,
    fed: u64,
    link: Option<Box<str>>,
}

/// The waveforms of an instance that are drawn.
#[derive(Debug)]
pub struct Waveforms {
    pub(super) is_ecg: bool,
    pub(super) all_groups: usize,
    pub(super) groups: Vec<Group>,
}

/// Where the samples of a group are, when the metadata only link them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    /// The group, for [`Waveforms::feed`].
    pub group: usize,
    /// The path in the link (`54000100/0/54001010`).
    pub path: Box<str>,
    /// How many bytes are wanted, from the first.
    pub bytes: u64,
    /// The bytes of one sample of all channels: what is fed is a multiple of them.
    pub set_bytes: usize,
    /// The bytes of one sample.
    pub sample_bytes: usize,
}

impl Waveforms {
    /// Reads the metadata of an instance. `is_ecg`: drawn as electrocardiograms are.
    ///
    /// # Errors
    /// [`Error::NoPixels`] without a waveform, else what is wrong with the values.
    pub fn of(metadata: &ImageMetadata, is_ecg: bool) -> Result<Self, Error> {
        let items: Vec<&Item> = metadata
            .item()
            .items(WAVEFORM_SEQUENCE)
            .take(GROUPS_MAX)
            .collect();
        let mut waveforms = Self {
            is_ecg,
            all_groups: items.len(),
            groups: Vec::new(),
        };
        let (mut channels, mut bytes_left) = (0, BYTES_MAX);
        for item in items {
            let group = Group::of(item, is_ecg, bytes_left)?;
            channels += group.channels.len();
            bytes_left = bytes_left.saturating_sub(group.bytes());
            if !waveforms.groups.is_empty() && channels > CHANNELS_OF_GROUPS {
                break;
            }
            waveforms.groups.push(group);
            let place = waveforms.groups.len() - 1;
            let data = item.element(WAVEFORM_DATA).ok_or(Error::CutOff)?;
            match data.link() {
                Some(link) => waveforms.groups[place].link = Some(link.into()),
                None => {
                    let bytes = data.table(&mut |_| None)?;
                    let wanted = waveforms.groups[place].bytes() as usize;
                    let samples = bytes.get(..wanted).ok_or(Error::CutOff)?;
                    waveforms.feed(place, samples);
                }
            }
        }
        if waveforms.groups.is_empty() {
            return Err(Error::NoPixels);
        }
        Ok(waveforms)
    }

    /// The samples that still have to be fed.
    pub fn wanted(&self) -> Vec<Samples> {
        let linked = |(group, of): (usize, &Group)| {
            Some(Samples {
                group,
                path: of.link.clone()?,
                bytes: of.bytes(),
                set_bytes: of.set_bytes(),
                sample_bytes: of.sample_bytes,
            })
        };
        self.groups.iter().enumerate().filter_map(linked).collect()
    }

    /// Takes the next samples of a group, little endian: whole sets of all channels.
    pub fn feed(&mut self, group: usize, bytes: &[u8]) {
        let Some(group) = self.groups.get_mut(group) else {
            return;
        };
        for set in bytes.chunks_exact(group.set_bytes()) {
            group.take(set);
        }
    }
}

impl Group {
    fn of(item: &Item, is_ecg: bool, bytes_left: u64) -> Result<Self, Error> {
        let malformed = Error::Malformed("the waveform");
        let (kind, bytes) = match item
            .text(WAVEFORM_SAMPLE_INTERPRETATION)
            .unwrap_or_default()
        {
            "SB" => (Kind::Signed, 1),
            "UB" => (Kind::Unsigned, 1),
            "MB" => (Kind::MuLaw, 1),
            "AB" => (Kind::ALaw, 1),
            "SS" => (Kind::Signed, 2),
            "US" => (Kind::Unsigned, 2),
            "SL" => (Kind::Signed, 4),
            "UL" => (Kind::Unsigned, 4),
            "SV" => (Kind::Signed, 8),
            "UV" => (Kind::Unsigned, 8),
            _ => return Err(Error::Unsupported("this waveform sample interpretation")),
        };
        if item.count(WAVEFORM_BITS_ALLOCATED) != Some(bytes * 8) {
            return Err(Error::Malformed("waveform bits allocated"));
        }
        let count = |tag| item.count(tag).filter(|n| *n > 0).ok_or(malformed.clone());
        let (all_channels, all_samples) = (count(NUMBER_OF_CHANNELS)?, count(NUMBER_OF_SAMPLES)?);
        // A word; and what a set has of bytes is allocated.
        if all_channels > 0xFFFF {
            return Err(malformed);
        }
        let frequency = item
            .number(SAMPLING_FREQUENCY)
            .filter(|hertz| (1e-6..=1e9).contains(hertz))
            .ok_or(malformed)?;
        let set_bytes = u64::from(all_channels) * u64::from(bytes);
        let seconds = if is_ecg {
            ECG_SECONDS_MAX
        } else {
            f64::INFINITY
        };
        // A saturating cast.
        let in_time = (seconds * frequency).ceil() as u64;
        let samples = u64::from(all_samples)
            .min(in_time)
            .min(bytes_left / set_bytes)
            .max(1);
        let definitions: Vec<&Item> = item.items(CHANNEL_DEFINITION).take(CHANNELS_MAX).collect();
        let drawn = CHANNELS_MAX.min(all_channels as usize);
        let step = samples.div_ceil(BINS_MAX);
        let channels = (0..drawn)
            .map(|number| Channel::of(definitions.get(number).copied(), number))
            .collect::<Result<_, _>>()?;
        let padding = item.element(WAVEFORM_PADDING_VALUE);
        let padding = padding.and_then(|element| element.table(&mut |_| None).ok());
        Ok(Self {
            frequency,
            all_samples: all_samples.into(),
            samples,
            all_channels: all_channels as usize,
            channels,
            kind,
            sample_bytes: bytes as usize,
            padding: padding.filter(|padding| padding.len() >= bytes as usize),
            step,
            fed: 0,
            link: None,
        })
    }

    fn set_bytes(&self) -> usize {
        self.sample_bytes * self.all_channels
    }

    /// At most [`BYTES_MAX`], but for a single set.
    fn bytes(&self) -> u64 {
        self.samples * self.set_bytes() as u64
    }

    fn take(&mut self, set: &[u8]) {
        if self.fed >= self.samples {
            return;
        }
        let cells = set.chunks_exact(self.sample_bytes);
        for (channel, cell) in self.channels.iter_mut().zip(cells) {
            if self.fed.is_multiple_of(self.step) {
                channel.bins.push(Bin::EMPTY);
            }
            let is_padding = self
                .padding
                .as_ref()
                .is_some_and(|padding| padding.starts_with(cell));
            let value = value(cell, self.kind).mul_add(channel.scale, channel.baseline);
            if let Some(bin) = channel.bins.last_mut()
                && !is_padding
                && value.abs() <= VALUE_MAX
            {
                bin.take(value, self.fed);
            }
        }
        self.fed += 1;
    }
}

impl Bin {
    const EMPTY: Self = Self {
        low: (f64::INFINITY, 0),
        high: (f64::NEG_INFINITY, 0),
    };

    pub(super) fn is_empty(&self) -> bool {
        self.low.0 > self.high.0
    }

    fn take(&mut self, value: f64, at: u64) {
        if value < self.low.0 {
            self.low = (value, at);
        }
        if value > self.high.0 {
            self.high = (value, at);
        }
    }
}

impl Channel {
    fn of(item: Option<&Item>, number: usize) -> Result<Self, Error> {
        let empty = Item::default();
        let item = item.unwrap_or(&empty);
        let code = |sequence, tag| item.item(sequence, 0).and_then(|code| code.text(tag));
        let positive = |tag| item.number(tag).unwrap_or(1.0);
        let scale = positive(CHANNEL_SENSITIVITY) * positive(CHANNEL_SENSITIVITY_CORRECTION);
        if !scale.is_finite() || scale == 0.0 {
            return Err(Error::Malformed("the channel sensitivity"));
        }
        let name = code(CHANNEL_SOURCE, CODE_MEANING).map(short_name);
        Ok(Self {
            name: name
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| format!("CH {}", number + 1)),
            unit: printable(
                code(CHANNEL_SENSITIVITY_UNITS, CODE_VALUE).unwrap_or_default(),
                UNIT_MAX,
            ),
            scale,
            baseline: item.number(CHANNEL_BASELINE).unwrap_or(0.0),
            bins: Vec::new(),
        })
    }
}

/// "Lead I (Einthoven)" is I on paper.
fn short_name(meaning: &str) -> String {
    let name = meaning.strip_prefix("Lead ").unwrap_or(meaning);
    let name = name.split_once(" (").map_or(name, |(name, _)| name);
    printable(name.trim(), NAME_MAX)
}

fn printable(text: &str, length: usize) -> String {
    let plain = |letter: char| {
        if letter.is_ascii_graphic() || letter == ' ' {
            letter
        } else {
            '?'
        }
    };
    text.chars().take(length).map(plain).collect()
}

/// One sample, of 1, 2, 4 or 8 bytes.
fn value(cell: &[u8], kind: Kind) -> f64 {
    let bits = cell
        .iter()
        .rev()
        .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let unused = 64 - 8 * cell.len() as u32;
    match kind {
        Kind::Unsigned => bits as f64,
        Kind::Signed => ((bits << unused) as i64 >> unused) as f64,
        Kind::MuLaw => mu_law(bits as u8),
        Kind::ALaw => a_law(bits as u8),
    }
}

/// ITU-T G.711, as 16 bits have it.
fn mu_law(byte: u8) -> f64 {
    let byte = !byte;
    let (exponent, mantissa) = (byte >> 4 & 7, i32::from(byte & 15));
    let magnitude = f64::from((((mantissa << 3) + 0x84) << exponent) - 0x84);
    if byte & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// ITU-T G.711, as 16 bits have it.
fn a_law(byte: u8) -> f64 {
    let byte = byte ^ 0x55;
    let (exponent, mantissa) = (byte >> 4 & 7, i32::from(byte & 15));
    let magnitude = match exponent {
        0 => (mantissa << 4) + 8,
        _ => ((mantissa << 4) + 0x108) << (exponent - 1),
    };
    if byte & 0x80 == 0 {
        -f64::from(magnitude)
    } else {
        f64::from(magnitude)
    }
}

#[cfg(test)]
mod tests;
