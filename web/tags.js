// The module of the tags of an image: the filter answers while somebody types.
import { Asking } from './asking.js';

new Asking(document.querySelector('form.filter'));
