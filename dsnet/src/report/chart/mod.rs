//! Charts as SVG, drawn here: no library, no script needed to see them. Every chart is an [`Svg`] that a page holds
//! inline or a file holds alone; colours come from one [`theme`] with a light and a dark side.

mod axis;
mod bars;
mod dots;
mod frame;
mod legend;
mod lines;
mod matrix;
mod rows;
mod scale;
mod stack;
mod svg;
pub mod theme;

pub use axis::{Axis, percent_axis};
pub use bars::{Bar, Bars};
pub use dots::{DotRow, Dots};
pub use legend::Mark;
pub use lines::{Lines, Series};
pub use matrix::Matrix;
pub use scale::Scale;
pub use stack::{Stack, StackRow};
pub use svg::{Anchor, Svg, escape, text_width};
