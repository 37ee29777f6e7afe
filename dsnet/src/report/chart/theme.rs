//! The colours and letters of all charts and pages: one list of names, each with a value for light and for dark
//! surroundings. Series colours keep apart for every common kind of colour vision (tested), and charts with few points
//! give each series its own mark as well.

use std::fmt::Write;

/// Name, light, dark.
const COLORS: [(&str, &str, &str); 13] = [
    ("surface", "#ffffff", "#15181d"),
    ("raised", "#f5f6f8", "#1d2127"),
    ("ink", "#1b1f24", "#e8eaed"),
    ("muted", "#59626d", "#a3abb6"),
    ("rule", "#d9dde2", "#353b44"),
    ("s0", "#25629b", "#3f7df0"),
    ("s1", "#ee5e20", "#f6842c"),
    ("s2", "#15a182", "#a7fce2"),
    ("s3", "#3f2675", "#b4a4f1"),
    ("s4", "#580b2d", "#a56677"),
    ("s5", "#6e510b", "#fadf02"),
    ("heat", "#25629b", "#3f7df0"),
    ("heat-ink", "#ffffff", "#ffffff"),
];

/// How many series colours there are; further series begin anew.
pub const SERIES: usize = 6;

/// The rules of charts, in terms of the names above.
const RULES: &str = "\
.chart{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;display:block}
.chart text{fill:var(--ink);pointer-events:none}
.chart .muted{fill:var(--muted)}
.chart .small{font-size:10.5px}
.chart .halo{paint-order:stroke;stroke:var(--surface);stroke-width:3px;stroke-linejoin:round}
.chart .head{font-weight:600}
.chart .on{fill:var(--heat-ink)}
.chart .grid{stroke:var(--rule);stroke-width:1}
.chart .thin{stroke-width:1.25}
.chart .axis{stroke:var(--muted);stroke-width:1}
.chart .surface{fill:var(--surface)}
.chart .heat{fill:var(--heat)}
.chart .cell{fill:none;stroke:var(--rule);stroke-width:1}
.chart .swatch{stroke:var(--muted);stroke-width:.5}
.chart .mean{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:2 2}
.chart .hit{fill:transparent}
.chart .hit:hover{fill:var(--ink);fill-opacity:.07}
";

/// Rules of the series colours: `sN` for lines, `fN` for areas and marks, `bN` for bands.
fn series_rules() -> String {
    (0..SERIES).fold(String::new(), |mut out, n| {
        // Writing into a String can not fail.
        let _ = writeln!(
            out,
            ".chart .s{n}{{fill:none;stroke:var(--s{n});stroke-width:2;stroke-linejoin:round;stroke-linecap:round}}\n\
             .chart .f{n}{{fill:var(--s{n})}}\n.chart .b{n}{{fill:var(--s{n});fill-opacity:.15}}"
        );
        out
    })
}

fn variables(dark: bool) -> String {
    COLORS
        .iter()
        .map(|(name, light, night)| format!("--{name}:{};", if dark { night } else { light }))
        .collect()
}

/// The condition of the dark side. Paper is always light.
const DARK: &str = "@media screen and (prefers-color-scheme:dark)";

/// Style for a page: colours as variables of the root, then the rules of charts.
pub fn page() -> String {
    let (light, dark) = (variables(false), variables(true));
    format!(":root{{color-scheme:light dark;{light}}}\n{DARK}{{:root{{{dark}}}}}\n{}{RULES}", series_rules())
}

/// Style for a drawing alone: plain colours, as not every program that draws SVG knows variables.
pub(super) fn standalone() -> String {
    let rules = format!("{}{RULES}", series_rules());
    let plain = |dark: bool| {
        COLORS.iter().fold(rules.clone(), |text, (name, light, night)| {
            text.replace(&format!("var(--{name})"), if dark { night } else { light })
        })
    };
    format!("\n{}{DARK}{{\n{}}}\n", plain(false), plain(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(hex: &str) -> [f64; 3] {
        [1, 3, 5].map(|i| {
            let v = f64::from(u8::from_str_radix(&hex[i..i + 2], 16).unwrap()) / 255.0;
            if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        })
    }

    /// Contrast ratio of WCAG 2.
    fn contrast(a: &str, b: &str) -> f64 {
        let luminance =
            |hex| linear(hex).iter().zip([0.2126, 0.7152, 0.0722]).map(|(v, w)| v * w).sum::<f64>();
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    /// How normal, protan, deutan and tritan eyes see (Machado et al. 2009, severity 1), on linear RGB.
    const EYES: [[[f64; 3]; 3]; 4] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ];

    fn product(m: &[[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
        m.map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
    }

    /// The colour in Oklab, where distances are about those that people see.
    fn seen(hex: &str, eye: &[[f64; 3]; 3]) -> [f64; 3] {
        let to_cones = [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ];
        let to_lab = [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ];
        let rgb = product(eye, linear(hex)).map(|v| v.max(0.0));
        product(&to_lab, product(&to_cones, rgb).map(f64::cbrt))
    }

    #[test]
    fn colours_stand_out_and_apart() {
        for side in
            [|c: &(&str, &'static str, &'static str)| c.1, |c: &(&str, &'static str, &'static str)| c.2]
        {
            let get = |name: &str| side(COLORS.iter().find(|c| c.0 == name).unwrap());
            for (name, least) in [("ink", 12.0), ("muted", 5.0)] {
                assert!(contrast(get(name), get("surface")) >= least, "{name}");
                assert!(contrast(get(name), get("raised")) >= least - 1.0, "{name} on raised");
            }
            let series: Vec<&str> = (0..SERIES).map(|n| get(&format!("s{n}"))).collect();
            for (i, a) in series.iter().enumerate() {
                assert!(contrast(a, get("surface")) >= 3.0, "{a}");
                for b in &series[..i] {
                    for eye in &EYES {
                        let (a, b) = (seen(a, eye), seen(b, eye));
                        let distance = a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt();
                        assert!(distance > 0.12, "{a:?} {b:?}: {distance}");
                    }
                }
            }
            assert!(contrast(get("heat"), get("heat-ink")) >= 3.5);
        }
    }

    #[test]
    fn every_name_is_defined() {
        assert!(!standalone().contains("var("), "{}", standalone());
        assert!(page().contains("--s5:#6e510b"));
    }
}
