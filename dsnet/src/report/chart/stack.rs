//! Bars made of parts: what something consists of.

use super::{
    Anchor, Axis, Mark, Svg, legend,
    rows::{Rows, Sizes},
};

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
        let names: Vec<&str> = self.rows.iter().map(|row| row.name.as_str()).collect();
        let sizes = Sizes { width: self.width, row: ROW, left: 10.0, right: 24.0 };
        let mut rows = Rows::new(&self.label, &self.axis, &entries, &names, sizes);
        let frame = rows.frame;
        for (i, row) in self.rows.iter().enumerate() {
            let y = rows.top(i);
            rows.name(i, &row.name, None);
            let total: f64 = row.parts.iter().sum();
            let mut before = 0.0;
            for (n, &part) in row.parts.iter().enumerate() {
                let (from, to) = (frame.x(&self.axis, before), frame.x(&self.axis, before + part));
                before += part;
                let name = self.parts.get(n).map_or("", String::as_str);
                let share = 100.0 * part / total.max(f64::MIN_POSITIVE);
                let tip = format!("{}\n{name}  {} ({share:.0} %)", row.name, (self.axis.show)(part));
                let (at, size) = ((from, y + 5.0), (to - from, ROW - 10.0));
                rows.svg.rect(&legend::fill_class(n), at, size, tip.trim_start());
            }
            if self.rows.len() > 1 {
                let end = frame.x(&self.axis, before) + 4.0;
                let base = rows.baseline(i);
                rows.svg.text("small muted", Anchor::Start, (end, base), &(self.axis.show)(total));
            }
        }
        rows.svg
    }
}
