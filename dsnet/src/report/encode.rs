//! Bytes as text, for pages that carry everything in themselves.

use datasets::LabelMap;

/// Base64 (RFC 4648) with padding.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, &b| word << 8 | u32::from(b)) << (8 * (3 - three.len()));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= three.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// Train ids as runs: the letter U+00C0 + id, then the length in base 36, left out where it is 1. The script of a page reads
/// it to name the class under the mouse.
pub fn runs(labels: &LabelMap) -> String {
    let mut out = String::new();
    for run in labels.data().chunk_by(|a, b| a == b) {
        // All of U+00C0 to U+01BF are characters.
        out.extend(char::from_u32(0xC0 + u32::from(run[0])));
        if run.len() > 1 {
            out.push_str(&base36(run.len()));
        }
    }
    out
}

fn base36(mut n: usize) -> String {
    let mut digits = Vec::new();
    while n > 0 {
        digits.push(char::from_digit((n % 36) as u32, 36).unwrap_or('0'));
        n /= 36;
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_rfc() {
        let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in pairs {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xFB, 0xFF]), "+/8=");
    }

    #[test]
    fn runs_cross_rows() {
        let mut data = vec![0; 39];
        data.extend([1, 255]);
        data.extend([2; 39]);
        let labels = LabelMap::new(40, 2, data).unwrap();
        assert_eq!(runs(&labels), "À13Áƿ\u{C2}13");
    }
}
