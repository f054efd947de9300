//! Event reports as text frames (PS3.18 §8.10.5, §11.13): one DICOM JSON object, the command elements of an
//! N-EVENT-REPORT before the attributes of the event. The class is that of PS3.4 §CC.2.4.3, Push; the example of the
//! standard shows another one, and other value representations.

use dicom_core::{Tag, VR};

use crate::dicom::dataset::{Element, Value};
use crate::dicom::{Dataset, json};
use crate::worklist::UPS_PUSH;
use crate::worklist::event::EventReport;

/// A report as it is sent. `message_id` counts what one subscriber is told.
pub(super) fn text(report: &EventReport, message_id: u16) -> String {
    let mut event = report.information.clone();
    event.set(uid(Tag(0x0000, 0x0002), UPS_PUSH));
    event.set(number(Tag(0x0000, 0x0110), message_id));
    event.set(uid(Tag(0x0000, 0x1000), report.workitem.as_str()));
    event.set(number(Tag(0x0000, 0x1002), report.event_type.id()));
    written(&event)
}

fn written(event: &Dataset) -> String {
    let mut out = Vec::new();
    json::write_dataset(&mut out, event);
    // What we write is UTF-8.
    String::from_utf8(out).unwrap_or_default()
}

fn uid(tag: Tag, text: &str) -> Element {
    Element {
        tag,
        vr: VR::UI,
        value: Value::Bytes(text.as_bytes().to_vec()),
    }
}

fn number(tag: Tag, number: u16) -> Element {
    Element {
        tag,
        vr: VR::US,
        value: Value::Bytes(number.to_le_bytes().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::Uid;
    use crate::worklist::event::EventType;

    #[test]
    fn the_envelope_stands_before_the_event() {
        let report = EventReport {
            event_type: EventType::StateReport,
            workitem: Uid::parse("1.2.3").unwrap(),
            information: json::parse(br#"{"00741000":{"vr":"CS","Value":["SCHEDULED"]}}"#)
                .unwrap()
                .remove(0),
        };
        assert_eq!(
            text(&report, 7),
            r#"{"00000002":{"vr":"UI","Value":["1.2.840.10008.5.1.4.34.6.1"]},"00000110":{"vr":"US","Value":[7]},"00001000":{"vr":"UI","Value":["1.2.3"]},"00001002":{"vr":"US","Value":[1]},"00741000":{"vr":"CS","Value":["SCHEDULED"]}}"#
        );
    }
}
