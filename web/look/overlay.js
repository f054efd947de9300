// What stands on a pane beside its picture: who and what it is, the letters of its edges, a bar of millimetres, the
// slider. Text only ever goes in as text.

import { say } from '../texts.js';

/** Lengths of the bar. Millimetres. */
const LENGTHS = [200, 100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1];
/** The longest bar. Pixels. */
const BAR_MAX = 160;
/** What is loaded sooner is not announced. Milliseconds. */
const PATIENCE = 150;

function made(name, parent, properties = {}) {
    const element = document.createElement(name);
    Object.assign(element, properties);
    parent.append(element);
    return element;
}

const rounded = (number) => String(Number(number.toFixed(Math.abs(number) < 10 ? 2 : 0)));

export class Overlay {
    constructor(host, name) {
        this.pane = made('section', host, { className: 'pane', tabIndex: 0 });
        this.pane.setAttribute('aria-label', name);
        this.stage = made('div', this.pane, { className: 'stage' });
        this.canvas = made('canvas', this.stage);
        this.canvas.setAttribute('role', 'img');
        this.canvas.setAttribute('aria-label', say('No image yet'));
        const words = (className) => made('p', this.stage, { className });
        this.patient = words('corner patient');
        this.where = words('corner where');
        this.tones = words('corner tones');
        this.notes = words('corner notes');
        this.edges = ['left', 'right', 'top', 'bottom'].map((side) => [side, words(`edge ${side}`)]);
        this.scale = made('div', this.stage, { className: 'scale', hidden: true });
        this.bar = made('i', this.scale);
        this.length = made('span', this.scale);
        this.mark = words('key-mark');
        this.message = words('message');
        this.message.setAttribute('role', 'status');
        this.slider = made('input', this.pane, { className: 'slider', type: 'range', min: 1, max: 1, value: 1 });
        this.slider.setAttribute('aria-label', say('{pane}: image', { pane: name }));
    }

    /** A stack of so many images. */
    stack(count) {
        Object.assign(this.slider, { max: Math.max(count, 1), hidden: count < 2 });
        for (const element of [this.patient, this.where, this.tones, this.notes, this.mark, ...this.edges.map(([, one]) => one)]) {
            element.textContent = '';
        }
        this.scale.hidden = true;
        delete this.pane.dataset.shown;
    }

    /** Where the stack is being led to. */
    at(place, count) {
        this.slider.value = place + 1;
        this.slider.setAttribute('aria-valuetext', say('Image {number} of {count}', { number: place + 1, count }));
    }

    /** Says something in the place of the picture; `state` is ready, loading or error. */
    say(words, state) {
        clearTimeout(this.timer);
        this.message.textContent = words;
        this.pane.dataset.state = state;
    }

    /** Says so unless it is soon over. */
    wait(words) {
        clearTimeout(this.timer);
        this.pane.dataset.state = 'loading';
        this.timer = setTimeout(() => this.say(words, 'loading'), PATIENCE);
    }

    show(told) {
        const { image, place, count } = told;
        this.pane.dataset.shown = place + 1;
        const series = `${image.modality} ${image.description}`.trim();
        const numbered = image.seriesNumber ? `(${say('series {number}', { number: image.seriesNumber })})` : '';
        this.patient.textContent = [
            image.patient || say('no name'), image.patientId, image.studyDate, `${series} ${numbered}`.trim(),
        ].filter(Boolean).join('\n');
        const along = image.plane?.along;
        this.where.textContent = [
            `${place + 1} / ${count}`,
            image.frames > 1
                ? say('Image {number}, frame {frame}', { number: image.number, frame: image.frame })
                : say('Image {number}', { number: image.number }),
            along === undefined ? '' : say('Slice {place} mm', { place: along.toFixed(1) }),
        ].filter(Boolean).join('\n');
        const ratio = image.ratio ? ` ${rounded(image.ratio)}:1` : '';
        this.notes.textContent = image.isLossy ? say('Lossy') + ratio : '';
        const label = say('{series}, image {number} of {count}', { series, number: place + 1, count });
        this.canvas.setAttribute('aria-label', label);
        this.tones.textContent = told.tone ? toneWords(told) : '';
        for (const [side, element] of this.edges) element.textContent = told.edges?.[side] ?? '';
        this.showScale(told);
    }

    showScale({ millimetre, isCalibrated }) {
        const length = millimetre && LENGTHS.find((one) => one * millimetre <= BAR_MAX);
        this.scale.hidden = !length;
        if (!length) return;
        this.bar.style.width = `${length * millimetre}px`;
        this.length.textContent = isCalibrated ? `${length} mm` : say('{length} mm at the detector, not calibrated', { length });
    }

    /** The value under the pointer. */
    value(words) {
        this.tones.dataset.value = words;
    }

    /** Whether the image shown is a key image. */
    key(isKey) {
        this.mark.textContent = isKey ? `★ ${say('key image')}` : '';
    }
}

function toneWords({ tone, zoom, isColored, isInverted }) {
    const window = tone.greyOf ? tone.name : `W ${rounded(tone.width)} L ${rounded(tone.center)}`;
    const shape = tone.shape === 'SIGMOID' ? say('sigmoid') : '';
    const words = isColored && tone.width === 255 && tone.center === 127.5 ? say('Colors as stored') : window;
    const percent = rounded(zoom * 100);
    return [[words, shape, isInverted ? say('inverted') : ''].filter(Boolean).join(' '), say('Zoom {percent} %', { percent })].join('\n');
}
