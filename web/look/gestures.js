// What hands do on a pane: wheel, mouse, one finger by the chosen tool, two fingers to move and enlarge.

/** Pixels of a drag, or of a wheel, for one image of the stack. */
const PIXELS_AN_IMAGE = 12;
const WHEEL_AN_IMAGE = 40;
/** Pixels of a line, for wheels that count in lines. */
const LINE = 16;

export class Gestures {
    /** `tool` tells what the main button or one finger does: window, scroll, pan or zoom. */
    constructor(pane, tool) {
        this.pane = pane;
        this.tool = tool;
        this.pointers = new Map();
        this.wheeled = 0;
        const { stage } = pane.overlay;
        const listen = (name, deed) => stage.addEventListener(name, deed.bind(this), { passive: false });
        listen('pointerdown', this.down);
        listen('pointermove', this.move);
        for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) listen(name, this.up);
        listen('pointerleave', () => pane.overlay.value(''));
        listen('wheel', this.wheel);
        listen('contextmenu', (event) => event.preventDefault());
        listen('dblclick', () => pane.fit());
    }

    /** A point of the canvas. */
    point(event) {
        const { left, top } = this.pane.overlay.stage.getBoundingClientRect();
        return [(event.clientX - left) * devicePixelRatio, (event.clientY - top) * devicePixelRatio];
    }

    down(event) {
        if (event.pointerType !== 'mouse') event.preventDefault();
        this.pane.overlay.pane.focus({ preventScroll: true });
        this.pane.overlay.stage.setPointerCapture(event.pointerId);
        this.pointers.set(event.pointerId, this.point(event));
        const tools = { 0: this.tool(), 1: 'pan', 2: 'zoom' };
        this.begin(this.pointers.size === 1 ? tools[event.button] ?? 'pan' : 'pinch', event);
    }

    begin(tool, event) {
        const { pane } = this;
        const start = tool === 'window' && pane.shown?.frame ? pane.tone : undefined;
        this.drag = { tool, from: [event.clientX, event.clientY], last: this.point(event), start, place: pane.place };
    }

    move(event) {
        const { pane, drag } = this;
        const now = this.point(event);
        if (!this.pointers.has(event.pointerId) || !drag) {
            pane.overlay.value(pane.valueAt(...now));
            return;
        }
        if (drag.tool === 'pinch') {
            this.pinch(event.pointerId, now);
            return;
        }
        const [right, down] = [event.clientX - drag.from[0], event.clientY - drag.from[1]];
        switch (drag.tool) {
            case 'window':
                pane.isHurried = true;
                if (drag.start) pane.dragTone(drag.start, right, down);
                break;
            case 'scroll':
                pane.scrollTo(drag.place + Math.trunc(down / PIXELS_AN_IMAGE));
                break;
            case 'pan':
                pane.panBy(now[0] - drag.last[0], now[1] - drag.last[1]);
                break;
            case 'zoom':
                pane.zoomBy(Math.exp((drag.last[1] - now[1]) / 200 / devicePixelRatio), this.pointOf(drag.from));
                break;
        }
        drag.last = now;
    }

    pointOf([clientX, clientY]) {
        return this.point({ clientX, clientY });
    }

    pinch(id, now) {
        const { pane, pointers } = this;
        if (pointers.size < 2) return;
        const middleAndSpan = () => {
            const [a, b] = [...pointers.values()];
            return { middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], span: Math.hypot(a[0] - b[0], a[1] - b[1]) };
        };
        const before = middleAndSpan();
        pointers.set(id, now);
        const after = middleAndSpan();
        pane.panBy(after.middle[0] - before.middle[0], after.middle[1] - before.middle[1]);
        if (before.span > 1) pane.zoomBy(after.span / before.span, after.middle);
    }

    up(event) {
        this.pointers.delete(event.pointerId);
        const { pane } = this;
        if (pane.isHurried) {
            pane.isHurried = false;
            pane.redraw();
        }
        // What is left of two fingers does nothing until it is lifted.
        this.drag = this.pointers.size ? { tool: 'none', from: [0, 0], last: [0, 0] } : undefined;
    }

    wheel(event) {
        event.preventDefault();
        const amount = event.deltaMode === 0 ? event.deltaY : event.deltaY * LINE;
        if (event.ctrlKey) {
            this.pane.zoomBy(Math.exp(-amount / 300), this.point(event));
            return;
        }
        this.wheeled += amount;
        // A notch of a wheel is one image, whatever it measures; a touchpad adds up to them.
        const count = Math.abs(amount) >= WHEEL_AN_IMAGE ? Math.sign(amount) : Math.trunc(this.wheeled / WHEEL_AN_IMAGE);
        if (count === 0) return;
        this.wheeled = 0;
        this.pane.scrollBy(count);
    }
}
