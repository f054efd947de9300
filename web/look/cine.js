// Pictures one after the other: the frames of a loop, or the whole stack, from its end to its beginning again.

/** Pictures in a second, when the object does not say. */
const RATE = 15;
/** A picture that is not here is waited for so long. Milliseconds. */
const PATIENCE = 1000;

export class Cine {
    constructor(loader, changed) {
        this.loader = loader;
        this.changed = changed;
    }

    get isPlaying() {
        return Boolean(this.pane);
    }

    /** Milliseconds of a picture of this stack. */
    intervalOf(pane) {
        return this.chosen ?? pane.image?.frameTime ?? 1000 / RATE;
    }

    /** Pictures in a second, as somebody has chosen. */
    setRate(rate) {
        this.chosen = rate >= 1 && rate <= 60 ? 1000 / rate : undefined;
    }

    toggle(pane) {
        if (this.isPlaying) this.stop();
        else if (pane.images.length > 1) this.start(pane);
    }

    start(pane) {
        this.pane = pane;
        this.changed();
        this.due = performance.now() + this.intervalOf(pane);
        const step = (now) => {
            if (this.pane !== pane) return;
            this.step(now);
            requestAnimationFrame(step);
        };
        requestAnimationFrame(step);
    }

    stop() {
        this.pane = undefined;
        this.changed();
    }

    step(now) {
        const { pane } = this;
        if (now < this.due || !pane.image) return;
        const [from, to] = loopOf(pane);
        const next = pane.place >= to ? from : pane.place + 1;
        const isHere = this.loader.get(pane.images[next]);
        if (!isHere && now < this.due + PATIENCE) return;
        pane.scrollTo(next);
        // From when it was due, so that the rate holds; from now on when it could not be held.
        const interval = this.intervalOf(pane);
        this.due = Math.max(this.due + interval, now);
    }
}

/** The first and last place of what is played: the frames of one object that are no slices, else the stack. */
function loopOf({ images, place, image }) {
    if (image.frames < 2 || image.plane?.along !== undefined) return [0, images.length - 1];
    const from = images.findIndex((one) => one.instance === image.instance);
    return [from, images.findLastIndex((one, at) => at >= place && one.instance === image.instance)];
}
