//! `/admin/network`: whom we know of the DICOM network and what each may do, whom we call, where studies go on to; and whether
//! they answer (C-ECHO). Who may be asked stands in the configuration: no address that somebody types is called.

use std::fmt::{Display, Write};
use std::sync::Mutex;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::parts::{self, Fields, Place};
use crate::dicom::text_form::escaped;
use crate::dimse::scu::{self, Peer};
use crate::http::administration::{administrator, deciding};
use crate::http::{Hall, Problem, bounded_form, off_thread, parameters};
use crate::web::language::Language;

/// A form with a name.
const FORM_BYTES_MAX: usize = 4096;

/// The DICOM network as the configuration has it.
pub struct Network {
    /// Our AE title.
    pub ae_title: String,
    /// Where we listen, in words.
    pub addresses: Vec<String>,
    /// Who may call us.
    pub callers: Vec<Caller>,
    /// Whom we call, and how: with no more patience than somebody has who waits for a page.
    pub outgoing: scu::Settings,
    /// Where studies go on to by rule: the name, and who it is or the address of its web server.
    pub destinations: Vec<(String, Destination)>,
    /// One at a time is asked whether they answer.
    pub asking: Mutex<()>,
}

/// Who may call us.
pub struct Caller {
    /// The AE title; `*` for whoever has no row.
    pub title: String,
    /// What they may do, in words.
    pub rights: Vec<&'static str>,
    /// From where; from anywhere without any.
    pub hosts: Vec<String>,
    /// By which titles they may call us; by any of ours without one.
    pub called: Vec<String>,
}

/// Where studies go on to.
pub enum Destination {
    /// By C-STORE.
    Dicom(Peer),
    /// By STOW-RS, to this address.
    Web(String),
}

impl Network {
    /// Whom a name means: of a peer, or of a destination.
    fn named(&self, name: &str) -> Option<&Peer> {
        let of_destination = || {
            let found = self.destinations.iter().find(|(known, _)| known == name);
            match found.map(|(_, to)| to) {
                Some(Destination::Dicom(peer)) => Some(peer),
                Some(Destination::Web(_)) | None => None,
            }
        };
        self.outgoing.peers.named(name).or_else(of_destination)
    }

    /// Asks one whether they answer, in words. Blocks.
    fn ask(&self, peer: &Peer, language: Language) -> Result<String, Problem> {
        let Ok(_one) = self.asking.try_lock() else {
            return Err(Problem::busy("somebody else is being asked; try again"));
        };
        Ok(match scu::echo(peer, &self.outgoing) {
            Ok(echo) if echo.status == 0 => {
                let by = echo
                    .implementation
                    .map_or_else(String::new, |name| format!(", {name}"));
                let took = format!("{:.1}", echo.took.as_secs_f64() * 1000.0);
                let answers = language.fill(
                    "{peer} answers in {took} ms",
                    &[("peer", peer), ("took", &took)],
                );
                answers + &by
            }
            Ok(echo) => {
                let status = format!("{:04X}H", echo.status);
                let values: [(_, &dyn Display); 2] = [("peer", peer), ("status", &status)];
                language.fill("{peer} answers with status {status}", &values)
            }
            Err(failure) => {
                let why = language.sentence(&failure.to_string());
                let values: [(_, &dyn Display); 2] = [("peer", peer), ("why", &why)];
                language.fill("{peer} does not answer: {why}", &values)
            }
        })
    }
}

/// `GET /admin/network`
pub(super) async fn page(
    request: HttpRequest,
    hall: web::Data<Hall>,
    network: web::Data<Network>,
) -> Result<HttpResponse, Problem> {
    shown(&request, &hall, &network, None).await
}

/// `POST /admin/network` with `peer`: asks whether they answer.
pub(super) async fn echo(
    request: HttpRequest,
    payload: web::Payload,
    hall: web::Data<Hall>,
    network: web::Data<Network>,
) -> Result<HttpResponse, Problem> {
    let form = bounded_form(&request, hall.settings(), payload, FORM_BYTES_MAX).await?;
    deciding(&request, &hall).await?;
    let fields = Fields(parameters(&form)?);
    let peer = network.named(fields.text("peer")).cloned();
    let peer = peer.ok_or_else(Problem::not_found)?;
    let (asked, language) = (network.clone(), Language::of(&request));
    let answer = off_thread(move || asked.ask(&peer, language)).await??;
    shown(&request, &hall, &network, Some(answer)).await
}

async fn shown(
    request: &HttpRequest,
    hall: &web::Data<Hall>,
    network: &Network,
    answer: Option<String>,
) -> Result<HttpResponse, Problem> {
    let caller = administrator(request, hall).await?;
    let language = Language::of(request);
    let say = |english| language.say(english);
    let title = say("DICOM network");
    let mut body = parts::begin(language, Place::Network, "../");
    let _ = writeln!(body, "<h1>{title}</h1>");
    if let Some(answer) = answer {
        let _ = writeln!(
            body,
            "<p class=\"card\" role=\"status\">{}</p>",
            escaped(&answer)
        );
    }
    let _ = write!(
        body,
        "<dl class=\"facts\"><div><dt>{}</dt><dd>{}</dd></div>",
        say("Our AE title"),
        escaped(&network.ae_title)
    );
    for address in &network.addresses {
        let _ = write!(
            body,
            "<div><dt>{}</dt><dd>{}</dd></div>",
            say("We listen on"),
            escaped(address)
        );
    }
    body.push_str("</dl>\n");
    write_callers(&mut body, language, network);
    write_peers(&mut body, language, network);
    write_destinations(&mut body, language, network);
    let _ = writeln!(
        body,
        "<p class=\"also\">{}</p>",
        say("All of this stands in the configuration of the server, and is changed there.")
    );
    Ok(parts::page(
        request,
        &caller,
        StatusCode::OK,
        title,
        "../",
        &body,
    ))
}

fn write_callers(html: &mut String, language: Language, network: &Network) {
    let say = |english| language.say(english);
    let _ = write!(
        html,
        "<h2>{}</h2>\n<table class=\"studies\"><thead><tr>",
        say("Who may call us")
    );
    for head in ["AE title", "May", "Hosts", "Calling us"] {
        let _ = write!(html, "<th scope=\"col\">{}</th>", say(head));
    }
    html.push_str("</tr></thead><tbody>\n");
    for caller in &network.callers {
        let title = match caller.title.as_str() {
            "*" => say("anybody else").to_owned(),
            title => escaped(title).to_string(),
        };
        let rights = match caller.rights.is_empty() {
            true => say("nothing but C-ECHO").to_owned(),
            false => caller.rights.join(", "),
        };
        let or = |list: &[String], none: &'static str| match list.is_empty() {
            true => say(none).to_owned(),
            false => escaped(&list.join(", ")).to_string(),
        };
        let _ = writeln!(
            html,
            "<tr><td class=\"patient\"><b>{title}</b></td><td data-label=\"{}\">{rights}</td><td data-label=\"{}\">{}</td><td \
             data-label=\"{}\">{}</td></tr>",
            say("may"),
            say("from"),
            or(&caller.hosts, "anywhere"),
            say("calling us"),
            or(&caller.called, "by any title of ours"),
        );
    }
    if network.callers.is_empty() {
        let _ = write!(html, "<tr><td colspan=\"4\">{}</td></tr>", say("Nobody."));
    }
    html.push_str("</tbody></table>\n");
}

fn write_peers(html: &mut String, language: Language, network: &Network) {
    let _ = writeln!(html, "<h2>{}</h2>", language.say("Whom we call by name"));
    let named = network.outgoing.peers.names();
    let named = named.filter_map(|name| Some((name, network.outgoing.peers.named(name)?)));
    let named: Vec<_> = named.collect();
    if named.is_empty() {
        let key = "<code>dicom.peers</code>";
        let nobody = language.fill("Nobody ({key}).", &[("key", &key)]);
        let _ = writeln!(html, "<p class=\"empty\">{nobody}</p>");
        return;
    }
    begin_table(html, language);
    for (name, peer) in named {
        write_row(html, name, &peer.to_string(), &button(language, name));
    }
    html.push_str("</tbody></table>\n");
}

fn write_destinations(html: &mut String, language: Language, network: &Network) {
    if network.destinations.is_empty() {
        return;
    }
    let say = |english| language.say(english);
    let _ = writeln!(html, "<h2>{}</h2>", say("Where studies go on to by rule"));
    begin_table(html, language);
    for (name, to) in &network.destinations {
        match to {
            Destination::Dicom(peer) if network.outgoing.peers.named(name).is_some() => {
                write_row(html, name, &peer.to_string(), say("asked above"));
            }
            Destination::Dicom(peer) => {
                write_row(html, name, &peer.to_string(), &button(language, name));
            }
            Destination::Web(url) => write_row(html, name, url, say("by STOW-RS")),
        }
    }
    let _ = writeln!(
        html,
        "</tbody></table>\n<p><a href=\"../admin\">{}</a></p>",
        say("What waits for them")
    );
}

fn begin_table(html: &mut String, language: Language) {
    html.push_str("<table class=\"studies\"><thead><tr>");
    for head in ["Our name for them", "Address", "Do they answer?"] {
        let _ = write!(html, "<th scope=\"col\">{}</th>", language.say(head));
    }
    html.push_str("</tr></thead><tbody>\n");
}

/// `asked` is HTML.
fn write_row(html: &mut String, name: &str, address: &str, asked: &str) {
    let _ = writeln!(
        html,
        "<tr><td class=\"patient\"><b>{}</b></td><td class=\"uid\">{}</td><td>{asked}</td></tr>",
        escaped(name),
        escaped(address),
    );
}

fn button(language: Language, name: &str) -> String {
    let name = escaped(name);
    format!(
        "<form class=\"act\" method=\"post\" action=\"network\"><input type=\"hidden\" name=\"peer\" value=\"{name}\"><button \
         class=\"plain\" aria-label=\"{}\">{}</button></form>",
        language.fill("Ask {name}", &[("name", &name)]),
        language.say("Ask")
    )
}
