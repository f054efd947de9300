//! Rows of the audit trail for others: as DICOM audit messages (the schema of PS3.15 §A.5.1) and as lines of CSV.

use std::fmt::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::access::audit::{ActionCode, AuditRecord, Event, EventType, Kept};
use crate::dicom::text_form::escaped;

/// A code as the schema writes it: value, coding scheme, meaning.
type Code = (&'static str, &'static str, &'static str);

/// The identifier of a study (PS3.16 CID 404).
const STUDY: Code = ("110180", "DCM", "Study Instance UID");
/// What identifies other objects (RFC 3881 §5.5.4).
const PATIENT: Code = ("2", "RFC-3881", "Patient Number");
const USER: Code = ("11", "RFC-3881", "User Identifier");
const URI: Code = ("12", "RFC-3881", "URI");
/// The query of a Query message (§A.5.3.10).
const SOP_CLASS: Code = ("110181", "DCM", "SOP Class UID");
/// Roles of participants (PS3.16 CID 402).
const APPLICATION: Code = ("110150", "DCM", "Application");
const DESTINATION: Code = ("110152", "DCM", "Destination Role ID");
const SOURCE: Code = ("110153", "DCM", "Source Role ID");

/// Study Root Query/Retrieve Information Model: what QIDO-RS and the pages search.
const STUDY_ROOT_FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";

/// What stands before the first message of a file, and after the last.
pub const XML_HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<AuditMessages>\n";
/// See [`XML_HEAD`].
pub const XML_TAIL: &str = "</AuditMessages>\n";

/// The first line of a CSV file.
pub const CSV_HEAD: &str = "id,time,event,type,action,outcome,who,means,address,studies,patient_id,object,detail,digest\r\n";

/// An instant as XML and people write it: RFC 3339 in UTC, always to the millisecond, so that the order of such texts is
/// that of the instants.
#[must_use]
pub fn time(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms)
        .map_or_else(|_| at_ms.to_string(), |at| format!("{at:.3}"))
}

/// Writes an element `AuditMessage`. `source` names the archive that tells.
///
/// # Errors
/// When `out` does not take it.
pub fn write_xml(out: &mut dyn Write, source: &str, record: &AuditRecord) -> fmt::Result {
    let who = &record.who;
    write!(
        out,
        "<AuditMessage>\n<EventIdentification EventActionCode=\"{}\" EventDateTime=\"{}\" EventOutcomeIndicator=\"{}\">",
        record.action.code(),
        time(record.at_ms),
        record.outcome.code()
    )?;
    let event = (record.event.code(), "DCM", record.event.meaning());
    code(out, "EventID", event)?;
    if let Some(kind) = record.event_type {
        code(out, "EventTypeCode", (kind.code(), "DCM", kind.meaning()))?;
    }
    if !record.detail.is_empty() && record.event != Event::Query {
        write!(
            out,
            "<EventOutcomeDescription>{}</EventOutcomeDescription>",
            escaped(&record.detail)
        )?;
    }
    let (theirs, ours) = roles(record);
    write!(
        out,
        "</EventIdentification>\n<ActiveParticipant UserID=\"{}\"",
        escaped(&who.name)
    )?;
    if !who.means.is_empty() {
        write!(out, " AlternativeUserID=\"{}\"", escaped(&who.means))?;
    }
    out.write_str(" UserIsRequestor=\"true\"")?;
    if !who.address.is_empty() {
        write!(
            out,
            " NetworkAccessPointID=\"{}\" NetworkAccessPointTypeCode=\"2\"",
            escaped(&who.address)
        )?;
    }
    out.write_str(">")?;
    if let Some(role) = theirs {
        code(out, "RoleIDCode", role)?;
    }
    write!(
        out,
        "</ActiveParticipant>\n<ActiveParticipant UserID=\"{}\" UserIsRequestor=\"false\">",
        escaped(source)
    )?;
    code(out, "RoleIDCode", ours)?;
    write!(
        out,
        "</ActiveParticipant>\n<AuditSourceIdentification AuditSourceID=\"{}\"><AuditSourceTypeCode csd-code=\"4\"/>\
         </AuditSourceIdentification>\n",
        escaped(source)
    )?;
    for study in &record.studies {
        object(out, (study.as_str(), "2", "3"), STUDY, "")?;
    }
    if !record.patient_id.is_empty() {
        object(out, (record.patient_id.as_str(), "1", "1"), PATIENT, "")?;
    }
    if record.event == Event::Query {
        object(out, (STUDY_ROOT_FIND, "2", "3"), SOP_CLASS, &record.detail)?;
    } else if !record.object.is_empty() {
        let (kind, role) = match record.object.split_once(' ') {
            Some(("account" | "token", _)) => (USER, "6"),
            _ => (URI, "3"),
        };
        object(out, (record.object.as_str(), "2", role), kind, "")?;
    }
    out.write_str("</AuditMessage>\n")
}

/// The roles of who asked and of this archive.
fn roles(record: &AuditRecord) -> (Option<Code>, Code) {
    match (record.event, record.action) {
        (
            Event::InstancesTransferred | Event::BeginTransferring | Event::Import,
            ActionCode::Create,
        ) => (Some(SOURCE), DESTINATION),
        (Event::InstancesTransferred | Event::BeginTransferring | Event::Export, _) => {
            (Some(DESTINATION), SOURCE)
        }
        (Event::Query, _) => (Some(SOURCE), DESTINATION),
        _ => (None, APPLICATION),
    }
}

fn code(out: &mut dyn Write, element: &str, (value, scheme, meaning): Code) -> fmt::Result {
    write!(
        out,
        "<{element} csd-code=\"{value}\" codeSystemName=\"{scheme}\" originalText=\"{meaning}\"/>"
    )
}

/// `id` with its type and role; `query` stands as base64, whatever it holds.
fn object(
    out: &mut dyn Write,
    (id, kind, role): (&str, &str, &str),
    id_type: Code,
    query: &str,
) -> fmt::Result {
    write!(
        out,
        "<ParticipantObjectIdentification ParticipantObjectID=\"{}\" ParticipantObjectTypeCode=\"{kind}\" \
         ParticipantObjectTypeCodeRole=\"{role}\">",
        escaped(id)
    )?;
    code(out, "ParticipantObjectIDTypeCode", id_type)?;
    if query.is_empty() {
        write!(
            out,
            "<ParticipantObjectName>{}</ParticipantObjectName>",
            escaped(id)
        )?;
    } else {
        let query = STANDARD.encode(query);
        write!(
            out,
            "<ParticipantObjectQuery>{query}</ParticipantObjectQuery>"
        )?;
    }
    out.write_str("</ParticipantObjectIdentification>\n")
}

/// Writes a line of CSV (RFC 4180).
///
/// # Errors
/// When `out` does not take it.
pub fn write_csv(out: &mut dyn Write, kept: &Kept) -> fmt::Result {
    let record = &kept.record;
    let studies: Vec<_> = record.studies.iter().map(|uid| uid.as_str()).collect();
    let cells = [
        kept.id.to_string(),
        time(record.at_ms),
        record.event.meaning().into(),
        record.event_type.map_or("", EventType::meaning).into(),
        record.action.code().into(),
        record.outcome.code().to_string(),
        record.who.name.clone(),
        record.who.means.clone(),
        record.who.address.clone(),
        studies.join(" "),
        record.patient_id.clone(),
        record.object.clone(),
        record.detail.clone(),
        kept.link.to_string(),
    ];
    for (place, cell) in cells.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        // What a spreadsheet would take for a formula, it shall not.
        let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            "'"
        } else {
            ""
        };
        write!(out, "{comma}\"{guard}{}\"", cell.replace('"', "\"\""))?;
    }
    out.write_str("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::audit::{Actor, Link};
    use crate::dicom::Uid;

    fn record(event: Event) -> AuditRecord {
        let who = Actor {
            name: "=A<\"&".into(),
            means: "association".into(),
            address: "192.0.2.7".into(),
        };
        AuditRecord::new(event, ActionCode::Execute, who, 1_800_000_000_123)
            .about(&Uid::parse("1.2.3").unwrap())
            .of_patient("P'1")
            .saying("PatientName=A\"B,C\nD")
    }

    fn xml(record: &AuditRecord) -> String {
        let mut text = String::new();
        write_xml(&mut text, "OVERREAD", record).unwrap();
        // Whatever the values, it is well-formed.
        let mut reader = quick_xml::Reader::from_str(&text);
        while !matches!(reader.read_event().unwrap(), quick_xml::events::Event::Eof) {}
        text
    }

    #[test]
    fn a_message_says_who_what_and_how() {
        let text = xml(&record(Event::Query).of_type(EventType::Login));
        for part in [
            "EventActionCode=\"E\" EventDateTime=\"2027-01-15T08:00:00.123Z\" EventOutcomeIndicator=\"0\"",
            "<EventID csd-code=\"110112\" codeSystemName=\"DCM\" originalText=\"Query\"/>",
            "<EventTypeCode csd-code=\"110122\"",
            "UserID=\"=A&lt;&quot;&amp;\" AlternativeUserID=\"association\" UserIsRequestor=\"true\" NetworkAccessPointID=\"192.0.2.7\"",
            "ParticipantObjectID=\"1.2.3\"",
            "<ParticipantObjectQuery>UGF0aWVudE5hbWU9QSJCLEMKRA==</ParticipantObjectQuery>",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let other = xml(&record(Event::SecurityAlert).on("account anna"));
        assert!(other.contains("<EventOutcomeDescription>PatientName=A&quot;B,C\nD<"));
        assert!(other.contains("ParticipantObjectID=\"account anna\" ParticipantObjectTypeCode=\"2\" ParticipantObjectTypeCodeRole=\"6\""));
    }

    #[test]
    fn a_line_has_as_many_cells_as_the_head() {
        let kept = Kept {
            id: 7,
            record: record(Event::Query),
            link: Link::START,
        };
        let mut text = String::new();
        write_csv(&mut text, &kept).unwrap();
        assert!(text.starts_with("\"7\",\"2027-01-15T08:00:00.123Z\",\"Query\",\"\",\"E\",\"0\",\"'=A<\"\"&\",\"association\""));
        assert!(text.contains("\"PatientName=A\"\"B,C\nD\""));
        assert_eq!(CSV_HEAD.matches(',').count(), text.matches("\",\"").count());
    }
}
