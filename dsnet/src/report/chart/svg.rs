//! SVG as text. Elements carry classes, whose colours [`super::theme`] gives; what a mouse may ask for is in `<title>`, which
//! every browser shows by itself and the script of a report shows faster.

use std::fmt::{self, Write};

use super::theme;

/// `text` with the characters that mean something in markup replaced.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Control characters have no place in XML, not even as references.
            c if c.is_control() && c != '\n' => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

/// About how wide a text is at 12 pixels in the widest of common fonts: its true width is known to the browser only.
pub fn text_width(text: &str) -> f64 {
    let width = |c: char| match c {
        'f' | 'i' | 'j' | 'l' | 'r' | 't' | ' ' | '.' | ',' | '(' | ')' | '-' => 4.8,
        'm' | 'w' | 'M' | 'W' | '…' => 11.0,
        'A'..='Z' => 8.5,
        _ => 7.4,
    };
    text.chars().map(width).sum()
}

/// Which point of a text stands at its coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Its left end.
    Start,
    /// Its middle.
    Middle,
    /// Its right end.
    End,
}

/// A coordinate with no more than two decimals.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = (self.0 * 100.0).round() / 100.0;
        // Adding zero makes -0 positive.
        write!(f, "{}", if rounded.is_finite() { rounded + 0.0 } else { 0.0 })
    }
}

/// Border around a drawing that is a file of its own.
const MARGIN: f64 = 12.0;

/// A drawing of fixed size in pixels, y downwards.
#[derive(Debug, Clone)]
pub struct Svg {
    width: f64,
    height: f64,
    label: String,
    body: String,
}

impl Svg {
    /// An empty drawing; `label` says what it shows to those who can not see it.
    pub fn new(width: f64, height: f64, label: impl Into<String>) -> Self {
        Self { width, height, label: label.into(), body: String::new() }
    }

    fn add(&mut self, text: fmt::Arguments<'_>) {
        // Writing into a String can not fail.
        let _ = self.body.write_fmt(text);
    }

    fn close(&mut self, name: &str, tip: &str) {
        if tip.is_empty() {
            self.body.push_str("/>");
        } else {
            self.add(format_args!("><title>{}</title></{name}>", escape(tip)));
        }
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(Short);
        self.add(format_args!(r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>"#));
    }

    /// A rectangle; `tip` is shown under the mouse where it is not empty.
    pub fn rect(&mut self, class: &str, at: (f64, f64), size: (f64, f64), tip: &str) {
        let [x, y, w, h] = [at.0, at.1, size.0, size.1].map(Short);
        self.add(format_args!(r#"<rect class="{class}" x="{x}" y="{y}" width="{w}" height="{h}""#));
        self.close("rect", tip);
    }

    /// A rectangle of a given colour, for what has a colour of its own such as a class of the dataset.
    pub fn swatch(&mut self, color: [u8; 3], at: (f64, f64), size: (f64, f64)) {
        let [x, y, w, h] = [at.0, at.1, size.0, size.1].map(Short);
        let [r, g, b] = color;
        self.add(format_args!(
            r##"<rect class="swatch" fill="#{r:02x}{g:02x}{b:02x}" x="{x}" y="{y}" width="{w}" height="{h}"/>"##
        ));
    }

    /// A rectangle of this opacity, 0 to 1.
    pub fn shade(&mut self, class: &str, opacity: f64, at: (f64, f64), size: (f64, f64), tip: &str) {
        let [x, y, w, h, o] = [at.0, at.1, size.0, size.1, opacity].map(Short);
        self.add(format_args!(
            r#"<rect class="{class}" fill-opacity="{o}" x="{x}" y="{y}" width="{w}" height="{h}""#
        ));
        self.close("rect", tip);
    }

    /// Text on one line; `y` is its baseline.
    pub fn text(&mut self, class: &str, anchor: Anchor, at: (f64, f64), text: &str) {
        let (x, y) = (Short(at.0), Short(at.1));
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        self.add(format_args!(r#"<text class="{class}" x="{x}" y="{y}"{anchor}>{}</text>"#, escape(text)));
    }

    /// Text that rises from its start at 60 degrees.
    pub fn slanted(&mut self, class: &str, at: (f64, f64), text: &str) {
        let (x, y) = (Short(at.0), Short(at.1));
        self.add(format_args!(
            r#"<text class="{class}" transform="translate({x} {y}) rotate(-60)">{}</text>"#,
            escape(text)
        ));
    }

    /// Points joined by straight lines; a gap where a point is no number. `closed` joins the last to the first.
    pub fn path(&mut self, class: &str, points: impl IntoIterator<Item = (f64, f64)>, closed: bool) {
        let mut d = String::new();
        let mut pen = 'M';
        for (x, y) in points {
            if x.is_finite() && y.is_finite() {
                let _ = write!(d, "{pen}{} {}", Short(x), Short(y));
                pen = 'L';
            } else {
                pen = 'M';
            }
        }
        if closed && !d.is_empty() {
            d.push('Z');
        }
        if !d.is_empty() {
            self.add(format_args!(r#"<path class="{class}" d="{d}"/>"#));
        }
    }

    /// A picture from a file held in memory, `kind` as in "image/png"; its pixels stay sharp.
    pub fn picture(&mut self, kind: &str, base64: &str, at: (f64, f64), size: (f64, f64)) {
        let [x, y, w, h] = [at.0, at.1, size.0, size.1].map(Short);
        self.add(format_args!(
            r#"<image x="{x}" y="{y}" width="{w}" height="{h}" preserveAspectRatio="none" href="data:{kind};base64,{base64}"/>"#
        ));
    }

    /// Width in pixels.
    pub fn width(&self) -> f64 {
        self.width
    }

    /// Attributes of the drawing with a border of `margin` around it.
    fn attributes(&self, margin: f64) -> String {
        let [corner, w, h] = [-margin, self.width + 2.0 * margin, self.height + 2.0 * margin].map(Short);
        let label = escape(&self.label);
        format!(
            r#"class="chart" viewBox="{corner} {corner} {w} {h}" width="{w}" height="{h}" role="img" aria-label="{label}""#
        )
    }

    /// For a page that has the theme's style.
    pub fn inline(&self) -> String {
        format!("<svg {}>{}</svg>", self.attributes(0.0), self.body)
    }

    /// For a file of its own, style included.
    pub fn file(&self) -> String {
        let corner = Short(-MARGIN);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" {}>\n<style>{}</style>\n<rect class=\"surface\" x=\"{corner}\" \
             y=\"{corner}\" width=\"100%\" height=\"100%\"/>\n{}\n</svg>\n",
            self.attributes(MARGIN),
            theme::standalone(),
            self.body
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_not_break_the_markup() {
        assert_eq!(escape("a<b>&\"'\u{1}"), "a&lt;b&gt;&amp;&quot;&#39;\u{FFFD}");
        let mut svg = Svg::new(10.0, 5.5, "a \"b\"");
        svg.text("t", Anchor::End, (1.0, 2.0), "<script>");
        svg.rect("r", (0.0, -0.0), (1.0, f64::NAN), "x < y");
        let text = svg.inline();
        assert!(text.contains(r#"viewBox="0 0 10 5.5""#) && text.contains("a &quot;b&quot;"), "{text}");
        assert!(text.contains("&lt;script&gt;") && text.contains("<title>x &lt; y</title></rect>"), "{text}");
        assert!(text.contains(r#"y="0" width="1" height="0""#), "{text}");
    }

    #[test]
    fn what_is_no_number_leaves_a_gap() {
        let mut svg = Svg::new(1.0, 1.0, "");
        svg.path("p", [(0.0, 1.0), (1.0, 1.555), (2.0, f64::NAN), (3.0, 1.0)], false);
        assert!(svg.body.contains(r#"d="M0 1L1 1.56M3 1""#), "{}", svg.body);
        svg.path("q", [(f64::NAN, 0.0)], true);
        assert!(!svg.body.contains("\"q\""));
    }
}
