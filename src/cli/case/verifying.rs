//! `overread case verify`: what can be proven of signed opinions, as text or JSON, and as an exit code.

use std::io::{self, Write};

use serde_json::json;

use crate::access::message;
use crate::cases::{Since, Verified};
use crate::cli::{Done, table};

/// Instances of each kind that a verification prints.
const INSTANCES_PRINTED: usize = 20;

pub(super) fn tell(verified: &[Verified], is_json: bool) -> anyhow::Result<Done> {
    let out = &mut io::stdout().lock();
    if is_json {
        let list: Vec<_> = verified.iter().map(json_of).collect();
        serde_json::to_writer_pretty(&mut *out, &list).map_err(io::Error::from)?;
        writeln!(out)?;
    } else if verified.is_empty() {
        writeln!(out, "no opinion has been signed")?;
    } else {
        for one in verified {
            write_verified(out, one)?;
        }
    }
    Ok(if verified.iter().any(|one| !one.is_intact()) {
        Done::Broken
    } else if verified.iter().any(|one| !one.since.is_nothing()) {
        Done::InPart
    } else {
        Done::Wholly
    })
}

fn write_verified(out: &mut dyn Write, one: &Verified) -> io::Result<()> {
    let opinion = &one.opinion;
    writeln!(
        out,
        "opinion {}, version {} by {}, {}",
        opinion.id,
        opinion.version,
        table::printable(&opinion.reader),
        message::time(opinion.signed_ms)
    )?;
    for (what, is_so) in [
        ("the opinion is as it was signed", one.is_opinion_intact),
        ("the manifest is as it was signed", one.is_manifest_intact),
        ("the audit trail holds both digests", one.is_in_trail),
    ] {
        writeln!(out, "  {}: {what}", if is_so { "yes" } else { "NO" })?;
    }
    let since = &one.since;
    writeln!(
        out,
        "  {} of {} instances unchanged, {} changed, {} removed, {} arrived since",
        since.unchanged,
        opinion.manifest.instances,
        since.changed.len(),
        since.removed.len(),
        since.arrived.len()
    )?;
    for (what, list) in kinds(since) {
        for seen in list.iter().take(INSTANCES_PRINTED) {
            writeln!(out, "  {what} {}", seen.sop_instance_uid)?;
        }
        if list.len() > INSTANCES_PRINTED {
            writeln!(out, "  {what} {} more", list.len() - INSTANCES_PRINTED)?;
        }
    }
    Ok(())
}

fn kinds(since: &Since) -> [(&'static str, &[crate::cases::Seen]); 3] {
    [
        ("changed", &since.changed),
        ("removed", &since.removed),
        ("arrived", &since.arrived),
    ]
}

fn json_of(one: &Verified) -> serde_json::Value {
    let mut body = json!({
        "opinion": one.opinion.id,
        "version": one.opinion.version,
        "reader": &*one.opinion.reader,
        "signed": message::time(one.opinion.signed_ms),
        "instances": one.opinion.manifest.instances,
        "is_intact": one.is_intact(),
        "is_opinion_intact": one.is_opinion_intact,
        "is_manifest_intact": one.is_manifest_intact,
        "is_in_trail": one.is_in_trail,
        "unchanged": one.since.unchanged,
    });
    for (what, list) in kinds(&one.since) {
        let uids = list.iter().map(|seen| seen.sop_instance_uid.as_str());
        body[what] = uids.collect();
    }
    body
}
