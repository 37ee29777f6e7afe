//! The plot area of a chart with two axes: grid, ticks, titles.

use super::{Anchor, Axis, Svg};

/// The rectangle that values are drawn in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

/// Space between axis and the texts of its ticks.
const GAP: f64 = 6.0;

impl Frame {
    /// Place of a value on the horizontal axis.
    pub fn x(&self, axis: &Axis, value: f64) -> f64 {
        self.left + axis.scale.at(value) * (self.right - self.left)
    }

    /// Place of a value on the vertical axis.
    pub fn y(&self, axis: &Axis, value: f64) -> f64 {
        self.bottom - axis.scale.at(value) * (self.bottom - self.top)
    }

    /// The horizontal axis below the plot; `grid` draws its lines through it.
    pub fn draw_x(&self, svg: &mut Svg, axis: &Axis, grid: bool) {
        let count = ((self.right - self.left) / 64.0) as usize;
        for (value, text) in axis.scale.ticks(count, axis.whole) {
            let x = self.x(axis, value);
            let class = if grid { "grid" } else { "axis" };
            let from = if grid { self.top } else { self.bottom };
            svg.line(class, (x, from), (x, self.bottom + 4.0));
            svg.text("muted", Anchor::Middle, (x, self.bottom + 4.0 + GAP + 8.0), &text);
        }
        svg.line("axis", (self.left, self.bottom), (self.right, self.bottom));
        let middle = (self.left + self.right) / 2.0;
        svg.text("muted", Anchor::Middle, (middle, self.bottom + 36.0), &axis.title);
    }

    /// The vertical axis: grid lines, texts left of the plot, title above it.
    pub fn draw_y(&self, svg: &mut Svg, axis: &Axis) {
        let count = ((self.bottom - self.top) / 40.0) as usize;
        for (value, text) in axis.scale.ticks(count, axis.whole) {
            let y = self.y(axis, value);
            svg.line("grid", (self.left, y), (self.right, y));
            svg.text("muted", Anchor::End, (self.left - GAP, y + 4.0), &text);
        }
        svg.text("muted", Anchor::Start, (0.0, self.top - 12.0), &axis.title);
    }
}
