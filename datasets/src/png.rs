//! A look at a PNG file's skeleton without decompressing it: size, pixel format, and whether all chunks are
//! there. Cheap enough to run over a whole dataset before training.

/// The fields of a PNG header that decide whether a file is acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub width: u32,
    pub height: u32,
    pub bit_depth: u8,
    pub color_type: u8,
}

const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A];

pub(crate) fn is_png(bytes: &[u8]) -> bool {
    bytes.starts_with(&SIGNATURE)
}

impl Header {
    /// Reads the header; `Err` says in words what is missing.
    pub fn parse(bytes: &[u8]) -> Result<Header, String> {
        if !is_png(bytes) {
            return Err("not a PNG file".into());
        }
        if bytes.len() < 33 || &bytes[12..16] != b"IHDR" || be32(bytes, 8) != 13 {
            return Err("truncated or corrupt PNG: it ends before its header does".into());
        }
        let h = Header {
            width: be32(bytes, 16),
            height: be32(bytes, 20),
            bit_depth: bytes[24],
            color_type: bytes[25],
        };
        if h.width == 0 || h.height == 0 {
            return Err(format!("corrupt PNG: its header declares {}x{} pixels", h.width, h.height));
        }
        Ok(h)
    }

    /// The pixel format in words, for messages.
    pub fn format(&self) -> String {
        let kind = match self.color_type {
            0 => "grey",
            2 => "RGB",
            3 => "palette colour",
            4 => "grey with alpha",
            6 => "RGB with alpha",
            other => return format!("a PNG of unknown colour type {other}"),
        };
        format!("{}-bit {kind}", self.bit_depth)
    }

    /// Whether a file of `len` bytes can hold the declared pixels: deflate shrinks at most 1032 times.
    pub fn fits(&self, len: usize) -> bool {
        let channels = match self.color_type {
            2 => 3,
            4 => 2,
            6 => 4,
            _ => 1,
        };
        let bits =
            u128::from(self.width) * u128::from(self.height) * channels * u128::from(self.bit_depth.max(1));
        bits / 8 <= len as u128 * 1032
    }
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Walks the chunk list to the end mark. `Err` says where the file breaks off.
pub(crate) fn complete(bytes: &[u8]) -> Result<(), String> {
    let mut at = 8;
    let mut data = false;
    loop {
        if at + 12 > bytes.len() {
            return Err(format!("truncated PNG: {} bytes and no end mark", bytes.len()));
        }
        let len = be32(bytes, at) as usize;
        let kind = &bytes[at + 4..at + 8];
        data |= kind == b"IDAT";
        let next = at.saturating_add(12).saturating_add(len);
        if next > bytes.len() {
            return Err(format!(
                "truncated PNG: chunk {} at byte {at} needs {next} bytes, the file has {}",
                kind.escape_ascii(),
                bytes.len()
            ));
        }
        if kind == b"IEND" {
            return if data { Ok(()) } else { Err("corrupt PNG: it holds no pixel data".into()) };
        }
        at = next;
    }
}
