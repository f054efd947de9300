// From stored values to the greys of a screen: Modality LUT (PS3.3 §C.11.1), VOI LUT (§C.11.2), inversion. Pure functions.

import { number, text, words } from './attributes.js';
import { say } from '../texts.js';

const FUNCTIONS = new Set(['LINEAR', 'LINEAR_EXACT', 'SIGMOID']);

/** Windows that people expect for a CT, in Hounsfield units: name, center, width. */
const CT = [
    ['Soft tissue', 40, 400], ['Lung', -600, 1500], ['Bone', 480, 2500], ['Brain', 40, 80], ['Liver', 60, 160], ['Angio', 300, 600],
];

/** The grey, 0 to 255, of a value under a window (PS3.3 §C.11.2.1.2, §C.11.2.1.3). */
export function windowed({ center, width, shape }) {
    if (shape === 'SIGMOID') return (x) => 255 / (1 + Math.exp((-4 * (x - center)) / width));
    const [middle, span] = shape === 'LINEAR_EXACT' ? [center, width] : [center - 0.5, width - 1];
    return (x) => {
        if (x <= middle - span / 2) return 0;
        if (x > middle + span / 2) return 255;
        return ((x - middle) / span + 0.5) * 255;
    };
}

/** A table of values: those below and above what it maps are as its ends. */
function looked({ first, entries }) {
    const last = entries.length - 1;
    return (x) => entries[Math.min(Math.max(Math.round(x) - first, 0), last)];
}

/** What an image says of its tones, with tables that had to be fetched: a modality function and its own windows. */
export async function tonesOf(image, fetchBytes) {
    const isSigned = Boolean(image.pixels?.isSigned);
    const modality = await tableOf(image.modalityLut, isSigned, fetchBytes);
    const slope = number(image.rescale, '00281053') ?? 1;
    const intercept = number(image.rescale, '00281052') ?? 0;
    const modalityOf = modality ? looked(modality) : (x) => x * slope + intercept;
    // Its first mapped value is of the values that come out of the modality's.
    const table = await tableOf(image.voi, isSigned || intercept < 0, fetchBytes);
    const voi = table && voiOf(table);
    const windows = windowsOf(image);
    return { modalityOf, voi, windows, unit: unitOf(image) };
}

function voiOf(table) {
    const entries = table.entries;
    const top = 2 ** table.bits - 1;
    const look = looked(table);
    return {
        name: table.name || say('Table of the image'),
        greyOf: (x) => (look(x) / top) * 255,
        // The window that is nearest to it, for who changes it.
        center: table.first + entries.length / 2,
        width: entries.length,
        shape: 'LINEAR',
    };
}

/** A LUT (PS3.3 §C.11.1.1): descriptor and data. */
async function tableOf(item, isSigned, fetchBytes) {
    const count = number(item, '00283002', 0);
    let first = number(item, '00283002', 1);
    const bits = number(item, '00283002', 2);
    if (count === undefined || first === undefined || !(bits >= 1 && bits <= 16)) return undefined;
    const length = (count & 0xffff) || 65_536;
    first = isSigned && first > 32_767 ? first - 65_536 : first;
    let entries = await words(item, '00283006', fetchBytes);
    // Entries of 8 bits may be packed two in a word.
    if (entries && entries.length * 2 === length + (length & 1) && bits <= 8) {
        entries = new Uint8Array(entries.buffer, entries.byteOffset, length);
    }
    if (!entries || entries.length < length) return undefined;
    return { first, bits, entries: entries.subarray(0, length), name: text(item, '00283003') };
}

function windowsOf(image) {
    const item = image.window;
    const shape = text(item, '00281056');
    const windows = [];
    for (let place = 0; place < 8; place += 1) {
        const [center, width] = [number(item, '00281050', place), number(item, '00281051', place)];
        if (center === undefined || width === undefined) break;
        const one = { center, width, shape: FUNCTIONS.has(shape) ? shape : 'LINEAR', name: text(item, '00281055', place) };
        if (isSound(one)) windows.push(one);
    }
    return windows;
}

function isSound({ width, shape }) {
    return shape === 'LINEAR' ? width >= 1 : width > 0;
}

function unitOf(image) {
    const told = text(image.rescale, '00281054');
    if (told && told !== 'US') return told;
    return image.modality === 'CT' ? 'HU' : '';
}

/** All values from the lowest to the highest. */
export function wholeRange(lowest, highest) {
    return { center: (lowest + highest) / 2, width: Math.max(highest - lowest, 1e-6), shape: 'LINEAR_EXACT', name: say('Whole range') };
}

/** What an image is first shown with. `range` gives its lowest and highest value. */
export function defaultTone(tones, range) {
    return tones.voi ?? tones.windows[0] ?? wholeRange(...range());
}

/** What is offered beside the default: the image's other windows, those of its modality, the whole range. */
export function presetsOf(image, tones, range) {
    const own = tones.voi ? tones.windows : tones.windows.slice(1);
    const named = own.map((one, place) => ({ ...one, name: one.name || say('Window {number}', { number: place + 2 }) }));
    const ct = image.modality === 'CT' ? CT.map(([name, center, width]) => ({ name: say(name), center, width, shape: 'LINEAR' })) : [];
    return [...named, ...ct, wholeRange(...range())];
}

/** A tone moved by a drag of so many pixels of the screen, each a 256th of the width that it had. */
export function dragged(start, right, down) {
    const step = start.width / 256;
    const least = start.shape === 'LINEAR' ? 1 : 1e-3;
    return {
        center: start.center + down * step,
        width: Math.max(start.width + right * step, least),
        shape: start.shape,
        name: '',
    };
}
