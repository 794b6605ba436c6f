//! What a model says, as a page shows it: paragraphs, headings, lists, code. Nothing in it becomes a link, a picture or
//! any other element than those named here.

use std::fmt::Write as _;

use super::markup::Text;

/// Appends a text in Markdown as HTML.
pub fn write(out: &mut String, text: &str) {
    let mut lines = text.lines().peekable();
    let mut paragraph: Vec<&str> = Vec::new();
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        if let Some(fence) = fence(trimmed) {
            end_paragraph(out, &mut paragraph);
            out.push_str("<pre tabindex=\"0\"><code>");
            for line in lines.by_ref().take_while(|line| !line.trim_start().starts_with(fence)) {
                let _ = writeln!(out, "{}", Text(line));
            }
            out.push_str("</code></pre>\n");
        } else if trimmed.is_empty() {
            end_paragraph(out, &mut paragraph);
        } else if let Some(title) = heading(trimmed) {
            end_paragraph(out, &mut paragraph);
            out.push_str("<p class=\"subhead\">");
            inline(out, title);
            out.push_str("</p>\n");
        } else if let Some((ordered, first)) = item(trimmed) {
            end_paragraph(out, &mut paragraph);
            let tag = if ordered { "ol" } else { "ul" };
            let _ = write!(out, "<{tag}>\n<li>");
            inline(out, first);
            while let Some(next) = lines.peek() {
                let next = next.trim_start();
                match item(next) {
                    Some((same, text)) if same == ordered => {
                        out.push_str("</li>\n<li>");
                        inline(out, text);
                    }
                    // A line that goes on with the one before it.
                    None if !next.is_empty() && heading(next).is_none() && fence(next).is_none() => {
                        out.push('\n');
                        inline(out, next);
                    }
                    _ => break,
                }
                lines.next();
            }
            let _ = writeln!(out, "</li>\n</{tag}>");
        } else {
            paragraph.push(line);
        }
    }
    end_paragraph(out, &mut paragraph);
}

fn end_paragraph(out: &mut String, lines: &mut Vec<&str>) {
    if lines.is_empty() {
        return;
    }
    out.push_str("<p>");
    inline(out, &lines.join("\n"));
    out.push_str("</p>\n");
    lines.clear();
}

fn fence(line: &str) -> Option<&'static str> {
    ["```", "~~~"].into_iter().find(|fence| line.starts_with(fence))
}

fn heading(line: &str) -> Option<&str> {
    let hashes = line.bytes().take_while(|byte| *byte == b'#').count();
    if (1..=6).contains(&hashes) { line[hashes..].strip_prefix(' ').map(str::trim) } else { None }
}

/// Whether a line is an item of a numbered list, and its text.
fn item(line: &str) -> Option<(bool, &str)> {
    if let Some(text) = ["- ", "* ", "+ ", "• "].into_iter().find_map(|mark| line.strip_prefix(mark)) {
        return Some((false, text.trim()));
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let text = (1..=3).contains(&digits).then(|| &line[digits..])?;
    text.strip_prefix(". ").or_else(|| text.strip_prefix(") ")).map(|text| (true, text.trim()))
}

/// Code between backticks, strong text between double asterisks; all else as it stands.
fn inline(out: &mut String, text: &str) {
    let mut rest = text;
    loop {
        let code = rest.find('`');
        let strong = rest.find("**");
        let (at, mark, tag) = match (code, strong) {
            (Some(code), Some(strong)) if strong < code => (strong, "**", "strong"),
            (Some(code), _) => (code, "`", "code"),
            (None, Some(strong)) => (strong, "**", "strong"),
            (None, None) => break,
        };
        let inside = &rest[at + mark.len()..];
        let _ = match inside.find(mark).filter(|length| *length > 0) {
            Some(length) => {
                let _ = write!(out, "{}<{tag}>{}</{tag}>", Text(&rest[..at]), Text(&inside[..length]));
                rest = &inside[length + mark.len()..];
                continue;
            }
            None => write!(out, "{}", Text(&rest[..at + mark.len()])),
        };
        rest = inside;
    }
    let _ = write!(out, "{}", Text(rest));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(text: &str) -> String {
        let mut out = String::new();
        write(&mut out, text);
        out
    }

    #[test]
    fn the_usual_forms_become_elements() {
        assert_eq!(
            html("One `a<b` and **two**\nthree"),
            "<p>One <code>a&lt;b</code> and <strong>two</strong>\nthree</p>\n"
        );
        assert_eq!(
            html("## Why\n\n- a\n- b\n  more"),
            "<p class=\"subhead\">Why</p>\n<ul>\n<li>a</li>\n<li>b\nmore</li>\n</ul>\n"
        );
        assert_eq!(html("1. a\n2. b"), "<ol>\n<li>a</li>\n<li>b</li>\n</ol>\n");
        assert_eq!(
            html("```rust\nlet x = 1 < 2;\n```\nend"),
            "<pre tabindex=\"0\"><code>let x = 1 &lt; 2;\n</code></pre>\n<p>end</p>\n"
        );
    }

    #[test]
    fn what_is_not_closed_stands_as_it_is() {
        assert_eq!(html("a ` b"), "<p>a ` b</p>\n");
        assert_eq!(html("** a `` b"), "<p>** a `` b</p>\n");
        assert_eq!(html("```\n<script>"), "<pre tabindex=\"0\"><code>&lt;script&gt;\n</code></pre>\n");
    }

    #[test]
    fn nothing_else_becomes_an_element() {
        let out = html("[x](javascript:alert(1)) ![y](http://e/x.png) <img src=x onerror=y> http://e/");
        assert!(!out.contains("<a") && !out.contains("<img"), "{out}");
    }
}
