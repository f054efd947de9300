// Frames as they are wanted: what is shown first, then what is near to it; few at once, and not more in memory than
// may be. What nobody wants any more is broken off.

import { frameOf, frameOfPicture, rangeOf } from './picture.js';
import { tonesOf } from './tones.js';
import { say, sentence } from '../texts.js';

const SLOTS = 4;
const BYTES_MAX = 256 * 2 ** 20;
/** The most pictures wanted ahead, for each pane. */
const AHEAD_MAX = 120;
const AS_OCTETS = 'application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1';
/** How often a busy server is asked again. */
const TRIES_MAX = 5;
const WORDS_MAX = 200;

/** Fetches, and says in words for people what went wrong. */
export async function asked(url, accept, signal) {
    for (let tries = 1; ; tries += 1) {
        let response;
        try {
            response = await fetch(url, { headers: { Accept: accept }, signal });
        } catch (error) {
            if (error.name === 'AbortError') throw error;
            throw new Error(say('The server cannot be reached.'));
        }
        if (response.ok) return response;
        if (response.status === 503 && tries < TRIES_MAX) {
            const seconds = Math.min(Number(response.headers.get('Retry-After')) || 1, 10);
            await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
            signal?.throwIfAborted();
            continue;
        }
        const words = (await response.text().catch(() => '')).slice(0, WORDS_MAX);
        throw Object.assign(new Error(`${wordsOf(response.status)} ${sentence(words)}`.trim()), { status: response.status });
    }
}

function wordsOf(status) {
    switch (status) {
        case 401:
            return say('You are not signed in any more.');
        case 404:
            return say('It is not here.');
        case 410:
            return say('It was removed.');
        case 503:
            return say('The server is busy.');
        default:
            return say('The server says {status}.', { status });
    }
}

/** A frame: its octets where we can read them, else as the server draws it. */
async function fetched(image, signal) {
    const url = `${image.path}/frames/${image.frame}`;
    if (image.pixels) {
        try {
            const response = await asked(url, AS_OCTETS, signal);
            return frameOf(image, await response.arrayBuffer());
        } catch (error) {
            if (error.status !== 406) throw error;
        }
    }
    const response = await asked(`${url}/rendered`, 'image/png', signal);
    const options = { colorSpaceConversion: 'none', premultiplyAlpha: 'none' };
    return frameOfPicture(await createImageBitmap(await response.blob(), options));
}

export class Loader {
    /** Below `root` is DICOMweb; `changed` hears of each image that has come or failed; `bytesMax` is room for frames. */
    constructor(root, changed, bytesMax = BYTES_MAX) {
        this.root = root;
        this.changed = changed;
        this.bytesMax = bytesMax;
        /** By key: `{ frame, tones, range }`, `{ error }` or, on its way, `{ controller }`. */
        this.entries = new Map();
        /** By pane: the images it wants, the most wanted first. */
        this.wants = new Map();
        /** By key: bytes of a frame that has come, kept when it goes. */
        this.sizes = new Map();
        /** Bytes of the largest whose size nobody could know before. */
        this.unannounced = 0;
        this.bytes = 0;
    }

    /** The frame of an image, or the error instead; undefined while it is not here. */
    get(image) {
        const entry = this.entries.get(image.key);
        return entry && !entry.controller ? entry : undefined;
    }

    /** What a pane shows of a stack, and in which direction it goes. */
    want(pane, images, place, direction = 1) {
        const list = [];
        // Half of the memory: there are two panes. What is shown is wanted whatever it takes.
        let left = this.bytesMax / 2;
        for (let distance = 0; left > 0 && list.length < AHEAD_MAX + 1 && distance < images.length; distance += 1) {
            for (const other of distance ? [place + direction * distance, place - direction * distance] : [place]) {
                if (!images[other]) continue;
                left -= this.sizeOf(images[other]);
                if (left >= 0 || list.length === 0) list.push(images[other]);
            }
        }
        const failed = this.entries.get(images[place].key);
        // Who comes back to a picture that failed tries again.
        if (failed?.error && this.wants.get(pane)?.[0] !== images[place]) this.entries.delete(images[place].key);
        this.wants.set(pane, list);
        this.pump();
    }

    /** A pane wants nothing any more. */
    forget(pane) {
        this.wants.delete(pane);
        this.pump();
    }

    /** Fetches what is wanted most, as far as there are hands. */
    pump() {
        const ranks = this.ranks();
        const underway = [...this.entries].filter(([, entry]) => entry.controller);
        let free = SLOTS - underway.length;
        for (const [key, entry] of underway) {
            if (ranks.has(key)) continue;
            entry.controller.abort();
            this.entries.delete(key);
            free += 1;
        }
        const missing = [...ranks.values()].filter(({ image }) => !this.entries.has(image.key));
        missing.sort((a, b) => a.rank - b.rank);
        for (const { image, rank } of missing) {
            if (free <= 0 && rank === 0) free += this.giveUpFarthest(ranks);
            if (free <= 0) break;
            free -= 1;
            this.begin(image);
        }
    }

    /** What is wanted, by key, and how much: 0 is shown. */
    ranks() {
        const ranks = new Map();
        for (const list of this.wants.values()) {
            list.forEach((image, rank) => {
                const known = ranks.get(image.key);
                if (!known || known.rank > rank) ranks.set(image.key, { image, rank });
            });
        }
        return ranks;
    }

    /** Breaks off the least wanted that is on its way; 1 when there was one. */
    giveUpFarthest(ranks) {
        let farthest;
        for (const [key, entry] of this.entries) {
            const rank = ranks.get(key)?.rank ?? Infinity;
            if (entry.controller && rank > 0 && !(farthest?.rank >= rank)) farthest = { key, rank, entry };
        }
        if (!farthest) return 0;
        farthest.entry.controller.abort();
        this.entries.delete(farthest.key);
        return 1;
    }

    async begin(image) {
        const controller = new AbortController();
        const entry = { controller };
        this.entries.set(image.key, entry);
        let came;
        try {
            const frame = await fetched(image, controller.signal);
            const tones = await tonesOf(image, (uri) => this.bulk(uri, controller.signal));
            let range;
            came = { frame, tones, range: () => (range ??= rangeOf(frame, tones.modalityOf)) };
        } catch (error) {
            if (controller.signal.aborted) return;
            came = { error: error.message };
        }
        if (this.entries.get(image.key) !== entry) return;
        this.entries.set(image.key, came);
        if (came.frame) this.take(image, came.frame.bytes);
        this.dropFarthest();
        this.changed(image);
        this.pump();
    }

    /** Bytes behind a link of the metadata, asked for where the page came from, whatever host it names. */
    async bulk(uri, signal) {
        const response = await asked(this.root + uri.slice(Math.max(uri.indexOf('/studies/'), 0)), 'application/octet-stream', signal);
        return response.arrayBuffer();
    }

    take(image, bytes) {
        this.bytes += bytes;
        this.sizes.set(image.key, bytes);
        if (!announced(image)) this.unannounced = Math.max(this.unannounced, bytes);
    }

    /** Bytes of a frame in memory: as it came, else as it was announced, else as the largest of those that were not. */
    sizeOf(image) {
        return this.sizes.get(image.key) ?? (announced(image) || this.unannounced);
    }

    /**
     * Keeps memory within its bound: what is least wanted goes first, what is shown stays. What has gone for want of room
     * is not wanted, nor what is farther, until somebody moves: else it would be fetched again, and go again.
     */
    dropFarthest() {
        if (this.bytes <= this.bytesMax) return;
        const ranks = this.ranks();
        const rankOf = ([key]) => ranks.get(key)?.rank ?? Infinity;
        const kept = [...this.entries].filter(([, entry]) => entry.frame).sort((a, b) => rankOf(b) - rankOf(a));
        for (const one of kept) {
            const rank = rankOf(one);
            if (this.bytes <= this.bytesMax || rank === 0) return;
            this.entries.delete(one[0]);
            this.bytes -= one[1].frame.bytes;
            for (const list of this.wants.values()) list.splice(rank);
        }
    }
}

/** Bytes of a frame in memory by what is said of it; 0 where nothing is. */
function announced({ rows, columns, pixels }) {
    return rows * columns * (pixels?.samples === 1 ? Math.max(pixels.allocated / 8, 1) : 4);
}
