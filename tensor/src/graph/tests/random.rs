//! Random graphs: optimised and planned, they compute what they did.

use super::*;

/// One step of a random graph: what to do, and with which of the values so far.
type Draw = (u8, prop::sample::Index, prop::sample::Index, usize);

/// A graph of these draws; every value that nobody uses is an output.
fn random_graph(draws: &[Draw]) -> Graph {
    let mut b = Builder::new();
    let mut values = vec![b.image([1, 4, 8, 8])];
    for (what, first, second, n) in draws {
        let x = *first.get(&values);
        let [_, c, h, w] = b.graph.meta(x).dims[..] else { continue };
        let y = match what % 14 {
            0 | 1 => b.same(x, n % 9 + 1, 1),
            2 | 3 => b.same(x, n % 9 + 1, 3),
            4 => b.norm(x, n % 2 == 0),
            5 => b.push(Unary::Relu, &[x]),
            6 if c % 2 == 0 => b.push(ChannelShuffle { groups: 2 }, &[x]),
            7 if c > 1 => b.slice(x, n % c, 1 + n % (c - n % c)),
            8 | 9 => {
                // Joined or added to another value that fits.
                let fits = |&&y: &&ValueId| b.graph.meta(y).dims[2..] == [h, w];
                let others: Vec<ValueId> = values.iter().filter(fits).copied().collect();
                let other = *second.get(&others);
                if what % 14 == 8 && c + b.channels(other) <= 24 {
                    b.push(Cat { axis: 1 }, &[x, other])
                } else if b.channels(other) == c && c <= 8 && n % 3 == 0 {
                    b.push(Interleave, &[x, other])
                } else if b.channels(other) == c {
                    b.push(Binary::Add, &[x, other])
                } else {
                    continue;
                }
            }
            10 if h > 2 => {
                let window = Window::square(2);
                // Constant areas, as unpooling leaves them, have no one largest place.
                let place = n % 2 == 0;
                let x = if place {
                    let noise = b.random(&[1, c, h, w]);
                    b.push(Binary::Add, &[x, noise])
                } else {
                    x
                };
                let pooled = b.graph.push(MaxPool2d { window }.into(), &[x], "").unwrap();
                if place {
                    let y = b.same(pooled[0], c, 1);
                    b.push(MaxUnpool2d { window, size: [h, w] }, &[y, pooled[1]])
                } else {
                    pooled[0]
                }
            }
            11 if c % 2 == 0 => {
                b.conv(x, c, 3, Conv2d { padding: [1, 1], groups: 1 + n % 2, ..Conv2d::default() })
            }
            12 => {
                let dims = [[1, c, 1, 1], [1, c, h, w], [1, 1, 1, 1]][n % 3];
                let other = if n % 2 == 0 { b.random(&dims) } else { x };
                let op = [Binary::Sub, Binary::Prelu, Binary::Mul, Binary::Maximum][n % 4];
                b.push(op, &if n % 5 == 0 { [other, x] } else { [x, other] })
            }
            13 => b.push([Unary::Tanh, Unary::Neg, Unary::Clamp(-1.0, 2.0)][n % 3], &[x]),
            _ => b.push(Unary::Sigmoid, &[x]),
        };
        values.push(y);
    }
    let uses = b.graph.uses();
    let outputs: Vec<ValueId> = values[1..].iter().copied().filter(|id| !uses.contains_key(id)).collect();
    b.finish(&outputs)
}

/// Whether results hardly move when the inputs do, so that rounding cannot tell: graphs with a near-tie under a maximum, or
/// with normalisations by tiny variances one behind the other, have no one result to compare each number with.
fn is_steady(graph: &Graph) -> bool {
    let inputs = inputs(graph);
    let results = |inputs: &[Tensor]| -> Vec<Vec<f64>> {
        let outs = interpret(graph, &inputs.iter().collect::<Vec<_>>()).unwrap();
        outs.iter().map(|out| out.to_f64_vec().unwrap()).collect()
    };
    let wanted = results(&inputs);
    (0..6).all(|nudge| {
        let nudged: Vec<Tensor> = inputs
            .iter()
            .map(|x| {
                let around_one = Distribution::Normal { mean: 1.0, std: 1e-6 };
                x.mul(&Tensor::random(around_one, x.dims(), x.dtype(), Key::new(11, nudge)).unwrap()).unwrap()
            })
            .collect();
        results(&nudged).iter().zip(&wanted).all(|(moved, wanted)| {
            let size = wanted.iter().fold(1e-3, |a: f64, b| a.max(b.abs()));
            moved.iter().zip(wanted).all(|(m, w)| (m - w).abs() <= 5e-5 * size)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_graphs_keep_their_results(draws: Vec<Draw>) {
        let graph = random_graph(&draws);
        check_to(if is_steady(&graph) { Nearness::Each } else { Nearness::Most }, &graph);
    }
}
