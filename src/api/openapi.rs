//! `/api/v1/openapi.json`: the API for programs that read such (OpenAPI 3.1). Written by hand; a test sees to it that it has
//! every resource with every method, and nothing else.

use actix_web::HttpResponse;
use actix_web::http::header;

/// The document.
const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn show() -> HttpResponse {
    HttpResponse::Ok()
        .content_type(mime::APPLICATION_JSON)
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .body(DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::api::cases::RESOURCES;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    #[test]
    fn it_has_every_resource_and_nothing_else() {
        let own: &[(&str, &[&str])] = &[
            ("/api/v1/session", &["get", "post", "delete"]),
            ("/api/v1/session/passcode", &["put"]),
            ("/api/v1/health", &["get"]),
            ("/api/v1/users", &["get", "post"]),
            ("/api/v1/users/{name}", &["get", "patch"]),
            ("/api/v1/users/{name}/passcode", &["put"]),
            ("/api/v1/audit", &["get"]),
            ("/api/v1/audit/disclosures", &["get"]),
            ("/api/v1/tokens", &["get", "post"]),
            ("/api/v1/tokens/{id}", &["delete"]),
            ("/api/v1/grants", &["post", "get"]),
            ("/api/v1/grants/{id}", &["delete"]),
            ("/api/v1/uploads", &["post"]),
            ("/api/v1/inboxes", &["get"]),
            ("/api/v1/inboxes/{id}", &["get"]),
            ("/api/v1/inboxes/{id}/case", &["put"]),
            ("/api/v1/inbox", &["get"]),
            ("/api/v1/inbox/finished", &["post"]),
            ("/api/v1/openapi.json", &["get"]),
            ("/api/v1/studies/{study}/evidence", &["get"]),
            ("/api/v1/statistics", &["get"]),
            ("/api/v1/quarantine", &["get"]),
            ("/api/v1/quarantine/{number}", &["get"]),
            ("/api/v1/quarantine/{number}/accept", &["post"]),
            ("/api/v1/quarantine/{number}/reject", &["post"]),
        ];
        let mut expected = BTreeSet::new();
        for (path, methods) in RESOURCES.iter().chain(own) {
            expected.extend(methods.iter().map(|method| format!("{method} {path}")));
        }
        let document = document();
        let mut found = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let methods = item.as_object().unwrap().keys();
            let methods = methods.filter(|method| *method != "parameters");
            found.extend(methods.map(|method| format!("{method} {path}")));
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn what_it_refers_to_is_in_it() {
        fn check(document: &Value, value: &Value) {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(reference)) = map.get("$ref") {
                        let path = reference.strip_prefix('#').unwrap();
                        assert!(document.pointer(path).is_some(), "{reference}");
                    }
                    map.values().for_each(|value| check(document, value));
                }
                Value::Array(list) => list.iter().for_each(|value| check(document, value)),
                _ => {}
            }
        }
        let document = document();
        check(&document, &document);
    }
}
