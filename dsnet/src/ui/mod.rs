//! What people see: progress, tables, numbers with units. Results go to standard output, everything else
//! to standard error, so that `--json` output can be piped.

mod out;
mod progress;
mod scores;
mod shell;
mod table;

pub(crate) use out::{errln, out, outln};
pub use out::{print, print_bytes, print_if_read, say};
pub use progress::{Progress, hide_progress, note};
pub use scores::score_table;
pub use shell::{program, shell_words};
pub use table::{Align, Table};

/// A count with thousands separated: `1,364,860`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Some of what is called `one`, whose plural has an s: `1 thread`, `2 threads`, `1,000 images`.
pub fn counted(n: usize, one: &str) -> String {
    format!("{} {one}{}", thousands(n as u64), if n == 1 { "" } else { "s" })
}

/// A number of bytes in the unit that suits it: `12.3 MB`.
pub fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "kB", "MB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.2} GB")
}

/// A duration for people: `8.1 s`, `3 min 20 s`, `2 h 05 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// A share as percent: `71.8`; a dash where there is none.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".into(), |v| format!("{:.1}", 100.0 * v))
}

/// Text in lines of at most 100 characters, all but the first indented.
pub fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut length = 0;
    for word in text.split(' ') {
        let more = word.chars().count() + 1;
        if length > 0 && length + more > 100 {
            out += "\n  ";
            length = 2;
        } else if length > 0 {
            out += " ";
        }
        out += word;
        length += more;
    }
    out + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(thousands(910_460), "910,460");
        assert_eq!(thousands(12), "12");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!([0, 1, 2_000].map(|n| counted(n, "core")), ["0 cores", "1 core", "2,000 cores"]);
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(2_345_678_901), "2.35 GB");
        assert_eq!(duration(8.06), "8.1 s");
        assert_eq!(duration(200.2), "3 min 20 s");
        assert_eq!(duration(7500.0), "2 h 05 min");
        assert_eq!(percent(Some(0.7184)), "71.8");
        assert_eq!(percent(None), "–");
    }
}
