//! Horizontal bars, one row each: names stay readable.

use super::{
    Anchor, Axis, Mark, Scale, Svg, legend,
    rows::{Rows, SWATCH, Sizes},
};

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
        let names: Vec<&str> = self.bars.iter().map(|bar| bar.name.as_str()).collect();
        let swatches = self.bars.iter().any(|b| b.swatch.is_some());
        let left = if swatches { 10.0 + SWATCH } else { 10.0 };
        let sizes = Sizes { width: self.width, row: ROW, left, right: 44.0 };
        let mut rows = Rows::new(&self.label, &self.axis, &entries, &names, sizes);
        for (i, bar) in self.bars.iter().enumerate() {
            self.bar(&mut rows, i, bar);
        }
        self.means(&mut rows);
        for (i, bar) in self.bars.iter().enumerate() {
            self.value(&mut rows, i, bar);
        }
        rows.svg
    }

    fn bar(&self, rows: &mut Rows, i: usize, bar: &Bar) {
        rows.name(i, &bar.name, bar.swatch);
        if let Some(value) = bar.value {
            let left = rows.frame.left;
            let length = rows.frame.x(&self.axis, value) - left;
            let (at, size) = ((left, rows.top(i) + 3.0), (length.max(1.0), ROW - 6.0));
            rows.svg.rect(&legend::fill_class(bar.group), at, size, "");
        }
    }

    /// The number at the end of a bar, over lines that cross it.
    fn value(&self, rows: &mut Rows, i: usize, bar: &Bar) {
        let base = rows.baseline(i);
        if let Some(value) = bar.value {
            let text = (self.axis.show)(value);
            let at = (rows.frame.x(&self.axis, value) + 4.0, base);
            rows.svg.text("small halo", Anchor::Start, at, text.trim_end_matches(" %"));
        } else {
            let at = (rows.frame.left + 4.0, base);
            rows.svg.text("muted halo", Anchor::Start, at, "–");
        }
        rows.tip(i, &bar.tip);
    }

    /// A dotted line through the bars of each group at its mean.
    fn means(&self, rows: &mut Rows) {
        for (n, (_, mean)) in self.groups.iter().enumerate() {
            let members: Vec<usize> = (0..self.bars.len()).filter(|&i| self.bars[i].group == n).collect();
            let (Some(mean), Some(first), Some(last)) = (mean, members.first(), members.last()) else {
                continue;
            };
            // Where the bars of a group do not stand together, a line would cross those of others.
            if last - first + 1 == members.len() && matches!(self.axis.scale, Scale::Linear(..)) {
                let x = rows.frame.x(&self.axis, *mean);
                let (from, to) = (rows.top(*first), rows.top(*last + 1));
                rows.svg.line("mean", (x, from), (x, to));
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
