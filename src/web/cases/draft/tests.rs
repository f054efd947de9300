//! What a form of an opinion keeps of a draft, takes from other pages, and asks about.

use super::*;

const ONE: &str = "1.2/1.3/1.4";
const TWO: &str = "1.2/1.3/1.5";
const THREE: &str = "1.2/1.3/1.6/7";

fn draft(body: &Value) -> Typed {
    Typed::of(Some(&Draft {
        body: body.to_string().into(),
        saved_ms: 0,
    }))
}

fn kept(findings: &str, images: &[&str]) -> Typed {
    draft(&serde_json::json!({ "findings": findings, "key_images": images, "agreement": "agree" }))
}

/// The form of an impression that was made with a draft, as somebody has changed it.
fn form(made_with: &Typed, findings: &str, ticked: &[&str]) -> Fields {
    let tag = made_with.tag(Step::Impression);
    let mut fields = vec![("findings", findings), ("impression_read", &*tag)];
    let shown = made_with.key_images.iter().map(|image| &**image);
    fields.extend(shown.map(|image| (SHOWN_IMAGE, image)));
    fields.extend(ticked.iter().map(|image| ("key_image", *image)));
    Fields::of(fields)
}

#[test]
fn what_is_kept_leads_back() {
    let odd = serde_json::json!({ "sop_instance_uid": "1.4" });
    let body = serde_json::json!({ "findings": "a\n", "key_images": [ONE, odd, 5], "theirs": {"a": [1]}, "comment": 5 });
    let typed = draft(&body);
    assert_eq!((typed.text("findings"), typed.text("comment")), ("a\n", ""));
    assert_eq!(typed.key_images, [ONE]);
    let back = |typed: &Typed| serde_json::from_str::<Value>(&typed.body()).unwrap();
    assert_eq!(back(&typed), body);
    // A form that does not show them keeps them.
    let put = Put::onto(draft(&body), &form(&typed, "b", &[ONE, TWO])).unwrap();
    let after = back(&put.typed);
    assert_eq!(after["key_images"], serde_json::json!([ONE, TWO, odd, 5]));
    assert_eq!(
        (&after["findings"], &after["comment"]),
        (&"b".into(), &5.into())
    );
    assert!(put.is_as_shown);
    let whole = draft(&serde_json::json!({ "key_images": odd }));
    assert_eq!(back(&whole)["key_images"], serde_json::json!([odd]));
    assert_eq!(Typed::of(None), Typed::default());
}

/// What a form was made with, what it sends, what is there by then; what comes of it.
#[test]
fn images_are_marked_at_two_places() {
    for (before, ticked, now, after, is_as_shown) in [
        (&[][..], &[][..], &[][..], &[][..], true),
        (&[], &[], &[ONE], &[ONE], false),
        (&[ONE], &[ONE], &[ONE, TWO], &[ONE, TWO], false),
        (&[ONE], &[], &[ONE, TWO], &[TWO], false),
        (&[ONE], &[], &[ONE], &[], true),
        (&[ONE], &[], &[], &[], true),
        (&[ONE, TWO], &[ONE, TWO], &[TWO], &[TWO], false),
        (&[ONE, TWO], &[ONE], &[TWO], &[], false),
        // A form whose saving was refused shows what it has not saved.
        (&[ONE], &[ONE, THREE], &[ONE], &[ONE, THREE], true),
    ] {
        let put = Put::onto(kept("a", now), &form(&kept("a", before), "a", ticked)).unwrap();
        assert_eq!(put.typed.key_images, after, "{before:?} {ticked:?} {now:?}");
        assert_eq!(
            put.is_as_shown, is_as_shown,
            "{before:?} {ticked:?} {now:?}"
        );
        assert!(!put.clashes);
        assert_eq!(put.typed.text("agreement"), "agree", "of the other form");
    }
}

#[test]
fn texts_are_typed_at_two_places() {
    for (before, typed, now, after, is_as_shown, clashes) in [
        ("a", "a", "a", "a", true, false),
        ("a", "b", "a", "b", true, false),
        ("a", "a", "b", "b", false, false),
        ("a", "b", "b", "b", true, false),
        ("a", "b", "c", "b", true, true),
        ("a", "", "c", "", true, true),
        ("a\nb", "a\r\nb", "c", "c", false, false),
        ("", "a\r\nb\r\n", "a\nb", "a\nb", true, false),
    ] {
        let put = Put::onto(kept(now, &[]), &form(&kept(before, &[]), typed, &[])).unwrap();
        let known = (put.typed.text("findings"), put.is_as_shown, put.clashes);
        assert_eq!(
            known,
            (after, is_as_shown, clashes),
            "{before:?} {typed:?} {now:?}"
        );
    }
}

#[test]
fn who_says_nothing_of_what_they_read_means_all() {
    let fields = Fields::of([("findings", "b"), ("key_image", TWO)]);
    let put = Put::onto(kept("a", &[ONE]), &fields).unwrap();
    assert_eq!(
        (put.typed.text("findings"), &*put.typed.key_images),
        ("b", &[TWO.to_owned()][..])
    );
    assert!(put.is_as_shown && !put.clashes && put.typed.text("agreement").is_empty());
    assert!(Put::onto(Typed::default(), &Fields::of([("key_image", "x")])).is_err());
    let put = Put::onto(kept("a", &[ONE]), &Fields::of([("agreement", "agree")])).unwrap();
    assert_eq!(put.typed.key_images, [ONE], "it speaks of none");
}

#[test]
fn the_second_form_leaves_the_first_alone() {
    let before = kept("a", &[ONE]);
    let tag = before.tag(Step::Comparison);
    let fields = Fields::of([
        ("comparison_read", &*tag),
        ("agreement", "disagree"),
        ("comment", "c"),
    ]);
    let put = Put::onto(kept("b", &[ONE, TWO]), &fields).unwrap();
    assert_eq!(
        (put.typed.text("findings"), put.typed.text("agreement")),
        ("b", "disagree")
    );
    assert_eq!(put.typed.key_images, [ONE, TWO]);
    assert!(put.is_as_shown && !put.clashes);
}
