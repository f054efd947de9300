// Two stacks that are scrolled together: to the same place in the patient when both have places along one direction,
// else to the same part of the whole.

import { areParallel, isOneStack, nearest } from './geometry.js';
import { say } from '../texts.js';

/** Stacks that share less of their length than this are not led by place: those of different beds share nothing. */
const SHARED_LEAST = 0.5;

const stacks = new WeakMap();

/** The ends of a stack along its normal; undefined when it has none. */
function ends(images) {
    if (!stacks.has(images)) {
        const along = isOneStack(images) ? images.map(({ plane }) => plane.along) : [];
        let [from, to] = [Infinity, -Infinity];
        for (const one of along) [from, to] = [Math.min(from, one), Math.max(to, one)];
        stacks.set(images, along.length > 1 ? { from, to } : undefined);
    }
    return stacks.get(images);
}

/** Whether two stacks are led by place, when one is moved by `offset`. */
export function isByPlace(one, other, offset = 0) {
    const [a, b] = [ends(one), ends(other)];
    if (!a || !b || !areParallel(one[0].plane, other[0].plane)) return false;
    const shared = Math.min(a.to + offset, b.to) - Math.max(a.from + offset, b.from);
    return shared >= SHARED_LEAST * Math.min(a.to - a.from, b.to - b.from);
}

/** Where `to` belongs when `from` is shown at `place`; places of `to` are those of `from` and `offset`. */
export function linkedPlace(from, place, to, offset = 0) {
    if (isByPlace(from, to, offset)) return nearest(to, from[place].plane.along + offset);
    return Math.round((place / Math.max(from.length - 1, 1)) * (to.length - 1));
}

/** Two panes that go together while `isOn`. */
export class Link {
    constructor(panes) {
        this.panes = panes;
        this.isOn = panes.length === 2;
        this.offset = 0;
    }

    /** Another stack: whatever was moved against each other was of the one before. */
    forget() {
        this.offset = 0;
    }

    /** Leads the other pane after one that was scrolled. */
    follow(pane) {
        const other = this.panes.find((one) => one !== pane);
        if (!this.isOn || !other?.images.length || !pane.images.length) return;
        const offset = pane === this.panes[0] ? this.offset : -this.offset;
        other.scrollTo(linkedPlace(pane.images, pane.place, other.images, offset), true);
    }

    /** On or off. Who links two stacks again keeps them moved against each other as they are. */
    toggle() {
        this.isOn = !this.isOn;
        const [one, other] = this.panes.map(({ image }) => image?.plane?.along);
        const isOfPlanes = this.panes.every(({ images }) => ends(images));
        if (this.isOn && isOfPlanes) this.offset = other - one;
    }

    /** How they are linked, for people. */
    get words() {
        const [one, other] = this.panes.map(({ images }) => images);
        if (!this.isOn) return say('Not linked');
        if (!one.length || !other.length || !isByPlace(one, other, this.offset)) return say('Linked by part of the stack');
        if (!this.offset) return say('Linked by place');
        return say('Linked by place, {distance} mm apart', { distance: this.offset.toFixed(1) });
    }
}
