//! The frame around every page: whom it is for, where it stands in the house, what it may load.

use std::fmt::Write;

use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError};

use crate::access::{Action, Means};
use crate::dicom::text_form::escaped;
use crate::http::{Caller, Problem};
use crate::web::assets;
use crate::web::language::Language;

/// Nothing but our own style sheet and pictures; no script at all; nobody may frame us.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'";
/// The same for a page that says where its links begin.
const POLICY_WITH_BASE: &str = "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; \
    base-uri 'self'; frame-ancestors 'none'";
/// The same for a page that has a module of ours, which asks nobody but us.
const POLICY_WITH_MODULE: &str = "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// The same with both.
const POLICY_WITH_MODULE_AND_BASE: &str = "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'self'; frame-ancestors 'none'";

/// The parts of the house that every page leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Studies,
    Cases,
    Statistics,
    Administration,
}

impl Part {
    /// With their names, and who may go there.
    const ALL: [(Self, &'static str, &'static str, &'static [Action]); 4] = [
        (Self::Studies, "Studies", "", &[Action::Find]),
        (
            Self::Cases,
            "Cases",
            "cases",
            &[Action::Request, Action::Work],
        ),
        (
            Self::Statistics,
            "Statistics",
            "statistics",
            &[Action::Administer],
        ),
        (
            Self::Administration,
            "Administration",
            "admin",
            &[Action::Administer],
        ),
    ];
}

/// The frame of one page.
pub(super) struct Frame<'a> {
    caller: Option<&'a Caller>,
    part: Option<Part>,
    root: &'a str,
    module: Option<&'a str>,
    base: Option<String>,
    language: Language,
    /// The path of the page, where it can be had in other languages.
    path: Option<&'a str>,
}

impl<'a> Frame<'a> {
    /// For who is in: it leads to the parts where they may go, and out. `root` leads from the page to `/`: empty or `../`.
    pub(super) fn of(
        request: &'a HttpRequest,
        caller: &'a Caller,
        part: Part,
        root: &'a str,
    ) -> Self {
        Self {
            caller: Some(caller),
            part: Some(part),
            ..Self::alone(request, root)
        }
    }

    /// For who is in, on a page of their own.
    pub(super) fn of_theirs(request: &'a HttpRequest, caller: &'a Caller, root: &'a str) -> Self {
        Self {
            caller: Some(caller),
            ..Self::alone(request, root)
        }
    }

    /// For whoever may see this page and no other: it leads nowhere.
    pub(super) fn alone(request: &'a HttpRequest, root: &'a str) -> Self {
        let path = request.uri().path_and_query();
        // What was sent is not there to be had again.
        let path = path.filter(|_| matches!(*request.method(), Method::GET | Method::HEAD));
        Self {
            caller: None,
            part: None,
            root,
            module: None,
            base: None,
            language: Language::of(request),
            path: path.map(|path| path.as_str()),
        }
    }

    /// The same with a module of `/web`.
    pub(super) fn with_module(self, name: &'a str) -> Self {
        Self {
            module: Some(name),
            ..self
        }
    }

    /// The same for an answer at another address than the page's own: `base` leads from there to where its links begin.
    pub(super) fn beginning_at(self, base: String) -> Self {
        Self {
            base: Some(base),
            ..self
        }
    }

    /// The same for an answer to a form: the path where its page is, for who wants another language.
    pub(super) fn found_at(self, path: &'a str) -> Self {
        Self {
            path: Some(path),
            ..self
        }
    }

    /// The whole page.
    pub(super) fn page(
        &self,
        mut response: HttpResponseBuilder,
        title: &str,
        body: &str,
    ) -> HttpResponse {
        let (title, root) = (escaped(title), self.root);
        let mut switch = String::new();
        if let Some(path) = self.path {
            self.language.write_switch(&mut switch, root, path);
        }
        let texts = self.module.and_then(|_| assets::texts(self.language));
        let texts = texts.map_or_else(String::new, |texts| {
            format!(" data-texts=\"{root}assets/{texts}\"")
        });
        let (policy, script) = match self.module {
            Some(name) => (
                match self.base {
                    Some(_) => POLICY_WITH_MODULE_AND_BASE,
                    None => POLICY_WITH_MODULE,
                },
                format!(
                    "<script type=\"module\" src=\"{root}assets/{}\"></script>\n",
                    assets::stamped(name)
                ),
            ),
            None if self.base.is_some() => (POLICY_WITH_BASE, String::new()),
            None => (CONTENT_SECURITY_POLICY, String::new()),
        };
        let base = self.base.as_ref().map_or_else(String::new, |base| {
            format!("<base href=\"{}\">\n", escaped(base))
        });
        response
            .content_type(mime::TEXT_HTML_UTF_8)
            .insert_header((header::CONTENT_SECURITY_POLICY, policy))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::REFERRER_POLICY, "same-origin"))
            .insert_header((header::CACHE_CONTROL, "private, no-store"))
            .body(format!(
                "<!doctype html>\n<html lang=\"{language}\"{texts}>\n<head>\n<meta charset=\"utf-8\">\n{base}\
                 <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
                 <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} · Overread</title>\n\
                 <link rel=\"icon\" href=\"{root}assets/icon.svg\" type=\"image/svg+xml\">\n\
                 <link rel=\"stylesheet\" href=\"{root}assets/{style}\">\n{script}</head>\n<body>\n\
                 <header class=\"top\">{top}</header>\n<main>\n{body}</main>\n\
                 <footer>{notice}{switch}</footer>\n</body>\n</html>\n",
                style = assets::stamped("pages.css"),
                language = self.language.tag(),
                notice = self.language.say("Not for primary diagnosis."),
                top = self.top(),
            ))
    }

    fn top(&self) -> String {
        let root = self.root;
        let home = if root.is_empty() { "./" } else { root };
        let brand = format!(
            "<img src=\"{root}assets/icon.svg\" alt=\"\" width=\"28\" height=\"28\"><span>Overread</span>"
        );
        let Some(caller) = self.caller else {
            return format!("<span class=\"brand\">{brand}</span>");
        };
        let mut top =
            format!("<a href=\"{home}\">{brand}</a><nav class=\"nav\" aria-label=\"Overread\">");
        for (part, name, path, actions) in Part::ALL {
            if !actions.iter().any(|action| caller.may(*action)) {
                continue;
            }
            let current = if Some(part) == self.part {
                " aria-current=\"true\""
            } else {
                ""
            };
            let address = if path.is_empty() { home } else { root };
            let name = self.language.say(name);
            let _ = write!(top, "<a href=\"{address}{path}\"{current}>{name}</a>");
        }
        top.push_str("</nav>");
        if caller.csrf_token().is_some() {
            let name = format!("<b>{}</b>", escaped(caller.name()));
            let name = match has_account(caller) {
                true => format!("<a href=\"{root}account\">{name}</a>"),
                false => name,
            };
            // Its origin says that the form is ours (`http::entrance`).
            let _ = write!(
                top,
                "<form class=\"badge\" method=\"post\" action=\"{root}sign-out\"><span>{} {name}</span> \
                 <button class=\"plain\">{}</button></form>",
                self.language.say("Signed in as"),
                self.language.say("Sign out"),
            );
        }
        top
    }
}

/// Whether somebody has signed in to an account of theirs.
pub(super) fn has_account(caller: &Caller) -> bool {
    let means = caller.principal().map(|principal| principal.means);
    matches!(means, Some(Means::Session(_)))
}

/// What is wrong, as a page for a person.
pub(super) fn refused(request: &HttpRequest, problem: &Problem) -> HttpResponse {
    let status = problem.status_code();
    let language = Language::of(request);
    let title = match status.as_u16() {
        401 => language.say("Sign in first"),
        403 => language.say("Not open to you"),
        404 => language.say("Nothing here"),
        500.. => language.say("Something went wrong"),
        _ => language.say("That cannot be done"),
    };
    let root = "../".repeat(request.path().matches('/').count().saturating_sub(1));
    let caller = Caller::perhaps(request).filter(|caller| caller.principal().is_some());
    let way = match caller {
        Some(_) => format!(
            "<p><a href=\"{}\">{}</a></p>\n",
            if root.is_empty() { "./" } else { &root },
            language.say("To the start")
        ),
        None => String::new(),
    };
    let body = format!(
        "<h1>{title}</h1>\n<p class=\"problem\" role=\"alert\">{}</p>\n{way}",
        escaped(&language.sentence(&problem.to_string()))
    );
    let frame = Frame {
        caller: caller.as_ref(),
        ..Frame::alone(request, &root)
    };
    frame.page(HttpResponse::build(status), title, &body)
}
