//! Reports for people: pages of HTML and drawings of SVG, made from what a run wrote down. One small file for each chart;
//! [`chart`] draws, [`page`] holds.

pub mod chart;
mod classes;
mod compare;
mod confusion;
mod contrast;
pub mod encode;
mod frequencies;
mod gradient;
mod groups;
mod loss;
mod memory;
pub mod page;
mod panels;
mod record;
mod run;
mod sections;
mod series;
pub mod strip;
mod timing;

pub use classes::{category_bars, class_bars};
pub use compare::render_comparison;
pub use confusion::confusion_matrix;
pub use contrast::contrast;
pub use frequencies::class_frequencies;
pub use gradient::loss_gradient;
pub use groups::groups;
pub use loss::{learning_rate, loss};
pub use memory::memory;
pub use panels::panels;
pub use record::Record;
pub use run::{render, sample_again, write};
pub use timing::{mean_phases, phases_by_step, step_time};
