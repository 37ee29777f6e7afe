//! Bars made of parts: what something consists of.

use super::{Anchor, Axis, Mark, Svg, frame::Frame, legend, text_width};

/// A bar.
#[derive(Debug, Clone)]
pub struct StackRow {
    /// Its name; may be empty where there is one bar only.
    pub name: String,
    /// The sizes of its parts.
    pub parts: Vec<f64>,
}

/// A chart of stacked bars.
#[derive(Debug, Clone)]
pub struct Stack {
    /// What it shows, for those who can not see it.
    pub label: String,
    /// The axis of sizes.
    pub axis: Axis,
    /// Names of the parts.
    pub parts: Vec<String>,
    /// The bars, from the top.
    pub rows: Vec<StackRow>,
    /// Width in pixels.
    pub width: f64,
}

const ROW: f64 = 34.0;

impl Stack {
    /// The drawing.
    pub fn draw(&self) -> Svg {
        let entries: Vec<_> =
            self.parts.iter().enumerate().map(|(n, name)| (name.as_str(), n, Mark::Area)).collect();
        let above = legend::height(&entries, self.width);
        let names = self.rows.iter().map(|r| text_width(&r.name)).fold(0.0, f64::max);
        let top = above + 6.0;
        let frame = Frame {
            left: if names > 0.0 { names + 10.0 } else { 12.0 },
            top,
            right: self.width - 24.0,
            bottom: top + ROW * self.rows.len() as f64,
        };
        let mut svg = Svg::new(self.width, frame.bottom + 44.0, &self.label);
        legend::legend(&mut svg, &entries, self.width);
        frame.draw_x(&mut svg, &self.axis, true);
        for (i, row) in self.rows.iter().enumerate() {
            let y = top + ROW * i as f64;
            svg.text("", Anchor::End, (frame.left - 8.0, y + ROW / 2.0 + 4.0), &row.name);
            let total: f64 = row.parts.iter().sum();
            let mut before = 0.0;
            for (n, &part) in row.parts.iter().enumerate() {
                let (from, to) = (frame.x(&self.axis, before), frame.x(&self.axis, before + part));
                before += part;
                let name = self.parts.get(n).map_or("", String::as_str);
                let share = 100.0 * part / total.max(f64::MIN_POSITIVE);
                let tip = format!("{}\n{name}  {} ({share:.0} %)", row.name, (self.axis.show)(part));
                svg.rect(&legend::fill_class(n), (from, y + 5.0), (to - from, ROW - 10.0), tip.trim_start());
            }
            if self.rows.len() > 1 {
                let end = frame.x(&self.axis, before) + 4.0;
                svg.text("small muted", Anchor::Start, (end, y + ROW / 2.0 + 4.0), &(self.axis.show)(total));
            }
        }
        svg
    }
}
