// The module of /cases: while the page is seen, asks now and then whether the list is still as it is (ETag), takes the new one
// in its place, and says what has come or changed. Without it the list is as it was when it was loaded.
import { say } from './texts.js';
import { watch } from './watching.js';

const EVERY_MS = 15_000;

const host = document.querySelector('#worklist');
const news = document.querySelector('#news');
let tag = null;

/** The cases of a list, with the revision of each. */
const casesOf = (list) => new Map([...list.querySelectorAll('tr[data-case]')].map((row) => [row.dataset.case, row.dataset.revision]));

/** What differs between two lists, in words. */
function told(before, after) {
    const come = [...after.keys()].filter((number) => !before.has(number));
    const changed = [...after.keys()].filter((number) => before.has(number) && before.get(number) !== after.get(number));
    const gone = [...before.keys()].filter((number) => !after.has(number));
    const parts = [
        [come, say('New: case {numbers}.'), say('New: cases {numbers}.')],
        [changed, say('Changed: case {numbers}.'), say('Changed: cases {numbers}.')],
        [gone, say('No longer here: case {numbers}.'), say('No longer here: cases {numbers}.')],
    ];
    const some = parts.filter(([numbers]) => numbers.length > 0);
    return some.map(([numbers, one, many]) => (numbers.length === 1 ? one : many).replace('{numbers}', numbers.join(', '))).join(' ');
}

/** Puts a newer list in the place of this one; what had the focus has it again. */
function take(list) {
    const words = told(casesOf(host), casesOf(list));
    const focused = host.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null;
    host.replaceChildren(...list.childNodes);
    if (focused) [...host.querySelectorAll('a')].find((link) => link.getAttribute('href') === focused)?.focus({ preventScroll: true });
    if (words) news.textContent = words;
}

async function ask() {
    const headers = { Accept: 'text/html', ...(tag && { 'If-None-Match': tag }) };
    const answer = await fetch(location.href, { headers, cache: 'no-store', redirect: 'manual' });
    if (answer.type === 'opaqueredirect' || answer.status === 401) {
        news.textContent = say('You are signed out: this list is as it was. Sign in and load it again.');
        return;
    }
    if (answer.status !== 200) return;
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const list = page.querySelector('#worklist');
    if (!list) return;
    if (list.innerHTML !== host.innerHTML) take(list);
    tag = answer.headers.get('ETag');
}

watch(ask, EVERY_MS);
