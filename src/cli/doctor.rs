//! `overread doctor`: examines a DICOMweb server as viewers would use it, and prints what would break.
//! Exit codes of its own: 3 means warnings and nothing worse.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::table::printable;
use crate::cli::{Done, Place};
use crate::config::Settings;
use crate::dicom::Uid;
use crate::doctor::{self, Finding, Level, Options, Report, Step, Viewer};

/// Holds the value of an Authorization header, so that it need not stand in the list of processes.
const AUTHORIZATION: &str = "OVERREAD_DOCTOR_AUTHORIZATION";
/// Columns of running text.
const WIDTH: usize = 100;
/// Columns before the words of a finding.
const INDENT: usize = 20;

pub(super) const EXIT_CODES: &str = "Exit codes: 0 nothing is wrong but notes, 1 something is broken or the server cannot be reached,\n\
    2 wrong usage, 3 warnings only.\n\n\
    Nothing is changed on the server without --write. What is printed holds UIDs, no names or IDs of patients.";

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// The DICOMweb root, such as `https://pacs.example.org/dicom-web`; ours if not given.
    url: Option<String>,
    /// Look at this study instead of the newest.
    #[arg(long, value_name = "UID", value_parser = study)]
    study: Option<Uid>,
    /// How many of the newest studies to look at; some more are taken for their modalities.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=50))]
    studies: u8,
    /// The WADO-URI service, when it is not at ../wado.
    #[arg(long, value_name = "URL")]
    wado_uri: Option<String>,
    /// Send this header with each request; may be repeated. A token is better given in the environment, as
    /// OVERREAD_DOCTOR_AUTHORIZATION='Bearer …', where no list of processes shows it.
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// Examine whether a viewer from this origin could ask (CORS).
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// Store a tiny object of our own, too, and remove it if the server allows.
    #[arg(long)]
    write: bool,
    /// The longest time for one request, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=600))]
    timeout: u16,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Show every request, not only those with findings.
    #[arg(long, short)]
    verbose: bool,
}

fn study(text: &str) -> Result<Uid, String> {
    Uid::parse(text).map_err(|error| error.to_string())
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Done> {
    let mut headers = arguments.header;
    if let Ok(value) = std::env::var(AUTHORIZATION) {
        headers.push(format!("Authorization: {value}"));
    }
    let settings = arguments.place.settings()?;
    let options = Options {
        url: arguments.url.unwrap_or_else(|| own_root(&settings)),
        wado_uri: arguments.wado_uri,
        study: arguments.study,
        studies: arguments.studies.into(),
        headers,
        origin: arguments.origin,
        write: arguments.write,
        timeout: Duration::from_secs(arguments.timeout.into()),
    };
    let spinner =
        ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {msg}")?);
    spinner.enable_steady_tick(Duration::from_millis(100));
    let examined = doctor::examine(&options, &mut |what| spinner.set_message(what.to_owned()));
    spinner.finish_and_clear();
    let report = examined?;
    let out = &mut io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut *out, &Summary::of(&report)).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        let has_colors = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Printer { out, has_colors }.print(&report, arguments.verbose)?;
    }
    Ok(match report.level() {
        Level::Ok | Level::Note => Done::Wholly,
        Level::Warning => Done::InPart,
        Level::Broken => Done::Broken,
    })
}

/// Where our own server is, going by the settings.
fn own_root(settings: &Settings) -> String {
    let base = match &settings.http.public_url {
        Some(url) => url.clone(),
        None => {
            let mut listen = settings.http.listen;
            if listen.ip().is_unspecified() {
                listen.set_ip(match listen {
                    std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                    std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
                });
            }
            format!("http://{listen}")
        }
    };
    format!("{base}/dicom-web")
}

/// The report with what follows from it, for machines.
#[derive(serde::Serialize)]
struct Summary<'a> {
    level: Level,
    viewers: serde_json::Map<String, serde_json::Value>,
    #[serde(flatten)]
    report: &'a Report,
}

impl<'a> Summary<'a> {
    fn of(report: &'a Report) -> Self {
        let verdicts = Viewer::ALL.iter().filter_map(|viewer| {
            let level = report.level_for(*viewer)?;
            Some((viewer.name().to_owned(), serde_json::to_value(level).ok()?))
        });
        Self {
            level: report.level(),
            viewers: verdicts.collect(),
            report,
        }
    }
}

/// Writes a report for people.
struct Printer<'a> {
    out: &'a mut dyn Write,
    has_colors: bool,
}

impl Printer<'_> {
    fn print(&mut self, report: &Report, is_verbose: bool) -> io::Result<()> {
        writeln!(self.out, "{}", self.bold(&printable(&report.url)))?;
        if let Some(server) = &report.server {
            writeln!(self.out, "{}", printable(server))?;
        }
        let kinds = match report.kinds.as_slice() {
            [] => String::new(),
            kinds => format!(": {}", kinds.join(", ")),
        };
        self.wrapped(
            0,
            "",
            &format!(
                "{}, {}, {} looked into{kinds}. {} in {:.1} s.",
                counted(report.studies, "study", "studies"),
                counted(report.series, "series", "series"),
                counted(report.instances, "instance", "instances"),
                counted(report.requests as usize, "request", "requests"),
                report.took_ms as f64 / 1000.0
            ),
        )?;
        let mut chapter = "";
        for step in &report.steps {
            if step.level() == Level::Ok && !is_verbose {
                continue;
            }
            if step.chapter != chapter {
                chapter = step.chapter;
                writeln!(self.out, "\n{}", self.bold(chapter))?;
            }
            self.step(step)?;
        }
        self.verdicts(report)
    }

    fn step(&mut self, step: &Step) -> io::Result<()> {
        let viewers: Vec<&str> = step.viewers.iter().map(|viewer| viewer.name()).collect();
        let times = if step.asked > 1 {
            format!(" ×{}", step.asked)
        } else {
            String::new()
        };
        writeln!(
            self.out,
            "  {} {}{times}  {}",
            self.level(step.level()),
            step.title,
            self.faint(&format!(
                "{}, {} ms",
                viewers.join(" and "),
                step.first_byte_ms
            )),
        )?;
        let mut before = "";
        for finding in &step.findings {
            // Several findings of one answer show its request once.
            if finding.asked != before {
                self.request(finding)?;
                before = &finding.asked;
            }
            self.finding(finding)?;
        }
        Ok(())
    }

    /// Not wrapped, to be copied whole.
    fn request(&mut self, finding: &Finding) -> io::Result<()> {
        writeln!(
            self.out,
            "      {:14}{}",
            "asked",
            printable(&finding.asked)
        )?;
        if finding.accept.is_empty() {
            return Ok(());
        }
        let accept = self.faint(&printable(&finding.accept));
        writeln!(self.out, "      {:14}{accept}", "Accept")
    }

    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        let fault = finding.fault;
        let times = match finding.times {
            1 => String::new(),
            times => format!(" ({times} times)"),
        };
        self.wrapped(6, "came", &format!("{}{times}", printable(&finding.came)))?;
        self.wrapped(6, self.word(fault.level), fault.breaks)?;
        self.wrapped(6, "hint", fault.hint)?;
        writeln!(self.out, "      {:14}{}", "", self.faint(fault.code))
    }

    fn word(&self, level: Level) -> &'static str {
        match level {
            Level::Ok => "",
            Level::Note => "concerns",
            Level::Warning => "would suffer",
            Level::Broken => "would break",
        }
    }

    fn verdicts(&mut self, report: &Report) -> io::Result<()> {
        writeln!(self.out)?;
        for viewer in Viewer::ALL {
            if let Some(level) = report.level_for(viewer) {
                writeln!(self.out, "  {} {}", self.level(level), viewer.name())?;
            }
        }
        let total: Vec<String> = [
            (report.count(Level::Broken), "broken", "broken"),
            (report.count(Level::Warning), "warning", "warnings"),
            (report.count(Level::Note), "note", "notes"),
        ]
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| counted(number, one, many))
        .collect();
        let steps = report.steps.iter();
        let fine = steps.filter(|step| step.level() == Level::Ok).count();
        let total = if total.is_empty() {
            "nothing wrong".to_owned()
        } else {
            total.join(", ")
        };
        writeln!(
            self.out,
            "\n{}; {fine} of {} kinds of requests are as viewers want them",
            self.bold(&total),
            report.steps.len()
        )
    }

    /// Text in lines of [`WIDTH`], after a label.
    fn wrapped(&mut self, indent: usize, label: &str, text: &str) -> io::Result<()> {
        let margin = if label.is_empty() { indent } else { INDENT };
        let mut line = format!("{:indent$}{label}", "");
        let mut column = line.chars().count();
        line.extend(std::iter::repeat_n(' ', margin.saturating_sub(column)));
        column = margin;
        for word in text.split(' ') {
            let length = word.chars().count();
            if column + length > WIDTH && column > margin {
                writeln!(self.out, "{}", line.trim_end())?;
                line = " ".repeat(margin);
                column = margin;
            }
            line.push_str(word);
            line.push(' ');
            column += length + 1;
        }
        writeln!(self.out, "{}", line.trim_end())
    }

    fn level(&self, level: Level) -> String {
        let (word, color) = match level {
            Level::Ok => ("ok", "32"),
            Level::Note => ("note", "36"),
            Level::Warning => ("warning", "33"),
            Level::Broken => ("broken", "1;31"),
        };
        self.styled(color, &format!("{word:8}"))
    }

    fn bold(&self, text: &str) -> String {
        self.styled("1", text)
    }

    fn faint(&self, text: &str) -> String {
        self.styled("2", text)
    }

    fn styled(&self, style: &str, text: &str) -> String {
        if self.has_colors {
            format!("\x1b[{style}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_behind_its_label() {
        let mut out = Vec::new();
        let mut printer = Printer {
            out: &mut out,
            has_colors: false,
        };
        printer.wrapped(6, "hint", &"word ".repeat(30)).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("      hint          word"));
        assert!(lines[1].starts_with(&format!("{}word", " ".repeat(INDENT))));
        assert!(lines.iter().all(|line| line.len() <= WIDTH));
    }

    #[test]
    fn our_own_server_is_where_the_settings_say() {
        use crate::config::{Flag, Sources};
        let root = |key: &'static str, value: &'static str| {
            let sources = Sources {
                flags: vec![Flag::new("test", key, value)],
                ..Sources::default()
            };
            own_root(&Settings::load(&sources).unwrap())
        };
        assert_eq!(
            root("http.listen", "127.0.0.1:8081"),
            "http://127.0.0.1:8081/dicom-web"
        );
        assert_eq!(
            root("http.listen", "0.0.0.0:80"),
            "http://127.0.0.1:80/dicom-web"
        );
        assert_eq!(root("http.listen", "[::]:80"), "http://[::1]:80/dicom-web");
        assert_eq!(
            root("http.public_url", "https://a/b"),
            "https://a/b/dicom-web"
        );
    }
}
