//! Packets of one quality layer (ISO/IEC 15444-1 Annex B.9, B.10): which code-blocks of a precinct
//! are there, how many of their bit-planes and passes, and how long they are.

use super::blocks::Block;

/// The code-blocks of one band in one precinct, row by row.
pub(super) struct Group {
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) blocks: Vec<Block>,
    /// Bit-planes that the band may have (Equation E-2).
    pub(super) planes_max: u32,
}

/// Bits of a packet header: a byte after 0xFF begins with a zero (§B.10.1).
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    pending: u8,
    free: Option<u32>,
}

impl Bits {
    fn put(&mut self, bit: bool) {
        let free = self.free.unwrap_or(8) - 1;
        self.pending |= u8::from(bit) << free;
        self.free = Some(free);
        if free == 0 {
            self.next_byte();
        }
    }

    fn next_byte(&mut self) {
        self.bytes.push(self.pending);
        self.free = Some(if self.pending == 0xFF { 7 } else { 8 });
        self.pending = 0;
    }

    fn put_all(&mut self, value: u32, count: u32) {
        for place in (0..count).rev() {
            self.put(value >> place & 1 != 0);
        }
    }

    /// Fills the last byte with zeros; a header does not end in 0xFF.
    fn finish(mut self) -> Vec<u8> {
        if self.free.is_some_and(|free| free < 8) {
            self.next_byte();
        }
        self.bytes
    }
}

/// A tag tree (§B.10.2): from the leaves up, each level half as wide and high.
struct TagTree {
    levels: Vec<Level>,
}

struct Level {
    columns: usize,
    nodes: Vec<Node>,
}

#[derive(Clone, Copy)]
struct Node {
    value: u32,
    /// It is known to be no less.
    least: u32,
    is_known: bool,
}

impl TagTree {
    fn new(columns: usize, rows: usize, leaves: impl Iterator<Item = u32>) -> Self {
        let node = |value| Node {
            value,
            least: 0,
            is_known: false,
        };
        let (mut columns, mut rows) = (columns, rows);
        let mut levels = vec![Level {
            columns,
            nodes: leaves.map(node).collect(),
        }];
        while columns * rows > 1 {
            let (wide, high) = (columns.div_ceil(2), rows.div_ceil(2));
            let mut nodes = vec![node(u32::MAX); wide * high];
            if let Some(below) = levels.last() {
                for (at, child) in below.nodes.iter().enumerate() {
                    let parent = &mut nodes[at / columns / 2 * wide + at % columns / 2];
                    parent.value = parent.value.min(child.value);
                }
            }
            levels.push(Level {
                columns: wide,
                nodes,
            });
            (columns, rows) = (wide, high);
        }
        Self { levels }
    }

    /// Tells whether the value of a leaf is below a threshold, as far as it was not told before.
    fn tell(&mut self, bits: &mut Bits, column: usize, row: usize, threshold: u32) {
        let mut least = 0;
        for (height, level) in self.levels.iter_mut().enumerate().rev() {
            let node = &mut level.nodes[(row >> height) * level.columns + (column >> height)];
            least = least.max(node.least);
            while least < threshold && !(node.is_known && least >= node.value) {
                let is_it = least >= node.value;
                bits.put(is_it);
                if is_it {
                    node.is_known = true;
                } else {
                    least += 1;
                }
            }
            node.least = least;
        }
    }
}

/// Writes the packet of a precinct: its header, then what the blocks have.
pub(super) fn write(groups: &[Group], stream: &mut Vec<u8>) {
    let mut bits = Bits::default();
    // Not empty; so even a precinct without code-blocks may say.
    bits.put(true);
    for group in groups {
        let blocks = &group.blocks;
        let mut inclusion = TagTree::new(
            group.columns,
            group.rows,
            blocks.iter().map(|block| u32::from(block.passes == 0)),
        );
        let mut zero_planes = TagTree::new(
            group.columns,
            group.rows,
            blocks.iter().map(|block| group.planes_max - block.planes),
        );
        for (at, block) in blocks.iter().enumerate() {
            let (row, column) = (at / group.columns, at % group.columns);
            inclusion.tell(&mut bits, column, row, 1);
            if block.passes == 0 {
                continue;
            }
            let missing = group.planes_max - block.planes;
            zero_planes.tell(&mut bits, column, row, missing + 1);
            put_passes(&mut bits, block.passes);
            put_length(&mut bits, block);
        }
    }
    stream.extend(bits.finish());
    for block in groups.iter().flat_map(|group| &group.blocks) {
        stream.extend(&block.bytes);
    }
}

/// Table B.4.
fn put_passes(bits: &mut Bits, passes: u32) {
    match passes {
        1 => bits.put(false),
        2 => bits.put_all(0b10, 2),
        3..=5 => bits.put_all(0b1100 | (passes - 3), 4),
        6..=36 => bits.put_all(0b1111 << 5 | (passes - 6), 9),
        _ => bits.put_all(0b1_1111_1111 << 7 | (passes - 37), 16),
    }
}

/// §B.10.7.1: in Lblock bits, which is 3 at first, and more for more passes.
fn put_length(bits: &mut Bits, block: &Block) {
    let length = block.bytes.len() as u32;
    let by_passes = block.passes.ilog2();
    let needed = u32::BITS - length.leading_zeros();
    let more = needed.saturating_sub(3 + by_passes);
    bits.put_all((1 << (more + 1)) - 2, more + 1);
    bits.put_all(length, 3 + more + by_passes);
}
