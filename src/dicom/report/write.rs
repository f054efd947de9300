//! A laid-out report as an HTML page of its own and as plain text. Nothing of its content is markup.

use std::fmt::Write as _;

use crate::dicom::report::Report;
use crate::dicom::text_form::escaped;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1a1c1e;background:#fff}\
h1{font-size:1.5rem}h2,h3,h4,h5,h6{font-size:1.1rem;margin:1.2rem 0 .3rem}\
table{border-collapse:collapse;margin-bottom:1.5rem}th{text-align:left;font-weight:normal;color:#5b6166;padding-right:1.5rem;vertical-align:top}\
p{margin:.2rem 0}.v{white-space:pre-wrap;overflow-wrap:anywhere}.c{color:#5b6166}.a{font-size:.9rem}";

/// Indentation stops growing here, so that deep content stays on the page.
const INDENT_MAX: usize = 12;

/// A whole page (PS3.18 Table 8.7.4-1, text/html), in UTF-8.
#[must_use]
pub fn html(report: &Report) -> String {
    let title = escaped(&report.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<table>\n"
    );
    for (label, value) in &report.facts {
        let value = escaped(value);
        let _ = writeln!(page, "<tr><th>{label}</th><td><bdi>{value}</bdi></td></tr>");
    }
    page.push_str("</table>\n");
    for line in &report.lines {
        let indent = line.depth.min(INDENT_MAX);
        let (concept, value) = (escaped(&line.concept), escaped(&line.value));
        if line.is_heading {
            let level = (line.depth + 2).min(6);
            let _ = writeln!(
                page,
                "<h{level} style=\"margin-left:{indent}rem\">{concept}</h{level}>"
            );
            continue;
        }
        let class = if line.is_aside { " class=\"a\"" } else { "" };
        let _ = write!(page, "<p{class} style=\"margin-left:{indent}rem\">");
        if !line.concept.is_empty() {
            let _ = write!(page, "<span class=\"c\">{concept}:</span> ");
        }
        let _ = writeln!(page, "<span class=\"v\" dir=\"auto\">{value}</span></p>");
    }
    page.push_str("</body>\n</html>\n");
    page
}

/// The same as plain text, indented by depth.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut page = format!("{}\n\n", report.title);
    for (label, value) in &report.facts {
        let _ = writeln!(page, "{label}: {value}");
    }
    page.push('\n');
    for line in &report.lines {
        let indent = "    ".repeat(line.depth.min(INDENT_MAX));
        let value = line.value.replace('\n', &format!("\n{indent}    "));
        let _ = match (line.concept.is_empty(), value.is_empty()) {
            (false, true) => writeln!(page, "{indent}{}", line.concept),
            (true, _) => writeln!(page, "{indent}{value}"),
            (false, false) => writeln!(page, "{indent}{}: {value}", line.concept),
        };
    }
    page
}
