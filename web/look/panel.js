// The bar of buttons, the keys, and the page of help: one table for all three.

import { say } from '../texts.js';

const TOOLS = [
    ['window', 'Window', 'Drag: across for the width, down for the center'],
    ['scroll', 'Scroll', 'Drag up and down through the images'],
    ['pan', 'Pan', 'Drag to move the picture'],
    ['zoom', 'Zoom', 'Drag up to enlarge'],
];
/** Presets that have a key: 1 to 9. */
const PRESETS_MAX = 9;
const PAGE = 10;

function made(name, parent, properties = {}) {
    const element = document.createElement(name);
    Object.assign(element, properties);
    parent.append(element);
    return element;
}

/** What can be done: key or keys, label of its button (none: only a key), words of help, the deed. */
function deeds(look) {
    const pane = () => look.active;
    return [
        [['ArrowUp', 'ArrowLeft'], '', 'Image before', () => pane().scrollBy(-1)],
        [['ArrowDown', 'ArrowRight'], '', 'Image after', () => pane().scrollBy(1)],
        [['PageUp'], '', 'Ten images back', () => pane().scrollBy(-PAGE)],
        [['PageDown'], '', 'Ten images on', () => pane().scrollBy(PAGE)],
        [['Home'], '', 'First image', () => pane().scrollTo(0)],
        [['End'], '', 'Last image', () => pane().scrollTo(Infinity)],
        [['f'], 'Fit', 'The whole picture', () => pane().fit()],
        [['0'], '1:1', 'A pixel of the screen for each of the picture', () => pane().actual()],
        [['+', '='], '', 'Larger', () => pane().zoomBy(1.25)],
        [['-'], '', 'Smaller', () => pane().zoomBy(0.8)],
        [['i'], 'Invert', 'Black for white', () => pane().invert()],
        [['t'], 'Turn', 'A quarter to the right', () => pane().rotate()],
        [['h'], 'Flip ↔', 'Left for right', () => pane().flip(false)],
        [['v'], 'Flip ↕', 'Top for bottom', () => pane().flip(true)],
        [['r'], 'Reset', 'Window, size and turn as at first', () => pane().reset()],
        [[' '], 'Play', 'Cine: start and stop', () => look.cine.toggle(pane())],
        [['l'], look.link ? 'Link' : undefined, 'Scroll both studies together', () => look.toggleLink()],
        [['k'], look.marks ? 'Key image' : undefined, 'Mark or unmark as key image', () => look.mark()],
        [['o'], 'Text', 'Show or hide what stands on the picture', () => document.body.classList.toggle('bare')],
        [['?'], 'Help', 'This help', () => look.panel.help.showModal()],
    ].filter(([, label]) => label !== undefined);
}

const KEY_NAMES = {
    ' ': 'Space', ArrowUp: '↑', ArrowDown: '↓', ArrowLeft: '←', ArrowRight: '→', PageUp: 'Page up', PageDown: 'Page down', Home: 'Home', End: 'End',
};

/** A key as people call it. */
const named = (key) => (key in KEY_NAMES ? say(KEY_NAMES[key]) : key);

export class Panel {
    constructor(host, look) {
        this.look = look;
        this.host = host;
        this.tool = 'window';
        this.isChosen = false;
        this.deeds = deeds(look);
        this.hasKeys = true;
    }

    /** Builds the bar. */
    build() {
        const { host } = this;
        host.setAttribute('role', 'group');
        host.setAttribute('aria-label', say('Tools'));
        this.tools = TOOLS.map(([tool, label, title]) => {
            const button = made('button', host, { type: 'button', textContent: say(label), title: say(title) });
            button.addEventListener('click', () => {
                this.isChosen = true;
                this.choose(tool);
            });
            return [tool, button];
        });
        this.choose(this.tool);
        const label = made('label', host, { textContent: `${say('Window preset')} ` });
        this.presets = made('select', label);
        this.presets.addEventListener('change', () => this.preset(this.presets.selectedIndex));
        this.buttons = new Map();
        for (const [[key], name, title, deed] of this.deeds) {
            if (!name) continue;
            const button = made('button', host, { type: 'button', textContent: say(name), title: `${say(title)} (${named(key)})` });
            button.setAttribute('aria-label', `${say(name)}: ${say(title)}`);
            button.addEventListener('click', deed);
            this.buttons.set(key, button);
        }
        const rate = made('label', host, { textContent: `${say('per second')} ` });
        this.rate = made('input', rate, { type: 'number', min: 1, max: 60, placeholder: say('auto') });
        this.rate.addEventListener('change', () => this.look.cine.setRate(Number(this.rate.value)));
        this.status = made('output', host);
        this.help = this.buildHelp();
        document.addEventListener('keydown', (event) => this.key(event));
    }

    buildHelp() {
        const dialog = made('dialog', document.body);
        dialog.setAttribute('aria-labelledby', 'help-title');
        const close = made('button', dialog, { type: 'button', textContent: say('Close') });
        close.addEventListener('click', () => dialog.close());
        made('h2', dialog, { id: 'help-title', textContent: say('Quick look') });
        const lines = [
            [say('Wheel, two fingers on a touchpad'), say('Scroll')],
            [say('Drag'), say('The chosen tool: window, scroll, pan or zoom')],
            [say('Drag with the right button'), say('Zoom')], [say('Drag with the middle button'), say('Pan')],
            [say('Ctrl and wheel'), say('Zoom')], [say('Two fingers on a screen'), say('Move and enlarge')],
            [say('Double click'), say('Fit')], ['1 – 9', say('Window presets')],
            ...this.deeds.map(([keys, , title]) => [keys.map(named).join(' '), say(title)]),
        ];
        const body = made('tbody', made('table', dialog));
        for (const [how, what] of lines) {
            const row = made('tr', body);
            made('th', row, { scope: 'row', textContent: how });
            made('td', row, { textContent: what });
        }
        const label = made('label', dialog, { textContent: ` ${say('Single keys do these things')}` });
        const box = made('input', label, { type: 'checkbox', checked: true });
        label.prepend(box);
        box.addEventListener('change', () => (this.hasKeys = box.checked));
        return dialog;
    }

    choose(tool) {
        this.tool = tool;
        for (const [name, button] of this.tools) button.setAttribute('aria-pressed', String(name === tool));
    }

    /** The tool for a stack, when nobody has chosen one: one picture is toned, on a screen for fingers others are scrolled. */
    suit(images) {
        const isScrolled = images.length > 1 && matchMedia('(pointer: coarse)').matches;
        if (!this.isChosen) this.choose(isScrolled ? 'scroll' : 'window');
    }

    /** The preset at a place of the list; the first is what each image says itself. */
    preset(place) {
        const pane = this.look.active;
        if (place === 0) pane.setTone(undefined);
        else if (pane.presets[place - 1]) pane.setTone(pane.presets[place - 1]);
    }

    key(event) {
        if (event.ctrlKey || event.altKey || event.metaKey || this.help.open || !this.hasKeys) return;
        const { target, key } = event;
        if (target.closest('select, input:not([type=range]), textarea')) return;
        if ((key === ' ' || key === 'Enter') && target.closest('button, a, summary')) return;
        const deed = this.deeds.find(([keys]) => keys.includes(key.length === 1 ? key.toLowerCase() : key))?.[3];
        if (deed) {
            event.preventDefault();
            deed();
        } else if (/^[1-9]$/.test(key)) {
            this.preset(Number(key) - 1);
        }
    }

    /** What the bar says of the pane that it acts on. */
    show(pane) {
        const { link, cine, marks } = this.look;
        const names = [say('As the image says'), ...pane.presets.map(({ name }) => name)];
        const labels = names.map((name, place) => (place < PRESETS_MAX ? `${place + 1} ${name}` : name));
        const before = [...this.presets.options].map(({ textContent }) => textContent);
        if (labels.join('\n') !== before.join('\n')) {
            this.presets.replaceChildren(...labels.map((textContent) => Object.assign(document.createElement('option'), { textContent })));
        }
        const chosen = pane.chosen?.tone;
        const at = chosen ? names.indexOf(chosen.name, 1) : 0;
        this.presets.selectedIndex = at;
        const press = (key, isOn) => this.buttons.get(key)?.setAttribute('aria-pressed', String(isOn));
        press('i', pane.isInverted);
        press(' ', cine.isPlaying);
        this.buttons.get(' ').disabled = pane.images.length < 2;
        if (link) press('l', link.isOn);
        if (marks) press('k', Boolean(pane.shown && marks.has(pane.shown.image)));
        this.showLink();
    }

    /** How the panes are linked, unless something else is being said. */
    showLink() {
        const words = this.look.link?.words ?? '';
        if (!this.told && this.status.textContent !== words) this.status.textContent = words;
    }

    /** Says something for a while. */
    say(words) {
        clearTimeout(this.told);
        this.status.textContent = words;
        this.told = setTimeout(() => {
            this.told = undefined;
            this.showLink();
        }, 6000);
    }
}
