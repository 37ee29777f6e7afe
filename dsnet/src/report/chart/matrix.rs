//! A confusion matrix: each row a true class, shaded by where its pixels went.

use super::{Anchor, Svg, text_width};

/// A matrix of shares.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// What it shows, for those who can not see it.
    pub label: String,
    /// Names of the rows and, in the same order, of the columns.
    pub names: Vec<String>,
    /// A further column at the end, where there is one.
    pub extra: Option<String>,
    /// Shares in 0..=1 by row; rows without any pixel are `None`.
    pub rows: Vec<Option<Vec<f64>>>,
    /// What is shown when the cell in this row and column is pointed at.
    pub tips: Vec<Vec<String>>,
}

const CELL: f64 = 24.0;

impl Matrix {
    /// The drawing.
    pub fn draw(&self) -> Svg {
        let columns: Vec<&str> = self.names.iter().map(String::as_str).chain(self.extra.as_deref()).collect();
        let widest = columns.iter().map(|n| text_width(n)).fold(0.0, f64::max);
        let (left, top) = (widest + 12.0, widest * 0.87 + 30.0);
        let (right, bottom) = (left + CELL * columns.len() as f64, top + CELL * self.names.len() as f64);
        // Names of columns lean over the right edge.
        let mut svg = Svg::new(right + widest * 0.5 + 8.0, bottom + 8.0, &self.label);
        svg.text("muted", Anchor::Start, (0.0, top - 10.0), "true ↓");
        svg.text("muted", Anchor::Start, (0.0, top - 26.0), "predicted →");
        for (i, name) in columns.iter().enumerate() {
            svg.slanted("", (left + CELL * (i as f64 + 0.5) + 4.0, top - 8.0), name);
        }
        for (r, name) in self.names.iter().enumerate() {
            let y = top + CELL * r as f64;
            svg.text("", Anchor::End, (left - 8.0, y + CELL / 2.0 + 4.0), name);
            match &self.rows[r] {
                Some(shares) => self.row(&mut svg, r, shares, (left, y)),
                None => svg.text("muted small", Anchor::Start, (left + 6.0, y + CELL / 2.0 + 4.0), "absent"),
            }
        }
        for i in 0..=self.names.len() {
            let y = top + CELL * i as f64;
            svg.line("grid", (left, y), (right, y));
        }
        for i in 0..=columns.len() {
            let x = left + CELL * i as f64;
            svg.line("grid", (x, top), (x, bottom));
        }
        svg
    }

    fn row(&self, svg: &mut Svg, r: usize, shares: &[f64], (left, y): (f64, f64)) {
        for (c, &share) in shares.iter().enumerate() {
            let x = left + CELL * c as f64;
            let tip = self.tips.get(r).and_then(|tips| tips.get(c)).map_or("", String::as_str);
            // The root lets small shares show.
            svg.shade("heat", share.max(0.0).sqrt(), (x, y), (CELL, CELL), tip);
            if share >= 0.005 {
                let class = if share >= 0.6 { "small on" } else { "small" };
                let text = format!("{:.0}", 100.0 * share);
                svg.text(class, Anchor::Middle, (x + CELL / 2.0, y + CELL / 2.0 + 3.5), &text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_tell_their_share() {
        let matrix = Matrix {
            label: "c".into(),
            names: vec!["road".into(), "car".into()],
            extra: Some("none".into()),
            rows: vec![Some(vec![0.75, 0.25, 0.0]), None],
            tips: vec![vec!["all".into(); 3]; 2],
        };
        let text = matrix.draw().inline();
        assert!(
            text.contains(">75</text>") && text.contains(">25</text>") && !text.contains(">0</text>"),
            "{text}"
        );
        assert!(text.contains("fill-opacity=\"0.5\"") && text.contains(">absent</text>"), "{text}");
        assert_eq!(text.matches("<title>all</title>").count(), 3);
    }
}
