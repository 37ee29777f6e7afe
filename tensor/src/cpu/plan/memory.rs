//! Where values lie: one arena, in which values that are never needed at the same time take the same place.

use std::collections::HashMap;

use crate::graph::{Graph, ValueId};

/// Places are multiples of a cache line.
const ALIGN: usize = 64;

/// A place in the arena, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub start: usize,
    pub len: usize,
}

/// The places of values.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub spans: HashMap<ValueId, Span>,
    pub bytes: usize,
}

/// A value's bytes, and the nodes from the one that makes it to the last that reads it.
struct Life {
    id: ValueId,
    bytes: usize,
    first: usize,
    last: usize,
}

impl Life {
    fn meets(&self, other: &Life) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Places every value that a node makes and that is no output. A step's results never share memory with its operands.
pub(super) fn plan(graph: &Graph) -> Layout {
    let mut last = HashMap::new();
    for (i, node) in graph.nodes.iter().enumerate() {
        node.step.operands().into_iter().for_each(|id| {
            last.insert(id, i);
        });
    }
    let mut lives: Vec<Life> = Vec::new();
    for (i, node) in graph.nodes.iter().enumerate() {
        for &id in node.outs.iter().filter(|id| !graph.outputs.contains(id)) {
            let bytes = graph.meta(id).bytes().next_multiple_of(ALIGN);
            lives.push(Life { id, bytes, first: i, last: last.get(&id).copied().unwrap_or(i) });
        }
    }
    // Large ones first: small ones find room between them.
    lives.sort_by_key(|life| (std::cmp::Reverse(life.bytes), life.first));
    let mut layout = Layout::default();
    let mut placed: Vec<(Life, Span)> = Vec::new();
    for life in lives {
        let mut taken: Vec<Span> =
            placed.iter().filter(|(other, _)| other.meets(&life)).map(|(_, span)| *span).collect();
        taken.sort_by_key(|span| span.start);
        let mut start = 0;
        for span in taken {
            if start + life.bytes <= span.start {
                break;
            }
            start = start.max(span.start + span.len);
        }
        let span = Span { start, len: life.bytes };
        layout.bytes = layout.bytes.max(start + life.bytes);
        layout.spans.insert(life.id, span);
        placed.push((life, span));
    }
    layout
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, Meta, Op, ops::Unary};

    #[test]
    fn a_chain_takes_turns_in_two_places() {
        let mut graph = Graph::new();
        let mut x = graph.input(Meta::new(&[1, 4, 8, 8][..], DType::F32));
        for _ in 0..6 {
            x = graph.push(Op::Unary(Unary::Relu), &[x], "").unwrap()[0];
        }
        graph.outputs = vec![x];
        let layout = plan(&graph);
        assert_eq!(layout.spans.len(), 5);
        assert_eq!(layout.bytes, 2 * 1024);
        assert_eq!(graph.naive_bytes(), 6 * 1024);
    }
}
