//! Who reads a case, on its page: who was asked and where they stand; for whoever is in charge of it also asking others, ending
//! the task of one who does not answer, and the links and grants by which its studies are seen.

use std::fmt::Write;

use super::page::Shown;
use super::{moment, share, spaced};
use crate::access::Grant;
use crate::cases::grade::Agreement;
use crate::cases::{Act, Asked, Opinion, Task, TaskState};
use crate::dicom::text_form::escaped;

/// The section.
pub(super) fn write(html: &mut String, shown: &Shown) {
    let (look, case) = (&shown.look, &shown.look.case);
    html.push_str("<section class=\"card\"><h2>Readers</h2><ul class=\"timeline\">\n");
    for task in &case.tasks {
        let asked = asked(shown, task);
        let is_asked = |holder: &&str| task.is_asked(holder);
        let holder = task.held_by.as_deref().filter(|holder| !is_asked(holder));
        let when = task.signed_ms.or(task.committed_ms).or(task.claimed_ms);
        let _ = writeln!(
            html,
            "<li><span>{asked}</span><span>{holder}{judges}</span><span><span class=\"chip{good}\">{state}</span> {when}</span>{end}</li>",
            asked = escaped(&asked),
            holder = holder.map_or_else(String::new, |holder| format!(
                "taken by {}",
                escaped(holder)
            )),
            judges = if task.adjudicates.is_empty() {
                ""
            } else {
                " judges between the opinions"
            },
            good = if task.state == TaskState::Signed {
                " good"
            } else {
                ""
            },
            state = spaced(task.state.word()),
            when = when.map_or_else(String::new, moment),
            end = ending(shown, task),
        );
    }
    html.push_str("</ul>\n");
    if look.may(Act::Assign) {
        let _ = writeln!(
            html,
            "<form class=\"form\" method=\"post\" action=\"{}/assign\"><label>Ask one more reader: the name of an account, or \
             a subspecialty<input name=\"reader\" required maxlength=\"64\"></label><div class=\"acts\"><button class=\"plain\" \
             name=\"as\" value=\"reader\">Ask this reader</button><button class=\"plain\" name=\"as\" value=\"pool\">Ask this \
             subspecialty</button></div></form>",
            shown.number
        );
    }
    share::write_form(html, shown);
    share::write_given(html, shown);
    write_adjudication(html, shown);
    html.push_str("</section>\n");
}

/// Offered as soon as there is an opinion that differs, or two.
fn write_adjudication(html: &mut String, shown: &Shown) {
    let look = &shown.look;
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
        "<form class=\"form\" method=\"post\" action=\"{}/adjudicate\"><fieldset><legend>Have somebody judge between</legend>",
        shown.number
    );
    for opinion in newest {
        let _ = writeln!(
            html,
            "<label class=\"choice\"><input type=\"checkbox\" name=\"between\" value=\"{}\" checked> {}</label>",
            opinion.id,
            escaped(&opinion.reader)
        );
    }
    html.push_str(
        "</fieldset><label>Who judges: the name of an account<input name=\"reader\" required maxlength=\"64\"></label><div \
         class=\"acts\"><button class=\"plain\">Ask for a judgement</button></div></form>\n",
    );
}

/// Who is asked: by the words that a link was made with, where it is one.
fn asked(shown: &Shown, task: &Task) -> String {
    let name = match &task.asked {
        Asked::Reader(name) => name,
        Asked::Pool(pool) => return format!("any {pool}"),
    };
    let given = shown.given.iter().flatten();
    let is_theirs = |grant: &&Grant| name.link() == Some(grant.id);
    match given.into_iter().find(is_theirs) {
        Some(grant) if !grant.label.is_empty() => format!("{} (link {})", grant.label, grant.id),
        _ => name.as_str().to_owned(),
    }
}

/// The way to end a task, in two steps: it cannot be taken back.
fn ending(shown: &Shown, task: &Task) -> String {
    if !shown.look.may(Act::End) || !task.state.is_pending() {
        return String::new();
    }
    format!(
        "<details class=\"sure\"><summary>Do not wait any longer</summary><form class=\"act\" method=\"post\" \
         action=\"{}/tasks/{place}/end\"><p class=\"also\">What they had of the case ends with it. The case goes on with the \
         others.</p><button class=\"plain\">End task {place}</button></form></details>",
        shown.number,
        place = task.place
    )
}
