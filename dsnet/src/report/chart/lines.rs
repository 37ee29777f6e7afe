//! Lines over a common horizontal axis.

use super::{Axis, Mark, Svg, frame::Frame, legend};

/// One line.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Number of its colour and mark.
    pub color: usize,
    /// Its points, x rising.
    pub points: Vec<(f64, f64)>,
    /// The least and greatest values that each point stands for, where it stands for several: drawn as a band.
    pub band: Vec<(f64, f64)>,
}

impl Series {
    /// A line without a band.
    pub fn new(name: impl Into<String>, color: usize, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), color, points, band: Vec::new() }
    }
}

/// A line chart.
#[derive(Debug, Clone)]
pub struct Lines {
    /// What it shows, for those who can not see it.
    pub label: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// The lines.
    pub series: Vec<Series>,
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels, without the legend.
    pub height: f64,
}

/// With more points than this, marks would hide the line.
const MANY: usize = 40;

/// With more points than this, strong lines would run into each other.
const DENSE: usize = 100;

/// More strips than this could not be pointed at.
const STRIPS: usize = 400;

impl Lines {
    /// The drawing.
    pub fn draw(&self) -> Svg {
        let few = self.series.iter().all(|s| s.points.len() <= MANY);
        let kind = if few { Mark::Points } else { Mark::Line };
        let entries: Vec<_> = self.series.iter().map(|s| (s.name.as_str(), s.color, kind)).collect();
        let above = legend::height(&entries, self.width);
        let mut svg = Svg::new(self.width, self.height + above, &self.label);
        legend::legend(&mut svg, &entries, self.width);
        let frame = Frame {
            left: 52.0,
            top: above + 28.0,
            right: self.width - 10.0,
            bottom: above + self.height - 44.0,
        };
        frame.draw_y(&mut svg, &self.y);
        frame.draw_x(&mut svg, &self.x, false);
        let place = |(x, y): (f64, f64)| (frame.x(&self.x, x), frame.y(&self.y, y));
        for s in &self.series {
            let upper = s.points.iter().zip(&s.band).map(|(p, b)| place((p.0, b.1)));
            let lower = s.points.iter().zip(&s.band).rev().map(|(p, b)| place((p.0, b.0)));
            svg.path(&format!("b{}", s.color % super::theme::SERIES), upper.chain(lower), true);
        }
        for s in &self.series {
            let class = legend::line_class(s.color);
            let class = if s.points.len() > DENSE { format!("{class} thin") } else { class };
            svg.path(&class, s.points.iter().map(|&p| place(p)), false);
            if few {
                s.points
                    .iter()
                    .filter(|p| p.1.is_finite())
                    .for_each(|&p| legend::mark(&mut svg, s.color, place(p)));
            }
        }
        self.strips(&mut svg, &frame);
        svg
    }

    /// Invisible strips around each x that tell the values there.
    fn strips(&self, svg: &mut Svg, frame: &Frame) {
        let mut all: Vec<f64> = self.series.iter().flat_map(|s| s.points.iter().map(|p| p.0)).collect();
        all.sort_by(f64::total_cmp);
        all.dedup();
        if all.len() > STRIPS {
            return;
        }
        let places: Vec<f64> = all.iter().map(|&x| frame.x(&self.x, x)).collect();
        for (i, &x) in all.iter().enumerate() {
            let left = if i == 0 { frame.left } else { (places[i - 1] + places[i]) / 2.0 };
            let right = places.get(i + 1).map_or(frame.right, |next| (places[i] + next) / 2.0);
            let mut tip = format!("{} {}", self.x.title, (self.x.show)(x));
            for s in &self.series {
                // Points are in order of x, so that each is found by halving.
                if let Ok(at) = s.points.binary_search_by(|p| p.0.total_cmp(&x))
                    && s.points[at].1.is_finite()
                {
                    tip.push_str(&format!("\n{}  {}", s.name, (self.y.show)(s.points[at].1)));
                }
            }
            svg.rect("hit", (left, frame.top), (right - left, frame.bottom - frame.top), &tip);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::chart::Scale;

    #[test]
    fn lines_bands_and_strips() {
        let mut a = Series::new("a", 0, vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)]);
        a.band = vec![(0.5, 1.5), (0.0, 0.0), (2.0, 4.0)];
        let b = Series::new("b <", 7, vec![(2.0, 2.0)]);
        let chart = Lines {
            label: "two".into(),
            x: Axis::counting("step", Scale::Linear(0.0, 2.0)),
            y: Axis::new("loss", Scale::from_zero([4.0]), |v| format!("{v:.1}")),
            series: vec![a, b],
            width: 200.0,
            height: 150.0,
        };
        let text = chart.draw().inline();
        assert!(text.contains("<title>step 2\na  3.0\nb &lt;  2.0</title>"), "{text}");
        assert!(text.contains("<title>step 1</title>"), "no value where there is none: {text}");
        assert!(text.contains("class=\"b0\"") && text.contains("class=\"s1\""), "colours begin anew: {text}");
        assert!(!text.contains("NaN"));
    }
}
