// What there is to see of a series: its metadata (PS3.18 §10.4.1.1.2) as a list of pictures, one for each frame.

import { date, items, number, numbers, person, text } from './attributes.js';
import { ordered, plane } from './geometry.js';

/** The most pictures of a series that are listed. */
const IMAGES_MAX = 20_000;
const SHARED = '52009229';
const PER_FRAME = '52009230';
/** Transfer syntaxes that lose something, whatever else the object says. */
const LOSSY = new Set(['50', '51', '81', '112'].map((one) => `1.2.840.10008.1.2.4.${one}`));

/** The pictures of a series in their order, and what was left out. `syntax` is that of its first image, as it is stored. */
export function imagesOf(datasets, root, syntax) {
    const images = [];
    let isCut = false;
    let without = 0;
    datasets.forEach((dataset, order) => {
        const frames = framesOf(dataset);
        if (frames === 0) without += 1;
        for (let frame = 1; frame <= frames; frame += 1) {
            if (images.length >= IMAGES_MAX) {
                isCut = true;
                return;
            }
            images.push(imageOf(dataset, frame, frames, order, root, syntax));
        }
    });
    return { images: ordered(images), isCut, without };
}

function framesOf(dataset) {
    if (isDrawn(dataset)) return Math.max(1, number(dataset, '00280008') ?? 1);
    if (!number(dataset, '00280010') || !number(dataset, '00280011')) return 0;
    return Math.max(1, number(dataset, '00280008') ?? 1);
}

/** What is no plain image, and drawn by the server: waveforms, contours, segments, doses. */
function isDrawn(dataset) {
    return ['54000100', '30060039', '00620002', '3004000E'].some((tag) => tag in dataset);
}

function imageOf(dataset, frame, frames, order, root, syntax) {
    // Per-frame groups go before shared ones, those before the instance.
    const shared = items(dataset, SHARED)[0];
    const own = dataset[PER_FRAME]?.Value?.[frame - 1];
    const found = (sequence, tag) =>
        [items(own, sequence)[0], items(shared, sequence)[0], dataset].find((item) => item && tag in item);
    const study = text(dataset, '0020000D');
    const series = text(dataset, '0020000E');
    const instance = text(dataset, '00080018');
    const path = `${root}/studies/${study}/series/${series}/instances/${instance}`;
    const image = {
        key: `${instance}/${frame}`,
        study, series, instance, frame, frames, path,
        number: number(dataset, '00200013') ?? order + 1,
        // Of instances under one number, those that came first; of frames, the first.
        place: order * IMAGES_MAX + frame,
        modality: text(dataset, '00080060'),
        patient: person(dataset, '00100010'),
        patientId: text(dataset, '00100020'),
        studyDate: date(dataset, '00080020'),
        description: text(dataset, '0008103E'),
        seriesNumber: text(dataset, '00200011'),
        frameOfReference: text(dataset, '00200052'),
        rows: number(dataset, '00280010') ?? 0,
        columns: number(dataset, '00280011') ?? 0,
        isLossy: text(dataset, '00282110') === '01' || LOSSY.has(syntax),
        ratio: number(dataset, '00282112'),
        plane: plane(
            numbers(found('00209116', '00200037'), '00200037', 6),
            numbers(found('00209113', '00200032'), '00200032', 3),
        ),
        orientation: orientationOf(dataset),
        spacing: spacingOf(found('00289110', '00280030'), dataset),
        frameTime: frameTimeOf(dataset),
        window: found('00289132', '00281050'),
        voi: items(dataset, '00283010')[0],
        rescale: found('00289145', '00281052') ?? dataset,
        modalityLut: items(dataset, '00283000')[0],
    };
    image.pixels = isDrawn(dataset) ? undefined : pixelsOf(dataset);
    return image;
}

/**
 * How the cells of a frame are read, when they can be: grey ones of every kind, and RGB pixel by pixel, which the server
 * gives of every transfer syntax alike. What is in planes, or in other colors, it draws.
 */
function pixelsOf(dataset) {
    const photometric = text(dataset, '00280004');
    const samples = number(dataset, '00280002') ?? 1;
    const allocated = number(dataset, '00280100');
    const stored = number(dataset, '00280101') ?? allocated;
    const isFloat = '7FE00008' in dataset || '7FE00009' in dataset;
    const isGrey = samples === 1 && /^MONOCHROME[12]$/.test(photometric) && [1, 8, 16, 32, 64].includes(allocated);
    const isRgb = samples === 3 && photometric === 'RGB' && allocated === 8 && number(dataset, '00280006') !== 1;
    if (!isGrey && !isRgb) return undefined;
    if (!(stored >= 1 && stored <= allocated) || (allocated === 64 && !isFloat)) return undefined;
    return {
        samples, allocated, stored, isFloat,
        highBit: number(dataset, '00280102') ?? stored - 1,
        isSigned: number(dataset, '00280103') === 1,
        isInverted: photometric === 'MONOCHROME1',
        padding: paddingOf(dataset),
    };
}

/** Pixel Padding Value, and the other end of its range. */
function paddingOf(dataset) {
    const one = number(dataset, '00280120');
    const other = number(dataset, '00280121') ?? one;
    return one === undefined ? undefined : [Math.min(one, other), Math.max(one, other)];
}

/** Patient Orientation of pictures without a plane: what lies to the right, and below. */
function orientationOf(dataset) {
    const words = [text(dataset, '00200020', 0), text(dataset, '00200020', 1)];
    return words.every((word) => /^[LRAPHF]{1,3}$/.test(word)) ? words : undefined;
}

/** Millimetres between rows and between columns, and whether they are those of the patient. */
function spacingOf(measured, dataset) {
    const positive = (item, tag) => {
        const pair = numbers(item, tag, 2);
        return pair?.every((one) => one > 0 && one < 1000) ? pair : undefined;
    };
    const pair = positive(measured, '00280030');
    if (pair) return { rows: pair[0], columns: pair[1], isCalibrated: true };
    const detector = positive(dataset, '00181164') ?? positive(dataset, '00182010');
    if (detector) return { rows: detector[0], columns: detector[1], isCalibrated: false };
    const aspect = positive(dataset, '00280034');
    return { rows: aspect?.[0] ?? 1, columns: aspect?.[1] ?? 1, isCalibrated: undefined };
}

/** Milliseconds that a frame is shown. */
function frameTimeOf(dataset) {
    const rate = number(dataset, '00082144') ?? number(dataset, '00180040');
    const time = rate > 0 ? 1000 / rate : number(dataset, '00181063');
    return time > 0 ? Math.min(Math.max(time, 16), 2000) : undefined;
}
