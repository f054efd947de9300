// The module of /upload and of the inbox: what is chosen or dropped is sent by sending.js, and the page shows how far it is
// and, in an inbox, what has arrived. Without it the form does the same in one request.
import { chosen, discsOf, dropped, told } from './files.js';
import { Sending } from './sending.js';
import { say, sentence, written } from './texts.js';

/** Names of files that are listed; all are counted. */
const LISTED_MAX = 500;

const form = document.querySelector('#upload');
const panel = document.querySelector('#sending');
const { studies, uploads, arrived } = form.dataset;

/** An element with its children; texts are texts, whatever they hold. */
function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
}

const counted = (count, one, many) => say(count === 1 ? one : many, { count: written(count) });
const filesOf = (count) => counted(count, '{count} file', '{count} files');
const imagesOf = (count) => counted(count, '{count} image', '{count} images');
const short = (number) => written(number, { maximumFractionDigits: 1 });
const size = (bytes) => bytes < 1e6 ? `${short(bytes / 1e3)} kB` : `${short(bytes / 1e6)} MB`;

const bar = element('progress', { max: 1, value: 0, 'aria-label': say('All files') });
const line = element('p', {});
const trouble = element('p', { role: 'status', class: 'trouble' });
const current = element('ul', { class: 'series-list' });
const summary = element('summary', {});
const list = element('ul', { class: 'series-list' });
const details = element('details', {}, summary, list);
const again = element('button', { type: 'button', class: 'plain' }, say('Go on'));
const spoken = element('p', { role: 'status', 'aria-live': 'polite', class: 'also' });
panel.append(element('h2', {}, say('Sending')), bar, line, trouble, again, current, details, spoken);

const sending = new Sending({ studies, uploads, fields, changed: soon });
let isRunning = false;
let isDue = false;
/** Files whose first bytes are being looked at. */
let looking = 0;

/** Counts, as people write them. */
function writtenAll({ stored, here, refused, skipped }) {
    return Object.fromEntries(Object.entries({ stored, here, refused, skipped }).map(([name, count]) => [name, written(count)]));
}

/** What is said beside papers. */
function fields() {
    const said = ['study', 'family_name', 'given_name', 'birth_date', 'photographs'];
    return said.map((name) => [name, form.elements[name]?.value ?? '']).filter(([, value]) => value);
}

/** Draws once a frame, however much happens. */
function soon() {
    if (isDue) return;
    isDue = true;
    setTimeout(() => { isDue = false; draw(); }, 100);
}

function draw() {
    const { counts, jobs, named } = sending;
    const onTheWay = [...jobs].reduce((sum, job) => sum + job.sent, 0);
    const ended = counts.stored + counts.here + counts.refused + counts.skipped;
    const isBusy = isRunning || looking > 0;
    bar.value = counts.bytes > 0 ? Math.min(1, (counts.sent + onTheWay) / counts.bytes) : 1;
    line.textContent = say('{ended} of {files}, {sent} of {size}: {stored} arrived, {here} here already, {refused} not taken, {skipped} not needed.', {
        ended: written(ended),
        files: filesOf(counts.files),
        sent: size(counts.sent + onTheWay),
        size: size(counts.bytes),
        ...writtenAll(counts),
    });
    trouble.textContent = sentence(sending.stopped || (isBusy ? sending.trouble : ''));
    trouble.hidden = !trouble.textContent;
    again.hidden = isRunning || !sending.stopped;
    current.replaceChildren(...[...jobs].map((job) => {
        const what = job.items.length === 1 ? job.items[0].name : imagesOf(job.items.length);
        const share = element('progress', { max: 1, value: job.bytes ? job.sent / job.bytes : 0, 'aria-label': what });
        return element('li', {}, element('span', { class: 'uid' }, what), ' ', share);
    }));
    if (list.childElementCount > Math.min(named.length, LISTED_MAX)) list.replaceChildren();
    for (const { name, why } of named.slice(list.childElementCount, LISTED_MAX)) {
        list.append(element('li', {}, element('span', { class: 'uid' }, name), `: ${sentence(why)}`));
    }
    const whose = form.querySelector('.whose');
    if (whose && named.some(({ why }) => why.includes('whose it is'))) whose.open = true;
    summary.textContent = counted(named.length, '{count} file with a remark', '{count} files with a remark');
    details.hidden = named.length === 0;
    panel.hidden = counts.files === 0 && looking === 0;
    panel.dataset.state = isBusy ? 'busy' : sending.stopped ? 'stopped' : 'done';
}

/** Takes files, and sends them. */
async function take(items) {
    if (items.length === 0) return;
    looking += items.length;
    spoken.textContent = counted(items.length, '{count} file chosen.', '{count} files chosen.');
    draw();
    panel.scrollIntoView({ block: 'nearest' });
    const discs = discsOf(items);
    const running = [];
    for (const item of items) {
        const kind = await told(item, discs);
        looking -= 1;
        sending.add(item, kind);
        // It begins while the rest is looked at.
        if (!isRunning && !sending.stopped && sending.counts.bytes > 16e6) running.push(run());
    }
    await Promise.all(running);
    await run();
}

async function run() {
    if (isRunning) return;
    isRunning = true;
    do await sending.run(); while (sending.isBusy);
    isRunning = false;
    const done = say('Done: {stored} arrived, {here} here already, {refused} not taken.', writtenAll(sending.counts));
    spoken.textContent = sending.stopped ? sentence(sending.stopped) : done;
    soon();
    await look();
}

/** Shows what has arrived, as the page did when it was made. */
async function look() {
    if (!arrived) return;
    const answer = await fetch(arrived, { headers: { Accept: 'application/json' } }).catch(() => null);
    if (!answer?.ok) return;
    const found = await answer.json();
    const section = document.querySelector('#arrived');
    const parts = found.arrived.flatMap((study) => {
        const chip = study.looks_complete
            ? element('span', { class: 'chip good' }, say('looks complete'))
            : element('span', { class: 'chip warn' }, say('some images seem to be missing'));
        const series = study.series.map(({ modality, description, instances, images, missing }) => {
            const what = [modality, description].filter(Boolean).join(' · ');
            const shown = images > 0 ? `, ${imagesOf(images)}` : '';
            const chips = missing.flatMap(({ count, sentence: words }) => [' ', element('span', { class: 'chip warn' }, `${count} ${sentence(words)}`)]);
            return element('li', {}, `${what}: ${filesOf(instances)}${shown}`, ...chips);
        });
        const day = study.study_date.replace(/^(\d{4})(\d\d)(\d\d)$/, '$1-$2-$3') || say('without a date');
        const title = [day, study.modalities.join(' '), study.study_description].filter(Boolean).join(' · ');
        return [element('h3', {}, `${title} `, chip), element('ul', { class: 'series-list' }, ...series)];
    });
    const count = found.not_looked_at.length;
    if (count > 0) parts.push(element('p', {}, `${say('Studies that are not counted here, because there is too much to look at:')} ${count}.`));
    const nothing = element('p', {}, say('Nothing has arrived yet.'));
    section.replaceChildren(section.querySelector('h2'), ...(parts.length > 0 ? parts : [nothing]));
    const button = document.querySelector('#finish button');
    if (button) button.disabled = parts.length === 0;
}

for (const hidden of form.querySelectorAll('[hidden]')) hidden.hidden = false;
form.elements.folder.disabled = false;
form.elements.files.required = false;

form.addEventListener('submit', (event) => {
    event.preventDefault();
    const items = [...chosen(form.elements.files.files), ...chosen(form.elements.folder.files)];
    form.elements.files.value = '';
    form.elements.folder.value = '';
    take(items);
});
again.addEventListener('click', () => run());
// A file that misses the form must not open in the place of the page.
addEventListener('dragover', (event) => { event.preventDefault(); form.classList.add('over'); });
addEventListener('dragleave', () => form.classList.remove('over'));
addEventListener('drop', async (event) => {
    event.preventDefault();
    form.classList.remove('over');
    take(await dropped(event.dataTransfer));
});
addEventListener('beforeunload', (event) => {
    if (isRunning) event.preventDefault();
});
