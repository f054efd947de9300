//! `/admin/users`: the accounts by name, and a form for a new one.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::parts::{self, Fields, Place};
use crate::access::account::{Account, AccountName};
use crate::access::{Email, Roles};
use crate::dicom::text_form::escaped;
use crate::http::administration::{administrator, deciding, register};
use crate::http::{Hall, Problem, base_url, bounded_form, off_thread, parameters};
use crate::web::cases::moment;
use crate::web::html::InQuery;
use crate::web::language::Language;

/// Accounts on a page.
const PAGE_ROWS: usize = 100;
/// The longest form. Bytes: two passcodes, every byte as three, and the rest.
const FORM_BYTES_MAX: usize = 16 * 1024;

/// What was typed into the form of a new account, but for its passcode.
#[derive(Default)]
struct Typed {
    name: String,
    email: String,
    roles: Roles,
}

/// `GET /admin/users`, with `?part=` and `?after=`.
pub(super) async fn page(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let above = (StatusCode::OK, String::new());
    listed(&request, &hall, above, &Typed::default()).await
}

async fn listed(
    request: &HttpRequest,
    hall: &web::Data<Hall>,
    (status, above): (StatusCode, String),
    typed: &Typed,
) -> Result<HttpResponse, Problem> {
    let caller = administrator(request, hall).await?;
    let asked = Fields(parameters(request.query_string())?);
    let part = asked.text("part").to_ascii_lowercase();
    let after = asked.text("after").to_ascii_lowercase();
    let (desk, holding) = (Arc::clone(hall.desk()), part.clone());
    let found = off_thread(move || desk.ledger().accounts(&holding, &after, PAGE_ROWS)).await??;
    let language = Language::of(request);
    let title = language.say("Accounts");
    let mut body = parts::begin(language, Place::Users, "../");
    let _ = writeln!(body, "<h1>{title}</h1>");
    body.push_str(&above);
    if !caller.is_known() {
        body.push_str(&parts::open(language));
    }
    if found.len() == PAGE_ROWS || !part.is_empty() {
        let _ = writeln!(
            body,
            "<form class=\"send\" method=\"get\" action=\"users\" role=\"search\"><label>{} <input name=\"part\" \
             value=\"{}\" maxlength=\"64\" autocapitalize=\"none\" spellcheck=\"false\"></label><button \
             class=\"plain\">{}</button></form>",
            language.say("Names that hold"),
            escaped(&part),
            language.say("Find")
        );
    }
    write_list(&mut body, language, &found, &part);
    if caller.is_known() {
        write_form(&mut body, language, typed);
    }
    Ok(parts::page(request, &caller, status, title, "../", &body))
}

/// `POST /admin/users`: makes one and leads to its page.
pub(super) async fn make(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let text = bounded_form(&request, hall.settings(), payload, FORM_BYTES_MAX).await?;
    deciding(&request, &hall).await?;
    let fields = Fields(parameters(&text)?);
    match made(&request, &hall, &fields).await {
        Ok(name) => {
            let base = base_url(&request, hall.settings())?;
            let name = InQuery(name.as_str()).to_string();
            Ok(parts::led_to(format!("{base}/admin/users/{name}")))
        }
        Err(problem) => {
            let typed = Typed {
                name: fields.text("name").to_owned(),
                email: fields.text("email").to_owned(),
                roles: fields.roles().unwrap_or_default(),
            };
            let refused = parts::refused(Language::of(&request), problem)?;
            listed(&request, &hall, refused, &typed).await
        }
    }
}

async fn made(
    request: &HttpRequest,
    hall: &web::Data<Hall>,
    fields: &Fields,
) -> Result<AccountName, Problem> {
    let name = AccountName::parse(fields.text("name"))
        .map_err(|error| Problem::bad_request(error.to_string()))?;
    let (roles, email) = (fields.roles()?, email(fields)?);
    let passcode = parts::passcode(fields)?;
    let new = name.clone();
    register(request, hall, move |register| {
        register.add(new, roles, email, &passcode)
    })
    .await?;
    Ok(name)
}

/// The address in a form; none when the field is empty.
///
/// # Errors
/// 400 when it is none.
pub(super) fn email(fields: &Fields) -> Result<Option<Email>, Problem> {
    let text = fields.text("email");
    let none = "the e-mail address is no plain e-mail address, such as anna@example.org";
    let wrong = |_| Problem::bad_request(none);
    (!text.is_empty())
        .then(|| Email::parse(text))
        .transpose()
        .map_err(wrong)
}

fn write_list(html: &mut String, language: Language, found: &[Account], part: &str) {
    let say = |english| language.say(english);
    if found.is_empty() {
        let none = say("There is no such account.");
        let _ = writeln!(html, "<p class=\"empty\">{none}</p>");
        return;
    }
    html.push_str("<table class=\"studies\">\n<thead><tr>");
    for head in ["Name", "Roles", "State", "E-mail", "Made, UTC"] {
        let _ = write!(html, "<th scope=\"col\">{}</th>", say(head));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for account in found {
        let _ = writeln!(
            html,
            "<tr><td class=\"patient\"><a href=\"users/{link}\">{name}</a></td><td>{roles}</td><td>{state}</td><td>{email}</td><td \
             class=\"date\" data-label=\"{label}\">{made}</td></tr>",
            link = InQuery(&account.name),
            name = escaped(&account.name),
            roles = parts::roles(language, account.roles),
            state = state(language, account),
            email = escaped(account.email.as_ref().map_or("", Email::as_str)),
            label = say("made"),
            made = moment(account.created_ms),
        );
    }
    html.push_str("</tbody>\n</table>\n");
    if let (true, Some(last)) = (found.len() == PAGE_ROWS, found.last()) {
        let _ = writeln!(
            html,
            "<nav class=\"paging\"><a rel=\"next\" href=\"users?part={}&amp;after={}\">{}</a></nav>",
            InQuery(part),
            InQuery(&last.name),
            say("Further names →")
        );
    }
}

/// Whether its owner is let in.
pub(super) fn state(language: Language, account: &Account) -> String {
    match account.is_enabled {
        true => format!(
            "<span class=\"chip good\">{}</span>",
            language.say("enabled")
        ),
        false => format!(
            "<span class=\"chip warn\">{}</span>",
            language.say("disabled")
        ),
    }
}

fn write_form(html: &mut String, language: Language, typed: &Typed) {
    let say = |english| language.say(english);
    let _ = writeln!(
        html,
        "<form class=\"form card\" method=\"post\" action=\"users\"><h2>{}</h2>\n<div class=\"two\"><label>{}<input \
         name=\"name\" value=\"{}\" maxlength=\"64\" autocomplete=\"off\" autocapitalize=\"none\" spellcheck=\"false\" \
         required></label><label>{}<input name=\"email\" type=\"email\" value=\"{}\" maxlength=\"254\" \
         autocomplete=\"off\"></label></div>",
        say("A new account"),
        say("Name: small letters, digits and . _ - @ +"),
        escaped(&typed.name),
        say("E-mail, where they are told what is asked of them"),
        escaped(&typed.email)
    );
    let legend = say("What they are here");
    parts::write_roles(html, language, legend, Roles::ALL, typed.roles);
    parts::write_passcode(html, language);
    let _ = writeln!(
        html,
        "<p class=\"also\">{}</p><div class=\"acts\"><button>{}</button></div></form>",
        say("Tell them the passcode in person or by telephone, never by e-mail."),
        say("Make the account")
    );
}
