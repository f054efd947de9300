//! A notice as a call of a webhook: JSON in a POST, signed as Standard Webhooks has it, so that receivers verify it with
//! the libraries that there are.
//!
//! Redirections are not followed: what they lead to was not named by whoever configured us. Of the answer the status is
//! read and nothing else, and the whole call has a time.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::tls::{RootCerts, TlsConfig};

use super::endpoint::Endpoint;
use super::worker::{Carrier, Outcome};
use crate::access::account::AccountName;
use crate::access::message::time;
use crate::cases::Asked;
use crate::cases::notices::{Delivery, Notice};
use crate::forward::pace::now_ms;
use crate::forward::{retry_after, told};

/// The longest time to find and reach the receiver.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// The longest time of a call in all (the specification advises 15 to 30 s).
const CALL_TIME_MAX: Duration = Duration::from_secs(20);
/// The longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Calls one webhook.
pub(super) struct Webhook {
    endpoint: Endpoint,
    public_url: Option<String>,
    agent: ureq::Agent,
}

impl Webhook {
    pub(super) fn new(endpoint: Endpoint, public_url: Option<String>) -> Self {
        Self::within(CALL_TIME_MAX, endpoint, public_url)
    }

    fn within(call_time_max: Duration, endpoint: Endpoint, public_url: Option<String>) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(HEAD_BYTES_MAX)
            .max_idle_connections(0)
            .timeout_resolve(Some(CONNECT_TIME_MAX))
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .timeout_global(Some(call_time_max))
            .user_agent(concat!("overread/", env!("CARGO_PKG_VERSION")))
            .accept("*/*")
            .accept_encoding("")
            .tls_config(tls);
        // A proxy of the environment cannot reach our own machine's loopback.
        if endpoint.is_loopback {
            config = config.proxy(None);
        }
        Self {
            agent: config.build().new_agent(),
            endpoint,
            public_url,
        }
    }
}

impl Carrier for Webhook {
    fn carry(&self, delivery: &Delivery) -> Outcome {
        let notice = &delivery.notice;
        let body = body(notice, self.public_url.as_deref()).to_string();
        // Of the attempt, not of the event: receivers refuse what is old, which may be somebody's recording.
        let at_s = now_ms().div_euclid(1000);
        let signatures = match self.endpoint.signatures(&notice.id, at_s, &body) {
            Ok(signatures) => signatures,
            Err(reason) => return Outcome::Unreachable(reason, None),
        };
        let request = self
            .agent
            .post(&*self.endpoint.url)
            .header("content-type", "application/json")
            .header("webhook-id", &*notice.id)
            .header("webhook-timestamp", at_s)
            .header("webhook-signature", signatures);
        match request.send(&body) {
            Ok(answer) => {
                let retry = answer.headers().get("retry-after");
                let wait = retry_after(retry.and_then(|value| value.to_str().ok()));
                of_status(answer.status().as_u16(), wait)
            }
            Err(error) => Outcome::Unreachable(told(&error), None),
        }
    }
}

/// What a status means.
fn of_status(status: u16, wait: Option<Duration>) -> Outcome {
    let reason = format!("it answers HTTP {status}");
    match status {
        200..=299 => Outcome::Delivered,
        410 => Outcome::Gone(reason),
        // Something of this call: others may do better.
        400 | 409 | 413 | 422 | 500 | 501 => Outcome::Refused(reason),
        // Too much, or away; or no right, no such resource, a redirection: somebody must act.
        _ => Outcome::Unreachable(reason, wait),
    }
}

/// What is told: which case, what, when. Nothing of the patient, of the question or of the answer.
fn body(notice: &Notice, public_url: Option<&str>) -> Value {
    let url = public_url.map(|url| format!("{url}/cases/{}", notice.case));
    json!({
        "type": notice.event.word(),
        "timestamp": time(notice.at_ms),
        "data": {
            "number": notice.case,
            "revision": notice.revision,
            "state": notice.state.word(),
            "study_instance_uid": notice.study_instance_uid.as_str(),
            "task": notice.task.as_ref().map(|(place, asked)| json!({
                "place": place,
                "asked": who(asked),
            })),
            "due": notice.due_ms.map(time),
            "url": url,
        },
    })
}

fn who(asked: &Asked) -> Value {
    match asked {
        Asked::Pool(pool) => json!({ "pool": pool.as_str() }),
        Asked::Reader(name) => match AccountName::link(name) {
            Some(grant) => json!({ "link": grant }),
            None => json!({ "account": name.as_str() }),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;
    use std::time::Instant;

    use super::*;
    use crate::cases::State;
    use crate::cases::notices::NoticeEvent;
    use crate::dicom::Uid;

    fn notice() -> Notice {
        Notice {
            number: 9,
            id: "msg_1".into(),
            case: 7,
            event: NoticeEvent::Assigned,
            state: State::Open,
            revision: 3,
            task: Some((1, Asked::Reader(AccountName::parse("anna").unwrap()))),
            at_ms: 1_800_000_000_001,
            study_instance_uid: Uid::parse("1.2.3").unwrap(),
            due_ms: Some(1_800_000_100_000),
        }
    }

    /// Takes a call, and then says one byte of this after the other, or nothing, for far longer than a call may take here.
    #[test]
    fn who_says_nothing_or_little_at_a_time_is_left_in_time() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), super::super::new_secret().unwrap()).unwrap();
        let late = Duration::from_secs(5);
        for said in [&b""[..], b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 "] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            thread::spawn(move || {
                let (mut socket, _) = listener.accept().unwrap();
                let _ = socket.read(&mut [0; 4096]);
                let end = Instant::now() + 2 * late;
                let mut bytes = said.iter();
                while Instant::now() < end {
                    // All of an empty text has been said.
                    let next = bytes.next().or((!said.is_empty()).then_some(&b'y'));
                    if next.is_some_and(|byte| socket.write_all(&[*byte]).is_err()) {
                        break;
                    }
                    thread::sleep(Duration::from_millis(50));
                }
            });
            let text = format!(
                "http://127.0.0.1:{port}/ secret-file {}",
                secret.path().display()
            );
            let endpoint = Endpoint::parse(&text).unwrap();
            let webhook = Webhook::within(Duration::from_millis(500), endpoint, None);
            let delivery = Delivery {
                id: 1,
                notice: notice(),
                recipient: Box::default(),
                attempts: 0,
                queued_ms: 0,
            };
            let begun = Instant::now();
            let outcome = webhook.carry(&delivery);
            let expected = Outcome::Unreachable("no answer in time".into(), None);
            assert_eq!(outcome, expected);
            assert!(begun.elapsed() < late, "{:?}", begun.elapsed());
        }
    }

    #[test]
    fn bodies_say_which_case_and_what() {
        let mut notice = notice();
        let expected = concat!(
            r#"{"data":{"due":"2027-01-15T08:01:40.000Z","number":7,"revision":3,"state":"open","#,
            r#""study_instance_uid":"1.2.3","task":{"asked":{"account":"anna"},"place":1},"#,
            r#""url":"https://a.example/x/cases/7"},"timestamp":"2027-01-15T08:00:00.001Z","type":"case.assigned"}"#
        );
        assert_eq!(
            body(&notice, Some("https://a.example/x")).to_string(),
            expected
        );
        notice.task = Some((2, Asked::Reader(AccountName::of_link(5))));
        assert_eq!(
            body(&notice, None)["data"]["task"]["asked"],
            json!({ "link": 5 })
        );
        notice.task = None;
        assert!(body(&notice, None)["data"]["task"].is_null());
        assert!(body(&notice, None)["data"]["url"].is_null());
    }

    #[test]
    fn every_status_has_its_meaning() {
        let refused = |status| matches!(of_status(status, None), Outcome::Refused(_));
        let unreachable = |status| matches!(of_status(status, None), Outcome::Unreachable(..));
        for status in 100..600 {
            let outcome = of_status(status, None);
            match status {
                200..=299 => assert_eq!(outcome, Outcome::Delivered),
                410 => assert!(matches!(outcome, Outcome::Gone(_))),
                400 | 409 | 413 | 422 | 500 | 501 => assert!(refused(status), "{status}"),
                _ => assert!(unreachable(status), "{status}"),
            }
        }
        let wait = Some(Duration::from_secs(7));
        let told = Outcome::Unreachable("it answers HTTP 429".into(), wait);
        assert_eq!(of_status(429, wait), told);
    }
}
