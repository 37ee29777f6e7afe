//! What charts of rows have in common: a legend above, names on the left, the axis of values below.

use super::{Anchor, Axis, Mark, Svg, frame::Frame, legend, text_width};

/// A chart whose rows are still to be filled.
pub(super) struct Rows {
    /// The drawing, with legend and axis.
    pub svg: Svg,
    /// Where the rows are.
    pub frame: Frame,
    width: f64,
    height: f64,
}

/// Sizes in pixels.
pub(super) struct Sizes {
    /// Of the whole drawing.
    pub width: f64,
    /// Of a row.
    pub row: f64,
    /// Between the longest name and the rows.
    pub left: f64,
    /// Beside the rows, for what stands at their ends.
    pub right: f64,
}

/// Room for a swatch and its distances, beside a name.
pub(super) const SWATCH: f64 = 18.0;

impl Rows {
    /// Rows with these names, from the top; `entries` are those of the legend.
    pub fn new(
        label: &str,
        axis: &Axis,
        entries: &[(&str, usize, Mark)],
        names: &[&str],
        Sizes { width, row: height, left, right }: Sizes,
    ) -> Self {
        let top = legend::height(entries, width) + 6.0;
        let longest = names.iter().map(|name| text_width(name)).fold(0.0, f64::max);
        let bottom = top + height * names.len() as f64;
        let frame = Frame { left: longest + left, top, right: width - right, bottom };
        let mut svg = Svg::new(width, bottom + 44.0, label);
        legend::legend(&mut svg, entries, width);
        frame.draw_x(&mut svg, axis, true);
        Self { svg, frame, width, height }
    }

    /// The upper edge of row `i`.
    pub fn top(&self, i: usize) -> f64 {
        self.frame.top + self.height * i as f64
    }

    /// The baseline of text in row `i`.
    pub fn baseline(&self, i: usize) -> f64 {
        self.top(i) + self.height / 2.0 + 4.0
    }

    /// Writes the name of row `i`, with the colour that the thing itself has.
    pub fn name(&mut self, i: usize, name: &str, swatch: Option<[u8; 3]>) {
        let mut end = self.frame.left - 8.0;
        if let Some(color) = swatch {
            self.svg.swatch(color, (self.frame.left - 20.0, self.top(i) + 4.0), (12.0, 12.0));
            end -= SWATCH;
        }
        self.svg.text("", Anchor::End, (end, self.baseline(i)), name);
    }

    /// Lets all of row `i` say `tip` when it is pointed at.
    pub fn tip(&mut self, i: usize, tip: &str) {
        self.svg.rect("hit", (0.0, self.top(i)), (self.width, self.height), tip);
    }
}
