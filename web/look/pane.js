// One pane: a stack of pictures, which of them is shown, how it is turned, moved and toned, and how it is drawn.

import { edges } from './geometry.js';
import { Greys, PLAIN_TONE, paint, storedAt } from './picture.js';
import { defaultTone, dragged, presetsOf } from './tones.js';
import { Overlay } from './overlay.js';
import { say } from '../texts.js';

const UPRIGHT = [1, 0, 0, 1];
/** Pixels of the screen for one of the picture. */
const ZOOM_MIN = 0.02;
const ZOOM_MAX = 40;

export class Pane {
    /** `heard` has `scrolled`, `drawn` and `chosen`, each called with the pane. */
    constructor(host, name, loader, heard) {
        this.loader = loader;
        this.heard = heard;
        this.overlay = new Overlay(host, name);
        this.canvas = this.overlay.canvas;
        this.context = this.canvas.getContext('2d', { alpha: false });
        this.greys = new Greys();
        this.picture = new OffscreenCanvas(1, 1);
        this.images = [];
        this.place = 0;
        this.direction = 1;
        this.reset();
        this.observer = new ResizeObserver(() => this.resize());
        this.observer.observe(this.overlay.stage);
        this.overlay.slider.addEventListener('input', () => this.scrollTo(Number(this.overlay.slider.value) - 1));
    }

    /** Everything as at first, the place in the stack kept. */
    reset() {
        Object.assign(this, { chosen: undefined, isInverted: false, zoom: undefined, pan: [0, 0], turn: UPRIGHT });
        this.redraw();
    }

    /** Another stack. */
    load(images, place = 0) {
        Object.assign(this, { images, place: -1, shown: undefined, painted: undefined });
        this.reset();
        this.overlay.stack(images.length);
        this.scrollTo(place, true);
    }

    /** Nothing to see, and why. */
    empty(words) {
        Object.assign(this, { images: [], shown: undefined, painted: undefined });
        this.loader.forget(this);
        this.overlay.stack(0);
        this.overlay.say(words, 'error');
        this.redraw();
    }

    get image() {
        return this.images[this.place];
    }

    scrollBy(count) {
        this.scrollTo(this.place + count);
    }

    /** Goes to a place of the stack; `isLinked` when another pane led here. */
    scrollTo(place, isLinked = false) {
        const next = Math.min(Math.max(Math.round(place), 0), this.images.length - 1);
        if (next < 0 || next === this.place) return;
        this.direction = next < this.place ? -1 : 1;
        this.place = next;
        this.overlay.at(next, this.images.length);
        this.loader.want(this, this.images, next, this.direction);
        this.look();
        if (!isLinked) this.heard.scrolled(this);
    }

    /** Shows the image of the place when it is here; else says that it is on its way. */
    look() {
        if (!this.image) return;
        const entry = this.loader.get(this.image);
        if (!entry) {
            this.overlay.wait(say('Loading image {number}', { number: this.place + 1 }));
            return;
        }
        this.shown = { image: this.image, place: this.place, ...entry };
        const { error: why } = entry;
        const words = why && say('Image {number} cannot be shown. {why}', { number: this.place + 1, why });
        this.overlay.say(words ?? '', why ? 'error' : 'ready');
        this.redraw();
    }

    // Tones

    get isColored() {
        return Boolean(this.shown?.frame && !this.shown.frame.cells);
    }

    /** The tone that the image has of itself. */
    get given() {
        if (this.isColored) return PLAIN_TONE;
        // One and the same each time, so that it is seen not to have changed.
        this.shown.given ??= defaultTone(this.shown.tones, this.shown.range);
        return this.shown.given;
    }

    get tone() {
        const { chosen } = this;
        return chosen && chosen.isColored === this.isColored ? chosen.tone : this.given;
    }

    /** A tone for the whole stack; none is that of each image. */
    setTone(tone) {
        this.chosen = tone && { tone, isColored: this.isColored };
        this.redraw();
    }

    get presets() {
        if (!this.shown?.frame || this.isColored) return [];
        return presetsOf(this.shown.image, this.shown.tones, this.shown.range);
    }

    /** A drag of so many pixels since it began with `start`. */
    dragTone(start, right, down) {
        this.setTone(dragged(start, right, down));
    }

    invert() {
        this.isInverted = !this.isInverted;
        this.redraw();
    }

    // Place and size

    /** Width and height of the picture in squares, before zoom. */
    get size() {
        const { frame, image } = this.shown;
        const { rows, columns } = image.spacing;
        const unit = Math.min(rows, columns);
        const [x, y] = frame.isSquare ? [1, 1] : [columns / unit, rows / unit];
        return { x, y, width: frame.width * x, height: frame.height * y };
    }

    get fitting() {
        const { width, height } = this.size;
        const [across, down] = this.turn[0] ? [width, height] : [height, width];
        return Math.min(this.canvas.width / across, this.canvas.height / down);
    }

    get scale() {
        return this.zoom ?? this.fitting;
    }

    fit() {
        Object.assign(this, { zoom: undefined, pan: [0, 0] });
        this.redraw();
    }

    /** One pixel of the screen for one of the picture. */
    actual() {
        Object.assign(this, { zoom: 1, pan: [0, 0] });
        this.redraw();
    }

    /** Larger by a factor, about a point of the canvas. */
    zoomBy(factor, [x, y] = [this.canvas.width / 2, this.canvas.height / 2]) {
        if (!this.shown?.frame) return;
        const before = this.scale;
        const after = Math.min(Math.max(before * factor, ZOOM_MIN), ZOOM_MAX);
        const [across, down] = [x - this.canvas.width / 2, y - this.canvas.height / 2];
        const move = (pan, at) => at - ((at - pan) * after) / before;
        this.pan = [move(this.pan[0], across), move(this.pan[1], down)];
        this.zoom = after;
        this.redraw();
    }

    panBy(x, y) {
        if (!this.shown?.frame) return;
        this.zoom = this.scale;
        this.pan = [this.pan[0] + x, this.pan[1] + y];
        this.redraw();
    }

    rotate() {
        const [a, b, c, d] = this.turn;
        this.turn = [-b, a, -d, c];
        this.redraw();
    }

    flip(isUpsideDown) {
        const [a, b, c, d] = this.turn;
        this.turn = isUpsideDown ? [a, -b, c, -d] : [-a, b, -c, d];
        this.redraw();
    }

    // Drawing

    resize() {
        const { width, height } = this.overlay.stage.getBoundingClientRect();
        // Whole pixels of the screen, none of them shared between two of the canvas.
        const [across, down] = [width, height].map((side) => Math.max(Math.floor(side * devicePixelRatio), 1));
        if (this.canvas.width !== across || this.canvas.height !== down) {
            Object.assign(this.canvas, { width: across, height: down });
            Object.assign(this.canvas.style, { width: `${across / devicePixelRatio}px`, height: `${down / devicePixelRatio}px` });
            this.draw();
        }
    }

    /** Draws once before the screen is next refreshed. */
    redraw() {
        this.pending ??= requestAnimationFrame(() => {
            this.pending = undefined;
            this.draw();
        });
    }

    draw() {
        const { context, canvas, shown } = this;
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.fillStyle = '#000';
        context.fillRect(0, 0, canvas.width, canvas.height);
        if (!shown) return;
        if (shown.frame) {
            const step = this.painted && this.isHurried ? Math.max(Math.floor(1 / this.scale), 1) : 1;
            this.paint(step);
            context.imageSmoothingEnabled = this.scale !== 1;
            context.imageSmoothingQuality = this.isHurried ? 'low' : 'medium';
            context.setTransform(...this.matrix());
            const { width, height } = shown.frame;
            context.drawImage(this.picture, 0, 0, Math.ceil(width / step), Math.ceil(height / step), 0, 0, width, height);
        }
        this.overlay.show(this.told());
        this.heard.drawn(this);
    }

    /** From pixels of the picture to those of the canvas. */
    matrix() {
        const { x, y, width, height } = this.size;
        const [a, b, c, d] = this.turn.map((one) => one * this.scale);
        const [across, down] = [Math.abs(a * width + c * height), Math.abs(b * width + d * height)];
        // Whole pixels, so that at 1:1 they lie upon those of the screen.
        const left = Math.round((this.canvas.width - across) / 2 + this.pan[0]);
        const top = Math.round((this.canvas.height - down) / 2 + this.pan[1]);
        const begin = (one, other) => Math.min(0, one) + Math.min(0, other);
        return [a * x, b * x, c * y, d * y, left - begin(a * width, c * height), top - begin(b * width, d * height)];
    }

    /** Paints the frame into the picture behind, when it is not there yet. */
    paint(step) {
        const { shown, tone, isInverted } = this;
        const { frame } = shown;
        const before = this.painted;
        if (before?.frame === frame && before.tone === tone && before.isInverted === isInverted && before.step === step) return;
        const [width, height] = [Math.ceil(frame.width / step), Math.ceil(frame.height / step)];
        if (this.buffer?.width !== width || this.buffer.height !== height) {
            this.buffer = new ImageData(width, height);
            this.target = new Uint32Array(this.buffer.data.buffer);
            Object.assign(this.picture, { width, height });
        }
        paint(frame, this.greys, { modalityOf: shown.tones.modalityOf, tone, isInverted, step }, this.target);
        this.picture.getContext('2d').putImageData(this.buffer, 0, 0);
        this.painted = { frame, tone, isInverted, step };
    }

    /** What the overlay tells. */
    told() {
        const { shown } = this;
        const { image } = shown;
        const told = { image, place: shown.place, count: this.images.length };
        if (!shown.frame) return told;
        const scale = this.scale / devicePixelRatio;
        const { rows, columns, isCalibrated } = image.spacing;
        // Of squares, whose side is the smaller distance; of what the server drew, when it left the pixels as they are.
        const unit = Math.min(rows, columns);
        const isMeasured = !shown.frame.isSquare || (rows === columns && shown.frame.width === image.columns);
        return {
            ...told,
            tone: this.tone,
            isColored: this.isColored,
            isInverted: this.isInverted,
            zoom: this.scale,
            edges: edges(image, this.turn),
            millimetre: isCalibrated === undefined || !isMeasured ? undefined : scale / unit,
            isCalibrated,
        };
    }

    /** The value under a point of the canvas, as text. */
    valueAt(x, y) {
        const { frame, tones } = this.shown ?? {};
        if (!frame?.cells) return '';
        const { x: column, y: row } = new DOMMatrix(this.matrix()).inverse().transformPoint(new DOMPoint(x, y));
        const [i, j] = [Math.floor(column), Math.floor(row)];
        if (i < 0 || j < 0 || i >= frame.width || j >= frame.height) return '';
        const value = tones.modalityOf(storedAt(frame, i, j));
        return `${i}, ${j}: ${Number(value.toFixed(2))} ${tones.unit}`.trim();
    }
}
