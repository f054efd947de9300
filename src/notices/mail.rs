//! A notice as a mail to one account: a few plain lines and a link to the case. Nothing of a patient, of the question or of
//! the answer stands in it, for mail lies about on servers of others.

use std::sync::Arc;

use lettre::Message;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};

use super::smtp::MailServer;
use super::worker::{Carrier, Outcome};
use crate::access::Email;
use crate::cases::CaseLedger;
use crate::cases::notices::{Delivery, Notice, NoticeEvent};

/// Sends mails.
pub(super) struct Mail {
    server: MailServer,
    ledger: Arc<dyn CaseLedger>,
    public_url: Option<String>,
}

impl Mail {
    pub(super) fn new(
        server: MailServer,
        ledger: Arc<dyn CaseLedger>,
        public_url: Option<String>,
    ) -> Self {
        Self {
            server,
            ledger,
            public_url,
        }
    }
}

impl Carrier for Mail {
    fn carry(&self, delivery: &Delivery) -> Outcome {
        // As it is now: addresses change while mail waits, and people leave.
        let account = match self.ledger.account(&delivery.recipient) {
            Ok(account) => account.filter(|account| account.is_enabled),
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let Some(to) = account.and_then(|account| account.email) else {
            return Outcome::Nobody("the account has no address any more".into());
        };
        match message(delivery, &self.server.from, &to, self.public_url.as_deref()) {
            Ok(message) => self.server.hand_in(&to, &message.formatted()),
            Err(reason) => Outcome::Nobody(reason),
        }
    }
}

/// What has happened, for the subject and the first line. English texts of all mails.
#[rustfmt::skip]
const TEXTS: &[(NoticeEvent, &str)] = &[
    (NoticeEvent::Opened,            "it was opened"),
    (NoticeEvent::Assigned,          "you are asked to read it"),
    (NoticeEvent::Claimed,           "somebody reads it"),
    (NoticeEvent::GivenBack,         "a reader has given it back unanswered"),
    (NoticeEvent::TaskEnded,         "a request to you was taken back"),
    (NoticeEvent::Signed,            "an opinion was signed"),
    (NoticeEvent::Answered,          "it was answered"),
    (NoticeEvent::Corrected,         "an opinion was corrected"),
    (NoticeEvent::AdjudicationAsked, "you are asked to judge between opinions"),
    (NoticeEvent::Closed,            "it was closed"),
    (NoticeEvent::Withdrawn,         "no answer is wanted any more"),
    (NoticeEvent::Expired,           "it has expired unanswered"),
    (NoticeEvent::DueSoon,           "the answer is wanted soon"),
    (NoticeEvent::Overdue,           "the answer is overdue"),
    (NoticeEvent::ImagesChanged,     "images have changed since an opinion was signed"),
];

/// The end of every mail.
const FOOT: &str = "This mail comes from a program, and nobody reads an answer to it.\n\
                    It says nothing of the patient, so that you can keep it.\n";

fn message(
    delivery: &Delivery,
    from: &Email,
    to: &Email,
    public_url: Option<&str>,
) -> Result<Message, String> {
    let notice = &delivery.notice;
    let mailbox = |email: &Email| {
        let address = email.as_str().parse();
        address
            .map(|address| Mailbox::new(None, address))
            .map_err(|_| "the account has no address that mail can go to".to_owned())
    };
    // The same for each attempt, so that who has had it knows it again.
    let id = format!("<{}.{}@{}>", notice.id, delivery.id, from.domain());
    let automatic = HeaderValue::new(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        "auto-generated".to_owned(),
    );
    Message::builder()
        .from(mailbox(from)?)
        .to(mailbox(to)?)
        .subject(headline(notice))
        .date_now()
        .message_id(Some(id))
        .raw_header(automatic)
        .header(ContentType::TEXT_PLAIN)
        .body(text(notice, public_url))
        .map_err(|error| format!("no mail can be made: {error}"))
}

fn headline(notice: &Notice) -> String {
    let known = TEXTS.iter().find(|(event, _)| *event == notice.event);
    let what = known.map_or(notice.event.word(), |(_, what)| what);
    format!("Case {}: {what}", notice.case)
}

fn text(notice: &Notice, public_url: Option<&str>) -> String {
    let mut text = format!("{}.\n", headline(notice));
    if let Some(due_ms) = notice.due_ms {
        let due = jiff::Timestamp::from_millisecond(due_ms);
        let due = due.map(|at| at.strftime("%Y-%m-%d %H:%M UTC").to_string());
        text += &format!("The answer is wanted by {}.\n", due.unwrap_or_default());
    }
    let place = match public_url {
        Some(url) => format!("{url}/cases/{}", notice.case),
        None => "You find it among your cases.".to_owned(),
    };
    format!("{text}\n{place}\n\n-- \n{FOOT}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::State;
    use crate::dicom::Uid;

    fn delivery(event: NoticeEvent) -> Delivery {
        Delivery {
            id: 3,
            notice: Notice {
                number: 1,
                id: "msg_1".into(),
                case: 12,
                event,
                state: State::Open,
                revision: 1,
                task: None,
                at_ms: 0,
                study_instance_uid: Uid::parse("1.2.3").unwrap(),
                due_ms: Some(1_800_000_000_000),
            },
            recipient: "anna".into(),
            attempts: 0,
            queued_ms: 0,
        }
    }

    #[test]
    fn every_event_has_its_text() {
        for (event, _) in NoticeEvent::all() {
            assert!(TEXTS.iter().any(|(known, _)| *known == event), "{event}");
        }
        assert_eq!(TEXTS.len(), NoticeEvent::all().count());
    }

    #[test]
    fn mails_are_plain_and_link_to_the_case() {
        let [from, to] =
            ["overread@example.org", "anna@example.org"].map(|a| Email::parse(a).unwrap());
        let url = Some("https://a.example/x");
        let message = message(&delivery(NoticeEvent::Assigned), &from, &to, url).unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        for line in [
            "From: overread@example.org\r\n",
            "To: anna@example.org\r\n",
            "Subject: Case 12: you are asked to read it\r\n",
            "Message-ID: <msg_1.3@example.org>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "\r\nhttps://a.example/x/cases/12\r\n",
            "The answer is wanted by 2027-01-15 08:00 UTC.\r\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains("1.2.3"), "{text}");
        let known = self::text(&delivery(NoticeEvent::Answered).notice, None);
        assert!(known.contains("You find it among your cases."));
    }
}
