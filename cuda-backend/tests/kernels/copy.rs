//! `copy.cu`.

use tensor::{
    DType, Format, Layout, Ops, Tensor, execute,
    ops::{Cat, ChannelShuffle, Span, Unslice},
};

use crate::{
    host::{Memory, schedules},
    near::{equal, normal},
    structs::{MAX_RANK, Operands, Pair, Spans, Walk},
};

const ROW: Format = Format::Contiguous;
/// One for each size of elements.
const TYPES: [DType; 4] = [DType::U8, DType::F16, DType::F32, DType::F64];

#[test]
fn strided_copies() {
    schedules(|host| {
        for dtype in TYPES {
            for dims in [&[][..], &[0, 3], &[7], &[3, 1, 5, 2], &[2, 3, 2, 1, 2, 3, 2, 2]] {
                let x = normal(dims, dtype, 1);
                let axes: Vec<usize> = (0..dims.len()).rev().collect();
                let turned = x.permute(&axes).unwrap();
                let (from, y) = (Memory::of(&x, ROW), Memory::new(x.len(), dtype));
                let walk = Walk::over([turned.layout()]);
                let kernel = format!("copy_strided_b{}", dtype.size());
                host.over(&kernel, x.len(), &[&from, &y, &walk, &(x.len() as i64)]);
                equal(&y.read(turned.dims(), dtype, ROW), &turned, &kernel);
            }
        }
    });
}

#[test]
fn transposes() {
    schedules(|host| {
        for dtype in TYPES {
            for [batch, rows, columns] in [[1, 1, 1], [2, 3, 70], [3, 33, 65], [1, 64, 32]] {
                let x = normal(&[batch, rows, columns], dtype, 2);
                let (from, y) = (Memory::of(&x, ROW), Memory::new(x.len(), dtype));
                let tiles = rows.div_ceil(32) * columns.div_ceil(32);
                let kernel = format!("transpose_b{}", dtype.size());
                let grid = [tiles as u32, 1, batch as u32];
                host.launch(&kernel, grid, [32, 8, 1], &[&from, &y, &(rows as i32), &(columns as i32)]);
                let want = x.transpose(1, 2).unwrap();
                equal(&y.read(&[batch, columns, rows], dtype, ROW), &want, &kernel);
            }
        }
    });
}

#[test]
fn slices_put_back() {
    let span = |start, len, step| Span { start, len, step };
    let cases: [(&[usize], &[Span]); 3] = [
        (&[9], &[span(1, 3, 3)]),
        (&[4, 5, 6], &[Span::all(4), span(2, 2, 1), span(0, 3, 2)]),
        (&[3, 4], &[span(0, 0, 1), Span::all(4)]),
    ];
    schedules(|host| {
        for dtype in TYPES {
            for (dims, spans) in cases {
                let x = normal(&spans.iter().map(|s| s.len).collect::<Vec<_>>(), dtype, 3);
                let mut by = Spans { rank: dims.len() as i32, ..Spans::default() };
                assert!(dims.len() <= MAX_RANK);
                for (a, s) in spans.iter().enumerate() {
                    (by.dims[a], by.start[a], by.len[a]) = (dims[a] as i32, s.start as i32, s.len as i32);
                    (by.step[a], by.from[a]) = (s.step as i32, x.layout().strides()[a] as i64);
                }
                let n: usize = dims.iter().product();
                let (from, y) = (Memory::of(&x, ROW), Memory::new(n, dtype));
                let kernel = format!("unslice_b{}", dtype.size());
                host.over(&kernel, n, &[&from, &y, &by, &(n as i64)]);
                let op =
                    Unslice { dims: dims.iter().copied().collect(), spans: spans.iter().copied().collect() };
                let want = execute(&op.into(), &[&x]).unwrap().remove(0);
                equal(&y.read(dims, dtype, ROW), &want, &kernel);
            }
        }
    });
}

#[test]
fn operands_joined() {
    schedules(|host| {
        for dtype in TYPES {
            let parts: Vec<Tensor> =
                [3, 0, 1, 5].iter().map(|&d| normal(&[4, d, 6], dtype, d as u64)).collect();
            let memory: Vec<Memory> = parts.iter().map(|p| Memory::of(p, ROW)).collect();
            let mut operands =
                Operands { count: 4, width: [0; 8], start: [0; 8], data: [std::ptr::null_mut(); 8] };
            let mut row = 0;
            for (i, part) in parts.iter().enumerate() {
                (operands.width[i], operands.start[i]) = ((part.dims()[1] * 6) as i32, row);
                operands.data[i] = memory[i].address();
                row += operands.width[i];
            }
            let y = Memory::new(4 * row as usize, dtype);
            let kernel = format!("cat_b{}", dtype.size());
            host.over(&kernel, 4 * row as usize, &[&operands, &y, &4_i64, &row]);
            let want = execute(&Cat { axis: 1 }.into(), &parts.iter().collect::<Vec<_>>()).unwrap().remove(0);
            equal(&y.read(&[4, 9, 6], dtype, ROW), &want, &kernel);
        }
    });
}

#[test]
fn channels_shuffled() {
    schedules(|host| {
        for dtype in TYPES {
            let x = normal(&[2, 12, 5, 3], dtype, 4);
            for groups in [1, 2, 3, 6, 12] {
                let want = execute(&ChannelShuffle { groups }.into(), &[&x]).unwrap().remove(0);
                for (format, inner) in [(ROW, 15), (Format::ChannelsLast, 1)] {
                    let (from, y) = (Memory::of(&x, format), Memory::new(x.len(), dtype));
                    let kernel = format!("channel_shuffle_b{}", dtype.size());
                    let n = x.len() as i64;
                    host.over(&kernel, x.len(), &[&from, &y, &n, &12, &(groups as i32), &inner]);
                    let got = y.read(x.dims(), dtype, format);
                    assert_eq!(got.layout(), &Layout::dense(x.dims(), format));
                    equal(&got, &want, &kernel);
                }
            }
        }
    });
}

/// As many operands as two launches take.
#[test]
fn channels_in_turn() {
    let (pixels, each, total) = (23, 3, 10);
    schedules(|host| {
        for dtype in TYPES {
            // Rows of x are wider than what is taken of them.
            let parts: Vec<Tensor> =
                (0..total).map(|i| normal(&[pixels, each + 1], dtype, i as u64)).collect();
            let from: Vec<Memory> = parts.iter().map(|p| Memory::of(p, ROW)).collect();
            let to: Vec<Memory> = (0..total).map(|_| Memory::new(pixels * each, dtype)).collect();
            let y = Memory::new(pixels * each * total, dtype);
            let operands = |memory: &[Memory], width: usize| {
                let mut all = Operands {
                    count: memory.len() as i32,
                    width: [width as i32; 8],
                    start: [0; 8],
                    data: [std::ptr::null_mut(); 8],
                };
                memory.iter().zip(&mut all.data).for_each(|(m, to)| *to = m.address());
                all
            };
            let (n, e, t) = (pixels as i64, each as i32, total as i32);
            let size = dtype.size();
            for first in [0, 8] {
                let group = operands(&from[first..total.min(first + 8)], each + 1);
                let args: [&dyn crate::host::Arg; 6] = [&group, &y, &n, &e, &t, &(first as i32)];
                host.over(&format!("interleave_b{size}"), pixels * each * 8, &args);
            }
            for first in [0, 8] {
                let group = operands(&to[first..total.min(first + 8)], each);
                let args: [&dyn crate::host::Arg; 6] = [&y, &group, &n, &e, &t, &(first as i32)];
                host.over(&format!("deinterleave_b{size}"), pixels * each * 8, &args);
            }
            let taken: Vec<Tensor> = parts.iter().map(|p| p.narrow(1, 0, each).unwrap()).collect();
            let joined = execute(&Cat { axis: 1 }.into(), &taken.iter().collect::<Vec<_>>()).unwrap();
            let want = execute(&ChannelShuffle { groups: total }.into(), &[&joined[0]]).unwrap().remove(0);
            equal(&y.read(&[pixels, each * total], dtype, ROW), &want, "interleave");
            for (part, got) in taken.iter().zip(&to) {
                equal(&got.read(&[pixels, each], dtype, ROW), part, "deinterleave");
            }
        }
    });
}

#[test]
fn many_copied() {
    schedules(|host| {
        let all = [0_usize, 1, 16, 37, 40_000].map(|n| normal(&[n], DType::U8, n as u64));
        let from = all.each_ref().map(|t| Memory::of(t, ROW));
        let to = all.each_ref().map(|t| Memory::shifted(t.len(), t.len() % 2));
        let pairs = [0, 1, 2, 3, 4].map(|i| (from[i].address(), to[i].address(), all[i].len() as i64));
        let pairs = pairs.map(|(from, to, bytes)| Pair { from, to, bytes });
        host.launch("copy_many", [3, 5, 1], [256, 1, 1], &[&Memory::structs(&pairs)]);
        for (t, to) in all.iter().zip(&to) {
            equal(&to.read(t.dims(), DType::U8, ROW), t, "copy_many");
        }
    });
}
