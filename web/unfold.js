// Studies that unfold in their list: series with a small picture each, and their images, asked of DICOMweb when they are
// first opened. Without this module the name of the patient leads to the same on a page of its own.
import { say } from './texts.js';

/** So many series and images are listed; the page of the study has all. */
const LISTED_MAX = 50;

/** Modalities of objects that have no picture: none is asked for. */
const WITHOUT_PICTURE = new Set(['SR', 'KO', 'PR', 'DOC', 'PLAN', 'REG', 'FID', 'RWV', 'AU', 'HC', 'ASMT', 'TEXTUREMAP', 'RTRECORD']);

/** An element with its children; texts are texts, whatever they hold. */
function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
}

/** The first value of an attribute in DICOM JSON (PS3.18 Annex F), as text. */
const value = (row, tag) => String(row[tag]?.Value?.[0] ?? '');
const imagesOf = (count) => say(Number(count) === 1 ? '{count} image' : '{count} images', { count });

/** Rows of a search (QIDO-RS); `null` when there is no answer. */
async function found(path) {
    const answer = await fetch(`dicom-web/${path}`, { headers: { Accept: 'application/dicom+json' } }).catch(() => null);
    if (answer?.status === 204) return [];
    return answer?.ok ? answer.json().catch(() => null) : null;
}

/** Fills an element with a list of what is found, or says why not. */
async function fill(place, path, item, more) {
    place.replaceChildren(element('p', { class: 'also' }, say('Looking…')));
    const rows = await found(`${path}?limit=${LISTED_MAX + 1}`);
    if (!rows) {
        const again = element('button', { type: 'button', class: 'plain' }, say('Try again'));
        again.addEventListener('click', () => fill(place, path, item, more));
        place.replaceChildren(element('p', { class: 'also' }, say('No answer.')), again);
        return;
    }
    const items = rows.slice(0, LISTED_MAX).map(item);
    const rest = rows.length > LISTED_MAX ? [element('p', {}, element('a', { href: more }, say('All of them')))] : [];
    const nothing = [element('p', { class: 'also' }, say('Nothing is here any more.'))];
    place.replaceChildren(...(items.length > 0 ? [element('ul', { class: 'unfolded' }, ...items), ...rest] : nothing));
}

function image(study, series, row) {
    const sop = value(row, '00080018');
    const number = value(row, '00200013');
    const place = `studies/${study}/series/${series}/instances/${sop}`;
    const look = `studies/${study}/look?series=${series}&instance=${sop}`;
    const name = number ? say('image {number}', { number }) : say('image');
    return element('li', {}, element('a', { href: look }, name), ' · ',
        element('a', { href: `${place}/tags`, 'aria-label': say('tags of {image}', { image: name }) }, say('tags')));
}

function seriesItem(study, row) {
    const series = value(row, '0020000E');
    const [modality, description, number] = ['00080060', '0008103E', '00200011'].map((tag) => value(row, tag));
    const count = value(row, '00201209');
    const picture = WITHOUT_PICTURE.has(modality)
        ? element('span', { class: 'no-picture' })
        : element('img', { src: `dicom-web/studies/${study}/series/${series}/thumbnail`, alt: '', width: 64, height: 64, loading: 'lazy' });
    picture.addEventListener('error', () => picture.replaceWith(element('span', { class: 'no-picture' })));
    const facts = [number && say('series {number}', { number }), count && imagesOf(count)].filter(Boolean).join(' · ');
    const place = element('div');
    const title = [modality, description].filter(Boolean).join(' · ') || say('a series');
    const details = element('details', {}, element('summary', { 'aria-label': say('Images of {series}', { series: title }) }, say('Images')), place);
    details.addEventListener('toggle', () => {
        if (!details.open || place.childElementCount > 0) return;
        fill(place, `studies/${study}/series/${series}/instances`, (one) => image(study, series, one), `studies/${study}?series=${series}`);
    });
    const link = element('a', { href: `studies/${study}?series=${series}` }, title);
    return element('li', { class: 'one-series' }, picture, element('div', {}, link, ' ', element('span', { class: 'also' }, facts), details));
}

export class Unfolding {
    constructor() {
        /** The open rows, by study. */
        this.open = new Map();
    }

    /** Gives each study of `fresh` its button; what is open in `old` stays open when its study is still there. */
    prepare(old, fresh) {
        for (const row of fresh.querySelectorAll('tr[data-study]')) {
            const study = row.dataset.study;
            const button = element('button', { type: 'button', class: 'unfold', 'data-key': `unfold ${study}` });
            const name = row.querySelector('.patient a').textContent;
            button.setAttribute('aria-label', say('Series of {name}', { name }));
            const kept = this.open.get(study);
            button.setAttribute('aria-expanded', String(Boolean(kept)));
            if (kept) row.after(kept);
            button.addEventListener('click', () => this.turn(row, button));
            row.querySelector('.patient').prepend(button);
        }
        const there = new Set([...fresh.querySelectorAll('tr[data-study]')].map((row) => row.dataset.study));
        for (const study of this.open.keys()) if (!there.has(study)) this.open.delete(study);
    }

    turn(row, button) {
        const study = row.dataset.study;
        const kept = this.open.get(study);
        button.setAttribute('aria-expanded', String(!kept));
        if (kept) {
            this.open.delete(study);
            kept.remove();
            return;
        }
        const place = element('td', { colspan: row.cells.length });
        const shown = element('tr', { class: 'unfolded-row' }, place);
        this.open.set(study, shown);
        row.after(shown);
        fill(place, `studies/${study}/series`, (one) => seriesItem(study, one), `studies/${study}`);
    }
}
