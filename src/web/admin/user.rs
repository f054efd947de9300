//! `/admin/users/{name}`: one account, what its owner is, whether they are let in, and its tokens.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::parts::{self, Fields, Place};
use super::{tokens, users};
use crate::access::account::{Account, AccountChange, AccountName, Token};
use crate::access::{AccessError, Email, LedgerError, RegisterError, Role, Roles};
use crate::dicom::text_form::escaped;
use crate::http::administration::{administrator, deciding, register};
use crate::http::{Caller, Hall, Problem, base_url, bounded_form, off_thread, parameters};
use crate::web::cases::moment;
use crate::web::html::InQuery;
use crate::web::language::Language;

/// Tokens that are shown of it.
const TOKENS_MAX: usize = 20;

/// `GET /admin/users/{name}`
pub(super) async fn page(
    request: HttpRequest,
    name: web::Path<String>,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let name = named(&name)?;
    shown(&request, &hall, &name, (StatusCode::OK, String::new())).await
}

async fn shown(
    request: &HttpRequest,
    hall: &web::Data<Hall>,
    name: &AccountName,
    (status, above): (StatusCode, String),
) -> Result<HttpResponse, Problem> {
    let caller = administrator(request, hall).await?;
    let (desk, of) = (Arc::clone(hall.desk()), name.clone());
    let found = off_thread(move || {
        let ledger = desk.ledger();
        let tokens = ledger.tokens(Some(of.as_str()), None, TOKENS_MAX)?;
        Ok::<_, LedgerError>((ledger.account(of.as_str())?, tokens))
    });
    let (account, issued) = found.await??;
    let account = account.ok_or_else(Problem::not_found)?;
    let language = Language::of(request);
    let mut body = parts::begin(language, Place::Users, "../../");
    let _ = writeln!(
        body,
        "<p class=\"back\"><a href=\"../users\">← {}</a></p>\n<h1>{} {}</h1>\n<p class=\"also\">{}</p>",
        language.say("Accounts"),
        escaped(&account.name),
        users::state(language, &account),
        language.fill(
            "Made on {moment} UTC",
            &[("moment", &moment(account.created_ms))]
        )
    );
    body.push_str(&above);
    if caller.is_known() {
        write_forms(&mut body, language, &account, &caller);
    } else {
        body.push_str(&parts::open(language));
    }
    write_tokens(&mut body, language, &account, &issued, caller.is_known());
    Ok(parts::page(
        request,
        &caller,
        status,
        &account.name,
        "../../",
        &body,
    ))
}

/// `POST /admin/users/{name}`: does what the form with this `deed` says, and leads back here, or shows why nothing was
/// changed; to where everybody may be, when it took away the right to be here.
pub(super) async fn act(
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
    hall: web::Data<Hall>,
) -> Result<HttpResponse, Problem> {
    let form = bounded_form(&request, hall.settings(), payload, tokens::FORM_BYTES_MAX).await?;
    let caller = deciding(&request, &hall).await?;
    let (name, fields) = (named(&name)?, Fields(parameters(&form)?));
    let language = Language::of(&request);
    let done = match fields.text("deed") {
        "change" => change(&request, &hall, &name, &fields).await,
        "passcode" => set_passcode(&request, &hall, &name, &fields).await,
        "enable" => enable(&request, &hall, &name, true).await,
        "disable" => enable(&request, &hall, &name, false).await,
        "issue" => {
            let above = match tokens::issued(&request, &hall, name.clone(), &fields).await {
                Ok(issued) => (StatusCode::OK, tokens::told(language, &issued)),
                Err(problem) => parts::refused(language, problem)?,
            };
            return shown(&request, &hall, &name, above).await;
        }
        _ => Err(Problem::bad_request("the form does not say what to do")),
    };
    let base = base_url(&request, hall.settings())?;
    match done {
        Ok(Stays::Not) if caller.name() == name.as_str() => Ok(parts::led_to(format!("{base}/"))),
        Ok(Stays::Administrator | Stays::Not) => {
            let name = InQuery(name.as_str());
            Ok(parts::led_to(format!("{base}/admin/users/{name}")))
        }
        Err(problem) => shown(&request, &hall, &name, parts::refused(language, problem)?).await,
    }
}

/// What the owner of an account is after a change.
enum Stays {
    Administrator,
    Not,
}

/// What its owner is, and where they are told what is asked of them.
async fn change(
    request: &HttpRequest,
    hall: &web::Data<Hall>,
    name: &AccountName,
    fields: &Fields,
) -> Result<Stays, Problem> {
    let (roles, email, of) = (fields.roles()?, users::email(fields)?, name.clone());
    let shown = fields.text("shown_roles").to_owned();
    register(request, hall, move |register| {
        let before = register.account(&of)?;
        // What the form showed is no wish: somebody else may have changed it since.
        let is_wish = shown.is_empty() || roles.to_string() != shown;
        if is_wish && !shown.is_empty() && before.roles.to_string() != shown {
            let text = "somebody has changed these roles meanwhile: look at them again";
            return Err(RegisterError::Invalid(text));
        }
        let change = AccountChange {
            roles: (is_wish && roles != before.roles).then_some(roles),
            email: (email != before.email).then_some(email),
            is_enabled: None,
        };
        match change == AccountChange::default() {
            true => Ok(()),
            false => register.change(&of, &change),
        }
    })
    .await?;
    Ok(match roles.hold(Role::Administrator) {
        true => Stays::Administrator,
        false => Stays::Not,
    })
}

/// Another passcode; its sessions end.
async fn set_passcode(
    request: &HttpRequest,
    hall: &web::Data<Hall>,
    name: &AccountName,
    fields: &Fields,
) -> Result<Stays, Problem> {
    let (passcode, of) = (parts::passcode(fields)?, name.clone());
    register(request, hall, move |register| {
        register.set_passcode(&of, &passcode)
    })
    .await?;
    // Who has to sign in again is led back here.
    Ok(Stays::Administrator)
}

/// Lets its owner in, or no more.
async fn enable(
    request: &HttpRequest,
    hall: &web::Data<Hall>,
    name: &AccountName,
    is_enabled: bool,
) -> Result<Stays, Problem> {
    let of = name.clone();
    register(request, hall, move |register| {
        register.change(&of, &AccountChange::enabled(is_enabled))
    })
    .await?;
    Ok(match is_enabled {
        true => Stays::Administrator,
        false => Stays::Not,
    })
}

/// The account of a path.
///
/// # Errors
/// 404 when no account can be called so.
fn named(name: &str) -> Result<AccountName, Problem> {
    AccountName::parse(name).map_err(|_| AccessError::NotFound("there is no such account").into())
}

fn write_forms(html: &mut String, language: Language, account: &Account, caller: &Caller) {
    let say = |english| language.say(english);
    begin_form(html, account, "change", say("What they are here"));
    let _ = write!(
        html,
        "<input type=\"hidden\" name=\"shown_roles\" value=\"{}\">",
        account.roles
    );
    parts::write_roles(html, language, say("Roles"), Roles::ALL, account.roles);
    let _ = writeln!(
        html,
        "<label>{}<input name=\"email\" type=\"email\" value=\"{}\" maxlength=\"254\" autocomplete=\"off\"></label>\n<p \
         class=\"also\">{}</p><div class=\"acts\"><button>{}</button></div></form>",
        say("E-mail, where they are told what is asked of them"),
        escaped(account.email.as_ref().map_or("", Email::as_str)),
        say(
            "It counts from the next request on, also for whoever has signed in already and for tokens that were issued."
        ),
        say("Save")
    );
    let (deed, word, what, class) = match account.is_enabled {
        true => (
            "disable",
            "Disable this account",
            "Whoever is disabled is let in no more: their sessions end at once, their tokens open nothing. They can be enabled again.",
            " class=\"plain\"",
        ),
        false => (
            "enable",
            "Enable this account",
            "They are not let in now. Enabled again, they have the same passcode, and their tokens are good again.",
            "",
        ),
    };
    begin_form(html, account, deed, say("Whether they are let in"));
    let _ = writeln!(
        html,
        "<p>{}</p><div class=\"acts\"><button{class}>{}</button></div></form>",
        say(what),
        say(word)
    );
    begin_form(html, account, "passcode", say("Another passcode"));
    parts::write_passcode(html, language);
    let what = match caller.name() == account.name {
        true => "The sessions of this account end. Yours too: sign in again then.",
        false => "The sessions of this account end.",
    };
    let _ = writeln!(
        html,
        "<p class=\"also\">{}</p><div class=\"acts\"><button class=\"plain\">{}</button></div></form>",
        say(what),
        say("Set the passcode")
    );
}

fn begin_form(html: &mut String, account: &Account, deed: &str, heading: &str) {
    let _ = writeln!(
        html,
        "<form class=\"form card\" method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"deed\" \
         value=\"{deed}\"><h2>{heading}</h2>",
        InQuery(&account.name)
    );
}

fn write_tokens(
    html: &mut String,
    language: Language,
    account: &Account,
    issued: &[Token],
    may_change: bool,
) {
    let say = |english| language.say(english);
    let _ = writeln!(
        html,
        "<section class=\"card\"><h2>{}</h2>",
        say("API tokens")
    );
    if issued.is_empty() {
        let none = say("None was issued. A program signs in by one, without a person.");
        let _ = writeln!(html, "<p>{none}</p>");
    } else {
        let whose = may_change.then_some(account.name.as_str());
        tokens::write_list(html, language, issued, whose, "../tokens");
    }
    if issued.len() == TOKENS_MAX {
        let _ = writeln!(
            html,
            "<p><a href=\"../tokens?account={}\">{}</a></p>",
            InQuery(&account.name),
            say("All tokens of this account")
        );
    }
    html.push_str("</section>\n");
    if may_change {
        tokens::write_form(html, language, Some(account));
    }
}
