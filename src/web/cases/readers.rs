//! Who reads a case, on its page: who was asked and where they stand; for whoever is in charge of it also asking others, ending
//! the task of one who does not answer, and the links and grants by which its studies are seen.

use std::fmt::Write;

use super::page::Shown;
use super::{moment, named, share, words};
use crate::access::Grant;
use crate::cases::grade::Agreement;
use crate::cases::{Act, Asked, Opinion, Task, TaskState};
use crate::dicom::text_form::escaped;

/// The section.
pub(super) fn write(html: &mut String, shown: &Shown) {
    let (look, case, language) = (&shown.look, &shown.look.case, shown.language);
    let title = language.say("Readers");
    let _ = writeln!(
        html,
        "<section class=\"card\"><h2>{title}</h2><ul class=\"timeline\">"
    );
    for task in &case.tasks {
        let asked = asked(shown, task);
        let is_asked = |holder: &&str| task.is_asked(holder);
        let holder = task.held_by.as_deref().filter(|holder| !is_asked(holder));
        let when = task.signed_ms.or(task.committed_ms).or(task.claimed_ms);
        let _ = writeln!(
            html,
            "<li><span>{asked}</span><span>{holder}{judges}</span><span><span class=\"chip{good}\">{state}</span> {when}</span>{end}</li>",
            asked = escaped(&asked),
            holder = holder.map_or_else(String::new, |holder| {
                let holder = named(language, holder);
                language.fill("taken by {name}", &[("name", &escaped(&holder))])
            }),
            judges = match task.adjudicates.is_empty() {
                true => String::new(),
                false => format!(" {}", language.say("judges between the opinions")),
            },
            good = if task.state == TaskState::Signed {
                " good"
            } else {
                ""
            },
            state = language.say(words::task(task.state)),
            when = when.map_or_else(String::new, moment),
            end = ending(shown, task),
        );
    }
    html.push_str("</ul>\n");
    if look.may(Act::Assign) {
        let _ = writeln!(
            html,
            "<form class=\"form\" method=\"post\" action=\"{}/assign\"><label>{}<input name=\"reader\" required \
             maxlength=\"64\"></label><div class=\"acts\"><button class=\"plain\" name=\"as\" value=\"reader\">{}</button>\
             <button class=\"plain\" name=\"as\" value=\"pool\">{}</button></div></form>",
            shown.number,
            language.say("Ask one more reader: the name of an account, or a subspecialty"),
            language.say("Ask this reader"),
            language.say("Ask this subspecialty"),
        );
    }
    share::write_form(html, shown);
    share::write_given(html, shown);
    write_adjudication(html, shown);
    html.push_str("</section>\n");
}

/// Offered as soon as there is an opinion that differs, or two.
fn write_adjudication(html: &mut String, shown: &Shown) {
    let (look, language) = (&shown.look, shown.language);
    let opinions = look.opinions.iter().map(|told| &told.opinion);
    let newest: Vec<_> = opinions.filter(|opinion| look.is_newest(opinion)).collect();
    let differs = |opinion: &&Opinion| {
        let agreement = opinion.said.comparison.agreement;
        agreement.is_some_and(Agreement::is_discrepancy)
    };
    if !look.may(Act::Adjudicate) || !(newest.len() > 1 || newest.iter().any(differs)) {
        return;
    }
    let _ = writeln!(
        html,
        "<form class=\"form\" method=\"post\" action=\"{}/adjudicate\"><fieldset><legend>{}</legend>",
        shown.number,
        language.say("Have somebody judge between"),
    );
    for opinion in newest {
        let _ = writeln!(
            html,
            "<label class=\"choice\"><input type=\"checkbox\" name=\"between\" value=\"{}\" checked> {}</label>",
            opinion.id,
            escaped(&named(language, &opinion.reader))
        );
    }
    let _ = writeln!(
        html,
        "</fieldset><label>{}<input name=\"reader\" required maxlength=\"64\"></label><div class=\"acts\"><button \
         class=\"plain\">{}</button></div></form>",
        language.say("Who judges: the name of an account"),
        language.say("Ask for a judgement"),
    );
}

/// Who is asked: by the words that a link was made with, where it is one.
fn asked(shown: &Shown, task: &Task) -> String {
    let name = match &task.asked {
        Asked::Reader(name) => name,
        Asked::Pool(pool) => return shown.language.fill("any {pool}", &[("pool", pool)]),
    };
    let given = shown.given.iter().flatten();
    let is_theirs = |grant: &&Grant| name.link() == Some(grant.id);
    match given.into_iter().find(is_theirs) {
        Some(grant) if !grant.label.is_empty() => {
            let link = shown.language.fill("link {id}", &[("id", &grant.id)]);
            format!("{} ({link})", grant.label)
        }
        _ => named(shown.language, name.as_str()),
    }
}

/// The way to end a task, in two steps: it cannot be taken back.
fn ending(shown: &Shown, task: &Task) -> String {
    if !shown.look.may(Act::End) || !task.state.is_pending() {
        return String::new();
    }
    let (language, place) = (shown.language, task.place);
    format!(
        "<details class=\"sure\"><summary>{summary}</summary><form class=\"act\" method=\"post\" \
         action=\"{number}/tasks/{place}/end\"><p class=\"also\">{what}</p><button class=\"plain\">{end}</button></form></details>",
        summary = language.say("Do not wait any longer"),
        number = shown.number,
        what = language
            .say("What they had of the case ends with it. The case goes on with the others."),
        end = language.fill("End task {place}", &[("place", &place)]),
    )
}
