// The module of the list of studies: it answers while somebody types, looks again every few seconds while it is looked at,
// and unfolds a study without leaving the page.
import { Asking } from './asking.js';
import { Unfolding } from './unfold.js';
import { say } from './texts.js';
import { watch } from './watching.js';

/** How often it is asked what has come. Milliseconds. */
const AGAIN_MS = 4000;

const unfolding = new Unfolding();
const studiesOf = (list) => [...list.querySelectorAll('tr[data-study]')].map((row) => row.dataset.study);

/** Whether a page is the first one, where what is new comes. */
const isFirst = () => !Number(new URLSearchParams(location.search).get('offset'));

const asking = new Asking(document.querySelector('form.filter'), (old, fresh) => {
    unfolding.prepare(old, fresh);
    const known = new Set(studiesOf(old));
    const count = isFirst() ? studiesOf(fresh).filter((uid) => !known.has(uid)).length : 0;
    return count === 0 ? '' : say(count === 1 ? '{count} new study.' : '{count} new studies.', { count });
});
unfolding.prepare(null, asking.list);

// What is refused now is refused again.
watch(async () => { if (!asking.list.querySelector('.problem')) await asking.again(); }, AGAIN_MS);
