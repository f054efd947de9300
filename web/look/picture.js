// A frame as cells, and cells as pixels of a screen: one table of greys, one pass over the cells.

import { windowed } from './tones.js';
import { say } from '../texts.js';

/** Brightness and contrast of what comes in colors: as it is. */
export const PLAIN_TONE = { center: 127.5, width: 255, shape: 'LINEAR_EXACT', name: 'As stored' };

/** The octets of a frame (PS3.5 §8) as cells. Throws an Error in words for people when they are not what was announced. */
export function frameOf(image, buffer) {
    const { rows, columns, pixels } = image;
    const count = rows * columns * pixels.samples;
    const expected = Math.ceil((count * pixels.allocated) / 8);
    if (buffer.byteLength < expected) {
        throw new Error(say('The frame has {bytes} bytes where {expected} were announced.', { bytes: buffer.byteLength, expected }));
    }
    const frame = { width: columns, height: rows, bytes: expected, isSquare: false };
    if (pixels.samples === 3) {
        return { ...frame, colors: opaque(new Uint8Array(buffer, 0, count)), bytes: rows * columns * 4 };
    }
    const cells = cellsOf(buffer, count, pixels);
    return { ...frame, cells, bytes: cells.byteLength, pixels };
}

/** What the server has drawn, which has square pixels. */
export function frameOfPicture(bitmap) {
    const { width, height } = bitmap;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    const { data } = context.getImageData(0, 0, width, height);
    return { width, height, colors: new Uint32Array(data.buffer), bytes: width * height * 4, isSquare: true };
}

function cellsOf(buffer, count, { allocated, isFloat, isSigned }) {
    switch (allocated) {
        case 1:
            return Uint8Array.from({ length: count }, unpacked(new Uint8Array(buffer)));
        case 8:
            return new Uint8Array(buffer, 0, count);
        case 16:
            return new Uint16Array(buffer, 0, count);
        case 32:
            if (isFloat) return new Float32Array(buffer, 0, count);
            return isSigned ? new Int32Array(buffer, 0, count) : new Uint32Array(buffer, 0, count);
        default:
            return new Float64Array(buffer, 0, count);
    }
}

/** Bits, the lowest of a byte first. */
function unpacked(bytes) {
    return (_, place) => (bytes[place >> 3] >> (place & 7)) & 1;
}

function opaque(samples) {
    const colors = new Uint32Array(samples.length / 3);
    for (let place = 0, at = 0; place < colors.length; place += 1, at += 3) {
        colors[place] = 0xff000000 | (samples[at + 2] << 16) | (samples[at + 1] << 8) | samples[at];
    }
    return colors;
}

/** From a cell to its stored value: the bits that count, with their sign. */
function storedOf({ allocated, stored, highBit, isSigned, isFloat }) {
    if (isFloat || allocated > 16) return (cell) => cell;
    const low = Math.min(Math.max(highBit + 1 - stored, 0), allocated - stored);
    const mask = 2 ** stored - 1;
    const sign = 2 ** (stored - 1);
    if (!isSigned) return (cell) => (cell >> low) & mask;
    return (cell) => (((cell >> low) & mask) ^ sign) - sign;
}

/** The stored value of a pixel. */
export function storedAt(frame, x, y) {
    return frame.cells ? storedOf(frame.pixels)(frame.cells[y * frame.width + x]) : undefined;
}

/** The lowest and highest value of a frame, without its padding. */
export function rangeOf(frame, modalityOf) {
    if (!frame.cells) return [0, 255];
    const { cells, pixels } = frame;
    const value = storedOf(pixels);
    let [lowest, highest] = [Infinity, -Infinity];
    const [from, to] = pixels.padding ?? [Infinity, -Infinity];
    for (let place = 0; place < cells.length; place += 1) {
        const one = value(cells[place]);
        if (one >= from && one <= to) continue;
        if (one < lowest) lowest = one;
        if (one > highest) highest = one;
    }
    if (lowest > highest) return [0, 1];
    // A table of the modality may turn them round.
    const ends = [modalityOf(lowest), modalityOf(highest)];
    return [Math.min(...ends), Math.max(...ends)];
}

/** The greys of every possible cell as colors, or a function where there are too many. */
export class Greys {
    constructor() {
        this.table = new Uint32Array(65_536);
    }

    /** Fills the table for a tone. */
    of(pixels, modalityOf, tone, isInverted) {
        const { table } = this;
        const value = storedOf(pixels);
        const greyOf = tone.greyOf ?? windowed(tone);
        const turns = pixels.isInverted !== isInverted;
        const colorOf = (cell) => {
            const grey = Math.round(Math.min(Math.max(greyOf(modalityOf(value(cell))), 0), 255));
            const one = turns ? 255 - grey : grey;
            return 0xff000000 | (one << 16) | (one << 8) | one;
        };
        if (pixels.isFloat || pixels.allocated > 16) return colorOf;
        const count = 2 ** pixels.allocated;
        for (let cell = 0; cell < count; cell += 1) table[cell] = colorOf(cell);
        return undefined;
    }

    /** Colors made brighter or darker, channel by channel. */
    channel(tone, isInverted) {
        const greyOf = windowed(tone);
        const bytes = new Uint8Array(256);
        for (let one = 0; one < 256; one += 1) {
            const grey = Math.round(Math.min(Math.max(greyOf(one), 0), 255));
            bytes[one] = isInverted ? 255 - grey : grey;
        }
        return bytes;
    }
}

/** Paints a frame into `target`, pixels as 32-bit words, taking every `step`-th pixel of every `step`-th row. */
export function paint(frame, greys, { modalityOf, tone, isInverted, step }, target) {
    const { width, height } = frame;
    if (!frame.cells) {
        paintColors(frame, greys.channel(tone, isInverted), step, target);
        return;
    }
    const { cells } = frame;
    const colorOf = greys.of(frame.pixels, modalityOf, tone, isInverted);
    const { table } = greys;
    let at = 0;
    for (let y = 0; y < height; y += step) {
        const row = y * width;
        if (colorOf) {
            for (let x = 0; x < width; x += step) target[at++] = colorOf(cells[row + x]);
        } else {
            for (let x = 0; x < width; x += step) target[at++] = table[cells[row + x]];
        }
    }
}

function paintColors({ colors, width, height }, channel, step, target) {
    let at = 0;
    for (let y = 0; y < height; y += step) {
        for (let x = 0; x < width; x += step) {
            const one = colors[y * width + x];
            target[at++] =
                0xff000000 | (channel[(one >> 16) & 255] << 16) | (channel[(one >> 8) & 255] << 8) | channel[one & 255];
        }
    }
}
