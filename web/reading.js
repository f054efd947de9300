// The module of a case for its reader: what is typed into the form of the opinion is saved as a draft a moment later and before
// the page is left, and keys do the whole job (keys.js). While nothing can be saved, because the connection or the session is
// gone, the page says so, keeps what was typed, and tries again. Without it the form does the same when it is sent.
import { Draft, NotSaved } from './reading/draft.js';
import { Form, element } from './reading/form.js';
import { Keys } from './reading/keys.js';
import { say } from './texts.js';

/** So long after the last key, and after the first at the latest, it is saved. */
const PAUSE_MS = 1200;
const LATEST_MS = 8000;
/** How long is waited before the next try. */
const WAITS_MS = [1000, 2000, 4000, 8000, 15_000, 30_000];

const host = document.querySelector('#reading');
const { api, case: number, reader } = host.dataset;
const isUnsaved = 'unsaved' in host.dataset;
const form = new Form(host);
const made = form.made();
const draft = new Draft({
    api, number, reader, form, names: form.names, hasImages: Boolean(form.images),
    // After a form was refused the page does not show what is saved: which of the two is meant, its writer says.
    base: isUnsaved ? { texts: {}, images: made.images } : made,
});
form.decide = (name, isMine) => {
    draft.decide(name, isMine);
    soon(0);
};

const state = element('p', { class: 'also saved', role: 'status' }, ...(host.querySelector('.saved')?.childNodes ?? []));
host.querySelector('.saved')?.remove();
const help = element('button', { type: 'button', class: 'plain' }, say('Keyboard shortcuts'));
host.querySelector('.acts').append(help);
host.append(state);
const hint = form.images?.querySelector(':scope > span');
if (hint) hint.textContent = say('Mark them where the images are, in another tab too: they come in here by themselves.');

let timer;
let since = 0;
let failures = 0;
let running = Promise.resolve();
let isGoing = false;

function tell(words, isTrouble = false) {
    state.classList.toggle('trouble', isTrouble);
    state.dataset.state = isTrouble ? 'trouble' : 'saved';
    if (state.textContent !== words) state.textContent = words;
}

/** What stands beside the form when it is saved. */
const savedNow = () => say('saved {time}', { time: clock() });

const clock = () => new Date().toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

/** Saves now, after whatever is being saved; gives whether all that stands in the form is. */
function save() {
    clearTimeout(timer);
    since = 0;
    running = running.then(saved, saved);
    return running;
}

async function saved() {
    try {
        draft.hasBrought = false;
        const isNew = await draft.save();
        failures = 0;
        if (draft.clashes.size > 0) {
            tell(say('not saved: written on another page too. Both texts stay until you have said which is meant.'), true);
            return false;
        }
        if (draft.hasBrought) tell(say('saved {time}, with what was changed on another page', { time: clock() }));
        else if (isNew || state.dataset.state === 'trouble') tell(savedNow());
        return true;
    } catch (error) {
        // A proxy that asks for a sign-in of its own answers with a page, say.
        const why = error instanceof NotSaved ? error : new NotSaved(say('no answer of this server came back. It is tried again.'), true);
        tell(say('not saved: {why}', { why: why.message }), true);
        if (why.isForLater) {
            timer = setTimeout(save, WAITS_MS[Math.min(failures, WAITS_MS.length - 1)]);
            failures += 1;
        }
        return false;
    }
}

/** Saves in a moment. */
function soon(pause = PAUSE_MS) {
    since ||= Date.now();
    clearTimeout(timer);
    timer = setTimeout(save, Math.max(0, Math.min(pause, since + LATEST_MS - Date.now())));
}

/** Saves what is not saved, then goes on; what cannot be saved, the browser asks about. */
async function first(goOn) {
    if (draft.isBehind()) await save();
    goOn();
}

host.addEventListener('input', () => soon());
host.addEventListener('change', () => soon(200));
help.addEventListener('click', () => keys.show());

// What a form sends is what is saved: then the server finds nothing that it has to ask about.
document.addEventListener('submit', async (event) => {
    if (event.target.method === 'dialog' || isGoing) return;
    const { target, submitter } = event;
    // What comes into the form after somebody has asked to send it, nobody has looked at.
    const askedAt = keys.askedAt ?? performance.now();
    const isDraft = submitter?.getAttribute('formaction')?.endsWith('/draft');
    const isOurs = target === host;
    if (!isDraft && !isOurs && !draft.isBehind()) return;
    event.preventDefault();
    const isSaved = await save();
    if (isDraft) {
        if (isSaved) tell(savedNow());
        return;
    }
    if (isOurs && draft.broughtAt >= askedAt) {
        tell(say('Something was changed on another page, as key images that were marked there. It is in the form now, and nothing was sent: look at it, and send it again.'), true);
        state.scrollIntoView({ block: 'center' });
        return;
    }
    if (isOurs && !isSaved) {
        (host.querySelector('.clash button') ?? state).scrollIntoView({ block: 'center' });
        host.querySelector('.clash button')?.focus();
        return;
    }
    // Another form goes whatever could not be saved: the browser asks about that when the page is left.
    isGoing = true;
    try {
        target.requestSubmit(submitter);
    } finally {
        isGoing = false;
    }
});

// A link of this page: first what was typed, then the way.
document.addEventListener('click', (event) => {
    const link = event.target.closest?.('a[href]');
    const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!link || !isPlain || event.defaultPrevented || link.target || link.getAttribute('href').startsWith('#') || !draft.isBehind()) return;
    event.preventDefault();
    first(() => location.assign(link.href));
});

addEventListener('beforeunload', (event) => {
    if (draft.isBehind()) event.preventDefault();
});
addEventListener('pagehide', () => {
    if (draft.isBehind()) draft.leave();
});

/** Another page may have marked an image meanwhile, or somebody signed in again. */
function again() {
    if (document.visibilityState === 'hidden') {
        if (draft.isBehind() && !draft.leave()) save();
        return;
    }
    draft.tag = null;
    save();
}
document.addEventListener('visibilitychange', again);
addEventListener('focus', again);
addEventListener('online', () => save());

const keys = new Keys(host, { save: async () => (await save()) && tell(savedNow()), look: document.querySelector('a.quick') });
if (isUnsaved) save();
