//! What is computed of a byte and its channel alone, as the normalisation of a decoded picture, is a table of 256 numbers for
//! each channel. Convolutions and pools look the numbers up while they read the bytes, so that no normalised picture is ever
//! written: a quarter of the memory is read, zeros beside the image stay zeros, and the numbers are those that the operations
//! make, to the last bit.

use smallvec::SmallVec;

use super::Facts;
use crate::{
    DType, Format, Op, Ops, Result, Tensor, cpu, execute,
    graph::{ConvKind, Graph, LookupStep, Run, Step, ValueId},
    ops::{Cast, Window},
};

/// Makes a cast of bytes and the pointwise operations after it, whose other operands are known and differ by channel alone, a
/// [`LookupStep`], and that a part of the convolutions and pools that read it, if nothing else does.
///
/// # Errors
/// Where the table can not be computed.
pub fn tabulate_bytes(graph: &mut Graph) -> Result<()> {
    for i in 0..graph.nodes.len() {
        let Some((x, mut table)) = cast_of_bytes(graph, i)? else { continue };
        let facts = Facts::of(graph);
        let mut last = i;
        while let Some((next, numbers)) = tabulated(graph, &facts, last, &table)? {
            table = numbers;
            graph.nodes[last].outs.clear();
            last = next;
        }
        let channels = table.dim(1)?;
        let table = table.reshape(&[channels, 256])?.to_format(Format::Contiguous)?;
        let table = graph.constant(table);
        graph.nodes[last].step = Step::Lookup(LookupStep { x, table });
    }
    graph.nodes.retain(|node| !node.outs.is_empty());
    absorb(graph);
    super::remove_dead(graph)
}

/// The operand, and all bytes as numbers `[1, C, 256, 1]`, if node `i` makes f32 images of bytes.
fn cast_of_bytes(graph: &Graph, i: usize) -> Result<Option<(ValueId, Tensor)>> {
    let node = &graph.nodes[i];
    let Step::Op { op: Op::Cast(Cast { dtype: DType::F32 }), ins } = &node.step else { return Ok(None) };
    let meta = graph.meta(ins[0]);
    if node.outs.is_empty() || meta.dtype != DType::U8 || meta.rank() != 4 {
        return Ok(None);
    }
    let bytes = Tensor::arange(256, DType::F32)?.reshape(&[1, 1, 256, 1])?;
    Ok(Some((ins[0], bytes.broadcast_to(&[1, meta.dims[1], 256, 1])?)))
}

/// The only reader of what node `at` makes and its results for all bytes, if it can be tabulated too.
fn tabulated(graph: &Graph, facts: &Facts, at: usize, table: &Tensor) -> Result<Option<(usize, Tensor)>> {
    let x = graph.nodes[at].outs[0];
    if facts.uses.get(&x) != Some(&1) {
        return Ok(None);
    }
    let reads = |node: &super::Node| node.step.operands().contains(&x);
    let Some(next) = graph.nodes.iter().position(reads) else { return Ok(None) };
    let Step::Op { op: op @ (Op::Unary(_) | Op::Binary(_)), ins } = &graph.nodes[next].step else {
        return Ok(None);
    };
    // Operands that are the same for each pixel.
    let of_channel = |dims: &[usize]| dims.iter().rev().enumerate().all(|(i, &d)| i == 2 || d == 1);
    let operand = |&id: &ValueId| match graph.constant_of(id) {
        Some(known) => of_channel(known.dims()).then(|| known.to_device(&cpu::device())),
        None => (id == x).then(|| Ok(table.clone())),
    };
    let Some(ins) = ins.iter().map(operand).collect::<Option<Result<SmallVec<[Tensor; 2]>>>>().transpose()?
    else {
        return Ok(None);
    };
    let numbers = execute(op, &ins.iter().collect::<SmallVec<[&Tensor; 2]>>())?.swap_remove(0);
    Ok((numbers.dims() == table.dims()).then_some((next, numbers)))
}

/// Makes tables part of the steps that read what is looked up, where all of these can have one.
fn absorb(graph: &mut Graph) {
    for i in 0..graph.nodes.len() {
        let Step::Lookup(LookupStep { x, table }) = graph.nodes[i].step else { continue };
        let out = graph.nodes[i].outs[0];
        let takes = |step: &Step| !step.operands().contains(&out) || can_look_up(graph, step, out, table);
        if graph.outputs.contains(&out) || !graph.nodes.iter().all(|node| takes(&node.step)) {
            continue;
        }
        for node in &mut graph.nodes {
            let (sources, place) = match &mut node.step {
                Step::Conv(conv) => (&mut conv.sources, &mut conv.table),
                Step::Pool(pool) => (&mut pool.sources, &mut pool.table),
                _ => continue,
            };
            if sources[0].value == out {
                sources[0].value = x;
                *place = Some(table);
            }
        }
    }
}

/// Whether the step reads the whole value and nothing else, in a way that a table can be put before.
fn can_look_up(graph: &Graph, step: &Step, value: ValueId, table: ValueId) -> bool {
    let channels = graph.meta(value).dims[1];
    let whole = |sources: &[Run]| *sources == [Run { value, start: 0, len: channels }];
    match step {
        Step::Conv(conv) => {
            let once = step.operands().iter().filter(|&&id| id == value).count() == 1;
            let plain = matches!(&conv.kind, ConvKind::Plain(conv) if conv.groups == 1);
            whole(&conv.sources) && once && plain
        }
        // The largest byte has the largest number, and no window is padded.
        Step::Pool(pool) => {
            let dims = &graph.meta(value).dims;
            let covered = dims[2].is_multiple_of(2) && dims[3].is_multiple_of(2);
            whole(&pool.sources) && pool.window == Window::square(2) && covered && rises(graph, table)
        }
        Step::Op { .. } | Step::Collect(_) | Step::Chain(_) | Step::Lookup(_) => false,
    }
}

/// Whether larger bytes have larger numbers, so that the place of a maximum is the same for both.
fn rises(graph: &Graph, table: ValueId) -> bool {
    let numbers = graph.constant_of(table).and_then(|table| table.to_vec::<f32>().ok());
    numbers.is_some_and(|numbers| {
        numbers.chunks_exact(256).all(|of_channel| of_channel.windows(2).all(|pair| pair[0] < pair[1]))
    })
}
