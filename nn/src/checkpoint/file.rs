//! The bytes of a checkpoint: safetensors with a checksum over everything that matters.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, Read},
    path::Path,
};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use tensor::{DType, Tensor};

use super::Meta;
use crate::init::{fnv1a, fnv1a_from};

/// Version of the layout; raised when older programs could misread a file.
const FORMAT: u32 = 1;

/// The largest header that safetensors allows, in bytes.
const MAX_HEADER: u64 = 100_000_000;

/// The metadata entry.
const KEY: &str = "checkpoint";

#[derive(Serialize)]
struct Outgoing<'a> {
    format: u32,
    #[serde(flatten)]
    meta: &'a Meta,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// The file for these tensors. The same content gives the same bytes.
pub(super) fn encode(meta: &Meta, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<u8>, String> {
    encode_as(FORMAT, meta, tensors)
}

/// [`encode`] in the name of any format.
pub(super) fn encode_as(
    format: u32,
    meta: &Meta,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<Vec<u8>, String> {
    let json = serde_json::to_string(&Outgoing { format, meta }).map_err(|e| e.to_string())?;
    let mut parts = Vec::with_capacity(tensors.len());
    for (name, t) in tensors {
        parts.push((name, t.dtype(), t.dims(), t.to_bytes().map_err(|e| e.to_string())?));
    }
    let sum = parts
        .iter()
        .fold(fnv1a(json.as_bytes()), |h, (name, dtype, dims, bytes)| add(h, name, *dtype, dims, bytes));
    let views = parts.iter().map(|(name, dtype, dims, bytes)| {
        Ok((name.as_str(), TensorView::new(outward(*dtype), dims.to_vec(), bytes)?))
    });
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>().map_err(|e| e.to_string())?;
    let entry = HashMap::from([(KEY.to_string(), format!("{sum:016x} {json}"))]);
    safetensors::serialize(views, Some(entry)).map_err(|e| e.to_string())
}

/// The bytes of a file that begins like safetensors. One that can not be a checkpoint, however large, is refused before it
/// is read.
pub(super) fn read(path: &Path) -> io::Result<Result<Vec<u8>, String>> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Ok(Err("is no file".into()));
    }
    let mut file = file.take(meta.len());
    let mut bytes = Vec::new();
    file.by_ref().take(8).read_to_end(&mut bytes)?;
    let header = <[u8; 8]>::try_from(bytes.as_slice()).map_or(u64::MAX, u64::from_le_bytes);
    if header > MAX_HEADER.min(meta.len().saturating_sub(8)) {
        return Ok(Err(unreadable("it does not begin with a header")));
    }
    file.read_to_end(&mut bytes)?;
    Ok(Ok(bytes))
}

fn unreadable(why: impl std::fmt::Display) -> String {
    format!("the file is truncated, damaged or no safetensors file ({why})")
}

/// What [`encode`] was given.
pub(super) fn decode(bytes: &[u8]) -> Result<(Meta, BTreeMap<String, Tensor>), String> {
    let damaged = || "the file is damaged: its checksum does not fit".to_string();
    let (length, header) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
    let views = SafeTensors::deserialize(bytes).map_err(unreadable)?;
    let entry = header.metadata().as_ref().and_then(|m| m.get(KEY));
    let entry =
        entry.ok_or("the file holds tensors but is no checkpoint: its metadata has no entry `checkpoint`")?;
    let (sum, json) = entry.split_once(' ').ok_or_else(damaged)?;
    let mut hash = fnv1a(json.as_bytes());
    let mut tensors = BTreeMap::new();
    let names: std::collections::BTreeSet<&str> = views.names().into_iter().collect();
    for name in names {
        let view = views.tensor(name).map_err(unreadable)?;
        let dtype = inward(view.dtype()).ok_or_else(|| {
            format!("{name} is of type {:?}, which this program does not use", view.dtype())
        })?;
        hash = add(hash, name, dtype, view.shape(), view.data());
        let t = Tensor::from_bytes(view.data(), view.shape(), dtype).map_err(|e| format!("{name}: {e}"))?;
        tensors.insert(name.to_string(), t);
    }
    // The sum covers what the file says; the padding behind the header says nothing, and is blanks alone.
    let last = bytes[8..8 + length].iter().rfind(|&&b| b != b' ');
    if format!("{hash:016x}") != sum || last != Some(&b'}') {
        return Err(damaged());
    }
    let described = |e: serde_json::Error| format!("its description can not be read ({e})");
    let Format { format } = serde_json::from_str(json).map_err(described)?;
    if format > FORMAT {
        return Err(format!("the file is of format {format}; this program reads up to {FORMAT}: update it"));
    }
    Ok((serde_json::from_str(json).map_err(described)?, tensors))
}

/// A hash going on over a tensor with its name and shape.
fn add(hash: u64, name: &str, dtype: DType, dims: &[usize], bytes: &[u8]) -> u64 {
    let head = format!("\n{name} {dtype} {dims:?}\n");
    fnv1a_from(fnv1a_from(hash, head.as_bytes()), bytes)
}

fn outward(dtype: DType) -> Dtype {
    match dtype {
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::I64 => Dtype::I64,
        DType::U8 => Dtype::U8,
    }
}

fn inward(dtype: Dtype) -> Option<DType> {
    DType::ALL.into_iter().find(|d| outward(*d) == dtype)
}
