// One headless Chromium for harness/browser.py, which writes a line of JSON for each call and reads a line for
// each answer: {"page": 3, "call": "mouse.move", "args": [10, 20]} → {"value": …} or {"error": "…"}.
//
// Calls are those of Playwright's Page, by name, and the few below. What a page asked for and what went wrong in it
// is kept from its first moment and given by `faults` and `requests`.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [executable, profile] = process.argv.slice(2);

const context = await chromium.launchPersistentContext(profile, {
    executablePath: executable,
    headless: true,
    viewport: { width: 1440, height: 900 },
    acceptDownloads: false,
    args: [
        '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync', '--enable-unsafe-swiftshader',
    ],
});
context.setDefaultTimeout(60_000);

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const pages = new Map();
let lastPage = 0;

/** A page whose every request, error message and exception is written down. */
async function open() {
    const page = await context.newPage();
    const log = { faults: [], requests: [] };
    const fault = (kind, text) => log.faults.push(`${kind}: ${text}`);
    page.on('pageerror', (error) => fault('exception', error.stack ?? error.message));
    page.on('crash', () => fault('crash', page.url()));
    page.on('console', (message) => {
        if (message.type() === 'error') fault('console', `${message.text()} (${message.location().url})`);
    });
    page.on('requestfailed', (request) => fault('failed', `${request.method()} ${request.url()} ${request.failure()?.errorText}`));
    page.on('response', (response) => {
        const request = response.request();
        log.requests.push({ method: request.method(), url: response.url(), status: response.status() });
        if (response.status() >= 400) fault('status', `${response.status()} ${request.method()} ${response.url()}`);
    });
    pages.set(++lastPage, { page, log });
    return lastPage;
}

const own = {
    open,
    close: async (number) => {
        await pages.get(number).page.close();
        pages.delete(number);
    },
    faults: (number) => pages.get(number).log.faults,
    requests: (number) => pages.get(number).log.requests,
    /** A command of the DevTools protocol, for what Playwright's Page has no call for: fingers. */
    devtools: async (number, method, parameters) => {
        const entry = pages.get(number);
        entry.session ??= await context.newCDPSession(entry.page);
        return entry.session.send(method, parameters);
    },
    /** Drops files and folders of this machine onto an element, as from a file manager. */
    drop: async (number, selector, paths) => {
        const { page } = pages.get(number);
        const box = await page.locator(selector).boundingBox();
        const client = await context.newCDPSession(page);
        const at = { x: box.x + box.width / 2, y: box.y + box.height / 2, data: { items: [], files: paths, dragOperationsMask: 1 } };
        for (const type of ['dragEnter', 'dragOver', 'drop']) await client.send('Input.dispatchDragEvent', { type, ...at });
        await client.detach();
        return true;
    },
    /** So many bytes a second go out from now on; -1 for as many as can. */
    throttle: async (number, bytesPerSecond) => {
        const entry = pages.get(number);
        entry.network ??= await context.newCDPSession(entry.page);
        await entry.network.send('Network.enable');
        const conditions = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: bytesPerSecond };
        await entry.network.send('Network.emulateNetworkConditions', conditions);
        return true;
    },
    /** The next requests for `pattern` are answered with these statuses, one each, by nobody behind; all later ones go through. */
    answers: async (number, pattern, statuses) => {
        const left = [...statuses];
        await pages.get(number).page.route(pattern, (route) => route.fulfill({ status: left.shift() }), { times: statuses.length });
        return true;
    },
    /** What axe-core finds against WCAG 2.2 AA, and against what it calls best practice, in the page as it stands. */
    judge: async (number) => {
        const { page } = pages.get(number);
        await page.evaluate(`${axe}; true`);
        const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'], rules: { 'target-size': { enabled: true } } }));
        return violations.flatMap(({ id, impact, nodes }) => nodes.map(({ html, failureSummary }) => `${impact} ${id}: ${html.slice(0, 200)} ${failureSummary}`));
    },
    /**
     * The first time that `expression` is true in the page; what it was when it never is. Asked from outside again and
     * again: a page whose policy forbids `eval` cannot be made to wait by itself.
     */
    until: async (number, expression, timeout) => {
        const { page } = pages.get(number);
        const end = Date.now() + timeout;
        for (;;) {
            const found = await page.evaluate(expression).catch((error) => {
                // The page is being left for another.
                if (/context was destroyed|navigation|Cannot find context/i.test(error.message)) return false;
                throw error;
            });
            if (found) return true;
            if (Date.now() > end) throw new Error(`it never was: ${expression}`);
            await new Promise((resolve) => setTimeout(resolve, 50));
        }
    },
};

async function answer({ page: number, call, args = [] }) {
    if (call in own) return own[call](number, ...args);
    const path = call.split('.');
    const name = path.pop();
    const receiver = path.reduce((object, member) => object[member], pages.get(number).page);
    const value = await receiver[name](...args);
    return Buffer.isBuffer(value) ? value.toString('base64') : isPlain(value) ? value : null;
}

function isPlain(value) {
    return value === undefined || value === null || typeof value !== 'object' || Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
}

process.stdout.write(`${JSON.stringify({ value: context.browser()?.version() ?? '' })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
    const answered = await answer(JSON.parse(line)).then(
        (value) => ({ value: value ?? null }),
        (error) => ({ error: String(error.message ?? error) }),
    );
    process.stdout.write(`${JSON.stringify(answered)}\n`);
}
await context.close();
