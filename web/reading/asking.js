// The two dialogs of a reader: which keys there are, and whether what cannot be taken back is to be done. Browsers keep the
// focus in them, close them by Escape, and give the focus back.
import { say } from '../texts.js';
import { element } from './form.js';

function dialog(title, ...children) {
    const heading = element('h2', { id: 'what-is-asked' }, title);
    const made = element('dialog', { class: 'card', 'aria-labelledby': heading.id }, heading, ...children);
    document.body.append(made);
    made.addEventListener('close', () => made.remove());
    return made;
}

/** Shows the keys: [[keys, words]]; `turn` switches single ones on or off. */
export function list(keys, { isOn, turn }) {
    if (document.querySelector('dialog[open]')) return;
    const rows = keys.map(([names, words]) =>
        element('tr', {}, element('th', { scope: 'row' }, ...names.flatMap((name, at) => [at ? ' ' : '', element('kbd', {}, name)])), element('td', {}, words)));
    const box = element('input', { type: 'checkbox', name: 'single-keys' });
    box.checked = isOn();
    box.addEventListener('change', () => turn(box.checked));
    const close = element('form', { method: 'dialog', class: 'acts' }, element('button', {}, say('Close')));
    dialog(say('Keyboard shortcuts'), element('table', { class: 'figures' }, element('tbody', {}, ...rows)),
        element('label', { class: 'choice' }, box, ` ${say('Single keys do something, where no text is being typed')}`), close).showModal();
}

/** Whether what is final is to be done. */
export function sure(title, words, button) {
    if (document.querySelector('dialog[open]')) return Promise.resolve(false);
    return new Promise((give) => {
        const yes = element('button', { value: 'yes' }, button);
        const no = element('button', { value: 'no', class: 'plain' }, say('Not yet'));
        const made = dialog(title, ...words.map((text) => element('p', {}, text)), element('form', { method: 'dialog', class: 'acts' }, yes, no));
        made.addEventListener('close', () => give(made.returnValue === 'yes'));
        made.showModal();
        yes.focus();
    });
}
