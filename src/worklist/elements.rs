//! Small pieces of data sets as workitems and their event reports are made of.

use dicom_core::{Tag, VR};

use crate::dicom::Dataset;
use crate::dicom::dataset::{Element, Value};

/// An attribute of one text, padded to an even length.
pub(crate) fn text(tag: Tag, vr: VR, text: &str) -> Element {
    let mut bytes = text.as_bytes().to_vec();
    if bytes.len() % 2 == 1 {
        bytes.push(if vr == VR::UI { 0 } else { b' ' });
    }
    Element {
        tag,
        vr,
        value: Value::Bytes(bytes),
    }
}

/// An attribute without a value.
pub(crate) fn empty(tag: Tag, vr: VR) -> Element {
    let value = if vr == VR::SQ {
        Value::Items(Vec::new())
    } else {
        Value::Bytes(Vec::new())
    };
    Element { tag, vr, value }
}

/// A sequence of these items.
pub(crate) fn sequence(tag: Tag, items: Vec<Dataset>) -> Element {
    Element {
        tag,
        vr: VR::SQ,
        value: Value::Items(items),
    }
}

/// The items of a sequence, none when it is absent or none.
pub(crate) fn items(dataset: &Dataset, tag: Tag) -> &[Dataset] {
    match dataset.get(tag).map(|element| &element.value) {
        Some(Value::Items(items)) => items,
        Some(Value::Bytes(_) | Value::Bulk(_)) | None => &[],
    }
}

/// Whether an attribute has a value.
pub(crate) fn has_value(dataset: &Dataset, tag: Tag) -> bool {
    dataset.get(tag).is_some_and(is_valued)
}

/// Whether an element has a value: padding is none.
pub(crate) fn is_valued(element: &Element) -> bool {
    match &element.value {
        Value::Bytes(bytes) => bytes.iter().any(|b| !matches!(b, b' ' | 0)),
        Value::Items(items) => !items.is_empty(),
        Value::Bulk(_) => true,
    }
}

/// Basic Coded Entry Attributes (PS3.3 Table 8.8-1).
pub(crate) fn code(value: &str, scheme: &str, meaning: &str) -> Dataset {
    let mut item = Dataset::default();
    item.set(text(Tag(0x0008, 0x0100), VR::SH, value));
    item.set(text(Tag(0x0008, 0x0102), VR::SH, scheme));
    item.set(text(Tag(0x0008, 0x0104), VR::LO, meaning));
    item
}
