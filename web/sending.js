// Sends files until each has an answer: objects in batches by STOW-RS, a few requests at once; archives, then papers, one by
// one, when all images are there. What was answered is never sent again; what was not, because the connection or the server
// went away, is sent again, later each time. To send a thing twice does no harm: the archive keeps it once. Every file that was
// added either waits, is in one of the jobs, waits for the answer to its other copy, or has ended.
import { isReadable } from './files.js';
import { say } from './texts.js';

/** Requests at once. */
const REQUESTS = 3;
/** A batch ends with so many bytes, or so many objects. */
const BATCH_BYTES = 8 * 1024 * 1024;
const BATCH_FILES = 200;
/** How long is waited before the next try, and how often in a row. */
const WAITS_MS = [500, 1000, 2000, 4000, 8000, 15000, 30000];
const TRIES_MAX = 40;
/** An object that the archive could not keep for now is sent again so often. */
const AGAIN_MAX = 3;
/** Statuses that say: later. */
const LATER = new Set([0, 408, 425, 429, 500, 502, 503, 504]);
/** Statuses that say: whoever sends is not let in. */
const SHUT = new Set([401, 403]);

/** Failure Reason (0008,1197), in words (PS3.18 Annex I). */
const REASONS = new Map([
    [0x0111, 'another image with the same number is here already'],
    [0x0124, 'this study is here already, or is not yours to add to'],
    [0xa700, 'there is no room for it'],
    [0xa900, 'the file does not say what it is'],
    [0xa902, 'it belongs to another patient than the images here'],
    [0xc000, 'the file is damaged or no image'],
    [0xc122, 'this kind of image is not supported'],
]);
const FOR_LATER = new Set([0x0110, 0xa700]);

const UNREADABLE = 'cannot be read';
const TWICE = 'the same image twice';
/** What is not sent: what becomes of it, and why. */
const LEFT_OUT = {
    directory: ['skipped', 'the directory of a disc: not needed'],
    viewer: ['skipped', 'belongs to the disc\'s viewer; send it by itself if it is wanted'],
    other: ['skipped', 'neither images nor a document: not needed'],
    gone: ['refused', UNREADABLE],
    over: ['refused', 'more than can be chosen at once: choose it again, with fewer'],
};

export class Sending {
    /** `changed` is called after everything that happens; `fields` gives what is said beside papers: [[name, value]]. */
    constructor({ studies, uploads, fields, changed }) {
        Object.assign(this, { studies, uploads, fields, changed });
        this.waiting = { objects: [], zips: [], papers: [] };
        /** SOP Instance UIDs of what has arrived. */
        this.arrived = new Set();
        /** A disc may hold an image twice: while one has no answer, its other copies, by SOP Instance UID. */
        this.copies = new Map();
        this.jobs = new Set();
        /** Ends the pause of each job that is to be tried again. */
        this.pauses = new Set();
        this.counts = { files: 0, bytes: 0, sent: 0, stored: 0, here: 0, refused: 0, skipped: 0 };
        /** Files with a word to be said of them: { name, fate, why }. */
        this.named = [];
        /** In words, while nobody answers. */
        this.trouble = '';
        this.stopped = '';
    }

    get isBusy() {
        const { objects, zips, papers } = this.waiting;
        return this.jobs.size + objects.length + zips.length + papers.length > 0 && !this.stopped;
    }

    /** Adds a file that was told apart (files.js). */
    add(item, { kind, uid }) {
        this.counts.files += 1;
        if (kind in LEFT_OUT) return this.end(item, ...LEFT_OUT[kind]);
        if (this.arrived.has(uid)) return this.end(item, 'here', TWICE);
        if (this.copies.has(uid)) {
            this.copies.get(uid).push(item);
        } else {
            if (uid) this.copies.set(uid, []);
            this.wait(item, { object: 'objects', zip: 'zips', paper: 'papers' }[kind], uid);
        }
        this.changed();
    }

    wait(item, list, uid) {
        this.counts.bytes += item.file.size;
        this.waiting[list].push({ ...item, list, uid, tries: 0 });
    }

    /** What became of a file, once for each. */
    end(item, fate, why = '') {
        this.counts[fate] += 1;
        if (why) this.named.push({ name: item.name, fate, why });
        if (item.uid) this.copiesOf(item.uid, fate);
        this.changed();
    }

    /** Copies of what arrived are here; of what was refused, the next is tried. */
    copiesOf(uid, fate) {
        const copies = this.copies.get(uid);
        if (fate === 'refused' && copies.length > 0) return this.wait(copies.shift(), 'objects', uid);
        this.copies.delete(uid);
        if (fate === 'stored') this.arrived.add(uid);
        for (const copy of copies) this.end(copy, 'here', TWICE);
    }

    /** Sends all that waits, and what is added meanwhile. */
    async run() {
        this.stopped = '';
        await Promise.all(Array.from({ length: REQUESTS }, () => this.work()));
        this.changed();
    }

    async work() {
        while (!this.stopped) {
            const job = this.next();
            if (!job) {
                // Papers wait for images that are still on their way.
                if (this.jobs.size === 0) return;
                await Promise.race([...this.jobs].map((job) => job.done));
                continue;
            }
            this.jobs.add(job);
            job.done = this.carry(job);
            await job.done;
        }
    }

    /** The next request: a batch of objects, an archive, or a paper. */
    next() {
        const { objects, zips, papers } = this.waiting;
        if (objects.length > 0) {
            const items = [];
            let bytes = 0;
            while (objects.length > 0 && items.length < BATCH_FILES) {
                const item = objects.at(-1);
                // What does not say its UID goes alone, so that the answer is about it; so does what failed.
                const isAlone = !item.uid || item.tries > 0;
                if (items.length > 0 && (isAlone || bytes + item.file.size > BATCH_BYTES)) break;
                items.push(objects.pop());
                bytes += item.file.size;
                if (isAlone) break;
            }
            return { items, bytes, sent: 0, isBatch: true };
        }
        if (zips.length > 0) return this.single(zips.pop());
        // The first paper may make the study of the others: one after the other.
        if (papers.length > 0 && this.jobs.size === 0) return this.single(papers.shift());
        return null;
    }

    single(item) {
        return { items: [item], bytes: item.file.size, sent: 0, isBatch: false };
    }

    /** One request, until it is answered, or all is stopped. */
    async carry(job) {
        let isAnswered = false;
        for (let tries = 0; !isAnswered && !this.stopped; tries += 1) {
            const answer = await this.post(job);
            job.sent = 0;
            if (SHUT.has(answer.status)) {
                this.stop('You are not let in any more. Open your link again in another window, or sign in there, and go on here.');
            } else if (!LATER.has(answer.status)) {
                isAnswered = true;
                this.trouble = '';
                this.counts.sent += job.bytes;
                this.answered(job, answer);
            } else if (answer.status === 0 && !job.isRead && await this.leaveUnreadable(job)) {
                isAnswered = job.items.length === 0;
            } else {
                this.trouble = answer.status === 0 ? 'The connection is lost. It goes on by itself.' : 'The server is busy. It goes on by itself.';
                if (tries >= TRIES_MAX) this.stop('Nobody answers. Press the button to go on from here.');
                this.changed();
                await this.pause(WAITS_MS[Math.min(tries, WAITS_MS.length - 1)]);
            }
        }
        // Whoever stopped it: what has no answer goes on from here.
        if (!isAnswered) job.items.forEach((item) => this.putBack(item));
        this.jobs.delete(job);
        this.changed();
    }

    /** A file that cannot be read, any more or at all, looks like a lost connection. Such ones end; whether there were any. */
    async leaveUnreadable(job) {
        job.isRead = true;
        this.trouble = 'Nothing gets through. Looking whether the files can be read.';
        this.changed();
        const left = new Set();
        for (const item of job.items) {
            if (!await isReadable(item.file)) left.add(item);
        }
        this.trouble = '';
        job.items = job.items.filter((item) => !left.has(item));
        for (const item of left) {
            job.bytes -= item.file.size;
            this.counts.bytes -= item.file.size;
            this.end(item, 'refused', UNREADABLE);
        }
        return left.size > 0;
    }

    /** Back into its list, as the next of it. */
    putBack(item) {
        if (item.list === 'papers') this.waiting.papers.unshift(item);
        else this.waiting[item.list].push(item);
    }

    /** Begins nothing any more; nobody waits for a next try. */
    stop(why) {
        this.stopped = why;
        this.pauses.forEach((end) => end());
    }

    /** Waits; less long when the browser finds its connection again. */
    pause(ms) {
        if (this.stopped) return null;
        return new Promise((give) => {
            const end = () => {
                clearTimeout(timer);
                removeEventListener('online', end);
                this.pauses.delete(end);
                give();
            };
            const timer = setTimeout(end, ms);
            addEventListener('online', end);
            this.pauses.add(end);
        });
    }

    post(job) {
        const request = new XMLHttpRequest();
        request.open('POST', job.isBatch ? this.studies : this.uploads);
        request.setRequestHeader('Accept', job.isBatch ? 'application/dicom+json' : 'application/json');
        let body;
        if (job.isBatch) {
            const boundary = `overread-${crypto.getRandomValues(new Uint32Array(4)).join('-')}`;
            request.setRequestHeader('Content-Type', `multipart/related; type="application/dicom"; boundary=${boundary}`);
            const head = `--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`;
            body = new Blob([...job.items.flatMap(({ file }) => [head, file, '\r\n']), `--${boundary}--\r\n`]);
        } else {
            body = new FormData();
            for (const [name, value] of this.fields()) body.append(name, value);
            const [{ file, name }] = job.items;
            body.append('files', file, name);
        }
        return new Promise((give) => {
            request.upload.onprogress = ({ loaded }) => {
                job.sent = Math.min(loaded, job.bytes);
                this.changed();
            };
            const answered = () => give({ status: request.status, text: request.responseText });
            request.onload = answered;
            request.onerror = () => give({ status: 0 });
            request.onabort = () => give({ status: 0 });
            request.send(body);
        });
    }

    answered(job, { status, text }) {
        const told = parsed(text);
        if (job.isBatch && told && (status === 200 || status === 202 || status === 409)) return this.ofBatch(job, told);
        if (!job.isBatch && told && status === 200) return this.ofSingle(job, told);
        const why = status === 413 ? 'it is too large' : status === 507 ? 'there is no room for it' : say('the server did not take it ({status})', { status });
        for (const item of job.items) this.end(item, 'refused', why);
    }

    /** What the Store response says of each object (PS3.18 §10.5.3). */
    ofBatch(job, told) {
        const uid = (item) => item['00081155']?.Value?.[0];
        const stored = new Set((told['00081199']?.Value ?? []).map(uid));
        const failures = told['00081198']?.Value ?? [];
        const failed = new Map(failures.map((item) => [uid(item), item['00081197']?.Value?.[0]]));
        // Of what is too damaged to have a name.
        const nameless = told['0008119A']?.Value?.[0]?.['00081197']?.Value?.[0];
        for (const item of job.items) {
            const isAlone = job.items.length === 1;
            if (isAlone ? stored.size > 0 : stored.has(item.uid)) {
                this.end(item, 'stored');
                continue;
            }
            const reason = failed.get(item.uid) ?? (isAlone ? [...failed.values()][0] ?? nameless : undefined);
            const isForLater = reason === undefined || FOR_LATER.has(reason);
            if (isForLater && item.tries < AGAIN_MAX) {
                this.counts.sent -= item.file.size;
                this.putBack({ ...item, tries: item.tries + 1 });
            } else {
                this.end(item, 'refused', REASONS.get(reason) ?? 'it could not be stored');
            }
        }
    }

    /** What became of an archive and what is in it, or of a paper. */
    ofSingle(job, told) {
        const [item] = job.items;
        if (told.is_to_be_repeated && item.tries < AGAIN_MAX) {
            this.counts.sent -= item.file.size;
            this.putBack({ ...item, tries: item.tries + 1 });
            return;
        }
        this.counts.files += told.stored + told.already_stored + told.refused + told.skipped - 1;
        this.counts.stored += told.stored;
        this.counts.here += told.already_stored;
        this.counts.refused += told.refused;
        this.counts.skipped += told.skipped;
        const fates = { stored: 'stored', 'already-stored': 'here', refused: 'refused', skipped: 'skipped' };
        for (const { name, fate, why } of told.files) this.named.push({ name, fate: fates[fate], why });
        this.changed();
    }
}

function parsed(text) {
    try {
        return JSON.parse(text);
    } catch {
        return null;
    }
}
