//! One row for each thing, one dot for each of several runs: differences are read along a line.

use super::{Anchor, Axis, Mark, Svg, frame::Frame, legend, text_width};

/// A row.
#[derive(Debug, Clone)]
pub struct DotRow {
    /// Its name.
    pub name: String,
    /// Colour that the thing itself has.
    pub swatch: Option<[u8; 3]>,
    /// The value of each series.
    pub values: Vec<Option<f64>>,
}

/// A chart of dots.
#[derive(Debug, Clone)]
pub struct Dots {
    /// What it shows, for those who can not see it.
    pub label: String,
    /// The axis of values.
    pub axis: Axis,
    /// Names of the series.
    pub series: Vec<String>,
    /// The rows, from the top.
    pub rows: Vec<DotRow>,
    /// Width in pixels.
    pub width: f64,
}

const ROW: f64 = 20.0;

impl Dots {
    /// The drawing.
    pub fn draw(&self) -> Svg {
        let entries: Vec<_> =
            self.series.iter().enumerate().map(|(n, name)| (name.as_str(), n, Mark::Points)).collect();
        let above = legend::height(&entries, self.width);
        let names = self.rows.iter().map(|r| text_width(&r.name)).fold(0.0, f64::max);
        let top = above + 6.0;
        let frame = Frame {
            left: names + 28.0,
            top,
            right: self.width - 16.0,
            bottom: top + ROW * self.rows.len() as f64,
        };
        let mut svg = Svg::new(self.width, frame.bottom + 44.0, &self.label);
        legend::legend(&mut svg, &entries, self.width);
        frame.draw_x(&mut svg, &self.axis, true);
        for (i, row) in self.rows.iter().enumerate() {
            let y = top + ROW * i as f64;
            let middle = y + ROW / 2.0;
            let name_end = if let Some(color) = row.swatch {
                svg.swatch(color, (frame.left - 20.0, y + 4.0), (12.0, 12.0));
                frame.left - 26.0
            } else {
                frame.left - 8.0
            };
            svg.text("", Anchor::End, (name_end, middle + 4.0), &row.name);
            let places: Vec<f64> = row.values.iter().flatten().map(|&v| frame.x(&self.axis, v)).collect();
            let (lo, hi) = places.iter().fold((f64::INFINITY, 0.0f64), |(lo, hi), &x| (lo.min(x), hi.max(x)));
            if lo < hi {
                svg.line("axis", (lo, middle), (hi, middle));
            }
            let mut tip = row.name.clone();
            for (n, value) in row.values.iter().enumerate() {
                let text = value.map_or_else(|| "–".into(), self.axis.show);
                tip.push_str(&format!("\n{}  {text}", self.series.get(n).map_or("", String::as_str)));
                if let Some(value) = value {
                    legend::mark(&mut svg, n, (frame.x(&self.axis, *value), middle));
                }
            }
            svg.rect("hit", (0.0, y), (self.width, ROW), &tip);
        }
        svg
    }
}
