//! Forms with files (`multipart/form-data`, RFC 7578), read while they arrive: the async side moves bytes and watches the
//! clock, one blocking thread splits them and hands fields and files to whoever takes them.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, web};
use tokio::sync::mpsc;

use super::inboxes::check_announced;
use super::multipart_reader::{Ending, Event, Splitter};
use super::{Arriving, Caller, Hall, Problem, Sent, drain, forward, off_thread};

/// Chunks on their way to the blocking thread; each is at most what the server reads at once, 128 KiB.
const QUEUE_CHUNKS: usize = 8;
/// The longest value of a field. Bytes.
const FIELD_BYTES_MAX: usize = 4096;
/// The most fields and files of one form.
const PARTS_MAX: usize = 100_000;

/// What comes of a form, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum FormEvent<'a> {
    /// A field and its value.
    Field(&'a str, &'a str),
    /// A file begins; its name.
    File(&'a str),
    /// Some of its bytes.
    Data(&'a [u8]),
    /// It is whole.
    End,
    /// The form ended in the middle; of a file maybe.
    Cut,
}

/// Receives a form of any length and gives what comes of it to `feed`, which may block, as may `finish`, which makes the
/// answer of it at its end: all of it is one upload of those that run at once. What was fed before the form broke off stays
/// fed: why it did is told beside it.
///
/// # Errors
/// Before anything is read: 415 for what is no such form, 503 when too many are received at once, 507 when it would not
/// fit, 413 when it is more than may come by the inbox.
pub async fn receive_form<S: Send + 'static, T: Send + 'static>(
    request: &HttpRequest,
    hall: &web::Data<Hall>,
    mut payload: web::Payload,
    mut state: S,
    feed: impl Fn(&mut S, FormEvent<'_>) + Send + 'static,
    finish: impl FnOnce(S) -> T + Send + 'static,
) -> Result<(T, Option<Problem>), Problem> {
    let settings = hall.settings();
    let accepted = match accept(request, hall) {
        Ok(accepted) => fits(request, hall).await.map(|()| accepted),
        Err(problem) => Err(problem),
    };
    let (splitter, permit) = match accepted {
        Ok(accepted) => accepted,
        Err(problem) => {
            drain(settings, &mut payload).await;
            return Err(problem.and_close());
        }
    };
    let (queue, arriving) = mpsc::channel(QUEUE_CHUNKS);
    let receiving = off_thread(move || {
        // Held until the work ends, even when the client has left.
        let _permit = permit;
        let flaw = receive(splitter, arriving, &mut |event| feed(&mut state, event)).err();
        if flaw.is_some() {
            feed(&mut state, FormEvent::Cut);
        }
        (finish(state), flaw)
    });
    let sending = async {
        let sent = forward(settings, &mut payload, queue).await;
        if matches!(sent, Sent::Unwanted) {
            drain(settings, &mut payload).await;
        }
        sent
    };
    let (sent, received) = tokio::join!(sending, receiving);
    let (told, flaw) = received?;
    let flaw = match sent {
        Sent::Stalled => {
            let text = "the body stopped coming";
            Some(Problem::new(StatusCode::REQUEST_TIMEOUT, text).and_close())
        }
        Sent::Unwanted | Sent::Cut => flaw.map(Problem::and_close),
        Sent::Whole => flaw,
    };
    Ok((told, flaw))
}

type Accepted = (Splitter, tokio::sync::OwnedSemaphorePermit);

fn accept(request: &HttpRequest, hall: &Hall) -> Result<Accepted, Problem> {
    let wanted = || {
        let text = "files are taken as multipart/form-data";
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
    };
    let named = request.headers().get(header::CONTENT_TYPE);
    let media = named.and_then(|value| value.to_str().ok()?.parse::<mime::Mime>().ok());
    let media = media.filter(|media| media.essence_str() == "multipart/form-data");
    let media = media.ok_or_else(wanted)?;
    let boundary = media.get_param("boundary").ok_or_else(wanted)?;
    let splitter = Splitter::new(boundary.as_str())
        .map_err(|malformed| Problem::bad_request(malformed.to_string()))?;
    Ok((splitter, hall.begin_upload()?))
}

async fn fits(request: &HttpRequest, hall: &web::Data<Hall>) -> Result<(), Problem> {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let announced = announced.unwrap_or_default();
    check_announced(Caller::perhaps(request).as_ref(), hall, announced).await??;
    Ok(())
}

fn receive(
    mut splitter: Splitter,
    mut arriving: mpsc::Receiver<Arriving>,
    feed: &mut dyn FnMut(FormEvent<'_>),
) -> Result<(), Problem> {
    let mut part = Part::Nothing;
    let mut parts = 0;
    loop {
        match arriving.blocking_recv() {
            Some(Arriving::Bytes(bytes)) => {
                let split = splitter.feed(&bytes, &mut |event| {
                    parts += usize::from(matches!(event, Event::Begin(_)));
                    part.take(&event, feed);
                });
                split.map_err(|malformed| Problem::bad_request(malformed.to_string()))?;
                if parts > PARTS_MAX {
                    let text = format!("a form may hold {PARTS_MAX} fields and files");
                    return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text));
                }
            }
            Some(Arriving::End) => {
                return match splitter.finish() {
                    Ending::Closed => Ok(()),
                    Ending::NoDelimiter | Ending::Cut => {
                        let text = "the form ends before its closing boundary";
                        Err(Problem::bad_request(text))
                    }
                };
            }
            None => return Err(Problem::bad_request("the body is cut off")),
        }
    }
}

/// The part that is coming.
enum Part {
    Nothing,
    Field(String, Vec<u8>),
    File,
}

impl Part {
    fn take(&mut self, event: &Event<'_>, feed: &mut dyn FnMut(FormEvent<'_>)) {
        match event {
            Event::Begin(head) => {
                let disposition = Disposition::read(head);
                *self = match (disposition.name, disposition.filename) {
                    // A choice of files of which none was chosen.
                    (_, Some(filename)) if filename.is_empty() => Self::Nothing,
                    (_, Some(filename)) => {
                        feed(FormEvent::File(&filename));
                        Self::File
                    }
                    (Some(name), None) => Self::Field(name, Vec::new()),
                    (None, None) => Self::Nothing,
                };
            }
            Event::Data(bytes) => match self {
                Self::File => feed(FormEvent::Data(bytes)),
                Self::Field(_, value) if value.len() + bytes.len() <= FIELD_BYTES_MAX => {
                    value.extend_from_slice(bytes);
                }
                Self::Field(..) => *self = Self::Nothing,
                Self::Nothing => {}
            },
            Event::End => match std::mem::replace(self, Self::Nothing) {
                Self::File => feed(FormEvent::End),
                Self::Field(name, value) => {
                    if let Ok(value) = std::str::from_utf8(&value) {
                        feed(FormEvent::Field(&name, value));
                    }
                }
                Self::Nothing => {}
            },
        }
    }
}

/// What a part is called (RFC 7578 §4.2).
#[derive(Debug, Default, PartialEq, Eq)]
struct Disposition {
    name: Option<String>,
    filename: Option<String>,
}

impl Disposition {
    fn read(head: &[u8]) -> Self {
        let head = String::from_utf8_lossy(head);
        let line = head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_it = name.trim().eq_ignore_ascii_case("content-disposition");
            is_it.then_some(value)
        });
        let mut found = Self::default();
        let mut rest = line.and_then(|line| Some(line.split_once(';')?.1));
        while let Some(text) = rest {
            let Some((name, value)) = text.split_once('=') else {
                break;
            };
            let value = value.trim_start();
            let (value, after) = match value.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                None => value.split_once(';').unwrap_or((value, "")),
            };
            rest = (!after.trim().is_empty()).then(|| after.trim_start().trim_start_matches(';'));
            match name.trim().to_ascii_lowercase().as_str() {
                "name" => found.name = Some(unescaped(value)),
                "filename" => found.filename = Some(unescaped(value)),
                // RFC 5987, as some libraries send names beyond ASCII.
                "filename*" => {
                    let value = value.rsplit('\'').next().unwrap_or_default();
                    found.filename = Some(unescaped(value));
                }
                _ => {}
            }
        }
        found
    }
}

/// As browsers write names: quotes and line ends percent-encoded, and so is all else that is.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let coded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, coded) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_called_as_browsers_call_them() {
        let read = |line: &str| {
            let head = format!("\r\nContent-Type: x/y\r\ncontent-disposition: {line}");
            let found = Disposition::read(head.as_bytes());
            (found.name, found.filename)
        };
        let of = |name: &str, filename: Option<&str>| {
            (Some(name.to_owned()), filename.map(str::to_owned))
        };
        for (line, expected) in [
            ("form-data; name=\"study\"", of("study", None)),
            ("form-data; name=study", of("study", None)),
            (
                "form-data; name=\"files\"; filename=\"a;b=%22c%22.dcm\"",
                of("files", Some("a;b=\"c\".dcm")),
            ),
            (
                "form-data; name=\"f\"; filename=\"CD/DICOM/Bild ä 100%.dcm\"",
                of("f", Some("CD/DICOM/Bild ä 100%.dcm")),
            ),
            ("form-data; name=\"f\"; filename=\"\"", of("f", Some(""))),
            (
                "form-data; name=f; filename*=utf-8''B%C3%A4r",
                of("f", Some("Bär")),
            ),
            ("form-data; name=\"open", of("open", None)),
            ("form-data", (None, None)),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn fields_and_files_come_in_order() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"study\"\r\n\r\n1.2\r\n--b\r\n\
             Content-Disposition: form-data; name=\"none\"; filename=\"\"\r\n\r\n\r\n--b\r\n\
             Content-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\nab\r\n--b--\r\n";
        for size in [1, 7, 1000] {
            let (mut splitter, mut part) = (Splitter::new("b").unwrap(), Part::Nothing);
            let mut told = String::new();
            for piece in body.as_bytes().chunks(size) {
                let fed = splitter.feed(piece, &mut |event| {
                    part.take(&event, &mut |event| match event {
                        FormEvent::Field(name, value) => told += &format!("{name}={value} "),
                        FormEvent::File(name) => told += &format!("file {name}: "),
                        FormEvent::Data(bytes) => told += std::str::from_utf8(bytes).unwrap(),
                        FormEvent::End => told += " end",
                        FormEvent::Cut => told += " cut",
                    });
                });
                fed.unwrap();
            }
            assert_eq!(told, "study=1.2 file x: ab end");
        }
    }
}
