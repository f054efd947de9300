// One headless Chromium for harness/browser.py, which writes a line of JSON for each call and reads a line for
// each answer: {"page": 3, "call": "mouse.move", "args": [10, 20]} → {"value": …} or {"error": "…"}.
//
// Calls are those of Playwright's Page, by name, and the few below. What a page asked for and what went wrong in it
// is kept from its first moment and given by `faults` and `requests`.
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
    /** The first time that `expression` is true in the page; what it was when it never is. */
    until: async (number, expression, timeout) => {
        await pages.get(number).page.waitForFunction(expression, undefined, { timeout, polling: 50 });
        return true;
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
