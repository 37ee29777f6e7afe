//! Progress of anything that takes over a second: a bar in a terminal, now and then a plain line elsewhere.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{duration, errln};

/// Seconds between two plain lines.
const PLAIN_EVERY: f64 = 10.0;

/// Whether another process tells what this one does.
static HIDDEN: AtomicBool = AtomicBool::new(false);

/// Lets all further progress of this process be silent: another process tells about the work that they share.
pub fn hide_progress() {
    HIDDEN.store(true, Ordering::Relaxed);
}

/// Says on standard error what the user should know and nothing fails by; silent where progress is.
pub fn note(text: &str) {
    if !HIDDEN.load(Ordering::Relaxed) {
        errln!("note: {text}");
    }
}

/// Counts work done towards a known amount. Shared by reference among threads.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    what: String,
    unit: &'static str,
    total: u64,
    start: Instant,
    state: Mutex<State>,
    plain: bool,
}

#[derive(Debug)]
struct State {
    done: u64,
    /// Work that was done before the clock started.
    before: u64,
    note: String,
    last: Instant,
}

impl Progress {
    /// `total` units of work; `what` heads the line ("training"), `unit` is a plural ("images").
    pub fn new(what: impl Into<String>, unit: &'static str, total: u64) -> Self {
        if HIDDEN.load(Ordering::Relaxed) {
            return Self::silent();
        }
        Self::on(ProgressDrawTarget::stderr(), true, what.into(), unit, total)
    }

    /// Progress that nobody sees: of work that others tell about.
    pub fn silent() -> Self {
        Self::on(ProgressDrawTarget::hidden(), false, String::new(), "", 0)
    }

    /// Where `target` is no terminal, plain lines take the place of the bar if `lines` says so.
    fn on(target: ProgressDrawTarget, lines: bool, what: String, unit: &'static str, total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let plain = lines && bar.is_hidden();
        let template = format!("{{prefix}} {{bar:24}} {{pos}}/{{len}} {unit} · {{msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_prefix(what.clone());
        let now = Instant::now();
        let state = Mutex::new(State { done: 0, before: 0, note: String::new(), last: now });
        Self { bar, what, unit, total, start: now, state, plain }
    }

    /// Says that `done` units were there before (a resumed run): they do not count for the speed.
    pub fn begin_at(&self, done: u64) {
        let mut state = self.lock();
        (state.done, state.before) = (done, done);
        self.bar.set_position(done);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// `done` units in all are finished now.
    pub fn set(&self, done: u64) {
        self.update(|state| state.done = state.done.max(done));
    }

    /// `n` more units are finished.
    pub fn add(&self, n: u64) {
        self.update(|state| state.done += n);
    }

    /// A remark at the end of the line ("epoch 3/40, loss 0.61"); shown with the next update.
    pub fn note(&self, note: impl Into<String>) {
        self.lock().note = note.into();
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        if self.plain {
            if state.last.elapsed().as_secs_f64() >= PLAIN_EVERY {
                state.last = Instant::now();
                errln!("{} {}/{} {} · {}", self.what, state.done, self.total, self.unit, self.speed(&state));
            }
        } else if state.last.elapsed() >= Duration::from_millis(100) || state.done == self.total {
            state.last = Instant::now();
            self.bar.set_message(self.speed(&state));
            self.bar.set_position(state.done);
        }
    }

    /// Units per second, time left, remark.
    fn speed(&self, state: &State) -> String {
        let seconds = self.start.elapsed().as_secs_f64().max(1e-9);
        let rate = (state.done - state.before) as f64 / seconds;
        let left = self.total.saturating_sub(state.done) as f64;
        let mut text = format!("{rate:.1} {}/s", self.unit);
        if rate > 0.0 && left > 0.0 {
            text.push_str(&format!(", {} left", duration(left / rate)));
        }
        if !state.note.is_empty() {
            text.push_str(" · ");
            text.push_str(&state.note);
        }
        text
    }

    /// Prints a line that stays, above the bar.
    pub fn line(&self, text: &str) {
        if self.plain { errln!("{text}") } else { self.bar.suspend(|| errln!("{text}")) }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_rate_rest_and_remark() {
        let p = Progress::new("counting", "images", 100);
        p.begin_at(50);
        p.set(60);
        p.note("loss 0.5");
        let mut state = p.lock();
        let text = p.speed(&state);
        assert!(text.contains("images/s") && text.contains("left") && text.ends_with("loss 0.5"), "{text}");
        state.done = 100;
        assert!(!p.speed(&state).contains("left"));
    }
}
