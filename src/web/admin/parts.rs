//! What the pages of administrators have in common: the way from one to the other, fields of their forms, and what is said
//! when something was refused.

use std::fmt::Write;

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use crate::access::account::PASSCODE_CHARS_MIN;
use crate::access::{Role, Roles};
use crate::dicom::text_form::escaped;
use crate::http::{Caller, Problem};
use crate::web::frame::{Frame, Part};
use crate::web::language::Language;

/// The pages, with their names and addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Users,
    Tokens,
    Audit,
    Quarantine,
    Network,
}

const PLACES: [(Place, &str, &str); 6] = [
    (Place::Overview, "Overview", "admin"),
    (Place::Users, "Accounts", "admin/users"),
    (Place::Tokens, "Tokens", "admin/tokens"),
    (Place::Audit, "Audit trail", "admin/audit"),
    (Place::Quarantine, "Quarantine", "admin/quarantine"),
    (Place::Network, "DICOM network", "admin/network"),
];

/// What each role is, beside its box.
const ROLES: [(Role, &str); 5] = [
    (Role::Administrator, "runs the archive, may do everything"),
    (
        Role::Requester,
        "asks for second opinions, sees every study, brings and sends some",
    ),
    (
        Role::Reader,
        "reads what was given to them, and sees nothing else",
    ),
    (Role::Sender, "brings studies, and sees none"),
    (Role::Viewer, "looks at every study, and changes nothing"),
];

/// What is said above a list when nobody has to sign in.
pub(super) fn open(language: Language) -> String {
    let command = "<code>overread user add NAME --role administrator</code>";
    format!(
        "<p class=\"problem\">{}</p>\n",
        language.fill(
            "Nobody has to sign in here, so accounts and tokens are not changed on these pages. Make the first account at the \
             shell: {command}",
            &[("command", &command)]
        )
    )
}

/// The beginning of a page: the way to the others. `root` leads to `/`.
pub(super) fn begin(language: Language, place: Place, root: &str) -> String {
    let mut html = format!(
        "<nav class=\"views\" aria-label=\"{}\">",
        language.say("Administration")
    );
    for (there, name, path) in PLACES {
        let current = match there == place {
            true => " aria-current=\"page\"",
            false => "",
        };
        let _ = write!(
            html,
            "<a href=\"{root}{path}\"{current}>{}</a>",
            language.say(name)
        );
    }
    html.push_str("</nav>\n");
    html
}

/// The whole page, for who looks at it. `root` leads to `/`.
pub(super) fn page(
    request: &HttpRequest,
    caller: &Caller,
    status: StatusCode,
    title: &str,
    root: &str,
    body: &str,
) -> HttpResponse {
    // What is sent there is answered with the page that is there.
    let frame = Frame::of(request, caller, Part::Administration, root);
    let frame = match *request.method() == Method::POST {
        true => frame.found_at(request.uri().path()),
        false => frame,
    };
    frame.page(HttpResponse::build(status), title, body)
}

/// Why a form was refused, above the form as it was filled in. What nobody can mend on the page is not for it.
///
/// # Errors
/// The problem, when it is no matter of the form.
pub(super) fn refused(
    language: Language,
    problem: Problem,
) -> Result<(StatusCode, String), Problem> {
    let status = problem.status_code();
    match status {
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT => Ok((
            status,
            format!(
                "<p class=\"problem\" role=\"alert\">{}</p>\n",
                escaped(&language.sentence(&problem.to_string()))
            ),
        )),
        _ => Err(problem),
    }
}

/// Leads to a page of ours.
pub(super) fn led_to(location: String) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, location))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

/// The fields of a form.
pub(in crate::web) struct Fields(pub(in crate::web) Vec<(String, String)>);

impl Fields {
    /// As it was typed.
    pub(in crate::web) fn raw(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// Without what stands around it.
    pub(super) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The roles whose boxes are ticked.
    ///
    /// # Errors
    /// 400 when one is none.
    pub(super) fn roles(&self) -> Result<Roles, Problem> {
        let ticked = self.0.iter().filter(|(known, _)| known == "role");
        let words: Vec<_> = ticked.map(|(_, value)| value.as_str()).collect();
        Roles::parse(&words.join(" ")).map_err(|error| Problem::bad_request(error.to_string()))
    }
}

/// A box for each of the roles `among` which may be chosen; those of `held` are ticked.
pub(super) fn write_roles(
    html: &mut String,
    language: Language,
    legend: &str,
    among: Roles,
    held: Roles,
) {
    let _ = write!(html, "<fieldset><legend>{legend}</legend>");
    for (role, what) in ROLES.into_iter().filter(|(role, _)| among.hold(*role)) {
        let checked = if held.hold(role) { " checked" } else { "" };
        let _ = write!(
            html,
            "<label class=\"choice\"><input type=\"checkbox\" name=\"role\" value=\"{word}\"{checked}><span>{name} <span \
             class=\"also\">{what}</span></span></label>",
            word = role.word(),
            name = language.say(role.word()),
            what = language.say(what),
        );
    }
    html.push_str("</fieldset>\n");
}

/// What somebody is, in words.
pub(in crate::web) fn roles(language: Language, held: Roles) -> String {
    let words: Vec<_> = held.words().map(|word| language.say(word)).collect();
    words.join(" ")
}

/// Two fields for a passcode that nobody sees while it is typed.
pub(in crate::web) fn write_passcode(html: &mut String, language: Language) {
    let _ = writeln!(
        html,
        "<div class=\"two\"><label>{}<input type=\"password\" name=\"passcode\" minlength=\"{PASSCODE_CHARS_MIN}\" \
         maxlength=\"1024\" autocomplete=\"new-password\" required></label><label>{}<input type=\"password\" \
         name=\"again\" minlength=\"{PASSCODE_CHARS_MIN}\" maxlength=\"1024\" autocomplete=\"new-password\" required></label></div>",
        language.fill(
            "Passcode, of at least {count} characters",
            &[("count", &PASSCODE_CHARS_MIN)]
        ),
        language.say("The same again")
    );
}

/// The passcode of a form that has it twice.
///
/// # Errors
/// 400 when these are two.
pub(in crate::web) fn passcode(fields: &Fields) -> Result<String, Problem> {
    let passcode = fields.raw("passcode");
    match passcode == fields.raw("again") {
        true => Ok(passcode.to_owned()),
        false => Err(Problem::bad_request("these are two different passcodes")),
    }
}
