//! Proposals as bytes (PS3.8 Table 9-11), each field under its name.

pub(crate) const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
pub(crate) const IMPLICIT: &str = "1.2.840.10008.1.2";
pub(crate) const EXPLICIT: &str = "1.2.840.10008.1.2.1";
pub(crate) const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";

/// An item: type, reserved byte, length, content.
pub(crate) fn item(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0];
    bytes.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
    bytes.extend(content);
    bytes
}

/// A text with its length before it.
pub(crate) fn counted(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

pub(crate) fn context(id: u8, abstract_syntax: &str, transfer_syntaxes: &[&str]) -> Vec<u8> {
    let mut content = vec![id, 0, 0, 0]; // ID, three reserved bytes
    content.extend(item(0x30, abstract_syntax.as_bytes()));
    for uid in transfer_syntaxes {
        content.extend(item(0x40, uid.as_bytes()));
    }
    item(0x20, &content)
}

pub(crate) struct Request {
    pub(crate) version: u16,
    pub(crate) called: &'static [u8; 16],
    pub(crate) calling: &'static [u8; 16],
    pub(crate) items: Vec<Vec<u8>>,
    pub(crate) user_items: Vec<Vec<u8>>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            version: 1,
            called: b"OVERREAD        ",
            calling: b"CT1             ",
            items: vec![
                item(0x10, APPLICATION_CONTEXT.as_bytes()),
                context(1, CT, &[IMPLICIT]),
            ],
            user_items: vec![item(0x51, &16384_u32.to_be_bytes()), item(0x52, b"1.2.3")],
        }
    }
}

impl Request {
    pub(crate) fn with_contexts(contexts: Vec<Vec<u8>>) -> Self {
        let mut request = Self::default();
        request.items.truncate(1);
        request.items.extend(contexts);
        request
    }

    pub(crate) fn with_user_items(items: Vec<Vec<u8>>) -> Self {
        let mut request = Self::default();
        request.user_items.extend(items);
        request
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend([0xAA, 0xBB]); // reserved, not tested
        body.extend(self.called);
        body.extend(self.calling);
        body.extend([0x5A; 32]); // reserved, sent back as it came
        body.extend(self.items.concat());
        body.extend(item(0x50, &self.user_items.concat()));
        let mut bytes = vec![1, 0]; // A-ASSOCIATE-RQ
        bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }
}
