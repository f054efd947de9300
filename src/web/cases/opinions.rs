//! Opinions on the page of a case: the form of whoever reads, one step at a time, and what was signed.

use std::collections::HashSet;
use std::fmt::Write;

use super::draft::{Step, Typed, write_read, write_saved, write_unsaved};
use super::page::{Shown, write_act};
use super::{moment, named, words};
use crate::cases::grade::{Agreement, Confidence, Management, Significance, Stage};
use crate::cases::{Act, Impression, Opinion, TaskState};
use crate::dicom::text_form::escaped;
use crate::web::language::Language;

const ON_COMMITTING: &str = "The first report opens when you have committed this. It cannot be changed then; corrections are \
    versions of their own.";
const ON_MARKING: &str = "Mark them on the pages with the images, in another tab too: saving here keeps what was marked there. \
    What you have typed here is kept when you save the draft first.";

/// The form of the visitor, and the opinions that they may see.
pub(super) fn write(html: &mut String, shown: &Shown) {
    let (look, language) = (&shown.look, shown.language);
    let task = look.case.task_of(&shown.name);
    let state = task.map(|task| task.state);
    let holds = task.is_some_and(|task| task.is_held_by(&shown.name));
    let may_claim = look.may(Act::Claim) && !(holds && state.is_some_and(TaskState::is_pending));
    let has_answered = holds && state == Some(TaskState::Signed);
    if may_claim && !has_answered {
        write_steps(html, language, 0);
        let title = language.say("Your opinion is asked for");
        let _ = writeln!(
            html,
            "<section class=\"card\"><h2>{title}</h2><div class=\"acts\">"
        );
        let take = language.say("Take the case and read it");
        write_act(html, shown.number, Act::Claim, take, false);
        if look.may(Act::GiveBack) && task.is_some() {
            let decline = language.say("Decline");
            write_act(html, shown.number, Act::GiveBack, decline, true);
        }
        html.push_str("</div></section>\n");
    } else if holds && state == Some(TaskState::Claimed) && look.may(Act::Commit) {
        write_steps(html, language, 1);
        write_impression_form(html, shown);
    } else if holds && state == Some(TaskState::Committed) && look.may(Act::Sign) {
        write_steps(html, language, 2);
        write_comparison_form(html, shown);
    }
    let has_form = holds && matches!(state, Some(TaskState::Claimed | TaskState::Committed));
    if let Some(unsaved) = shown.unsaved.as_deref().filter(|_| !has_form) {
        let kept = Typed::of(shown.draft.as_ref());
        write_unsaved(html, language, (&kept, unsaved));
    }
    for told in look.opinions.iter().rev() {
        write_opinion(html, shown, &told.opinion, told.have_images_changed);
    }
}

/// Whether the visitor has a form of their opinion here, which `web/reading.js` saves and moves about in.
pub(super) fn is_read_here(shown: &Shown) -> bool {
    let task = shown.look.case.task_of(&shown.name);
    let held = task.filter(|task| task.is_held_by(&shown.name));
    match held.map(|task| task.state) {
        Some(TaskState::Claimed) => shown.look.may(Act::Commit),
        Some(TaskState::Committed) => shown.look.may(Act::Sign),
        _ => false,
    }
}

/// The beginning of a form of an opinion, with what its module has to know.
fn write_form(html: &mut String, shown: &Shown, act: Act) {
    let is_unsaved = match shown.unsaved {
        Some(_) => " data-unsaved",
        None => "",
    };
    let _ = writeln!(
        html,
        "<form class=\"form\" id=\"reading\" method=\"post\" action=\"{number}/{act}\" autocomplete=\"off\" \
         data-api=\"../api/v1\" data-case=\"{number}\" data-act=\"{act}\" data-reader=\"{reader}\"{is_unsaved}>",
        number = shown.number,
        act = act.word(),
        reader = escaped(&shown.name),
    );
}

/// Where a reader stands: so many steps are done.
fn write_steps(html: &mut String, language: Language, done: usize) {
    let how_far = language.say("How far you are");
    let _ = write!(html, "<ol class=\"steps\" aria-label=\"{how_far}\">");
    for (place, step) in ["Take", "Read and commit", "Compare and sign"]
        .iter()
        .enumerate()
    {
        let class = match place {
            place if place < done => " class=\"done\"",
            place if place == done => " aria-current=\"step\"",
            _ => "",
        };
        let _ = write!(html, "<li{class}>{}</li>", language.say(step));
    }
    html.push_str("</ol>\n");
}

fn write_impression_form(html: &mut String, shown: &Shown) {
    let kept = Typed::of(shown.draft.as_ref());
    let typed = shown.unsaved.as_deref().unwrap_or(&kept);
    let language = shown.language;
    let title = language.say("What do you see?");
    let _ = writeln!(html, "<section class=\"card\"><h2>{title}</h2>");
    write_form(html, shown, Act::Commit);
    if shown.look.is_blind {
        let _ = writeln!(
            html,
            "<p class=\"also\">{}</p>",
            language.say(ON_COMMITTING)
        );
    }
    write_read(html, Step::Impression, &kept);
    write_impression_fields(html, language, typed, &kept.key_images);
    let _ = writeln!(
        html,
        "<div class=\"acts\"><button>{commit}</button><button class=\"plain\" formaction=\"{number}/draft\" \
         formnovalidate>{save}</button><button class=\"plain\" formaction=\"{number}/give-back\" \
         formnovalidate>{give_back}</button></div>{saved}</form>",
        commit = language.say("Commit"),
        number = shown.number,
        save = language.say("Save draft"),
        give_back = language.say("Give the case back"),
        saved = shown.draft.as_ref().map_or_else(String::new, |draft| {
            let moment = moment(draft.saved_ms);
            let saved = language.fill("Draft saved {moment}", &[("moment", &moment)]);
            format!("<p class=\"also saved\">{saved}</p>")
        }),
    );
    write_saved(html, language, Step::Impression, (&kept, typed));
    html.push_str("</section>\n");
}

/// The fields, with the images that are ticked, and those that are there to be.
fn write_impression_fields(
    html: &mut String,
    language: Language,
    typed: &Typed,
    images: &[String],
) {
    let _ = writeln!(
        html,
        "<label>{}<textarea name=\"findings\" rows=\"7\">{}</textarea></label>\n\
         <label>{}<textarea name=\"impression\" rows=\"4\" required>{}</textarea></label>\n\
         <label>{}<textarea name=\"recommendation\">{}</textarea></label>",
        language.say("Findings"),
        escaped(typed.text("findings")),
        language.say("Impression"),
        escaped(typed.text("impression")),
        language.say("Recommendation"),
        escaped(typed.text("recommendation")),
    );
    let confidence = Confidence::ALL.iter();
    write_choice(
        html,
        ("confidence", language.say("How sure are you?")),
        confidence.map(|grade| (grade.word(), language.say(words::confidence(*grade)))),
        typed.text("confidence"),
    );
    let legend = language.say("Key images");
    let _ = write!(
        html,
        "<fieldset class=\"key-images\"><legend>{legend}</legend>"
    );
    let ticked: HashSet<&String> = typed.key_images.iter().collect();
    let known: HashSet<&String> = images.iter().collect();
    let unsaved = typed.key_images.iter().filter(|text| !known.contains(text));
    for text in images.iter().chain(unsaved) {
        let checked = match ticked.contains(text) {
            true => " checked",
            false => "",
        };
        let (value, shown) = (
            escaped(text),
            escaped(text.rsplit('/').next().unwrap_or(text)),
        );
        let _ = writeln!(
            html,
            "<label class=\"choice\"><input type=\"checkbox\" name=\"key_image\" value=\"{value}\"{checked}> <span \
             class=\"uid\">{shown}</span></label>"
        );
    }
    let _ = writeln!(html, "<span>{}</span></fieldset>", language.say(ON_MARKING));
}

fn write_comparison_form(html: &mut String, shown: &Shown) {
    let language = shown.language;
    if let Some(commitment) = &shown.look.commitment {
        let _ = writeln!(
            html,
            "<section class=\"card\"><h2>{} <span class=\"also\">{}</span></h2>",
            language.say("What you committed"),
            moment(commitment.at_ms)
        );
        write_impression(html, language, &commitment.impression, "../");
        html.push_str("</section>\n");
    }
    let kept = Typed::of(shown.draft.as_ref());
    let typed = shown.unsaved.as_deref().unwrap_or(&kept);
    let title = language.say("How does it compare?");
    let _ = writeln!(html, "<section class=\"card\"><h2>{title}</h2>");
    write_form(html, shown, Act::Sign);
    write_read(html, Step::Comparison, &kept);
    write_comparison_fields(html, language, typed);
    let _ = writeln!(
        html,
        "<div class=\"acts\"><button>{}</button><button class=\"plain\" formaction=\"{}/draft\" \
         formnovalidate>{}</button></div></form>",
        language.say("Sign"),
        shown.number,
        language.say("Save draft"),
    );
    write_saved(html, language, Step::Comparison, (&kept, typed));
    html.push_str("</section>\n");
}

fn write_comparison_fields(html: &mut String, language: Language, typed: &Typed) {
    let agreement = Agreement::ALL.iter();
    write_choice(
        html,
        ("agreement", language.say("With the first report")),
        agreement.map(|grade| (grade.word(), language.say(words::agreement(*grade)))),
        typed.text("agreement"),
    );
    let _ = writeln!(
        html,
        "<label>{}<textarea name=\"cannot_judge_reason\">{}</textarea></label>",
        language.say("Why you cannot judge, if so"),
        escaped(typed.text("cannot_judge_reason"))
    );
    let significance = Significance::ALL.iter();
    let matters = language.say("Does the difference matter to the patient?");
    write_choice(
        html,
        ("significance", matters),
        significance.map(|grade| (grade.word(), language.say(words::significance(*grade)))),
        typed.text("significance"),
    );
    let management = Management::ALL.iter();
    write_choice(
        html,
        ("management", language.say("What changes in what is done")),
        management.map(|grade| (grade.word(), language.say(words::management(*grade)))),
        typed.text("management"),
    );
    let stage = Stage::ALL.iter();
    write_choice(
        html,
        ("stage", language.say("What changes in the stage")),
        stage.map(|grade| (grade.word(), language.say(words::stage(*grade)))),
        typed.text("stage"),
    );
    let _ = writeln!(
        html,
        "<label>{}<textarea name=\"comment\">{}</textarea></label>",
        language.say("Comment"),
        escaped(typed.text("comment"))
    );
}

/// The choices of a field: the word that is sent, and what people call it.
fn write_choice(
    html: &mut String,
    (name, legend): (&str, &str),
    words: impl Iterator<Item = (&'static str, &'static str)>,
    chosen: &str,
) {
    let _ = write!(html, "<fieldset><legend>{legend}</legend>");
    for (word, shown) in words {
        let checked = if word == chosen { " checked" } else { "" };
        let _ = write!(
            html,
            "<label class=\"choice\"><input type=\"radio\" name=\"{name}\" value=\"{word}\"{checked}> {shown}</label>"
        );
    }
    html.push_str("</fieldset>\n");
}

fn write_opinion(html: &mut String, shown: &Shown, opinion: &Opinion, have_images_changed: bool) {
    let (is_newest, language) = (shown.look.is_newest(opinion), shown.language);
    let reader = named(language, &opinion.reader);
    let (reader, when) = (escaped(&reader), moment(opinion.signed_ms));
    let _ = writeln!(
        html,
        "<section class=\"card\"><h2>{} <span class=\"also\">{}</span></h2>",
        match opinion.version {
            1 => language.fill("Opinion of {reader}", &[("reader", &reader)]),
            version => language.fill(
                "Opinion of {reader}, version {version}",
                &[("version", &version), ("reader", &reader)]
            ),
        },
        match is_newest {
            true => language.fill("signed {moment}", &[("moment", &when)]),
            false => language.fill("signed {moment}; corrected since", &[("moment", &when)]),
        },
    );
    if have_images_changed {
        let _ = writeln!(
            html,
            "<p class=\"problem\">{}</p>",
            language.say("Images have arrived, changed or gone since this was signed.")
        );
    }
    write_said(html, language, opinion, "../");
    let digest = blake3::Hash::from_bytes(opinion.manifest.digest).to_hex();
    let digest = format!("<span class=\"uid\">{}</span>", &digest[..16]);
    let _ = writeln!(
        html,
        "<p class=\"also\"><a href=\"{}/print#opinion-{}\">{}</a> · {}</p>",
        shown.number,
        opinion.id,
        language.say("Print"),
        language.fill(
            "{count} images were there for the reader; fingerprint {digest}",
            &[("count", &opinion.manifest.instances), ("digest", &digest)]
        ),
    );
    if is_newest && *opinion.reader == *shown.name && shown.look.may(Act::Correct) {
        let typed = Typed::said(&opinion.said.impression, &opinion.said.comparison);
        let _ = writeln!(
            html,
            "<details><summary>{}</summary><form class=\"form\" method=\"post\" action=\"{}/correct\"><input type=\"hidden\" \
             name=\"corrects\" value=\"{}\"><label>{}<textarea name=\"reason\" required></textarea></label>",
            language.say("Correct it"),
            shown.number,
            opinion.id,
            language.say("Why"),
        );
        write_impression_fields(html, language, &typed, &typed.key_images);
        write_comparison_fields(html, language, &typed);
        let _ = writeln!(
            html,
            "<div class=\"acts\"><button>{}</button></div></form></details>",
            language.say("Sign the correction")
        );
    }
    html.push_str("</section>\n");
}

/// All that an opinion says. `root` leads to `/`.
pub(super) fn write_said(html: &mut String, language: Language, opinion: &Opinion, root: &str) {
    write_text(html, language.say("Corrected because"), &opinion.reason);
    write_impression(html, language, &opinion.said.impression, root);
    let comparison = &opinion.said.comparison;
    html.push_str("<dl class=\"facts\">");
    let graded = [
        (
            "Compared with the first report",
            comparison.agreement.map(words::agreement),
        ),
        (
            "Matters to the patient",
            comparison.significance.map(words::significance),
        ),
        (
            "Changes what is done",
            comparison.management.map(words::management),
        ),
        ("Changes the stage", comparison.stage.map(words::stage)),
    ];
    for (what, word) in graded {
        if let Some(word) = word {
            let (what, word) = (language.say(what), language.say(word));
            let _ = write!(html, "<div><dt>{what}</dt><dd>{word}</dd></div>");
        }
    }
    html.push_str("</dl>\n");
    for (what, text) in [
        ("Cannot judge because", &comparison.cannot_judge_reason),
        ("Comment", &comparison.comment),
    ] {
        write_text(html, language.say(what), text);
    }
}

/// A text of an opinion under its title, as its author wrote it; nothing when there is none.
fn write_text(html: &mut String, title: &str, text: &str) {
    if !text.is_empty() {
        let text = escaped(text);
        let _ = writeln!(html, "<h3>{title}</h3><p class=\"said\">{text}</p>");
    }
}

fn write_impression(html: &mut String, language: Language, impression: &Impression, root: &str) {
    for (what, text) in [
        ("Findings", &impression.findings),
        ("Impression", &impression.impression),
        ("Recommendation", &impression.recommendation),
    ] {
        write_text(html, language.say(what), text);
    }
    if !impression.key_images.is_empty() {
        html.push_str("<div class=\"images\">");
        for image in &impression.key_images {
            let frame = image.frames.first().copied().unwrap_or(1);
            let place = format!(
                "{root}picture/studies/{}/series/{}/instances/{}/frames/{frame}",
                image.study_instance_uid, image.series_instance_uid, image.sop_instance_uid
            );
            let _ = write!(
                html,
                "<figure><a href=\"{place}?size=1600\"><img src=\"{place}?size=240\" alt=\"{}\" \
                 loading=\"lazy\"></a><figcaption>{}</figcaption></figure>",
                language.say("key image"),
                escaped(&image.note)
            );
        }
        html.push_str("</div>\n");
    }
    let sure = language.say(words::confidence(impression.confidence));
    let sure = language.fill("Confidence: {confidence}", &[("confidence", &sure)]);
    let _ = writeln!(html, "<p class=\"also\">{sure}</p>");
}
