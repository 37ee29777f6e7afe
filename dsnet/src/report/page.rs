//! A page of HTML that needs nothing but itself: style, script, drawings and pictures are in it.

use super::chart::{Svg, escape, theme};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A page under construction.
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// An empty page; `lead` is the line below its title.
    pub fn new(title: &str, lead: &str) -> Self {
        let body = format!("<header><h1>{}</h1><p>{}</p></header>\n", escape(title), escape(lead));
        Self { title: title.into(), body }
    }

    /// Adds a section of `content`, which is HTML.
    pub fn section(&mut self, title: &str, content: &str) {
        self.body.push_str(&format!("<section>\n<h2>{}</h2>\n{content}</section>\n", escape(title)));
    }

    /// Adds HTML as it is.
    pub fn push(&mut self, html: &str) {
        self.body.push_str(html);
    }

    /// The whole page.
    pub fn html(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width,initial-scale=1\">\n<title>{}</title>\n<style>\n{}{STYLE}</style>\n</head>\n\
             <body>\n<main>\n{}</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
            escape(&self.title),
            theme::page(),
            self.body
        )
    }
}

/// A remark.
pub fn note(text: &str) -> String {
    format!("<p class=\"note\">{}</p>\n", escape(text))
}

/// A drawing with a title, and a note below where it is not empty.
pub fn figure(title: &str, svg: &Svg, text: &str) -> String {
    let note = if text.is_empty() { String::new() } else { note(text) };
    let (width, title, svg) = (svg.width(), escape(title), svg.inline());
    // As wide as its drawing: a long note must not push others away.
    format!(
        "<figure style=\"max-width:{width:.0}px\">\n<figcaption>{title}</figcaption>\n{svg}\n{note}</figure>\n"
    )
}

/// Figures below each other, to stand in a row beside another.
pub fn column(figures: &[String]) -> String {
    format!("<div>\n{}</div>\n", figures.concat())
}

/// Figures beside each other where there is room.
pub fn row(figures: &[String]) -> String {
    format!("<div class=\"row\">\n{}</div>\n", figures.concat())
}

/// A few figures that tell most: (what, value).
pub fn tiles(all: &[(String, String)]) -> String {
    let tile = |(what, value): &(String, String)| {
        format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(what), escape(value))
    };
    format!("<dl class=\"tiles\">\n{}</dl>\n", all.iter().map(tile).collect::<String>())
}

/// A table; columns that hold nothing but numbers and dashes stand at the right edge.
pub fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let number = |text: &String| text.starts_with(|c: char| c.is_ascii_digit() || "−-–+".contains(c));
    let classes: Vec<&str> = (0..head.len())
        .map(|i| i > 0 && rows.iter().all(|row| row.get(i).is_none_or(number)))
        .map(|numbers| if numbers { " class=\"n\"" } else { "" })
        .collect();
    let line = |tag: &str, cells: &[String]| -> String {
        let cell = |(text, class): (&String, &&str)| format!("<{tag}{class}>{}</{tag}>", escape(text));
        format!("<tr>{}</tr>\n", cells.iter().zip(&classes).map(cell).collect::<String>())
    };
    let body: String = rows.iter().map(|row| line("td", row)).collect();
    let head = line("th", head);
    format!("<div class=\"scroll\"><table>\n<thead>{head}</thead>\n<tbody>\n{body}</tbody>\n</table></div>\n")
}

/// Content that is folded away until asked for.
pub fn folded(summary: &str, content: &str) -> String {
    format!("<details><summary>{}</summary>\n{content}</details>\n", escape(summary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_need_nothing_else() {
        let mut page = Page::new("a <b>", "lead");
        page.section("s", &figure("f", &Svg::new(1.0, 1.0, ""), "note"));
        page.push(&table(&["x".into(), "y".into()], &[vec!["1".into(), "–".into()]]));
        let html = page.html();
        assert!(
            html.contains("<title>a &lt;b&gt;</title>") && html.contains("<td class=\"n\">–</td>"),
            "{html}"
        );
        for word in ["http://", "https://", "<link", "src=\"/", "@import", "url("] {
            assert!(!html.contains(word), "{word}");
        }
    }
}
