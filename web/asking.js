// A form that filters a list of its page: while somebody types, the same page is asked for with the new question, and its
// list takes the place of the old one, in the address too. One question is on its way at a time, the newest. Without this
// module the form asks when it is sent.
import { say } from './texts.js';

/** The first key asks at once, later ones when nobody has typed for so long. Milliseconds. */
const PAUSE_MS = 60;
/** The same for a word that has just begun: it would find half the archive, and each answer stands in the trail. */
const BEGUN_MS = 350;
const BEGUN_CHARS = 3;

/** The text of what a filter leaves, for those who do not see it: `[data-told]` of the list says it. */
const toldOf = (list) => list.querySelector('[data-told]')?.dataset.told ?? list.textContent.trim().replace(/\s+/g, ' ');

export class Asking {
    /**
     * `form` filters `#list`. `exchanged(old, fresh)` is told before the children of `fresh` come into the page, and gives
     * what is to be said of an answer that nobody has asked for by typing.
     */
    constructor(form, exchanged = () => '') {
        this.form = form;
        this.exchanged = exchanged;
        this.list = document.querySelector('#list');
        this.address = location.pathname + location.search;
        /** The entity tag and the text of what is shown. */
        this.tag = null;
        this.shown = this.list.innerHTML;
        this.running = null;
        /** Until a question that was typed is asked. */
        this.timer = null;
        this.typedAt = -Infinity;
        this.spoken = document.createElement('p');
        this.spoken.className = 'spoken';
        this.spoken.setAttribute('role', 'status');
        form.after(this.spoken);
        form.addEventListener('input', (event) => { if (!event.isComposing) this.soon(); });
        form.addEventListener('compositionend', () => this.soon());
        form.addEventListener('submit', (event) => { event.preventDefault(); this.ask(this.asked()); });
    }

    soon() {
        const now = performance.now();
        const typed = [...this.form.elements].filter((field) => field.name && field.type !== 'hidden').map((field) => field.value);
        const isBegun = typed.some((value) => value.length > 0 && value.length < BEGUN_CHARS);
        const isFirst = !isBegun && !this.running && now - this.typedAt > PAUSE_MS;
        this.typedAt = now;
        clearTimeout(this.timer);
        if (isFirst) {
            this.ask(this.asked());
            return;
        }
        this.timer = setTimeout(() => this.ask(this.asked()), isBegun ? BEGUN_MS : PAUSE_MS);
    }

    /** The address of the page that the form asks for. */
    asked() {
        const said = [...new FormData(this.form)].filter(([, value]) => typeof value === 'string' && value.trim() !== '');
        const query = new URLSearchParams(said).toString();
        return location.pathname + (query && `?${query}`);
    }

    /** Asks again for what is shown, unless another question is on its way or about to be asked. */
    async again() {
        if (!this.running && this.timer === null) await this.ask(this.address, true);
    }

    async ask(address, isAgain = false) {
        clearTimeout(this.timer);
        this.timer = null;
        this.running?.abort();
        const running = new AbortController();
        this.running = running;
        try {
            const headers = { Accept: 'text/html' };
            if (isAgain && this.tag) headers['If-None-Match'] = this.tag;
            const answer = await fetch(address, { headers, signal: running.signal, cache: 'no-store' });
            if (answer.status === 304) return;
            const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
            const fresh = page.querySelector('#list');
            if (running.signal.aborted) return;
            if (!fresh) {
                // Signed out meanwhile, say: the page itself tells. What fails while nobody has asked is asked again later.
                if (answer.redirected || !isAgain) location.assign(address);
                return;
            }
            this.show(address, fresh, answer.headers.get('ETag'), isAgain);
        } catch (error) {
            if (error.name !== 'AbortError' && !isAgain) this.tell(say('No answer. Try again.'));
        } finally {
            if (this.running === running) this.running = null;
        }
    }

    show(address, fresh, tag, isAgain) {
        const text = fresh.innerHTML;
        this.tag = tag;
        if (address !== this.address) {
            this.address = address;
            history.replaceState(history.state, '', address);
        }
        const clear = this.form.querySelector('.clear');
        if (clear) clear.hidden = this.asked() === clear.pathname + clear.search;
        const isSame = text === this.shown;
        this.shown = text;
        const news = isSame ? '' : this.exchange(fresh);
        this.tell(isAgain ? news : toldOf(this.list));
    }

    /** Puts a new list in the place of the old one; the focus stays on what it was on, when that is still there. */
    exchange(fresh) {
        const focused = this.list.contains(document.activeElement) ? document.activeElement : null;
        const news = this.exchanged(this.list, fresh);
        this.list.replaceChildren(...fresh.childNodes);
        if (focused && document.activeElement !== focused) {
            const key = focused.getAttribute('href') ?? focused.dataset.key;
            const is = (one) => one === focused || (one.getAttribute('href') ?? one.dataset.key) === key;
            [...this.list.querySelectorAll('a[href], button, summary')].find(is)?.focus({ preventScroll: true });
        }
        return news;
    }

    tell(text) {
        if (text) this.spoken.textContent = text;
    }
}
