//! One row for each thing, one dot for each of several runs: differences are read along a line.

use super::{
    Axis, Mark, Svg, legend,
    rows::{Rows, SWATCH, Sizes},
};

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
        let names: Vec<&str> = self.rows.iter().map(|row| row.name.as_str()).collect();
        let sizes = Sizes { width: self.width, row: ROW, left: 10.0 + SWATCH, right: 16.0 };
        let mut rows = Rows::new(&self.label, &self.axis, &entries, &names, sizes);
        let frame = rows.frame;
        for (i, row) in self.rows.iter().enumerate() {
            let middle = rows.top(i) + ROW / 2.0;
            rows.name(i, &row.name, row.swatch);
            let places: Vec<f64> = row.values.iter().flatten().map(|&v| frame.x(&self.axis, v)).collect();
            let (lo, hi) = places.iter().fold((f64::INFINITY, 0.0f64), |(lo, hi), &x| (lo.min(x), hi.max(x)));
            if lo < hi {
                rows.svg.line("axis", (lo, middle), (hi, middle));
            }
            let mut tip = row.name.clone();
            for (n, value) in row.values.iter().enumerate() {
                let text = value.map_or_else(|| "–".into(), self.axis.show);
                tip.push_str(&format!("\n{}  {text}", self.series.get(n).map_or("", String::as_str)));
                if let Some(value) = value {
                    legend::mark(&mut rows.svg, n, (frame.x(&self.axis, *value), middle));
                }
            }
            rows.tip(i, &tip);
        }
        rows.svg
    }
}
