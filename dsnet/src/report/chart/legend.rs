//! What the colours of a chart stand for, in rows above it.

use super::{Anchor, Svg, text_width, theme::SERIES};

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A line alone.
    Line,
    /// A line with a mark at each point: circle, square, triangle, … by the number of the series.
    Points,
    /// A filled area.
    Area,
}

/// Class of the line of series `n`.
pub(super) fn line_class(n: usize) -> String {
    format!("s{}", n % SERIES)
}

/// Class of the filled parts of series `n`.
pub(super) fn fill_class(n: usize) -> String {
    format!("f{}", n % SERIES)
}

/// Draws the mark of series `n` around a point.
pub(super) fn mark(svg: &mut Svg, n: usize, (x, y): (f64, f64)) {
    let class = fill_class(n);
    let corners: &[(f64, f64)] = match n % 5 {
        0 => &[
            (-3.2, -1.3),
            (-1.3, -3.2),
            (1.3, -3.2),
            (3.2, -1.3),
            (3.2, 1.3),
            (1.3, 3.2),
            (-1.3, 3.2),
            (-3.2, 1.3),
        ],
        1 => &[(-3.0, -3.0), (3.0, -3.0), (3.0, 3.0), (-3.0, 3.0)],
        2 => &[(0.0, -4.0), (3.8, 3.0), (-3.8, 3.0)],
        3 => &[(0.0, -4.4), (4.4, 0.0), (0.0, 4.4), (-4.4, 0.0)],
        _ => &[(0.0, 4.0), (3.8, -3.0), (-3.8, -3.0)],
    };
    svg.path(&class, corners.iter().map(|(dx, dy)| (x + dx, y + dy)), true);
}

/// Rows of names with their marks within `width`; returns the height taken, 0 where a legend would say nothing.
pub(super) fn legend(svg: &mut Svg, entries: &[(&str, usize, Mark)], width: f64) -> f64 {
    if entries.len() < 2 {
        return 0.0;
    }
    let (mut x, mut y) = (0.0, 12.0);
    for &(name, n, kind) in entries {
        let wide = 24.0 + text_width(name);
        if x > 0.0 && x + wide > width {
            (x, y) = (0.0, y + 18.0);
        }
        match kind {
            Mark::Area => svg.rect(&fill_class(n), (x, y - 10.0), (12.0, 12.0), ""),
            Mark::Line | Mark::Points => svg.line(&line_class(n), (x, y - 4.0), (x + 16.0, y - 4.0)),
        }
        if kind == Mark::Points {
            mark(svg, n, (x + 8.0, y - 4.0));
        }
        svg.text("", Anchor::Start, (x + 21.0, y), name);
        x += wide + 16.0;
    }
    y + 10.0
}

/// The height that [`legend`] will take.
pub(super) fn height(entries: &[(&str, usize, Mark)], width: f64) -> f64 {
    legend(&mut Svg::new(width, 0.0, ""), entries, width)
}
