//! What goes over a connection: frames of a kind and some bytes, lengths and numbers little-endian.

use std::io::{self, Read, Write};

use serde::{Serialize, de::DeserializeOwned};
use tensor::{DType, Meta, Tensor};

use super::super::round::Call;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A rank introduces itself. The first byte that a hub reads; nothing that strangers begin with.
    Hello = 0xd5,
    /// The hub takes a rank in, or says why not.
    Welcome = 1,
    /// All ranks are here.
    Go = 2,
    /// A rank's next call.
    Put = 3,
    /// The rank is alive.
    Alive = 4,
    /// The process is; wants a [`Kind::Pong`].
    Ping = 5,
    Pong = 6,
    /// The rank has ended; holds why, if not in good order.
    End = 7,
    /// The next result.
    Value = 8,
    /// Why there is none, though every rank came.
    Wrong = 9,
    /// The group has ended.
    Failed = 10,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Hello,
        Self::Welcome,
        Self::Go,
        Self::Put,
        Self::Alive,
        Self::Ping,
        Self::Pong,
        Self::End,
        Self::Value,
        Self::Wrong,
        Self::Failed,
    ];
}

/// Most bytes of frames that hold words.
pub(super) const WORDS: u64 = 1 << 20;

/// Most bytes of frames that hold tensors.
pub(super) const TENSORS: u64 = 1 << 40;

/// Below this, a frame is written by one call.
const SMALL: usize = 1 << 16;

/// Writes a frame with the bytes of `parts`.
pub(super) fn write(to: &mut impl Write, kind: Kind, parts: &[&[u8]]) -> io::Result<()> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut head = vec![kind as u8];
    head.extend((len as u64).to_le_bytes());
    for part in parts {
        if head.len() + part.len() > SMALL {
            to.write_all(&std::mem::take(&mut head))?;
            to.write_all(part)?;
        } else {
            head.extend_from_slice(part);
        }
    }
    to.write_all(&head)
}

/// Writes a frame with a value as JSON.
pub(super) fn say(to: &mut impl Write, kind: Kind, value: &impl Serialize) -> io::Result<()> {
    write(to, kind, &[&serde_json::to_vec(value)?])
}

/// Reads a frame of at most `limit` bytes. Memory grows with what comes, not with what is announced.
pub(super) fn read(from: &mut impl Read, limit: u64) -> io::Result<(Kind, Vec<u8>)> {
    let mut head = [0; 9];
    from.read_exact(&mut head)?;
    let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == head[0]).ok_or_else(|| strange("kind"))?;
    let len = u64::from_le_bytes(std::array::from_fn(|i| head[i + 1]));
    if len > limit {
        return Err(strange("length"));
    }
    let mut bytes = Vec::with_capacity(len.min(1 << 24) as usize);
    if from.take(len).read_to_end(&mut bytes)? as u64 != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((kind, bytes))
}

/// What a frame says as JSON.
pub(super) fn heard<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    Ok(serde_json::from_slice(bytes)?)
}

/// A peer that does not speak as it should.
pub(super) fn strange(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a frame of unknown {what}: no rank of dsnet talks here"),
    )
}

/// Whether a read ended because nothing came in time.
pub(super) fn silent(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The head of a call; the bytes of its value follow, if it has one.
pub(super) fn encode(call: &Call) -> Vec<u8> {
    let (kind, root, meta) = match call {
        Call::Sum(meta) => (0, 0, Some(meta)),
        Call::Broadcast { meta, root } => (1, *root as u64, Some(meta)),
        Call::Barrier => (2, 0, None),
    };
    let mut head = vec![kind];
    head.extend(root.to_le_bytes());
    if let Some(meta) = meta {
        let dtype = DType::ALL.iter().position(|d| *d == meta.dtype).unwrap_or_default();
        head.extend([dtype as u8, meta.dims.len() as u8]);
        meta.dims.iter().for_each(|&dim| head.extend((dim as u64).to_le_bytes()));
    }
    head
}

/// A call and the value that a rank brings; a rank that only hears a broadcast brings none, and gets a placeholder.
pub(super) fn decode(bytes: &[u8]) -> io::Result<(Call, Tensor)> {
    decode_if_whole(bytes).ok_or_else(|| strange("call"))
}

fn decode_if_whole(bytes: &[u8]) -> Option<(Call, Tensor)> {
    fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
        let (number, rest) = bytes.split_first_chunk::<8>()?;
        Some((u64::from_le_bytes(*number), rest))
    }
    let (&kind, rest) = bytes.split_first()?;
    let (root, rest) = number(rest)?;
    if kind == 2 {
        return Some((Call::Barrier, Tensor::scalar(0_u8)));
    }
    let (&[dtype, axes], mut rest) = rest.split_first_chunk::<2>()?;
    let dtype = *DType::ALL.get(usize::from(dtype))?;
    let mut dims = vec![];
    for _ in 0..axes {
        let (dim, after) = number(rest)?;
        dims.push(usize::try_from(dim).ok()?);
        rest = after;
    }
    let meta = Meta::new(&dims[..], dtype);
    let call = match kind {
        0 => Call::Sum(meta),
        1 => Call::Broadcast { meta, root: usize::try_from(root).ok()? },
        _ => return None,
    };
    let hears = kind == 1 && rest.is_empty();
    let value = if hears { Tensor::scalar(0_u8) } else { Tensor::from_bytes(rest, &dims, dtype).ok()? };
    Some((call, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_way() {
        let big = vec![7; SMALL + 1];
        let mut wire = vec![];
        write(&mut wire, Kind::Put, &[b"ab", &big, b"c"]).unwrap();
        say(&mut wire, Kind::End, &Some("ö")).unwrap();
        let mut from = &wire[..];
        let (kind, bytes) = read(&mut from, TENSORS).unwrap();
        assert_eq!(
            (kind, bytes.len(), &bytes[..3], bytes.last()),
            (Kind::Put, SMALL + 4, &b"ab\x07"[..], Some(&b'c'))
        );
        let (kind, bytes) = read(&mut from, WORDS).unwrap();
        assert_eq!((kind, heard::<Option<String>>(&bytes).unwrap()), (Kind::End, Some("ö".into())));
        assert!(read(&mut from, WORDS).is_err(), "nothing is left");
    }

    #[test]
    fn strangers_are_noticed_before_memory_is_taken() {
        assert!(
            read(&mut &b"GET / HTTP/1.1\r\n\r\n"[..], WORDS)
                .unwrap_err()
                .to_string()
                .contains("unknown kind")
        );
        let mut wire = vec![Kind::Put as u8];
        wire.extend(u64::MAX.to_le_bytes());
        assert!(read(&mut &wire[..], TENSORS).unwrap_err().to_string().contains("unknown length"));
        let mut cut = vec![];
        write(&mut cut, Kind::Put, &[&[1; 100]]).unwrap();
        assert!(read(&mut &cut[..50], TENSORS).is_err());
    }

    #[test]
    fn calls_survive_the_way() {
        let value = Tensor::from_vec(vec![1.5_f32, -2.0, 0.25], &[1, 3]).unwrap();
        let sum = Call::Sum(value.meta());
        let tell = Call::Broadcast { meta: value.meta(), root: 3 };
        for call in [sum, tell.clone(), Call::Barrier] {
            let mut wire = encode(&call);
            if call != Call::Barrier {
                wire.extend(value.to_bytes().unwrap());
            }
            let (again, brought) = decode(&wire).unwrap();
            assert_eq!(again, call);
            if call != Call::Barrier {
                assert_eq!(brought.to_vec::<f32>().unwrap(), [1.5, -2.0, 0.25]);
            }
        }
        assert_eq!(decode(&encode(&tell)).unwrap().0, tell, "who hears brings nothing");
        let wire = encode(&tell);
        for cut in [&wire[..wire.len() - 1], &wire[..3], &[9; 40][..], &[]] {
            assert!(decode(cut).is_err());
        }
    }
}
