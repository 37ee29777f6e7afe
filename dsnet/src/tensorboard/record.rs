//! The framing of TFRecord files: length, its checksum, data, its checksum; all numbers little-endian.

use super::crc32c::masked;

/// Bytes around the data of a record.
const FRAME: usize = 8 + 4 + 4;

/// `data` as a record.
pub(super) fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + FRAME);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked(&length).to_le_bytes());
    record.extend_from_slice(data);
    record.extend_from_slice(&masked(data).to_le_bytes());
    record
}

/// The data of the record that `file` begins with, and what follows it; `None` where it is cut short or damaged.
pub(super) fn next(file: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let (check, rest) = rest.split_first_chunk::<4>()?;
    if masked(length).to_le_bytes() != *check {
        return None;
    }
    let (data, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let (check, rest) = rest.split_first_chunk::<4>()?;
    (masked(data).to_le_bytes() == *check).then_some((data, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damage_is_noticed() {
        let file = [frame(b"one"), frame(b""), frame(b"three")].concat();
        let (one, rest) = next(&file).unwrap();
        let (empty, rest) = next(rest).unwrap();
        let (three, rest) = next(rest).unwrap();
        assert_eq!((one, empty, three, rest), (&b"one"[..], &b""[..], &b"three"[..], &b""[..]));
        let whole = frame(b"data");
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 4;
            assert!(next(&bad).is_none() && next(&whole[..at]).is_none(), "{at}");
        }
    }
}
