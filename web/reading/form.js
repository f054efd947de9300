// The form of an opinion as a page shows it: what stands in it, what other pages have saved put into it, and the question that
// is asked where a text was written at two places. Texts stay texts, whatever they hold.
import { say } from '../texts.js';
import { plain } from './draft.js';

/** An element with its children. */
export function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
}

export class Form {
    constructor(form) {
        this.form = form;
        this.images = form.querySelector('.key-images');
        const texts = [...form.querySelectorAll('textarea, input[type=radio]')];
        this.names = [...new Set(texts.map((field) => field.name))];
        this.asked = new Map();
    }

    /** What the page was made with. */
    made() {
        const texts = {};
        for (const name of this.names) {
            const fields = this.fieldsOf(name);
            const text = fields[0].type === 'radio' ? (fields.find((field) => field.defaultChecked)?.value ?? '') : fields[0].defaultValue;
            texts[name] = plain(text);
        }
        return { texts, images: [...this.form.querySelectorAll('input[name=shown_image]')].map((field) => field.value) };
    }

    fieldsOf(name) {
        return [...this.form.querySelectorAll(`[name="${CSS.escape(name)}"]`)];
    }

    /** What stands in it now. */
    said() {
        const [texts, raw] = [{}, {}];
        for (const name of this.names) {
            const [first] = this.fieldsOf(name);
            raw[name] = first.type === 'radio' ? this.form.elements[name].value : first.value;
            texts[name] = plain(raw[name]);
        }
        return { texts, raw, images: this.boxes().filter((box) => box.checked).map((box) => box.value) };
    }

    boxes() {
        return this.images ? [...this.images.querySelectorAll('input[name=key_image]')] : [];
    }

    /** A text as people read it: of a choice the words beside it. */
    read(name, text) {
        const chosen = this.fieldsOf(name).find((field) => field.type === 'radio' && field.value === text);
        return chosen ? chosen.closest('label').textContent.trim() : text || say('nothing');
    }

    /** Puts a text that was saved elsewhere into its field. */
    take(name, text) {
        const fields = this.fieldsOf(name);
        if (fields[0].type === 'radio') for (const field of fields) field.checked = field.value === text;
        else fields[0].value = text;
    }

    /** Shows key images that are marked, those that came from other pages too; `kept` are those of the draft. */
    show(images, kept) {
        for (const box of this.boxes()) {
            box.checked = images.includes(box.value);
            if (!images.includes(box.value) && !kept.includes(box.value)) box.closest('label').remove();
        }
        const known = new Set(this.boxes().map((box) => box.value));
        const end = this.images.querySelector(':scope > span');
        for (const image of images.filter((one) => !known.has(one))) {
            const box = element('input', { type: 'checkbox', name: 'key_image', value: image });
            box.checked = true;
            const name = element('span', { class: 'uid' }, image.split('/').pop());
            this.images.insertBefore(element('label', { class: 'choice' }, box, ' ', name), end);
        }
        this.keeps(kept);
    }

    /** Tells the form which images it was made with, as the server asks when it is sent. */
    keeps(images) {
        if (!this.images) return;
        for (const field of this.form.querySelectorAll('input[name=shown_image]')) field.remove();
        for (const value of images) this.form.append(element('input', { type: 'hidden', name: 'shown_image', value }));
    }

    /** Asks which of two texts is meant; `decide(name, isMine)` hears it. */
    ask(clashes) {
        for (const [name, asked] of this.asked) {
            if (clashes.get(name) !== asked.text) {
                // Who has just pressed a button in it goes on in the field that it was about.
                const hadFocus = asked.panel.contains(document.activeElement);
                asked.panel.remove();
                this.asked.delete(name);
                if (hadFocus) this.fieldsOf(name)[0].focus();
            }
        }
        for (const [name, text] of clashes) {
            if (this.asked.has(name)) continue;
            const [first] = this.fieldsOf(name);
            const field = first.type === 'radio' ? first.closest('fieldset') : first.closest('label');
            const button = (words, isMine) => {
                const made = element('button', { type: 'button', class: 'plain' }, words);
                made.addEventListener('click', () => this.decide(name, isMine));
                return made;
            };
            const panel = element('div', { class: 'clash', role: 'group', 'aria-label': say('Written on another page too') },
                element('p', { class: 'trouble' }, say('Written on another page too, where it was saved as:')),
                element('p', { class: 'said' }, this.read(name, text)),
                element('div', { class: 'acts' }, button(say('Keep what I wrote here'), true), button(say('Take what is saved'), false)));
            field.after(panel);
            this.asked.set(name, { panel, text });
        }
    }
}
