// The quick look: puts the page of `src/web/look.rs` together with its parts. It asks DICOMweb, and the API of cases
// when an image is marked; the page itself says where these are.

import { Cine } from './look/cine.js';
import { Gestures } from './look/gestures.js';
import { imagesOf } from './look/images.js';
import { Link } from './look/link.js';
import { Loader, asked } from './look/loader.js';
import { Marks } from './look/marks.js';
import { Pane } from './look/pane.js';
import { Panel } from './look/panel.js';
import { say } from './texts.js';

const { dicomweb, api, study, prior, series, instance, case: number } = document.body.dataset;

/** The series of a study on the shelf. */
function entriesOf(uid) {
    const section = document.querySelector(`#shelf section[data-study="${CSS.escape(uid)}"]`);
    return section ? [...section.querySelectorAll('a.entry')] : [];
}

/** The series of a prior that is most like one: same description, then same modality. */
function mostLike(entry, entries) {
    const { modality, description } = entry?.dataset ?? {};
    const alike = (one) =>
        2 * (one.dataset.modality === modality) + (one.dataset.description.toLowerCase() === description?.toLowerCase());
    return [...entries].sort((a, b) => alike(b) - alike(a))[0];
}

class Look {
    constructor(host) {
        this.loader = new Loader(dicomweb, (image) => {
            for (const pane of this.panes) if (pane.image === image) pane.look();
        });
        const heard = {
            scrolled: (pane) => this.link?.follow(pane),
            drawn: (pane) => this.drawn(pane),
        };
        const bar = document.createElement('div');
        bar.id = 'bar';
        const stages = document.createElement('div');
        stages.id = 'panes';
        host.append(bar, stages);
        const names = prior ? [say('Current study'), say('Prior study')] : [say('Study')];
        this.panes = [];
        for (const name of names) this.panes.push(new Pane(stages, name, this.loader, heard));
        this.active = this.panes[0];
        this.link = prior ? new Link(this.panes) : undefined;
        this.cine = new Cine(this.loader, () => this.panel.show(this.active));
        this.bar = bar;
        this.asking = new Map();
    }

    async begin() {
        if (number) {
            const marks = new Marks(api, number);
            if (await marks.begin()) this.marks = marks;
        }
        this.panel = new Panel(this.bar, this);
        this.panel.build();
        for (const pane of this.panes) {
            new Gestures(pane, () => this.panel.tool);
            pane.overlay.pane.addEventListener('focusin', () => this.activate(pane));
        }
        this.activate(this.panes[0]);
        this.panes[0].overlay.pane.focus({ preventScroll: true });
        this.fill();
    }

    /** Puts the first series into the panes, and lets others be chosen. */
    fill() {
        const shelves = [study, prior].slice(0, this.panes.length).map(entriesOf);
        this.panes.forEach((pane, place) => {
            for (const entry of shelves[place]) {
                entry.addEventListener('click', (event) => {
                    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
                    event.preventDefault();
                    this.show(pane, entry);
                });
            }
        });
        const first = shelves[0].find((entry) => entry.dataset.series === series) ?? shelves[0][0];
        this.show(this.panes[0], first, instance);
        if (prior) this.show(this.panes[1], mostLike(first, shelves[1]));
    }

    /** Makes a pane the one that the bar and the keys act on. */
    activate(pane) {
        this.active = pane;
        for (const one of this.panes) one.overlay.pane.classList.toggle('active', one === pane && this.panes.length > 1);
        this.panel.show(pane);
    }

    /** Shows a series in a pane, from an instance of it or its first image on. */
    async show(pane, entry, from) {
        if (!entry) {
            pane.empty(say('No series of this study has pictures.'));
            return;
        }
        if (this.cine.pane === pane) this.cine.stop();
        this.asking.get(pane)?.abort();
        const controller = new AbortController();
        this.asking.set(pane, controller);
        for (const other of entry.closest('section').querySelectorAll('a.entry')) other.removeAttribute('aria-current');
        entry.setAttribute('aria-current', 'true');
        pane.empty(say('Loading the series'));
        const uid = entry.closest('section').dataset.study;
        const address = `${dicomweb}/studies/${uid}/series/${entry.dataset.series}/metadata`;
        try {
            const response = await asked(address, 'application/dicom+json', controller.signal);
            const { images, isCut, without } = imagesOf(await response.json(), dicomweb, entry.dataset.syntax);
            if (controller.signal.aborted) return;
            this.link?.forget();
            if (!images.length) {
                pane.empty(say('This series has no pictures.'));
                return;
            }
            pane.load(images, Math.max(images.findIndex((image) => image.instance === from), 0));
            this.panel.suit(images);
            // Who asked for an image has it; else what comes later goes to what is there already.
            this.link?.follow(from ? pane : this.panes.find((one) => one !== pane));
            if (isCut) this.panel.say(say('Only the first {count} images are shown.', { count: images.length }));
            else if (without) this.panel.say(say('{count} objects of the series are no pictures.', { count: without }));
        } catch (error) {
            if (error.name !== 'AbortError') pane.empty(say('The series cannot be shown. {why}', { why: error.message }));
        }
    }

    drawn(pane) {
        pane.overlay.key(Boolean(pane.shown && this.marks?.has(pane.shown.image)));
        if (pane === this.active) this.panel?.show(pane);
        else this.panel?.showLink();
    }

    toggleLink() {
        this.link.toggle();
        this.panel.show(this.active);
    }

    async mark() {
        const image = this.active.shown?.image;
        if (!image) return;
        try {
            const isMarked = await this.marks.toggle(image);
            this.panel.say(isMarked ? say('Marked as key image in your draft.') : say('No key image any more.'));
        } catch (error) {
            this.panel.say(error.message);
        }
        for (const pane of this.panes) this.drawn(pane);
    }
}

new Look(document.getElementById('look')).begin();
