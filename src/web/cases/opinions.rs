//! Opinions on the page of a case: the form of whoever reads, one step at a time, and what was signed.

use std::collections::HashSet;
use std::fmt::Write;

use super::draft::{Step, Typed, write_read, write_saved, write_unsaved};
use super::page::{Shown, write_act};
use super::{moment, spaced};
use crate::cases::grade::{Agreement, Confidence, Management, Significance, Stage};
use crate::cases::{Act, Impression, Opinion, TaskState};
use crate::dicom::text_form::escaped;

/// The form of the visitor, and the opinions that they may see.
pub(super) fn write(html: &mut String, shown: &Shown) {
    let look = &shown.look;
    let task = look.case.task_of(&shown.name);
    let state = task.map(|task| task.state);
    let holds = task.is_some_and(|task| task.is_held_by(&shown.name));
    let may_claim = look.may(Act::Claim) && !(holds && state.is_some_and(TaskState::is_pending));
    let has_answered = holds && state == Some(TaskState::Signed);
    if may_claim && !has_answered {
        write_steps(html, 0);
        html.push_str(
            "<section class=\"card\"><h2>Your opinion is asked for</h2><div class=\"acts\">\n",
        );
        write_act(
            html,
            shown.number,
            Act::Claim,
            "Take the case and read it",
            false,
        );
        if look.may(Act::GiveBack) && task.is_some() {
            write_act(html, shown.number, Act::GiveBack, "Decline", true);
        }
        html.push_str("</div></section>\n");
    } else if holds && state == Some(TaskState::Claimed) && look.may(Act::Commit) {
        write_steps(html, 1);
        write_impression_form(html, shown);
    } else if holds && state == Some(TaskState::Committed) && look.may(Act::Sign) {
        write_steps(html, 2);
        write_comparison_form(html, shown);
    }
    let has_form = holds && matches!(state, Some(TaskState::Claimed | TaskState::Committed));
    if let Some(unsaved) = shown.unsaved.as_deref().filter(|_| !has_form) {
        write_unsaved(html, &Typed::of(shown.draft.as_ref()), unsaved);
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
fn write_steps(html: &mut String, done: usize) {
    html.push_str("<ol class=\"steps\" aria-label=\"How far you are\">");
    for (place, step) in ["Take", "Read and commit", "Compare and sign"]
        .iter()
        .enumerate()
    {
        let class = match place {
            place if place < done => " class=\"done\"",
            place if place == done => " aria-current=\"step\"",
            _ => "",
        };
        let _ = write!(html, "<li{class}>{step}</li>");
    }
    html.push_str("</ol>\n");
}

fn write_impression_form(html: &mut String, shown: &Shown) {
    let kept = Typed::of(shown.draft.as_ref());
    let typed = shown.unsaved.as_deref().unwrap_or(&kept);
    html.push_str("<section class=\"card\"><h2>What do you see?</h2>\n");
    write_form(html, shown, Act::Commit);
    if shown.look.is_blind {
        html.push_str(
            "<p class=\"also\">The first report opens when you have committed this. It cannot be changed then; corrections \
             are versions of their own.</p>\n",
        );
    }
    write_read(html, Step::Impression, &kept);
    write_impression_fields(html, typed, &kept.key_images);
    let _ = writeln!(
        html,
        "<div class=\"acts\"><button>Commit</button><button class=\"plain\" formaction=\"{number}/draft\" \
         formnovalidate>Save draft</button><button class=\"plain\" formaction=\"{number}/give-back\" formnovalidate>Give the \
         case back</button></div>{saved}</form>",
        number = shown.number,
        saved = shown.draft.as_ref().map_or_else(String::new, |draft| {
            format!(
                "<p class=\"also saved\">Draft saved {}</p>",
                moment(draft.saved_ms)
            )
        }),
    );
    write_saved(html, Step::Impression, &kept, typed);
    html.push_str("</section>\n");
}

/// The fields, with the images that are ticked, and those that are there to be.
fn write_impression_fields(html: &mut String, typed: &Typed, images: &[String]) {
    let _ = writeln!(
        html,
        "<label>Findings<textarea name=\"findings\" rows=\"7\">{}</textarea></label>\n\
         <label>Impression<textarea name=\"impression\" rows=\"4\" required>{}</textarea></label>\n\
         <label>Recommendation<textarea name=\"recommendation\">{}</textarea></label>",
        escaped(typed.text("findings")),
        escaped(typed.text("impression")),
        escaped(typed.text("recommendation")),
    );
    let confidence = Confidence::ALL.iter().map(|grade| grade.word());
    write_choice(
        html,
        "confidence",
        "How sure are you?",
        confidence,
        typed.text("confidence"),
    );
    html.push_str("<fieldset class=\"key-images\"><legend>Key images</legend>");
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
    html.push_str(
        "<span>Mark them on the pages with the images, in another tab too: saving here keeps what was marked there. What you \
         have typed here is kept when you save the draft first.</span></fieldset>\n",
    );
}

fn write_comparison_form(html: &mut String, shown: &Shown) {
    if let Some(commitment) = &shown.look.commitment {
        let _ = writeln!(
            html,
            "<section class=\"card\"><h2>What you committed <span class=\"also\">{}</span></h2>",
            moment(commitment.at_ms)
        );
        write_impression(html, &commitment.impression, "../");
        html.push_str("</section>\n");
    }
    let kept = Typed::of(shown.draft.as_ref());
    let typed = shown.unsaved.as_deref().unwrap_or(&kept);
    html.push_str("<section class=\"card\"><h2>How does it compare?</h2>\n");
    write_form(html, shown, Act::Sign);
    write_read(html, Step::Comparison, &kept);
    write_comparison_fields(html, typed);
    let _ = writeln!(
        html,
        "<div class=\"acts\"><button>Sign</button><button class=\"plain\" formaction=\"{}/draft\" formnovalidate>Save \
         draft</button></div></form>",
        shown.number
    );
    write_saved(html, Step::Comparison, &kept, typed);
    html.push_str("</section>\n");
}

fn write_comparison_fields(html: &mut String, typed: &Typed) {
    let words = |grades: &'static [Agreement]| grades.iter().map(|grade| grade.word());
    write_choice(
        html,
        "agreement",
        "With the first report",
        words(Agreement::ALL),
        typed.text("agreement"),
    );
    let _ = writeln!(
        html,
        "<label>Why you cannot judge, if so<textarea name=\"cannot_judge_reason\">{}</textarea></label>",
        escaped(typed.text("cannot_judge_reason"))
    );
    let significance = Significance::ALL.iter().map(|grade| grade.word());
    write_choice(
        html,
        "significance",
        "Does the difference matter to the patient?",
        significance,
        typed.text("significance"),
    );
    let management = Management::ALL.iter().map(|grade| grade.word());
    write_choice(
        html,
        "management",
        "What changes in what is done",
        management,
        typed.text("management"),
    );
    let stage = Stage::ALL.iter().map(|grade| grade.word());
    write_choice(
        html,
        "stage",
        "What changes in the stage",
        stage,
        typed.text("stage"),
    );
    let _ = writeln!(
        html,
        "<label>Comment<textarea name=\"comment\">{}</textarea></label>",
        escaped(typed.text("comment"))
    );
}

fn write_choice(
    html: &mut String,
    name: &str,
    legend: &str,
    words: impl Iterator<Item = &'static str>,
    chosen: &str,
) {
    let _ = write!(html, "<fieldset><legend>{legend}</legend>");
    for word in words {
        let checked = if word == chosen { " checked" } else { "" };
        let _ = write!(
            html,
            "<label class=\"choice\"><input type=\"radio\" name=\"{name}\" value=\"{word}\"{checked}> {}</label>",
            spaced(word)
        );
    }
    html.push_str("</fieldset>\n");
}

fn write_opinion(html: &mut String, shown: &Shown, opinion: &Opinion, have_images_changed: bool) {
    let is_newest = shown.look.is_newest(opinion);
    let _ = writeln!(
        html,
        "<section class=\"card\"><h2>Opinion of {reader}{version} <span class=\"also\">signed {when}{old}</span></h2>",
        reader = escaped(&opinion.reader),
        version = match opinion.version {
            1 => String::new(),
            version => format!(", version {version}"),
        },
        when = moment(opinion.signed_ms),
        old = if is_newest { "" } else { "; corrected since" },
    );
    if have_images_changed {
        html.push_str(
            "<p class=\"problem\">Images have arrived, changed or gone since this was signed.</p>\n",
        );
    }
    write_said(html, opinion, "../");
    let _ = writeln!(
        html,
        "<p class=\"also\"><a href=\"{}/print#opinion-{}\">Print</a> · {} images were there for the reader; fingerprint \
         <span class=\"uid\">{}</span></p>",
        shown.number,
        opinion.id,
        opinion.manifest.instances,
        &blake3::Hash::from_bytes(opinion.manifest.digest).to_hex()[..16],
    );
    if is_newest && *opinion.reader == *shown.name && shown.look.may(Act::Correct) {
        let typed = Typed::said(&opinion.said.impression, &opinion.said.comparison);
        let _ = writeln!(
            html,
            "<details><summary>Correct it</summary><form class=\"form\" method=\"post\" action=\"{}/correct\"><input \
             type=\"hidden\" name=\"corrects\" value=\"{}\"><label>Why<textarea name=\"reason\" required></textarea></label>",
            shown.number, opinion.id
        );
        write_impression_fields(html, &typed, &typed.key_images);
        write_comparison_fields(html, &typed);
        html.push_str(
            "<div class=\"acts\"><button>Sign the correction</button></div></form></details>\n",
        );
    }
    html.push_str("</section>\n");
}

/// All that an opinion says. `root` leads to `/`.
pub(super) fn write_said(html: &mut String, opinion: &Opinion, root: &str) {
    if !opinion.reason.is_empty() {
        let _ = writeln!(
            html,
            "<h3>Corrected because</h3><p class=\"said\">{}</p>",
            escaped(&opinion.reason)
        );
    }
    write_impression(html, &opinion.said.impression, root);
    let comparison = &opinion.said.comparison;
    html.push_str("<dl class=\"facts\">");
    let graded = [
        (
            "Compared with the first report",
            comparison.agreement.map(Agreement::word),
        ),
        (
            "Matters to the patient",
            comparison.significance.map(Significance::word),
        ),
        (
            "Changes what is done",
            comparison.management.map(Management::word),
        ),
        ("Changes the stage", comparison.stage.map(Stage::word)),
    ];
    for (what, word) in graded {
        if let Some(word) = word {
            let _ = write!(html, "<div><dt>{what}</dt><dd>{}</dd></div>", spaced(word));
        }
    }
    html.push_str("</dl>\n");
    for (what, text) in [
        ("Cannot judge because", &comparison.cannot_judge_reason),
        ("Comment", &comparison.comment),
    ] {
        if !text.is_empty() {
            let _ = writeln!(
                html,
                "<h3>{what}</h3><p class=\"said\">{}</p>",
                escaped(text)
            );
        }
    }
}

fn write_impression(html: &mut String, impression: &Impression, root: &str) {
    for (what, text) in [
        ("Findings", &impression.findings),
        ("Impression", &impression.impression),
        ("Recommendation", &impression.recommendation),
    ] {
        if !text.is_empty() {
            let _ = writeln!(
                html,
                "<h3>{what}</h3><p class=\"said\">{}</p>",
                escaped(text)
            );
        }
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
                "<figure><a href=\"{place}?size=1600\"><img src=\"{place}?size=240\" alt=\"key image\" \
                 loading=\"lazy\"></a><figcaption>{}</figcaption></figure>",
                escaped(&image.note)
            );
        }
        html.push_str("</div>\n");
    }
    let _ = writeln!(
        html,
        "<p class=\"also\">Confidence: {}</p>",
        spaced(impression.confidence.word())
    );
}
