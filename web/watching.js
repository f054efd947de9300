// A list that is looked at asks now and then what is new. Asking keeps a session alive, so it ends when nobody has touched
// anything for a while, or sees the page.

/** So long somebody is taken to be there after they have touched something. */
const THERE_MS = 10 * 60_000;

/** Calls `ask` again and again, so many milliseconds after it has ended; once more when somebody comes back. */
export function watch(ask, everyMs) {
    let touched = Date.now();
    let isAsking = false;
    let timer = setTimeout(look, everyMs);

    async function look() {
        clearTimeout(timer);
        if (document.visibilityState !== 'visible' || Date.now() - touched > THERE_MS || isAsking) return;
        isAsking = true;
        // Nobody answers: the list stays, and it is asked again.
        await ask().catch(() => undefined);
        isAsking = false;
        clearTimeout(timer);
        timer = setTimeout(look, everyMs);
    }

    for (const event of ['pointerdown', 'pointermove', 'keydown', 'scroll']) {
        addEventListener(event, () => {
            const wasAway = Date.now() - touched > THERE_MS;
            touched = Date.now();
            if (wasAway) look();
        }, { passive: true, capture: true });
    }
    document.addEventListener('visibilitychange', () => {
        touched = Date.now();
        look();
    });
}
