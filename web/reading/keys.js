// Keys for the whole job of a reader. Single keys do something only where no text is typed and no other key is held, and can be
// switched off (WCAG 2.2, 2.1.4); what ends a step needs Control or Command; Alt with an arrow goes to the next group of
// fields from inside a text too. Screen readers keep single keys for themselves while they read, and hand on the rest.
import { say } from '../texts.js';
import { list, sure } from './asking.js';

const OFF = 'overread-single-keys';
const FINAL = {
    commit: [say('Commit what you see?'), [
        say('This is final: what you committed cannot be changed. Corrections are versions of their own.'),
        say('Whatever you were not to know before, as the first report, opens then.')], say('Commit')],
    sign: [say('Sign your opinion?'), [
        say('This is final: the signed opinion goes to whoever asked, and into the record of the patient.'),
        say('It cannot be changed or taken back. Corrections are versions of their own, and both are kept.')], say('Sign')],
};

/** Where keys make text, or choose in a list. */
const isText = (node) => node instanceof HTMLElement
    && (node.isContentEditable || node.matches('textarea, select, input:not([type=radio]):not([type=checkbox]):not([type=button])'));

export class Keys {
    /** `save` saves at once, `look` is the link to the quick look. */
    constructor(form, { save, look }) {
        Object.assign(this, { form, save, look });
        this.act = form.dataset.act;
        document.addEventListener('keydown', (event) => this.pressed(event));
    }

    /** The keys there are: those of the step first. */
    get keys() {
        const isCommit = this.act === 'commit';
        const grades = isCommit ? ['1', '2', '3'] : ['1', '2', '3', '4'];
        const graded = isCommit ? say('How sure you are: low, moderate, high') : say('With the first report: agree, minor, major, cannot judge');
        const ends = isCommit ? say('Commit, after a question. On a Mac: Cmd + Enter') : say('Sign, after a question. On a Mac: Cmd + Enter');
        return [
            [['Ctrl + Enter'], ends],
            [['Alt + ↓', 'Alt + ↑'], say('Next or previous group of fields, from inside a text too')],
            [['n', 'p'], say('The same, where no text is being typed')],
            [grades, graded],
            [['s'], say('Save the draft now')],
            ...(this.look ? [[['q'], say('Open the quick look beside this page')]] : []),
            [['?'], say('These keys')],
        ];
    }

    get isOn() {
        try {
            return localStorage.getItem(OFF) !== 'off';
        } catch {
            return true;
        }
    }

    turn(isOn) {
        try {
            localStorage.setItem(OFF, isOn ? 'on' : 'off');
        } catch {
            // It holds until the page is left.
        }
        Object.defineProperty(this, 'isOn', { value: isOn, configurable: true });
    }

    show() {
        list(this.keys, { isOn: () => this.isOn, turn: (isOn) => this.turn(isOn) });
    }

    pressed(event) {
        if (event.defaultPrevented || event.isComposing || document.querySelector('dialog[open]')) return;
        const does = this.wanted(event);
        if (!does) return;
        event.preventDefault();
        does();
    }

    wanted({ key: name, ctrlKey, metaKey, altKey, shiftKey, repeat, target }) {
        const key = name.length === 1 ? name.toLowerCase() : name;
        if (key === 'Enter' && (ctrlKey || metaKey) && !altKey && !shiftKey) return repeat ? undefined : () => this.end();
        if (altKey && !ctrlKey && !metaKey && !shiftKey) {
            if (key === 'ArrowDown') return () => this.move(1);
            if (key === 'ArrowUp') return () => this.move(-1);
        }
        if (ctrlKey || metaKey || altKey || isText(target) || !this.isOn) return undefined;
        if (key === 'n') return () => this.move(1);
        if (key === 'p') return () => this.move(-1);
        if (/^[1-4]$/.test(key)) return this.grade(Number(key));
        if (repeat) return undefined;
        if (key === 's') return () => this.save();
        if (key === 'q' && this.look) return () => open(this.look.href, `look-${this.form.dataset.case}`);
        if (key === '?') return () => this.show();
        return undefined;
    }

    /** The groups of fields, each with where the focus goes. */
    groups() {
        const found = this.form.querySelectorAll('textarea, fieldset, .acts');
        const first = (group) => {
            if (group.matches('textarea')) return group;
            return group.querySelector('input:checked') ?? group.querySelector('input:not([type=hidden]), button');
        };
        return [...found].map(first).filter(Boolean);
    }

    move(step) {
        const groups = this.groups();
        const holder = (node) => node.closest('fieldset, .acts') ?? node;
        const now = document.activeElement;
        let at = this.form.contains(now) ? groups.findIndex((group) => holder(group) === holder(now)) : -1;
        at = at < 0 ? (step > 0 ? 0 : groups.length - 1) : Math.min(Math.max(at + step, 0), groups.length - 1);
        groups[at].focus();
        groups[at].scrollIntoView({ block: 'nearest' });
    }

    grade(number) {
        const name = this.act === 'commit' ? 'confidence' : 'agreement';
        const field = this.form.querySelectorAll(`input[name=${name}]`)[number - 1];
        if (!field) return undefined;
        return () => {
            field.focus();
            if (field.checked) return;
            field.checked = true;
            field.dispatchEvent(new Event('change', { bubbles: true }));
        };
    }

    async end() {
        if (!this.form.reportValidity()) return;
        const button = this.form.querySelector('.acts button:not([formaction])');
        const now = performance.now();
        if (!(await sure(...FINAL[this.act]))) return;
        this.askedAt = now;
        this.form.requestSubmit(button);
        this.askedAt = undefined;
    }
}
