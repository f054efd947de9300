//! The DICOM network as administrators see it, of the sections `[dicom]` and `[forward]`: told once, since what is configured
//! stays as it is until the next start.

use std::sync::Mutex;
use std::time::Duration;

use crate::config::Settings;
use crate::dicom::AeTitles;
use crate::dimse::scu;
use crate::forward::To;
use crate::web::{Destination, Network, NetworkCaller};

/// Somebody who waits on a page waits no longer than this for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// All of it.
pub(super) fn of(settings: &Settings) -> Network {
    let dicom = &settings.dicom;
    let mut addresses = vec![dicom.listen.to_string()];
    addresses.extend(
        dicom
            .tls
            .as_ref()
            .map(|tls| format!("{} over TLS", tls.listen)),
    );
    let destinations = settings.forward.routes.iter().map(|route| {
        let to = match &route.to {
            To::Dicom(peer) => Destination::Dicom(peer.clone()),
            To::Web(address) => Destination::Web(address.url().to_owned()),
        };
        (route.name.to_string(), to)
    });
    Network {
        ae_title: dicom.ae_title.to_string(),
        addresses,
        callers: callers(settings),
        outgoing: scu::Settings {
            connect_timeout: dicom.outgoing.connect_timeout.min(PATIENCE),
            answer_timeout: dicom.outgoing.answer_timeout.min(PATIENCE),
            ..dicom.outgoing.clone()
        },
        destinations: destinations.collect(),
        asking: Mutex::new(()),
    }
}

/// Who may call: the table, then those that are only named.
fn callers(settings: &Settings) -> Vec<NetworkCaller> {
    let dicom = &settings.dicom;
    let known = dicom.modalities.known().map(|row| NetworkCaller {
        title: row
            .title
            .map_or_else(|| "*".to_owned(), |title| title.to_string()),
        rights: row.rights.words().collect(),
        hosts: row.hosts,
        called: row.called.iter().map(ToString::to_string).collect(),
    });
    let mut callers: Vec<_> = known.collect();
    let everything = |title: String| NetworkCaller {
        title,
        rights: crate::dimse::Rights::ALL.words().collect(),
        hosts: Vec::new(),
        called: Vec::new(),
    };
    match &dicom.calling_ae_titles {
        // As soon as there is a table, nobody is let in by this.
        AeTitles::Any if callers.is_empty() => callers.push(everything("*".into())),
        AeTitles::Any => {}
        AeTitles::These(titles) => {
            let titles = titles.iter().map(ToString::to_string);
            let without_row = titles.filter(|title| !callers.iter().any(|row| row.title == *title));
            let without_row: Vec<_> = without_row.map(everything).collect();
            callers.extend(without_row);
        }
    }
    callers
}
