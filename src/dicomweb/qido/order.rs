//! `orderby`, which other archives have and PS3.18 has not: attributes after commas, a `-` before one that goes
//! down. It reaches as far as the orders of the index do ([`Order`]); what it does not reach is refused, since
//! rows in another order than was asked for would look as if they were in it.

use crate::dicom::query::{Field, Order, OrderBy};
use crate::http::Problem;

/// What is said of everything else.
const SUPPORTED: &str = "orderby of studies is StudyDate, PatientName or PatientID, with - before it for the other way; \
     StudyTime may follow StudyDate the same way, -StudyDate and -StudyTime may follow the others";

/// The order that a list asks for.
///
/// # Errors
/// 400 when studies cannot be had in it.
pub(super) fn read(list: &str) -> Result<Order, Problem> {
    let parts = list.split(',').map(|part| {
        let part = part.trim();
        let (is_descending, name) = match part.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, part),
        };
        Some((Field::read(name)?.keyword(), is_descending))
    });
    let parts: Option<Vec<_>> = parts.collect();
    let parts = parts.unwrap_or_default();
    let parts: Vec<_> = parts
        .iter()
        .map(|(keyword, is_descending)| (keyword.as_str(), *is_descending))
        .collect();
    let (by, is_descending) = match parts[..] {
        [("StudyDate", way)] => (OrderBy::StudyDate, way),
        [("StudyDate", way), ("StudyTime", of_time)] if way == of_time => (OrderBy::StudyDate, way),
        [(name, way)]
        | [(name, way), ("StudyDate", true)]
        | [(name, way), ("StudyDate", true), ("StudyTime", true)] => match name {
            "PatientName" => (OrderBy::PatientName, way),
            "PatientID" => (OrderBy::PatientId, way),
            _ => return Err(Problem::bad_request(SUPPORTED)),
        },
        _ => return Err(Problem::bad_request(SUPPORTED)),
    };
    Ok(Order {
        by,
        is_descending,
        after: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_the_index_has_is_read_and_no_other() {
        use OrderBy::{PatientId, PatientName, StudyDate};
        for (list, wanted) in [
            ("StudyDate", Some((StudyDate, false))),
            ("-StudyDate", Some((StudyDate, true))),
            ("-00080020", Some((StudyDate, true))),
            ("-StudyDate,-StudyTime", Some((StudyDate, true))),
            ("StudyDate,-StudyTime", None),
            ("PatientName", Some((PatientName, false))),
            ("-PatientName, -StudyDate", Some((PatientName, true))),
            ("PatientName,StudyDate", None),
            ("PatientID,-StudyDate,-StudyTime", Some((PatientId, false))),
            ("-00100020", Some((PatientId, true))),
            ("PatientID,PatientName", None),
            ("StudyTime", None),
            ("PatientSex", None),
            ("--PatientID", None),
            ("PatientID,", None),
            ("nonsense", None),
            ("", None),
        ] {
            let found = read(list).map(|order| (order.by, order.is_descending));
            assert_eq!(found.ok(), wanted, "{list}");
        }
    }
}
