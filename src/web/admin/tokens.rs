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
    let mut body = parts::begin(Place::Tokens, "../");
    body.push_str("<h1>API tokens</h1>\n<p>By a token a program signs in without a person.</p>\n");
    body.push_str(&above);
    if !caller.is_known() {
        body.push_str(parts::OPEN);
    }
    if let Some(account) = &account {
        let _ = writeln!(
            body,
            "<p>Of the account <b>{}</b>. <a href=\"tokens\">Those of all accounts</a></p>",
            escaped(account)
        );
    }
    if found.is_empty() {
        body.push_str("<p class=\"empty\">There are none.</p>\n");
    } else {
        let whose = caller.is_known().then_some("");
        write_list(&mut body, &found, whose, "tokens", now_ms());
    }
    if let (true, Some(last)) = (found.len() == PAGE_ROWS, found.last()) {
        let _ = writeln!(
            body,
            "<nav class=\"paging\"><a rel=\"next\" href=\"tokens?account={}&amp;before={}\">Older →</a></nav>",
            InQuery(account.as_deref().unwrap_or_default()),
            last.id
        );
    }
    if caller.is_known() {
        write_form(&mut body, None);
    }
    Ok(parts::page(
        &request,
        &caller,
        status,
        "API tokens",
        "../",
        &body,
    ))
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
    let above = match done {
        Ok(issued) => (StatusCode::OK, told(&issued)),
        // Of whom was typed here.
        Err(problem) if problem.status_code() == StatusCode::NOT_FOUND => {
            parts::refused(Problem::bad_request(problem.to_string()))?
        }
        Err(problem) => parts::refused(problem)?,
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
pub(super) fn told(issued: &Issued) -> String {
    format!(
        "<section class=\"card\" role=\"status\"><h2>Token {}, good until {} UTC</h2><p>Copy it now: it is shown this once and kept \
         nowhere.</p><p class=\"secret\">{}</p></section>\n",
        issued.id,
        moment(issued.expires_ms),
        escaped(&issued.secret.token())
    )
}

/// A table of tokens. `whose` says that they may be revoked, and of which account the page is, if of one; `root` is the
/// address of the list of all.
pub(super) fn write_list(
    html: &mut String,
    found: &[Token],
    whose: Option<&str>,
    root: &str,
    now_ms: i64,
) {
    let is_of_all = whose.is_none_or(str::is_empty);
    let account = if is_of_all {
        "<th scope=\"col\">Account</th>"
    } else {
        ""
    };
    let _ = writeln!(
        html,
        "<table class=\"studies\">\n<thead><tr><th scope=\"col\">Token</th>{account}<th scope=\"col\">For</th><th \
         scope=\"col\">Roles</th><th scope=\"col\">Studies</th><th scope=\"col\">State</th><th scope=\"col\">Until, UTC</th><th \
         scope=\"col\">Revoke</th></tr></thead>\n<tbody>"
    );
    for token in found {
        let state = token.state(now_ms);
        let (class, good) = match state {
            TokenState::Good => (" good", true),
            TokenState::AccountDisabled => (" warn", true),
            TokenState::Revoked | TokenState::Expired => ("", false),
        };
        let account = match is_of_all {
            true => format!(
                "<td data-label=\"of\"><a href=\"users/{}\">{}</a></td>",
                InQuery(&token.account.name),
                escaped(&token.account.name)
            ),
            false => String::new(),
        };
        let revoke = match whose {
            Some(whose) if good => format!(
                "<form class=\"act\" method=\"post\" action=\"{root}/{id}/revoke\"><input type=\"hidden\" name=\"account\" \
                 value=\"{}\"><button class=\"plain\" aria-label=\"Revoke token {id}\">Revoke</button></form>",
                escaped(whose),
                id = token.id,
            ),
            _ => String::new(),
        };
        let _ = writeln!(
            html,
            "<tr><td data-label=\"token\">{id}</td>{account}<td class=\"description\"><bdi>{label}</bdi></td><td>{roles}</td><td data-label=\"studies\">{studies}</td><td><span \
             class=\"chip{class}\">{state}</span></td><td class=\"date\" data-label=\"until\">{until}</td><td>{revoke}</td></tr>",
            id = token.id,
            label = escaped(&token.label),
            roles = token.roles.within(token.account.roles),
            studies = studies(token),
            state = state.words(),
            until = moment(token.expires_ms),
        );
    }
    html.push_str("</tbody>\n</table>\n");
}

fn studies(token: &Token) -> String {
    let Some(studies) = &token.studies else {
        return "all".to_owned();
    };
    let mut html = format!("<details><summary>only {}</summary>", studies.len());
    for study in studies.iter().take(STUDIES_SHOWN) {
        let _ = write!(html, "<div class=\"uid\">{study}</div>");
    }
    if studies.len() > STUDIES_SHOWN {
        let _ = write!(
            html,
            "<div>and {} more</div>",
            studies.len() - STUDIES_SHOWN
        );
    }
    html.push_str("</details>");
    html
}

/// The form for one more; of an account, or of whichever is typed.
pub(super) fn write_form(html: &mut String, account: Option<&Account>) {
    let action = match account {
        Some(account) => InQuery(&account.name).to_string(),
        None => "tokens".to_owned(),
    };
    let whose = match account {
        Some(_) => "<input type=\"hidden\" name=\"deed\" value=\"issue\">",
        None => {
            "<label>Account<input name=\"account\" maxlength=\"64\" autocapitalize=\"none\" autocomplete=\"off\" spellcheck=\"false\" \
             required></label>"
        }
    };
    let _ = write!(
        html,
        "<form class=\"form card\" method=\"post\" action=\"{action}\"><h2>A new token</h2>\n<div class=\"two\">{whose}<label>What it is \
         for<input name=\"label\" maxlength=\"{LABEL_BYTES_MAX}\" autocomplete=\"off\"></label><label>Good for how many days<input type=\"number\" \
         name=\"days\" min=\"1\" max=\"{TOKEN_DAYS_MAX}\" value=\"{TOKEN_DAYS}\" required></label></div>\n",
    );
    let legend = "Roles; none ticked gives it all roles of the account";
    // An administrator may have a program do less.
    let among = account.map_or(Roles::ALL, |account| Roles::ALL.within(account.roles));
    parts::write_roles(html, legend, among, Roles::NONE);
    html.push_str(
        "<label>Only these studies: their Study Instance UIDs, one a line; such a token stores nothing<textarea name=\"studies\" \
         spellcheck=\"false\"></textarea></label>\n<div class=\"acts\"><button>Issue the token</button></div></form>\n",
    );
}
