//! The fields of TensorBoard's `Event` message that a run needs, encoded as protobuf:
//!
//! ```text
//! Event   { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5 }
//! Summary { repeated Value value = 1 }
//! Value   { string tag = 1; float simple_value = 2; Image image = 4 }
//! Image   { int32 height = 1; int32 width = 2; int32 colorspace = 3; bytes encoded_image_string = 4 }
//! ```

/// Wire types of protobuf.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// `colorspace` of three channels.
const RGB: u64 = 3;

/// What an event tells.
#[derive(Debug, Clone, PartialEq)]
pub enum What<'a> {
    /// The format of the file: its first event.
    FileVersion,
    /// Numbers by tag.
    Scalars(&'a [(String, f64)]),
    /// A picture.
    Image {
        /// Name under which TensorBoard shows it.
        tag: &'a str,
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// The picture as PNG file.
        png: &'a [u8],
    },
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn key(out: &mut Vec<u8>, field: u64, wire: u64) {
    varint(out, field << 3 | wire);
}

fn integer(out: &mut Vec<u8>, field: u64, value: u64) {
    key(out, field, VARINT);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    key(out, field, BYTES);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// An event, `wall_time` in seconds since 1970.
pub fn encode(wall_time: f64, step: u64, what: &What<'_>) -> Vec<u8> {
    let mut event = Vec::new();
    key(&mut event, 1, FIXED64);
    event.extend_from_slice(&wall_time.to_le_bytes());
    // Also where it is 0, which protobuf could leave out: readers here find it at a fixed place.
    integer(&mut event, 2, step);
    let mut summary = Vec::new();
    match what {
        What::FileVersion => bytes(&mut event, 3, b"brain.Event:2"),
        What::Scalars(values) => {
            for (tag, number) in *values {
                let mut value = Vec::new();
                bytes(&mut value, 1, tag.as_bytes());
                key(&mut value, 2, FIXED32);
                value.extend_from_slice(&(*number as f32).to_le_bytes());
                bytes(&mut summary, 1, &value);
            }
        }
        What::Image { tag, width, height, png } => {
            let mut image = Vec::new();
            integer(&mut image, 1, *height as u64);
            integer(&mut image, 2, *width as u64);
            integer(&mut image, 3, RGB);
            bytes(&mut image, 4, png);
            let mut value = Vec::new();
            bytes(&mut value, 1, tag.as_bytes());
            bytes(&mut value, 4, &image);
            bytes(&mut summary, 1, &value);
        }
    }
    if !summary.is_empty() {
        bytes(&mut event, 5, &summary);
    }
    event
}

/// The step of an event that [`encode`] made; `None` for anything else.
pub fn step(event: &[u8]) -> Option<u64> {
    let rest = event.get(9..)?;
    if event[0] != 9 || rest.first() != Some(&16) {
        return None;
    }
    let mut value = 0;
    for (i, &byte) in rest[1..].iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7F) << (7 * i);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against bytes written by TensorBoard's own classes: `Event(wall_time=1.5, step=300, file_version=…)`, and a summary
    /// with the value 0.5 under the tag "a".
    #[test]
    fn bytes_are_those_of_the_official_classes() {
        let version = encode(1.5, 300, &What::FileVersion);
        assert_eq!(version, b"\x09\0\0\0\0\0\0\xf8\x3f\x10\xac\x02\x1a\x0dbrain.Event:2");
        let scalar = encode(1.5, 300, &What::Scalars(&[("a".into(), 0.5)]));
        assert_eq!(scalar[12..], *b"\x2a\x0a\x0a\x08\x0a\x01a\x15\0\0\0\x3f");
        let image = encode(1.5, 300, &What::Image { tag: "i", width: 200, height: 1, png: b"P" });
        assert_eq!(image[12..], *b"\x2a\x11\x0a\x0f\x0a\x01i\x22\x0a\x08\x01\x10\xc8\x01\x18\x03\x22\x01P");
    }

    #[test]
    fn steps_are_found_again() {
        for n in [0, 1, 127, 128, 300, 1 << 40] {
            assert_eq!(step(&encode(0.0, n, &What::FileVersion)), Some(n));
        }
        assert_eq!(step(b""), None);
        assert_eq!(step(&[0xFF; 40]), None);
        assert_eq!(step(&[9, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0x80]), None, "cut short");
    }
}
