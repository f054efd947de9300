// Where a picture lies in the patient (PS3.3 §C.7.6.2.1.1): its plane, its place along the normal, the order of a stack.

const SAME_DIRECTION = 0.999;
/** Letters for the ends of the axes of the patient: to the left, to the back, to the head. */
const LETTERS = [['L', 'R'], ['P', 'A'], ['H', 'F']];
/** A direction is named by every axis of which it has at least this much: about 22 degrees. */
const LETTER_LEAST = 0.38;

export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const scaled = (a, by) => a.map((one) => one * by);
const sum = (a, b) => a.map((one, place) => one + b[place]);

/** The plane of a picture; undefined when it is none. `orientation` is of six numbers, `position` of three or undefined. */
export function plane(orientation, position) {
    if (!orientation) return undefined;
    const row = orientation.slice(0, 3);
    const column = orientation.slice(3);
    const [along, down] = [Math.hypot(...row), Math.hypot(...column)];
    if (Math.abs(along - 1) > 0.1 || Math.abs(down - 1) > 0.1 || Math.abs(dot(row, column)) > 0.1) return undefined;
    const normal = cross(row, column);
    return { row, column, normal, position, along: position && dot(position, normal) };
}

/** Whether two planes are parallel, and seen from the same side. */
export function areParallel(a, b) {
    return Boolean(a && b) && dot(a.normal, b.normal) > SAME_DIRECTION;
}

/** Whether every picture has a place along one and the same normal. */
export function isOneStack(images) {
    const first = images[0]?.plane;
    return Boolean(first) && images.every(({ plane }) => plane?.along !== undefined && areParallel(first, plane));
}

/**
 * The pictures in the order in which they are shown: by place along the normal when all have one of their own, in the
 * direction in which instance numbers rise; else by instance number and frame. Several times at one place, as of
 * phases, stay one after the other.
 */
export function ordered(images) {
    const byNumber = [...images].sort((a, b) => a.number - b.number || a.place - b.place);
    if (images.length < 2 || !isOneStack(images)) return byNumber;
    const byPlace = [...byNumber].sort((a, b) => a.plane.along - b.plane.along);
    const areApart = byPlace.every((one, place) => place === 0 || one.plane.along - byPlace[place - 1].plane.along > 0.001);
    if (!areApart) return byNumber;
    const isDownwards = byNumber.indexOf(byPlace[0]) > byNumber.indexOf(byPlace.at(-1));
    return isDownwards ? byPlace.reverse() : byPlace;
}

/** The letters of a direction of the patient. */
export function letters(direction) {
    return direction
        .map((part, axis) => [Math.abs(part), LETTERS[axis][part > 0 ? 0 : 1]])
        .filter(([part]) => part >= LETTER_LEAST)
        .sort(([a], [b]) => b - a)
        .map(([, letter]) => letter)
        .join('');
}

const OPPOSITE = { L: 'R', R: 'L', A: 'P', P: 'A', H: 'F', F: 'H' };
const opposite = (word) => word.replace(/[LRAPHF]/g, (letter) => OPPOSITE[letter]);

/**
 * What lies at the right and at the bottom, left and top of a picture turned by `turn` (a matrix a, b, c, d from
 * picture to screen), from its plane or from Patient Orientation (PS3.3 §C.7.6.1.1.1), which is two words.
 */
export function edges(image, turn) {
    const { plane, orientation } = image;
    // The axis of the picture that runs to the right of the screen, and downwards: rows of the inverse, which is the transposed.
    const along = (x, y) => {
        if (plane) return letters(sum(scaled(plane.row, x), scaled(plane.column, y)));
        if (!orientation) return '';
        const [word, sign] = x !== 0 ? [orientation[0], x] : [orientation[1], y];
        return sign > 0 ? word : opposite(word);
    };
    const [a, b, c, d] = turn;
    return { right: along(a, c), left: along(-a, -c), bottom: along(b, d), top: along(-b, -d) };
}

/** The picture of a stack that is nearest to a place along the normal. */
export function nearest(images, along) {
    let best = 0;
    images.forEach((image, place) => {
        if (Math.abs(image.plane.along - along) < Math.abs(images[best].plane.along - along)) best = place;
    });
    return best;
}
