// What a page says, in its language: the catalogue is the one that the server speaks by (src/web/language.rs).

const { lang, dataset } = document.documentElement;
const catalogue = dataset.texts ? await fetch(dataset.texts).then((answer) => answer.json()).catch(() => ({})) : {};

/** A text, with values in the place of `{name}`. */
export function say(english, values = {}) {
    const text = catalogue[english] ?? english;
    return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** A sentence of the server: whole, or what stands before its colon. */
export function sentence(english) {
    if (catalogue[english]) return catalogue[english];
    const [head, ...rest] = english.split(': ');
    return catalogue[head] ? [catalogue[head], ...rest].join(': ') : english;
}

/** A number as people write it. */
export const written = (number, options) => number.toLocaleString(lang, options);
