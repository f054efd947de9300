// Key images of a reader: in the draft of their opinion, by the public API of cases. Whatever else is in the draft stays,
// and so does what another page saves meanwhile: only the draft that was read is replaced (If-Match).

import { say, sentence } from '../texts.js';

const STRANGE = say('The draft was saved by another program, which keeps key images of another kind.');
/** How often a draft is read again that other pages save all the time. */
const TRIES_MAX = 5;

/** How a draft names an image; a frame where there are several. */
function nameOf({ study, series, instance, frame, frames }) {
    const name = `${study}/${series}/${instance}`;
    return frames > 1 ? `${name}/${frame}` : name;
}

export class Marks {
    constructor(api, number) {
        this.address = `${api}/cases/${number}/draft`;
        this.names = new Set();
        this.work = Promise.resolve();
    }

    /** Reads the draft; whether this reader has one to mark images in. */
    async begin() {
        try {
            this.names = new Set(listOf((await this.read()).draft));
            return true;
        } catch {
            return false;
        }
    }

    has(image) {
        return this.names.has(nameOf(image));
    }

    /** Marks an image, or takes the mark away; one after the other. Gives whether it is marked. */
    toggle(image) {
        const done = this.work.then(() => this.change(nameOf(image)));
        this.work = done.catch(() => undefined);
        return done;
    }

    async change(name) {
        // As it is seen here, whatever another page has done with it since.
        const isWanted = !this.names.has(name);
        for (let tries = 1; ; tries += 1) {
            const { draft, tag } = await this.read();
            const names = new Set(listOf(draft));
            if (names.has(name) !== isWanted) {
                if (isWanted) names.add(name);
                else names.delete(name);
                const response = await this.save({ ...draft, key_images: [...names] }, tag);
                if (response.status === 412 && tries < TRIES_MAX) continue;
                if (!response.ok) throw new Error(await wordsOf(response));
            }
            this.names = names;
            return isWanted;
        }
    }

    save(draft, tag) {
        const headers = { 'Content-Type': 'application/json', 'If-Match': tag };
        return fetch(this.address, { method: 'PUT', headers, body: JSON.stringify(draft) });
    }

    /** The draft, and which it is. */
    async read() {
        const response = await fetch(this.address, { headers: { Accept: 'application/json' }, cache: 'no-store' });
        if (!response.ok) throw new Error(await wordsOf(response));
        const tag = response.headers.get('ETag');
        if (response.status === 204) return { draft: {}, tag };
        const draft = await response.json();
        if (!draft || typeof draft !== 'object' || Array.isArray(draft)) throw new Error(STRANGE);
        return { draft, tag };
    }
}

function listOf({ key_images: list = [] }) {
    if (!Array.isArray(list) || !list.every((one) => typeof one === 'string')) throw new Error(STRANGE);
    return list;
}

async function wordsOf(response) {
    const told = await response.json().catch(() => ({}));
    return say('The mark was not kept: {why}', { why: sentence(String(told.detail ?? told.title ?? response.status)) });
}
