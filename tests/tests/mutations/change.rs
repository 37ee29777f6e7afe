//! Changing files: what bad disks, bad copies and bad intentions do to them.

/// Numbers that look random (SplitMix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Numbers at which programs stumble.
const EDGES: [u64; 10] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff];

/// Words at which programs stumble that read text.
const WORDS: [&str; 16] = [
    "99999999999999999999",
    "18446744073709551615",
    "-1",
    "0",
    "1e308",
    "nan",
    "-inf",
    "[[[[[[[[",
    "{a={a={a=",
    "\"\"\"",
    "\n\n",
    "\u{0}",
    "..",
    "/../../",
    "\u{feff}",
    "true",
];

/// A binary file with one to eight changes.
pub fn binary(random: &mut Random, original: &[u8]) -> Vec<u8> {
    edited(random, original, 9)
}

/// A text with one to eight changes.
pub fn text(random: &mut Random, original: &[u8]) -> Vec<u8> {
    edited(random, original, 11)
}

fn edited(random: &mut Random, original: &[u8], edits: usize) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=random.below(8).min(random.below(8)) {
        edit(random, &mut bytes, edits);
    }
    bytes
}

fn edit(random: &mut Random, bytes: &mut Vec<u8>, edits: usize) {
    if bytes.is_empty() {
        return bytes.push(random.next() as u8);
    }
    // Headers decide more than what follows them.
    let n = bytes.len();
    let at = if random.below(3) == 0 { random.below(n.min(64)) } else { random.below(n) };
    let end = (at + 1 + random.below(40)).min(n);
    let mut overwrite = |new: &[u8]| bytes[at..].iter_mut().zip(new).for_each(|(old, new)| *old = *new);
    match random.below(edits) {
        0 => overwrite(&[random.pick(&EDGES) as u8]),
        1 => bytes[at] ^= 1 << random.below(8),
        2 => overwrite(&(random.pick(&EDGES) as u16).to_be_bytes()),
        3 => overwrite(&(random.pick(&EDGES) as u32).to_be_bytes()),
        4 => overwrite(&random.pick(&EDGES).to_le_bytes()),
        5 => bytes.truncate(at),
        6 => drop(bytes.drain(at..end)),
        7 => {
            let again = bytes[at..end].to_vec();
            let to = random.below(n);
            bytes.splice(to..to, again);
        }
        8 => {
            let new: Vec<u8> = (0..random.below(20)).map(|_| random.next() as u8).collect();
            bytes.splice(at..at, new);
        }
        _ => {
            let word = random.pick(&WORDS).as_bytes().to_vec();
            let times = if random.below(8) == 0 { 2000 } else { 1 };
            // In the place of what was there, or before it.
            let end = if random.below(2) == 0 { at } else { end };
            bytes.splice(at..end, word.repeat(times));
        }
    }
}

/// Makes the checksums of a PNG's chunks right again, so that a change reaches what lies behind them.
pub fn png_sums(bytes: &mut [u8]) {
    let mut at = 8;
    while let Some(head) = bytes.get(at..at + 8) {
        let len = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(body) = bytes.get(at + 4..(at + 8).saturating_add(len)) else { return };
        let sum = crc32(body).to_be_bytes();
        let Some(place) = bytes.get_mut(at + 8 + len..at + 12 + len) else { return };
        place.copy_from_slice(&sum);
        at += 12 + len;
    }
}

/// The checksum of PNG.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
    })
}

/// Puts another value in the place of one to three values of a JSON tree.
pub fn json(random: &mut Random, original: &serde_json::Value) -> serde_json::Value {
    let mut tree = original.clone();
    for _ in 0..=random.below(3) {
        let mut at = &mut tree;
        loop {
            let n = match at {
                serde_json::Value::Array(list) => list.len(),
                serde_json::Value::Object(map) => map.len(),
                _ => 0,
            };
            if n == 0 || random.below(12) == 0 {
                break;
            }
            let which = random.below(n);
            at = match at {
                serde_json::Value::Array(list) => &mut list[which],
                serde_json::Value::Object(map) => map.values_mut().nth(which).unwrap(),
                _ => unreachable!("it has children"),
            };
        }
        *at = match random.below(8) {
            0 => serde_json::Value::Null,
            1 => random.pick(&EDGES).into(),
            2 => u64::MAX.into(),
            3 => (-1).into(),
            4 => 1e300.into(),
            5 => random.pick(&WORDS).into(),
            6 => vec![random.pick(&WORDS); random.below(600)].into(),
            _ => serde_json::json!({ "a": random.pick(&EDGES) }),
        };
    }
    tree
}
