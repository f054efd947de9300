// Values of a data set in the DICOM JSON Model (PS3.18 §F). What is not there, or is not what it should be, is undefined.

/** A value of an attribute. */
export function value(item, tag, place = 0) {
    return item?.[tag]?.Value?.[place] ?? undefined;
}

/** The same as text. */
export function text(item, tag, place = 0) {
    const found = value(item, tag, place);
    if (found === undefined || typeof found === 'object') return '';
    return String(found);
}

/** The same as a number. */
export function number(item, tag, place = 0) {
    const found = value(item, tag, place);
    const number = found === undefined || found === '' ? NaN : Number(found);
    return Number.isFinite(number) ? number : undefined;
}

/** All values as numbers, when there are `count` of them and every one is a number. */
export function numbers(item, tag, count) {
    const list = item?.[tag]?.Value;
    if (!Array.isArray(list) || list.length !== count) return undefined;
    const numbers = list.map((one) => (one === null ? NaN : Number(one)));
    return numbers.every(Number.isFinite) ? numbers : undefined;
}

/** The items of a sequence. */
export function items(item, tag) {
    const list = item?.[tag]?.Value;
    return Array.isArray(list) ? list.filter((one) => one && typeof one === 'object') : [];
}

/** A person's name as people write it. */
export function person(item, tag) {
    const name = value(item, tag);
    const group = name?.Alphabetic || name?.Ideographic || name?.Phonetic || '';
    const [family = '', given = '', middle = '', prefix = '', suffix = ''] = String(group).split('^');
    const first = [prefix, given, middle].filter(Boolean).join(' ');
    return [family, first, suffix].filter(Boolean).join(', ');
}

/** A date as people write it. */
export function date(item, tag) {
    const found = text(item, tag);
    return /^\d{8}$/.test(found) ? `${found.slice(0, 4)}-${found.slice(4, 6)}-${found.slice(6)}` : found;
}

/** Words of 16 bits: as values, inline in base 64, or behind a link, which `fetchBytes` follows. */
export async function words(item, tag, fetchBytes) {
    const attribute = item?.[tag];
    if (!attribute) return undefined;
    if (Array.isArray(attribute.Value)) return Uint16Array.from(attribute.Value, (one) => Number(one) & 0xffff);
    let bytes;
    if (typeof attribute.InlineBinary === 'string') {
        bytes = Uint8Array.from(atob(attribute.InlineBinary), (one) => one.charCodeAt(0));
    } else if (typeof attribute.BulkDataURI === 'string') {
        bytes = new Uint8Array(await fetchBytes(attribute.BulkDataURI));
    } else {
        return undefined;
    }
    return new Uint16Array(bytes.buffer, 0, bytes.length >> 1);
}
