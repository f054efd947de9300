//! `/admin/tokens`: the API tokens of all accounts, the latest first; issued here, shown once, and revoked.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};

use super::parts::{self, Fields, Place};
use crate::access::Roles;
use crate::access::account::{
    Account, AccountName, LABEL_BYTES_MAX, TOKEN_DAYS, TOKEN_DAYS_MAX, Token, TokenState,
};
use crate::access::register::{Issued, Issuing};
use crate::dicom::Uid;
use crate::dicom::text_form::escaped;
use crate::http::administration::{administrator, deciding, register};
use crate::http::{Hall, Problem, base_url, bounded_form, now_ms, off_thread, parameters};
use crate::web::cases::moment;
use crate::web::html::InQuery;
use crate::web::language::Language;

/// Tokens on a page.
const PAGE_ROWS: usize = 50;
/// Studies of a token that are named.
const STUDIES_SHOWN: usize = 10;
/// The longest form. Bytes: a thousand studies, line ends as three bytes.
pub(super) const FORM_BYTES_MAX: usize = 128 * 1024;

/// `GET /admin/tokens`, with `?account=` and `?before=`.
pub(super) async fn page(
    request: HttpRequest,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    listed(&request, &hall, (StatusCode::OK, String::new())).await
}

async fn listed(
    request: &HttpRequest,
    hall: &web::Data<Hall>,
    (status, above): (StatusCode, String),
) -> Result<HttpResponse, Problem> {
    let caller = administrator(request, hall).await?;
    let asked = Fields(parameters(request.query_string())?);
    let account = asked.text("account").to_ascii_lowercase();
    let account = (!account.is_empty()).then_some(account);
    let before = asked.text("before").parse().ok();
    let (desk, of) = (Arc::clone(hall.desk()), account.clone());
    let found = off_thread(move || desk.ledger().tokens(of.as_deref(), before, PAGE_ROWS));
    let found = found.await??;
    let language = Language::of(request);
    let title = language.say("API tokens");
    let mut body = parts::begin(language, Place::Tokens, "../");
    let _ = writeln!(
        body,
        "<h1>{title}</h1>\n<p>{}</p>",
        language.say("By a token a program signs in without a person.")
    );
    body.push_str(&above);
    if !caller.is_known() {
        body.push_str(&parts::open(language));
    }
    if let Some(account) = &account {
        let name = format!("<b>{}</b>", escaped(account));
        let _ = writeln!(
            body,
            "<p>{} <a href=\"tokens\">{}</a></p>",
            language.fill("Of the account {name}.", &[("name", &name)]),
            language.say("Those of all accounts")
        );
    }
    if found.is_empty() {
        let none = language.say("There are none.");
        let _ = writeln!(body, "<p class=\"empty\">{none}</p>");
    } else {
        let whose = caller.is_known().then_some("");
        write_list(&mut body, language, &found, whose, "tokens");
    }
    if let (true, Some(last)) = (found.len() == PAGE_ROWS, found.last()) {
        let _ = writeln!(
            body,
            "<nav class=\"paging\"><a rel=\"next\" href=\"tokens?account={}&amp;before={}\">{}</a></nav>",
            InQuery(account.as_deref().unwrap_or_default()),
            last.id,
            language.say("Older →")
        );
    }
    if caller.is_known() {
        write_form(&mut body, language, None);
    }
    Ok(parts::page(request, &caller, status, title, "../", &body))
}

/// `POST /admin/tokens`: issues one, and shows it this once.
pub(super) async fn issue(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let text = bounded_form(&request, hall.settings(), payload, FORM_BYTES_MAX).await?;
    deciding(&request, &hall).await?;
    let fields = Fields(parameters(&text)?);
    let done = match AccountName::parse(fields.text("account")) {
        Ok(name) => issued(&request, &hall, name, &fields).await,
        Err(error) => Err(Problem::bad_request(error.to_string())),
    };
    let language = Language::of(&request);
    let above = match done {
        Ok(issued) => (StatusCode::OK, told(language, &issued)),
        // Of whom was typed here.
        Err(problem) if problem.status_code() == StatusCode::NOT_FOUND => {
            parts::refused(language, Problem::bad_request(problem.to_string()))?
        }
        Err(problem) => parts::refused(language, problem)?,
    };
    listed(&request, &hall, above).await
}

/// Issues what a form asks for.
///
/// # Errors
/// 400 and 409 when it is refused.
pub(super) async fn issued(
    request: &HttpRequest,
    hall: &web::Data<Hall>,
    account: AccountName,
    fields: &Fields,
) -> Result<Issued, Problem> {
    let roles = fields.roles()?;
    let studies = fields.text("studies").split_ascii_whitespace();
    let studies: Result<BTreeSet<_>, _> = studies.map(Uid::parse).collect();
    let asked = Issuing {
        account,
        roles: (!roles.is_empty()).then_some(roles),
        studies: studies
            .map_err(|_| Problem::bad_request("studies are Study Instance UIDs, one a line"))?,
        label: fields.text("label").to_owned(),
        days: fields
            .text("days")
            .parse()
            .map_err(|_| Problem::bad_request("days are a number"))?,
    };
    register(request, hall, move |register| register.issue(asked)).await
}

/// `POST /admin/tokens/{id}/revoke`: it opens nothing from now on; back to its account when the form names one.
pub(super) async fn revoke(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let text = bounded_form(&request, hall.settings(), payload, 1024).await?;
    deciding(&request, &hall).await?;
    let fields = Fields(parameters(&text)?);
    let id: i64 = id.parse().map_err(|_| Problem::not_found())?;
    register(&request, &hall, move |register| register.revoke(id)).await?;
    let base = base_url(&request, hall.settings())?;
    Ok(parts::led_to(
        match AccountName::parse(fields.text("account")) {
            Ok(name) => format!("{base}/admin/users/{}", InQuery(name.as_str())),
            Err(_) => format!("{base}/admin/tokens"),
        },
    ))
}

/// A new token, for whoever will use it.
pub(super) fn told(language: Language, issued: &Issued) -> String {
    format!(
        "<section class=\"card\" role=\"status\"><h2>{}</h2><p>{}</p><p class=\"secret\">{}</p></section>\n",
        language.fill(
            "Token {number}, good until {moment} UTC",
            &[
                ("number", &issued.id),
                ("moment", &moment(issued.expires_ms))
            ]
        ),
        language.say("Copy it now: it is shown this once and kept nowhere."),
        escaped(&issued.secret.token())
    )
}

/// A table of tokens. `whose` says that they may be revoked, and of which account the page is, if of one; `root` is the
/// address of the list of all.
pub(super) fn write_list(
    html: &mut String,
    language: Language,
    found: &[Token],
    whose: Option<&str>,
    root: &str,
) {
    let is_of_all = whose.is_none_or(str::is_empty);
    html.push_str("<table class=\"studies\">\n<thead><tr>");
    for head in [
        "Token",
        "Account",
        "For",
        "Roles",
        "Studies",
        "State",
        "Until, UTC",
        "Revoke",
    ] {
        if is_of_all || head != "Account" {
            let _ = write!(html, "<th scope=\"col\">{}</th>", language.say(head));
        }
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for token in found {
        write_row(html, language, token, whose, root);
    }
    html.push_str("</tbody>\n</table>\n");
}

fn write_row(
    html: &mut String,
    language: Language,
    token: &Token,
    whose: Option<&str>,
    root: &str,
) {
    let say = |english| language.say(english);
    let state = token.state(now_ms());
    let (class, is_good) = match state {
        TokenState::Good => (" good", true),
        TokenState::AccountDisabled => (" warn", true),
        TokenState::Revoked | TokenState::Expired => ("", false),
    };
    let account = match whose.is_none_or(str::is_empty) {
        true => format!(
            "<td data-label=\"{}\"><a href=\"users/{}\">{}</a></td>",
            say("of"),
            InQuery(&token.account.name),
            escaped(&token.account.name)
        ),
        false => String::new(),
    };
    let revoke = match whose {
        Some(whose) if is_good => format!(
            "<form class=\"act\" method=\"post\" action=\"{root}/{id}/revoke\"><input type=\"hidden\" name=\"account\" \
             value=\"{}\"><button class=\"plain\" aria-label=\"{}\">{}</button></form>",
            escaped(whose),
            language.fill("Revoke token {number}", &[("number", &token.id)]),
            say("Revoke"),
            id = token.id,
        ),
        _ => String::new(),
    };
    let _ = writeln!(
        html,
        "<tr><td data-label=\"{}\">{}</td>{account}<td class=\"description\"><bdi>{}</bdi></td><td>{}</td><td \
         data-label=\"{}\">{}</td><td><span class=\"chip{class}\">{}</span></td><td class=\"date\" \
         data-label=\"{}\">{}</td><td>{revoke}</td></tr>",
        say("token"),
        token.id,
        escaped(&token.label),
        parts::roles(language, token.roles.within(token.account.roles)),
        say("studies"),
        studies(language, token),
        say(state.words()),
        say("until"),
        moment(token.expires_ms),
    );
}

fn studies(language: Language, token: &Token) -> String {
    let Some(studies) = &token.studies else {
        return language.say("all").to_owned();
    };
    let only = language.fill("only {count}", &[("count", &studies.len())]);
    let mut html = format!("<details><summary>{only}</summary>");
    for study in studies.iter().take(STUDIES_SHOWN) {
        let _ = write!(html, "<div class=\"uid\">{study}</div>");
    }
    if studies.len() > STUDIES_SHOWN {
        let more = studies.len() - STUDIES_SHOWN;
        let more = language.fill("and {count} more", &[("count", &more)]);
        let _ = write!(html, "<div>{more}</div>");
    }
    html.push_str("</details>");
    html
}

/// The form for one more; of an account, or of whichever is typed.
pub(super) fn write_form(html: &mut String, language: Language, account: Option<&Account>) {
    let say = |english| language.say(english);
    let action = match account {
        Some(account) => InQuery(&account.name).to_string(),
        None => "tokens".to_owned(),
    };
    let whose = match account {
        Some(_) => "<input type=\"hidden\" name=\"deed\" value=\"issue\">".to_owned(),
        None => format!(
            "<label>{}<input name=\"account\" maxlength=\"64\" autocapitalize=\"none\" autocomplete=\"off\" spellcheck=\"false\" \
             required></label>",
            say("Account")
        ),
    };
    let _ = writeln!(
        html,
        "<form class=\"form card\" method=\"post\" action=\"{action}\"><h2>{}</h2>\n<div class=\"two\">{whose}<label>{}<input \
         name=\"label\" maxlength=\"{LABEL_BYTES_MAX}\" autocomplete=\"off\"></label><label>{}<input type=\"number\" \
         name=\"days\" min=\"1\" max=\"{TOKEN_DAYS_MAX}\" value=\"{TOKEN_DAYS}\" required></label></div>",
        say("A new token"),
        say("What it is for"),
        say("Good for how many days"),
    );
    let legend = say("Roles; none ticked gives it all roles of the account");
    // An administrator may have a program do less.
    let among = account.map_or(Roles::ALL, |account| Roles::ALL.within(account.roles));
    parts::write_roles(html, language, legend, among, Roles::NONE);
    let _ = writeln!(
        html,
        "<label>{}<textarea name=\"studies\" spellcheck=\"false\"></textarea></label>\n<div \
         class=\"acts\"><button>{}</button></div></form>",
        say(
            "Only these studies: their Study Instance UIDs, one a line; such a token stores nothing"
        ),
        say("Issue the token")
    );
}
