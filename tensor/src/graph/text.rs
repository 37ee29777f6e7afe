//! A graph as text, one line for each step, and as a drawing in the DOT language.

use std::fmt;

use super::{ChainStep, ConvKind, ConvStep, Graph, Link, LookupStep, Node, Residual, Run, Step, ValueId};

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &id in &self.inputs {
            writeln!(f, "{id} = input {}", self.meta(id))?;
        }
        for node in &self.nodes {
            let outs: Vec<String> = node.outs.iter().map(ValueId::to_string).collect();
            let metas: Vec<String> = node.outs.iter().map(|&id| self.meta(id).to_string()).collect();
            write!(f, "{} = {} -> {}", outs.join(", "), Text(self, node), metas.join(", "))?;
            if !node.scope.is_empty() {
                write!(f, "  # {}", node.scope)?;
            }
            writeln!(f)?;
        }
        let outputs: Vec<String> = self.outputs.iter().map(ValueId::to_string).collect();
        writeln!(f, "return {}", outputs.join(", "))
    }
}

/// A node's step with its operands.
struct Text<'a>(&'a Graph, &'a Node);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text(graph, node) = self;
        let operand = |id: ValueId| match graph.constant_of(id) {
            Some(constant) => format!("const {:?}", constant.dims()),
            None => id.to_string(),
        };
        match &node.step {
            Step::Op { op, ins } => {
                let ins: Vec<String> = ins.iter().map(|&id| operand(id)).collect();
                write!(f, "{}({})", op.name(), ins.join(", "))
            }
            Step::Pool(pool) => {
                let [kh, kw] = pool.window.kernel;
                write!(f, "max_pool2d {kh}x{kw}({})", read(graph, &pool.sources, pool.table))
            }
            Step::Lookup(LookupStep { x, table }) => write!(f, "lookup({x}, {})", operand(*table)),
            Step::Chain(ChainStep { x, links }) => {
                write!(f, "chain({x}")?;
                for Link { op, ins } in links {
                    let ins: Vec<String> =
                        ins.iter().map(|id| id.map_or_else(|| "_".into(), operand)).collect();
                    write!(f, ", {}({})", op.name(), ins.join(", "))?;
                }
                write!(f, ")")
            }
            Step::Collect(sources) => write!(f, "collect({})", runs(graph, sources)),
            Step::Conv(conv) => conv_text(f, graph, conv, operand),
        }
    }
}

fn conv_text(
    f: &mut fmt::Formatter<'_>,
    graph: &Graph,
    conv: &ConvStep,
    operand: impl Fn(ValueId) -> String,
) -> fmt::Result {
    let weight = graph.meta(conv.weight);
    let (name, shape) = match &conv.kind {
        ConvKind::Plain(conv) => ("conv2d", conv),
        ConvKind::Transposed(conv) => ("conv_transpose2d", &conv.conv),
    };
    write!(f, "{name} {}x{}({})", weight.dims[2], weight.dims[3], read(graph, &conv.sources, conv.table))?;
    if shape.stride != [1, 1] {
        write!(f, " stride {}x{}", shape.stride[0], shape.stride[1])?;
    }
    if shape.dilation != [1, 1] {
        write!(f, " dilation {}x{}", shape.dilation[0], shape.dilation[1])?;
    }
    if shape.groups != 1 {
        write!(f, " groups {}", shape.groups)?;
    }
    let mark =
        |f: &mut fmt::Formatter<'_>, on: bool, text: &str| if on { write!(f, "{text}") } else { Ok(()) };
    mark(f, conv.bias.is_some(), " + bias")?;
    mark(f, conv.relu, ", relu")?;
    if let Some(tail) = &conv.tail {
        write!(f, ", conv2d 1x1")?;
        mark(f, tail.bias.is_some(), " + bias")?;
        mark(f, tail.relu, ", relu")?;
    }
    match &conv.residual {
        Some(Residual::Value(value)) => write!(f, ", add {}", operand(*value))?,
        Some(Residual::Unpooled { pooled, index }) => {
            write!(f, ", add unpooled({}, {})", operand(*pooled), operand(*index))?;
        }
        None => {}
    }
    mark(f, conv.relu_last, ", relu")?;
    mark(f, conv.labels, ", argmax")
}

/// Runs of channels, or what a table says of them.
fn read(graph: &Graph, sources: &[Run], table: Option<ValueId>) -> String {
    let runs = runs(graph, sources);
    if table.is_some() { format!("lookup({runs})") } else { runs }
}

/// Runs of channels; a value that is read as a whole by its name alone.
fn runs(graph: &Graph, runs: &[Run]) -> String {
    let text = |run: &Run| {
        let whole = run.start == 0 && graph.meta(run.value).dims.get(1) == Some(&run.len);
        if whole {
            run.value.to_string()
        } else {
            format!("{}[{}..{}]", run.value, run.start, run.start + run.len)
        }
    };
    runs.iter().map(text).collect::<Vec<_>>().join(", ")
}

impl Graph {
    /// The graph in the DOT language, to be drawn by Graphviz.
    pub fn dot(&self) -> String {
        let mut text =
            String::from("digraph {\n  rankdir = TB;\n  node [shape = box, fontname = \"Helvetica\"];\n");
        let escape = |text: String| text.replace('\\', "\\\\").replace('"', "\\\"");
        let producers = self.producers();
        for &id in &self.inputs {
            text += &format!("  i{} [label = \"input {}\", style = rounded];\n", id.0, self.meta(id));
        }
        let from = |id: ValueId| match producers.get(&id) {
            Some(node) => Some(format!("n{node}")),
            None => self.inputs.contains(&id).then(|| format!("i{}", id.0)),
        };
        for (i, node) in self.nodes.iter().enumerate() {
            let label = escape(format!("{}", Text(self, node)));
            text +=
                &format!("  n{i} [label = \"{label}\", tooltip = \"{}\"];\n", escape(node.scope.to_string()));
            let mut operands = node.step.operands();
            operands.sort_unstable();
            operands.dedup();
            for id in operands {
                if let Some(from) = from(id) {
                    text += &format!("  {from} -> n{i} [label = \"{:?}\"];\n", &self.meta(id).dims[..]);
                }
            }
        }
        text + "}\n"
    }
}
