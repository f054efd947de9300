//! The query component of a URI as pairs (PS3.18 §8.3). Percent-encoding is undone exactly once,
//! after the splitting, so that `%26`, `%3D` and `%2C` stand for themselves.

use super::Problem;

/// The most parameters of one request.
const PARAMETERS_MAX: usize = 512;

/// Splits and decodes a query component. A pair without a name (`?&x=1`, `=1`) is passed over, as
/// some viewers send it. `+` means a space, as HTML forms and most client libraries encode it,
/// except in `accept`, where a media type may hold a bare one.
///
/// # Errors
/// 400 when the encoding is malformed, not UTF-8, or there are too many parameters.
pub fn parameters(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut pairs = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name.is_empty() {
            continue;
        }
        if pairs.len() == PARAMETERS_MAX {
            return Err(Problem::bad_request("too many query parameters"));
        }
        let name = decode(name, Plus::IsSpace)?;
        let plus = if name == "accept" {
            Plus::IsPlus
        } else {
            Plus::IsSpace
        };
        let value = decode(value, plus)?;
        pairs.push((name, value));
    }
    Ok(pairs)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    IsSpace,
    IsPlus,
}

fn decode(text: &str, plus: Plus) -> Result<String, Problem> {
    let malformed = || Problem::bad_request("the query is not percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let high = rest.next().and_then(hex_digit).ok_or_else(malformed)?;
                let low = rest.next().and_then(hex_digit).ok_or_else(malformed)?;
                high << 4 | low
            }
            b'+' if plus == Plus::IsSpace => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: &[(&str, &str)]) {
        let pairs = parameters(query).unwrap();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(pairs, expected, "{query}");
    }

    #[test]
    fn pairs_are_split_before_they_are_decoded_once() {
        check("PatientName=Doe%5EPeter", &[("PatientName", "Doe^Peter")]);
        check("a=1%262&b=%3D%2C", &[("a", "1&2"), ("b", "=,")]);
        check("a=%2525", &[("a", "%25")]);
        check("PatientName=M%C3%BCller+A", &[("PatientName", "Müller A")]);
        check("&x=1&=2&&y", &[("x", "1"), ("y", "")]);
        check(
            "accept=application/dicom+json",
            &[("accept", "application/dicom+json")],
        );
        check("", &[]);
    }

    #[test]
    fn malformed_encoding_is_refused() {
        for bad in ["a=%", "a=%2", "a=%zz", "a=%ff", "%+1=a"] {
            assert!(parameters(bad).is_err(), "{bad}");
        }
        assert!(parameters(&"a&".repeat(PARAMETERS_MAX + 1)).is_err());
    }
}
