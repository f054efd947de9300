//! Layers, checks, and that every key of `default.toml` is read and documented.

use super::*;

fn with_environment(variables: &[(&str, &str)]) -> Result<Settings, Error> {
    let environment = variables
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    Settings::load(&Sources {
        environment,
        ..Sources::default()
    })
}

fn with_file(text: &str) -> Result<Settings, Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    Settings::load(&Sources {
        file: Some(file.path().into()),
        ..Sources::default()
    })
}

/// Another good value for every key.
const OTHER: &[(&str, &str)] = &[
    ("server.data_dir", "elsewhere"),
    ("access.sign_in", "required"),
    ("access.session_idle_s", "600"),
    ("access.session_max_s", "86400"),
    ("access.pin_tries_max", "3"),
    ("access.inbox_bytes_max", "1048576"),
    ("http.listen", "127.0.0.1:1"),
    ("http.allow_anonymous", "true"),
    ("http.public_url", "https://pacs.example.org/overread/"),
    ("http.trusted_proxies", "10.0.0.1, ::1"),
    ("http.allowed_origins", "https://viewer.example.org"),
    ("http.body_idle_timeout_s", "61"),
    ("http.uploads_max", "65"),
    ("http.allow_delete", "never"),
    ("http.commitment_keep_days", "31"),
    ("http.results_max", "10001"),
    ("http.workers", "3"),
    ("viewer.dir", "/usr/share/overread/viewer"),
    ("dicom.listen", "[::1]:11112"),
    ("dicom.ae_title", "OTHER"),
    ("dicom.called_ae_titles", "A,B"),
    ("dicom.calling_ae_titles", "CT 1"),
    ("dicom.max_pdu_bytes", "65536"),
    ("dicom.associations_max", "1"),
    ("dicom.moves_max", "1"),
    ("dicom.artim_timeout_s", "31"),
    ("dicom.idle_timeout_s", "121"),
    ("dicom.peers", "archive = PACS@10.0.0.1:104, CT1@ct1:11112"),
    ("dicom.connect_timeout_s", "11"),
    ("dicom.send_associations", "3"),
    ("dicom.send_retries", "0"),
    ("dicom.modalities", "CT 1 = store from 10.0.0.0/8, * = find"),
    ("dicom.tls_listen", "127.0.0.1:2763"),
    ("dicom.tls_certificate", "other.pem"),
    ("dicom.tls_private_key", "key.pem"),
    ("dicom.tls_trusted_certificates", "other.pem"),
    ("dicom.tls_remote_certificate", "request"),
    ("dicom.user_identity", "require"),
    ("dicom.users", "other"),
    ("dicom.jwt_key", "other"),
    ("dicom.jwt_audience", "other"),
    ("ingest.duplicate", "keep-first"),
    ("ingest.patient_conflict", "accept"),
    ("ingest.buffer_bytes_max", "4096"),
    ("ingest.object_bytes_max", "4096"),
    ("ingest.free_bytes_min", "0"),
    ("ingest.value_bytes_max", "1024"),
    ("ingest.inline_bytes_max", "0"),
    ("ingest.metadata_bytes_max", "65536"),
    ("ingest.depth_max", "1"),
    ("ingest.fragments_max", "1"),
    ("coercion.rules", "InstitutionName = X"),
    ("forward.rules", "from CT1 -> PACS@10.0.0.1:104"),
    (
        "forward.destinations",
        "cloud = https://a.example/dicom-web bearer-file /run/token",
    ),
    ("forward.stable_s", "61"),
    ("forward.retry_s", "61"),
    ("forward.attempts", "1"),
    ("forward.give_up_days", "8"),
    (
        "notices.webhooks",
        "chat = https://a.example/hook secret-file /run/secret",
    ),
    ("notices.email_server", "other.example.org:26"),
    ("notices.email_tls", "starttls"),
    ("notices.email_from", "other@example.org"),
    ("notices.email_user", "other"),
    ("notices.email_passcode", "/run/other"),
    ("notices.email_trusted_certificates", "ca.pem"),
    ("notices.due_soon_h", "25"),
    ("notices.retry_s", "11"),
    ("notices.give_up_s", "9"),
    ("notices.keep_days", "31"),
    ("imaging.cache_bytes_max", "0"),
    ("statistics.group_size_min", "3"),
    ("import.zip_entries_max", "1"),
    ("import.zip_ratio_max", "1"),
    ("log.level", "info,overread::dimse=debug"),
    ("log.format", "json"),
];

/// What a key needs beside it to mean anything: those that begin so, and the others.
const TOGETHER: &[(&str, &[(&str, &str)])] = &[
    (
        "dicom.tls_",
        &[
            ("dicom.tls_certificate", "certificate.pem"),
            ("dicom.tls_trusted_certificates", "trusted.pem"),
        ],
    ),
    (
        "notices.email_",
        &[
            ("notices.email_server", "mail.example.org"),
            ("notices.email_from", "overread@example.org"),
            ("notices.email_user", "overread"),
            ("notices.email_passcode", "/run/passcode"),
        ],
    ),
    ("dicom.user", IDENTITIES),
    ("dicom.jwt_", IDENTITIES),
];
const IDENTITIES: &[(&str, &str)] = &[
    ("dicom.user_identity", "optional"),
    ("dicom.users", "users"),
    ("dicom.jwt_key", "key.pem"),
    ("dicom.jwt_audience", "overread"),
];

#[test]
fn every_key_changes_the_settings() {
    for key in layers::dotted(&layers::defaults()) {
        let (_, value) = OTHER
            .iter()
            .find(|(k, _)| *k == key)
            .unwrap_or_else(|| panic!("{key} is not tried"));
        let beside = TOGETHER.iter().find(|(prefix, _)| key.starts_with(prefix));
        let mut keys = beside.map_or(&[][..], |(_, keys)| keys).to_vec();
        let load = |keys: &[(&str, &str)]| {
            let variables: Vec<_> = keys
                .iter()
                .map(|(k, v)| (layers::variable(k), *v))
                .collect();
            let variables: Vec<_> = variables.iter().map(|(k, v)| (&**k, *v)).collect();
            format!("{:?}", with_environment(&variables).unwrap())
        };
        let before = load(&keys);
        keys.push((&key, value));
        assert_ne!(load(&keys), before, "{key} is not read");
    }
}

#[test]
fn every_key_is_documented() {
    let mut above = "";
    for line in DEFAULT_TOML.lines() {
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(above.starts_with('#'), "no comment above: {line}");
        }
        above = line;
    }
}

#[test]
fn the_example_loads() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/example-hospital.toml");
    let settings = Settings::load(&Sources {
        file: Some(file.into()),
        ..Sources::default()
    })
    .unwrap();
    settings.check_exposure(false).unwrap();
}

#[test]
fn later_layers_win() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "[dicom]\nae_title = \"FILE\"\nidle_timeout_s = 7\n[http]\nuploads_max = 9\n",
    )
    .unwrap();
    let settings = Settings::load(&Sources {
        file: Some(file.path().into()),
        environment: vec![
            ("OVERREAD_DICOM__AE_TITLE".into(), "ENV".into()),
            ("OVERREAD_HTTP__UPLOADS_MAX".into(), "10".into()),
            ("PATH".into(), "/bin".into()),
            ("OVERREAD_BINARY".into(), "of a test".into()),
        ],
        flags: vec![Flag::new("--ae-title", "dicom.ae_title", "FLAG")],
        presets: vec![
            Flag::new("demo", "dicom.ae_title", "PRESET"),
            Flag::new("demo", "server.data_dir", "PRESET"),
        ],
    })
    .unwrap();
    assert_eq!(settings.dicom.ae_title.as_str(), "FLAG");
    assert_eq!(settings.http.uploads_max, 10);
    assert_eq!(settings.data_dir, PathBuf::from("PRESET"));
    assert_eq!(settings.dicom.idle_timeout, Duration::from_secs(7));
    assert_eq!(settings.dicom.artim_timeout, Duration::from_secs(30));
}

#[test]
fn unknown_keys_are_named_with_the_nearest() {
    let cases = [
        (
            with_file("[http]\nlissten = \"\"\n"),
            "http.lissten",
            "http.listen",
        ),
        (with_file("[dicm]\n"), "dicm", "dicom"),
        (
            with_environment(&[("OVERREAD_HTTP_LISTEN", "")]),
            "OVERREAD_HTTP_LISTEN",
            "OVERREAD_HTTP__LISTEN (http.listen)",
        ),
        (
            with_environment(&[("OVERREAD_LOG__LEVLE", "")]),
            "OVERREAD_LOG__LEVLE",
            "OVERREAD_LOG__LEVEL (log.level)",
        ),
    ];
    for (result, written, meant) in cases {
        match result {
            Err(Error::UnknownKey { key, nearest, .. }) => {
                assert_eq!((&*key, &*nearest), (written, meant))
            }
            other => panic!("{written}: {other:?}"),
        }
    }
}

#[test]
fn bad_values_are_refused_by_name() {
    let cases = [
        (
            "OVERREAD_HTTP__LISTEN",
            "pacs.example.org:80",
            "http.listen",
        ),
        ("OVERREAD_ACCESS__SIGN_IN", "maybe", "access.sign_in"),
        (
            "OVERREAD_ACCESS__SESSION_IDLE_S",
            "99999",
            "access.session_idle_s",
        ),
        ("OVERREAD_HTTP__UPLOADS_MAX", "many", "http.uploads_max"),
        ("OVERREAD_HTTP__UPLOADS_MAX", "0", "http.uploads_max"),
        (
            "OVERREAD_HTTP__ALLOW_ANONYMOUS",
            "maybe",
            "http.allow_anonymous",
        ),
        (
            "OVERREAD_HTTP__PUBLIC_URL",
            "pacs.example.org",
            "http.public_url",
        ),
        (
            "OVERREAD_HTTP__TRUSTED_PROXIES",
            "proxy",
            "http.trusted_proxies",
        ),
        (
            "OVERREAD_HTTP__ALLOWED_ORIGINS",
            "https://a/b",
            "http.allowed_origins",
        ),
        (
            "OVERREAD_DICOM__AE_TITLE",
            "SEVENTEEN LETTERS",
            "dicom.ae_title",
        ),
        ("OVERREAD_DICOM__AE_TITLE", "  ", "dicom.ae_title"),
        ("OVERREAD_DICOM__MAX_PDU_BYTES", "-1", "dicom.max_pdu_bytes"),
        ("OVERREAD_DICOM__PEERS", "PACS@10.0.0.1", "dicom.peers"),
        (
            "OVERREAD_DICOM__SEND_ASSOCIATIONS",
            "0",
            "dicom.send_associations",
        ),
        (
            "OVERREAD_INGEST__DUPLICATE",
            "overwrite",
            "ingest.duplicate",
        ),
        (
            "OVERREAD_INGEST__DEPTH_MAX",
            "99999999999",
            "ingest.depth_max",
        ),
        (
            "OVERREAD_NOTICES__WEBHOOKS",
            "a = http://hooks.example.org/ secret-file s",
            "notices.webhooks",
        ),
        ("OVERREAD_NOTICES__EMAIL_TLS", "none", "notices.email_tls"),
        (
            "OVERREAD_NOTICES__EMAIL_SERVER",
            "mail.example.org",
            "notices.email_from",
        ),
        ("OVERREAD_NOTICES__EMAIL_USER", "x", "notices.email_user"),
        ("OVERREAD_LOG__FORMAT", "xml", "log.format"),
        ("OVERREAD_LOG__LEVEL", "overread=loud", "log.level"),
    ];
    for (name, value, key) in cases {
        let text = with_environment(&[(name, value)])
            .expect_err(name)
            .to_string();
        assert!(text.starts_with(key), "{name}={value}: {text}");
    }
    assert!(
        with_file("[http]\nuploads_max = \"9\"\n")
            .expect_err("a text")
            .to_string()
            .contains("whole number")
    );
    assert!(
        with_file("[http\n")
            .expect_err("no TOML")
            .to_string()
            .contains("TOML")
    );
}

#[test]
fn strangers_are_kept_out_until_told_otherwise() {
    for (listen, is_safe) in [
        ("127.0.0.1:80", true),
        ("localhost:80", true),
        ("[::1]:80", true),
        ("[::ffff:127.0.0.1]:80", true),
        ("0.0.0.0:80", false),
        ("[::]:80", false),
        ("192.168.1.7:80", false),
    ] {
        for name in ["OVERREAD_HTTP__LISTEN", "OVERREAD_DICOM__LISTEN"] {
            let settings = with_environment(&[(name, listen)]).unwrap();
            assert_eq!(
                settings.check_exposure(false).is_ok(),
                is_safe,
                "{name}={listen}"
            );
            // An account closes the web, not DICOM, which has rights of its own.
            let is_guarded = name == "OVERREAD_HTTP__LISTEN";
            assert_eq!(settings.check_exposure(true).is_ok(), is_safe || is_guarded);
            let off = [(name, listen), ("OVERREAD_ACCESS__SIGN_IN", "off")];
            let off = with_environment(&off).unwrap();
            assert_eq!(off.check_exposure(true).is_ok(), is_safe);
            let told =
                with_environment(&[(name, listen), ("OVERREAD_HTTP__ALLOW_ANONYMOUS", "true")])
                    .unwrap();
            assert!(told.check_exposure(false).is_ok());
        }
    }
}
