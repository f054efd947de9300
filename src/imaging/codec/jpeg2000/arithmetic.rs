//! The arithmetic coder of JPEG 2000 (ISO/IEC 15444-1 Annex C.2), encoding side.

/// Contexts of the coefficient bit model (Table D.7).
pub(super) const CONTEXTS: usize = 19;
/// Of four coefficients at once.
pub(super) const RUN: usize = 17;
/// Of what is as likely as not.
pub(super) const UNIFORM: usize = 18;

/// Table C.2: probability, next state after the more and the less probable symbol, and whether
/// these change places.
const STATES: [(u16, u8, u8, bool); 47] = [
    (0x5601, 1, 1, true),
    (0x3401, 2, 6, false),
    (0x1801, 3, 9, false),
    (0x0AC1, 4, 12, false),
    (0x0521, 5, 29, false),
    (0x0221, 38, 33, false),
    (0x5601, 7, 6, true),
    (0x5401, 8, 14, false),
    (0x4801, 9, 14, false),
    (0x3801, 10, 14, false),
    (0x3001, 11, 17, false),
    (0x2401, 12, 18, false),
    (0x1C01, 13, 20, false),
    (0x1601, 29, 21, false),
    (0x5601, 15, 14, true),
    (0x5401, 16, 14, false),
    (0x5101, 17, 15, false),
    (0x4801, 18, 16, false),
    (0x3801, 19, 17, false),
    (0x3401, 20, 18, false),
    (0x3001, 21, 19, false),
    (0x2801, 22, 19, false),
    (0x2401, 23, 20, false),
    (0x2201, 24, 21, false),
    (0x1C01, 25, 22, false),
    (0x1801, 26, 23, false),
    (0x1601, 27, 24, false),
    (0x1401, 28, 25, false),
    (0x1201, 29, 26, false),
    (0x1101, 30, 27, false),
    (0x0AC1, 31, 28, false),
    (0x09C1, 32, 29, false),
    (0x08A1, 33, 30, false),
    (0x0521, 34, 31, false),
    (0x0441, 35, 32, false),
    (0x02A1, 36, 33, false),
    (0x0221, 37, 34, false),
    (0x0141, 38, 35, false),
    (0x0111, 39, 36, false),
    (0x0085, 40, 37, false),
    (0x0049, 41, 38, false),
    (0x0025, 42, 39, false),
    (0x0015, 43, 40, false),
    (0x0009, 44, 41, false),
    (0x0005, 45, 42, false),
    (0x0001, 45, 43, false),
    (0x5601, 46, 46, false),
];

#[derive(Clone, Copy)]
struct Context {
    state: u8,
    likely: bool,
}

/// The registers keep the names of Figure C.1.
pub(super) struct Encoder {
    contexts: [Context; CONTEXTS],
    a: u32,
    c: u32,
    ct: u32,
    /// B, the byte that a carry may still reach.
    last: u8,
    bytes: Vec<u8>,
    has_begun: bool,
}

impl Encoder {
    /// Figure C.10, Table D.7.
    pub(super) fn new() -> Self {
        let context = |state| Context {
            state,
            likely: false,
        };
        let mut contexts = [context(0); CONTEXTS];
        contexts[0] = context(4);
        contexts[RUN] = context(3);
        contexts[UNIFORM] = context(46);
        Self {
            contexts,
            a: 0x8000,
            c: 0,
            ct: 12,
            last: 0,
            bytes: Vec::new(),
            has_begun: false,
        }
    }

    /// Figures C.3 to C.7.
    #[inline(always)]
    pub(super) fn encode(&mut self, context: usize, bit: bool) {
        let Context { state, likely } = self.contexts[context];
        let (probability, after_likely, after_unlikely, swaps) = STATES[usize::from(state)];
        let probability = u32::from(probability);
        self.a -= probability;
        if bit == likely {
            if self.a & 0x8000 != 0 {
                self.c += probability;
                return;
            }
            if self.a < probability {
                self.a = probability;
            } else {
                self.c += probability;
            }
            self.contexts[context].state = after_likely;
        } else {
            if self.a < probability {
                self.c += probability;
            } else {
                self.a = probability;
            }
            self.contexts[context] = Context {
                state: after_unlikely,
                likely: likely ^ swaps,
            };
        }
        self.renormalize();
    }

    /// Figure C.8, as many bits at once as fit before a byte is full.
    #[inline(always)]
    fn renormalize(&mut self) {
        // Of the 16 bits of A, the highest is set in the end.
        let mut wanted = self.a.leading_zeros() - 16;
        self.a <<= wanted;
        while wanted >= self.ct {
            self.c <<= self.ct;
            wanted -= self.ct;
            self.byte_out();
        }
        self.c <<= wanted;
        self.ct -= wanted;
    }

    /// Figure C.9.
    fn byte_out(&mut self) {
        if self.last != 0xFF && self.c >= 0x800_0000 {
            self.last += 1;
            self.c &= 0x7FF_FFFF;
        }
        let (shift, bits) = if self.last == 0xFF { (20, 7) } else { (19, 8) };
        if self.has_begun {
            self.bytes.push(self.last);
        }
        self.has_begun = true;
        self.last = (self.c >> shift) as u8;
        self.c &= (1 << shift) - 1;
        self.ct = bits;
    }

    /// Figures C.11 and C.12; the bytes of the codeword segment.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let limit = self.c + self.a;
        self.c |= 0xFFFF;
        if self.c >= limit {
            self.c -= 0x8000;
        }
        for _ in 0..2 {
            self.c <<= self.ct;
            self.byte_out();
        }
        if self.last != 0xFF {
            self.bytes.push(self.last);
        }
        self.bytes
    }
}
