//! How many requests each route answered, and how: the labels are routes of ours and statuses,
//! never anything a client wrote.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// Requests answered, by method, route and status.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<String, ByAnswer>>);

/// Those of one route by method and status.
type ByAnswer = BTreeMap<(&'static str, u16), u64>;

impl Counts {
    /// Notes one more.
    pub(super) fn add(&self, method: &str, route: &str, status: u16) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = (known(method), status);
        match counts.get_mut(route) {
            Some(of_route) => *of_route.entry(answer).or_default() += 1,
            None => {
                counts.insert(route.to_owned(), ByAnswer::from([(answer, 1)]));
            }
        }
    }

    /// Writes them in the Prometheus text format.
    pub(super) fn write(&self, text: &mut String) {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str("# TYPE overread_http_requests_total counter\n");
        for (route, of_route) in counts.iter() {
            for ((method, status), count) in of_route {
                // Writing to a String cannot fail.
                let _ = writeln!(
                    text,
                    "overread_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}} {count}"
                );
            }
        }
    }
}

/// A method as a label: anything may stand in a request line.
fn known(method: &str) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    METHODS
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_status() {
        let counts = Counts::default();
        counts.add("GET", "/dicom-web/studies", 200);
        counts.add("GET", "/dicom-web/studies", 200);
        counts.add("BREW\"", "/", 405);
        let mut text = String::new();
        counts.write(&mut text);
        assert!(text.contains("{method=\"GET\",route=\"/dicom-web/studies\",status=\"200\"} 2\n"));
        assert!(text.contains("{method=\"other\",route=\"/\",status=\"405\"} 1\n"));
    }
}
