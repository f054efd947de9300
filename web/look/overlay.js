// What stands on a pane beside its picture: who and what it is, the letters of its edges, a bar of millimetres, the
// slider. Text only ever goes in as text.

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
        this.canvas.setAttribute('aria-label', 'No image yet');
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
        this.slider.setAttribute('aria-label', `${name}: image`);
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
        this.slider.setAttribute('aria-valuetext', `Image ${place + 1} of ${count}`);
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
        this.patient.textContent = [
            image.patient || 'no name', image.patientId, image.studyDate,
            `${image.modality} ${image.description}`.trim() + (image.seriesNumber ? ` (series ${image.seriesNumber})` : ''),
        ].filter(Boolean).join('\n');
        const along = image.plane?.along;
        this.where.textContent = [
            `${place + 1} / ${count}`,
            image.frames > 1 ? `Image ${image.number}, frame ${image.frame}` : `Image ${image.number}`,
            along === undefined ? '' : `Slice ${along.toFixed(1)} mm`,
        ].filter(Boolean).join('\n');
        this.notes.textContent = [image.isLossy ? `Lossy${image.ratio ? ` ${rounded(image.ratio)}:1` : ''}` : ''].join('');
        const label = `${image.modality} ${image.description}, image ${place + 1} of ${count}`;
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
        this.length.textContent = isCalibrated ? `${length} mm` : `${length} mm at the detector, not calibrated`;
    }

    /** The value under the pointer. */
    value(words) {
        this.tones.dataset.value = words;
    }

    /** Whether the image shown is a key image. */
    key(isKey) {
        this.mark.textContent = isKey ? '★ key image' : '';
    }
}

function toneWords({ tone, zoom, isColored, isInverted }) {
    const window = tone.greyOf ? tone.name : `W ${rounded(tone.width)} L ${rounded(tone.center)}`;
    const shape = tone.shape === 'SIGMOID' ? 'sigmoid' : '';
    const words = isColored && tone.width === 255 && tone.center === 127.5 ? 'Colors as stored' : window;
    return [[words, shape, isInverted ? 'inverted' : ''].filter(Boolean).join(' '), `Zoom ${rounded(zoom * 100)} %`].join('\n');
}
