// What people choose or drop, as a flat list of files, and what each is by its first bytes. Nothing is believed of names but
// a DICOMDIR; folders are walked without recursion, whatever they hold. What is left out, because it cannot be read or there is
// too much of it, has a name and a kind, but no file.

/** The most files of one choice. */
const FILES_MAX = 200_000;
/** So many bytes tell what a file is. */
const HEAD_BYTES = 4096;
/** So much of a file is in memory, when it is tried whether it can be read. */
const SLICE_BYTES = 1024 * 1024;

/** All files of a drop, those in its folders too: [{ file, name, kind }]. Has to be called while the drop is being handled. */
export async function dropped(transfer) {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (entries.length === 0) return chosen(transfer.files);
    const found = [];
    const waiting = entries;
    while (waiting.length > 0 && found.length < FILES_MAX) {
        const entry = waiting.pop();
        if (entry.isFile) {
            const file = await new Promise((give) => entry.file(give, () => give(null)));
            found.push(file ? { file, name: nameOf(entry) } : { name: nameOf(entry), kind: 'gone' });
        } else if (entry.isDirectory) {
            const { entries, kind } = await inside(entry);
            if (kind) found.push({ name: nameOf(entry), kind });
            for (const one of entries) waiting.push(one);
        }
    }
    for (const entry of waiting) found.push({ name: nameOf(entry), kind: 'over' });
    return found.sort((a, b) => a.name.localeCompare(b.name));
}

const nameOf = (entry) => entry.fullPath.replace(/^\//, '') + (entry.isDirectory ? '/' : '');

/** The entries of a folder: browsers give a hundred at a time. `kind` says why they are not all. */
async function inside(folder) {
    const reader = folder.createReader();
    const entries = [];
    for (;;) {
        const some = await new Promise((give) => reader.readEntries(give, () => give(null)));
        if (!some) return { entries, kind: 'gone' };
        if (some.length === 0) return { entries };
        if (entries.length > FILES_MAX) return { entries, kind: 'over' };
        for (const one of some) entries.push(one);
    }
}

/** The files of an input. */
export function chosen(list) {
    return [...list].map((file, at) => {
        const name = file.webkitRelativePath || file.name;
        return at < FILES_MAX ? { file, name } : { name, kind: 'over' };
    });
}

/** Whether all of a file can be read. */
export async function isReadable(file) {
    try {
        for (let at = 0; at < file.size; at += SLICE_BYTES) await file.slice(at, at + SLICE_BYTES).arrayBuffer();
        return true;
    } catch {
        return false;
    }
}

/** What the names of all files of a disc begin with, for each disc: a disc is a folder with a DICOMDIR. */
export function discsOf(items) {
    const starts = items.map(({ name }) => /^(.*\/)DICOMDIR$/i.exec(name)?.[1]).filter(Boolean);
    return [...new Set(starts)];
}

/**
 * What a file is: { kind, uid }. Kinds: object, zip, paper, directory, viewer, other; gone, over: no file to send. `uid` is an
 * object's SOP Instance UID, where its File Meta says it. Papers and archives on one of `discs` belong to its viewer: nobody who
 * sends a disc means them.
 */
export async function told(item, discs = []) {
    const { kind, uid } = await toldAlone(item);
    const isOfViewer = (kind === 'paper' || kind === 'zip') && discs.some((start) => item.name.startsWith(start));
    return isOfViewer ? { kind: 'viewer' } : { kind, uid };
}

async function toldAlone({ file, name, kind }) {
    if (kind) return { kind };
    let head;
    try {
        head = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
    } catch {
        return { kind: 'gone' };
    }
    const starts = (...bytes) => bytes.every((byte, at) => head[at] === byte);
    if (/(^|\/)DICOMDIR$/i.test(name)) return { kind: 'directory' };
    if (text(head, 128, 132) === 'DICM') {
        const meta = readMeta(head);
        const isDirectory = meta.class === '1.2.840.10008.1.3.10';
        return { kind: isDirectory ? 'directory' : 'object', uid: meta.instance };
    }
    if (starts(0x50, 0x4b, 3, 4) || starts(0x50, 0x4b, 5, 6)) return { kind: 'zip' };
    if (starts(0x25, 0x50, 0x44, 0x46, 0x2d)) return { kind: 'paper' };
    if (starts(0xff, 0xd8, 0xff) || starts(0x89, 0x50, 0x4e, 0x47)) return { kind: 'paper' };
    // Without a preamble: File Meta, or the data set begins at once.
    const isMeta = starts(2, 0, 0, 0, 0x55, 0x4c, 4, 0);
    const isDataset = starts(8, 0) && head[2] <= 0x18 && head[3] === 0;
    return { kind: isMeta || isDataset ? 'object' : 'other' };
}

function text(bytes, from, to) {
    return String.fromCharCode(...bytes.subarray(from, to));
}

/** Media Storage SOP Class and Instance UID of a File Meta in Explicit VR Little Endian (PS3.10 §7.1). */
function readMeta(head) {
    const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
    const found = {};
    let at = 132;
    while (at + 12 <= head.length && view.getUint16(at, true) === 2) {
        const element = view.getUint16(at + 2, true);
        const isLong = ['OB', 'OW', 'UN', 'SQ', 'UT'].includes(text(head, at + 4, at + 6));
        const length = isLong ? view.getUint32(at + 8, true) : view.getUint16(at + 6, true);
        const start = at + (isLong ? 12 : 8);
        if (start + length > head.length) break;
        const value = () => text(head, start, start + length).replace(/[\0 ]+$/, '');
        if (element === 2) found.class = value();
        if (element === 3) found.instance = value();
        at = start + length;
    }
    return found;
}
