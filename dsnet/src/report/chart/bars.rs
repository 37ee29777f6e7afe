//! Horizontal bars, one row each: names stay readable.

use super::{Anchor, Axis, Mark, Scale, Svg, frame::Frame, legend, text_width};

/// One bar.
#[derive(Debug, Clone)]
pub struct Bar {
    /// Its name.
    pub name: String,
    /// Colour that the thing itself has, as a class has one in the dataset's palette.
    pub swatch: Option<[u8; 3]>,
    /// Its value; none is drawn as a dash.
    pub value: Option<f64>,
    /// Number of its group in [`Bars::groups`].
    pub group: usize,
    /// What is shown when it is pointed at.
    pub tip: String,
}

/// A chart of bars.
#[derive(Debug, Clone)]
pub struct Bars {
    /// What it shows, for those who can not see it.
    pub label: String,
    /// The axis of values.
    pub axis: Axis,
    /// The bars, from the top.
    pub bars: Vec<Bar>,
    /// Names of groups, each with its mean where one is to be marked; the position is the colour.
    pub groups: Vec<(String, Option<f64>)>,
    /// Width in pixels.
    pub width: f64,
}

const ROW: f64 = 20.0;

impl Bars {
    /// The drawing.
    pub fn draw(&self) -> Svg {
        let entries: Vec<_> =
            self.groups.iter().enumerate().map(|(n, (name, _))| (name.as_str(), n, Mark::Area)).collect();
        let above = legend::height(&entries, self.width);
        let names = self.bars.iter().map(|b| text_width(&b.name)).fold(0.0, f64::max);
        let swatches = self.bars.iter().any(|b| b.swatch.is_some());
        let top = above + 6.0;
        let frame = Frame {
            left: names + if swatches { 28.0 } else { 10.0 },
            top,
            right: self.width - 44.0,
            bottom: top + ROW * self.bars.len() as f64,
        };
        let mut svg = Svg::new(self.width, frame.bottom + 44.0, &self.label);
        legend::legend(&mut svg, &entries, self.width);
        frame.draw_x(&mut svg, &self.axis, true);
        for (i, bar) in self.bars.iter().enumerate() {
            self.row(&mut svg, &frame, bar, top + ROW * i as f64);
        }
        self.means(&mut svg, &frame);
        for (i, bar) in self.bars.iter().enumerate() {
            self.value(&mut svg, &frame, bar, top + ROW * i as f64);
        }
        svg
    }

    fn row(&self, svg: &mut Svg, frame: &Frame, bar: &Bar, y: f64) {
        let base = y + ROW / 2.0 + 4.0;
        let name_end = if let Some(color) = bar.swatch {
            svg.swatch(color, (frame.left - 20.0, y + 4.0), (12.0, 12.0));
            frame.left - 26.0
        } else {
            frame.left - 8.0
        };
        svg.text("", Anchor::End, (name_end, base), &bar.name);
        if let Some(value) = bar.value {
            let length = frame.x(&self.axis, value) - frame.left;
            svg.rect(&legend::fill_class(bar.group), (frame.left, y + 3.0), (length.max(1.0), ROW - 6.0), "");
        }
    }

    /// The number at the end of a bar, over lines that cross it.
    fn value(&self, svg: &mut Svg, frame: &Frame, bar: &Bar, y: f64) {
        let base = y + ROW / 2.0 + 4.0;
        if let Some(value) = bar.value {
            let text = (self.axis.show)(value);
            let at = (frame.x(&self.axis, value) + 4.0, base);
            svg.text("small halo", Anchor::Start, at, text.trim_end_matches(" %"));
        } else {
            svg.text("muted halo", Anchor::Start, (frame.left + 4.0, base), "–");
        }
        svg.rect("hit", (0.0, y), (self.width, ROW), &bar.tip);
    }

    /// A dotted line through the bars of each group at its mean.
    fn means(&self, svg: &mut Svg, frame: &Frame) {
        for (n, (_, mean)) in self.groups.iter().enumerate() {
            let rows: Vec<usize> = (0..self.bars.len()).filter(|&i| self.bars[i].group == n).collect();
            let (Some(mean), Some(first), Some(last)) = (mean, rows.first(), rows.last()) else { continue };
            // Where the bars of a group do not stand together, a line would cross those of others.
            if last - first + 1 == rows.len() && matches!(self.axis.scale, Scale::Linear(..)) {
                let x = frame.x(&self.axis, *mean);
                let (from, to) = (frame.top + ROW * *first as f64, frame.top + ROW * (*last + 1) as f64);
                svg.line("mean", (x, from), (x, to));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::chart::percent_axis;

    #[test]
    fn rows_dashes_and_means() {
        let bar = |name: &str, value, group| Bar {
            name: name.into(),
            swatch: Some([1, 2, 3]),
            value,
            group,
            tip: format!("{name}!"),
        };
        let bars = vec![bar("road", Some(80.0), 0), bar("car", None, 0), bar("pole", Some(10.0), 1)];
        let groups = vec![("common".into(), Some(80.0)), ("rare".into(), None)];
        let axis = percent_axis("IoU (%)", [80.0]);
        let text = Bars { label: "IoU".into(), axis, bars, groups, width: 300.0 }.draw().inline();
        assert!(text.contains(">80.0</text>") && text.contains(">–</text>"), "{text}");
        assert!(text.contains("#010203") && text.contains("<title>road!</title>"), "{text}");
        assert_eq!(text.matches("class=\"mean\"").count(), 1);
    }
}
