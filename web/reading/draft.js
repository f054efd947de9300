// The draft of a reader by the public API, and how what stands in the form and what other pages have saved come together: a
// change of one side is taken, whichever it is; of a text that both have changed its writer decides, and until then both stay.
import { say, sentence } from '../texts.js';

/** How often a draft is read again that other pages save all the time. */
const TRIES_MAX = 5;

/** A text as a browser may send it back: with other ends of lines, and nothing around them. */
export const plain = (text) => text.replace(/\r\n?/g, '\n').trim();

/** Why something was not saved, in words; `isForLater` when it may be by and by. */
export class NotSaved extends Error {
    constructor(words, isForLater = false) {
        super(words);
        this.isForLater = isForLater;
    }
}

const NO_ANSWER = say('there is no connection. What you typed stays here, and is saved when there is one.');
const SIGNED_OUT = say('you are signed out. What you typed stays here: sign in again in another tab, and it is saved.');
const SOMEBODY = say('somebody else is signed in. What you typed stays here: sign in again in another tab, and it is saved.');

async function wordsOf(answer) {
    const told = await answer.json().catch(() => ({}));
    const words = told.detail ?? told.title;
    return words ? sentence(words) : say('the server answered {status}', { status: answer.status });
}

export class Draft {
    /** `names` are those of the texts of the form; `hasImages` when it has key images too. */
    constructor({ api, number, reader, names, hasImages, form, base }) {
        this.address = new URL(`${api}/cases/${number}/draft`, document.baseURI).href;
        this.session = new URL(`${api}/session`, document.baseURI).href;
        Object.assign(this, { reader, names, hasImages, form });
        /** What form and draft last had in common: { texts, images }; texts that are not there differ from every one. */
        this.base = base;
        /** The draft as it was last read or saved, and which it is. */
        this.kept = {};
        this.tag = null;
        /** Of the texts that were changed on both sides, what is saved. */
        this.clashes = new Map();
        /** Whether what other pages have saved has changed the form. */
        this.hasBrought = false;
        this.broughtAt = -Infinity;
    }

    /** Saves what stands in the form, as far as it is decided; gives whether anything had to be. */
    async save() {
        await this.checkReader();
        for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
            if (this.tag === null) await this.read();
            const body = this.body();
            if (JSON.stringify(body) === JSON.stringify(this.kept)) return false;
            const said = this.form.said();
            const answer = await this.ask('PUT', body);
            if (answer.status === 412) {
                this.tag = null;
                continue;
            }
            if (!answer.ok) throw new NotSaved(await wordsOf(answer));
            this.kept = body;
            this.tag = answer.headers.get('ETag');
            for (const name of this.names) if (!this.clashes.has(name)) this.base.texts[name] = said.texts[name];
            if (this.hasImages) this.base.images = said.images;
            this.form.keeps(this.base.images);
            return true;
        }
        throw new NotSaved(say('other pages are saving at the same time.'), true);
    }

    /** Reads the draft, and brings what other pages have saved into the form. */
    async read() {
        const answer = await this.ask('GET');
        if (!answer.ok) throw new NotSaved(await wordsOf(answer));
        const kept = answer.status === 204 ? {} : await answer.json();
        this.kept = kept && typeof kept === 'object' && !Array.isArray(kept) ? kept : {};
        this.tag = answer.headers.get('ETag');
        this.meet();
    }

    textOf(name) {
        const text = this.kept[name];
        return typeof text === 'string' ? plain(text) : '';
    }

    imagesOf() {
        const images = this.kept.key_images;
        return Array.isArray(images) ? [...new Set(images.filter((one) => typeof one === 'string'))] : [];
    }

    /** What another program keeps among the key images, which no form shows. */
    otherImages() {
        const images = this.kept.key_images ?? [];
        return Array.isArray(images) ? images.filter((one) => typeof one !== 'string') : [images];
    }

    meet() {
        const mine = this.form.said();
        for (const name of this.names) {
            const [base, here, there] = [this.base.texts[name], mine.texts[name], this.textOf(name)];
            this.clashes.delete(name);
            if (here === there) this.base.texts[name] = there;
            else if (here === base) {
                this.base.texts[name] = there;
                this.form.take(name, there);
                this.brought();
            } else if (there !== base) this.clashes.set(name, there);
        }
        if (this.hasImages) {
            const there = this.imagesOf();
            const images = there.filter((one) => mine.images.includes(one) || !this.base.images.includes(one));
            const isNew = (one) => !there.includes(one) && !this.base.images.includes(one);
            this.base.images = there;
            images.push(...mine.images.filter(isNew));
            if (images.length !== mine.images.length || images.some((one) => !mine.images.includes(one))) this.brought();
            this.form.show(images, there);
        }
        this.form.ask(this.clashes);
    }

    brought() {
        this.hasBrought = true;
        this.broughtAt = performance.now();
    }

    /** The writer has decided: what stands in the form, or what is saved. */
    decide(name, isMine) {
        const there = this.clashes.get(name);
        this.clashes.delete(name);
        this.base.texts[name] = there;
        if (!isMine) this.form.take(name, there);
        this.form.ask(this.clashes);
    }

    /** What the draft is to hold: beside what the form shows stays whatever there is. */
    body() {
        const said = this.form.said();
        const body = { ...this.kept };
        for (const name of this.names) {
            const isOpen = this.clashes.has(name) || said.texts[name] === this.textOf(name);
            if (!isOpen) body[name] = said.raw[name];
        }
        const kept = this.imagesOf();
        const isSame = kept.length === said.images.length && kept.every((one) => said.images.includes(one));
        if (this.hasImages && !isSame) body.key_images = [...said.images, ...this.otherImages()];
        return body;
    }

    /** Whether something stands in the form that the draft does not have. */
    isBehind() {
        const { texts, images } = this.form.said();
        const isOther = (name) => texts[name] !== this.base.texts[name];
        const { images: kept } = this.base;
        return this.names.some(isOther) || (this.hasImages && (images.length !== kept.length || images.some((one) => !kept.includes(one))));
    }

    /**
     * The last try, of a page that is being left: nobody hears the answer, and a save after it reads again. Gives whether it was
     * made. A draft that holds nothing yet is like that of anybody else who has signed in: it is not replaced unasked.
     */
    leave() {
        if (this.tag === null || this.clashes.size > 0 || Object.keys(this.kept).length === 0) return false;
        this.ask('PUT', this.body(), { keepalive: true }).catch(() => undefined);
        return true;
    }

    /**
     * In another tab somebody else may have signed in, who has a draft of the same case: what was typed here is never saved as
     * theirs.
     */
    async checkReader() {
        const answer = await this.fetched(this.session, { headers: { Accept: 'application/json' }, cache: 'no-store' });
        if (!answer.ok) throw new NotSaved(await wordsOf(answer));
        const { name } = await answer.json();
        if (name !== this.reader) throw new NotSaved(SOMEBODY, true);
    }

    ask(method, body, more = {}) {
        const headers = { Accept: 'application/json' };
        if (method === 'GET') return this.fetched(this.address, { headers, cache: 'no-store' });
        headers['Content-Type'] = 'application/json';
        headers['If-Match'] = this.tag;
        return this.fetched(this.address, { method, headers, body: JSON.stringify(body), ...more });
    }

    /** An answer that somebody has given, for whom it is. */
    async fetched(address, options) {
        let answer;
        try {
            answer = await fetch(address, { ...options, redirect: 'error' });
        } catch {
            throw new NotSaved(NO_ANSWER, true);
        }
        if (answer.status === 401) throw new NotSaved(SIGNED_OUT, true);
        const isForLater = [408, 421, 425, 429].includes(answer.status) || answer.status >= 500;
        if (isForLater) throw new NotSaved(say('the server cannot save it now. What you typed stays here, and is tried again.'), true);
        return answer;
    }
}
