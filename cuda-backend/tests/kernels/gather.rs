//! `gather.cu`.

use tensor::{
    DType, Format, Layout, execute,
    ops::{Gather, ScatterAdd},
};

use crate::{
    host::{Memory, schedules},
    near::{equal, near, normal, whole},
    structs::Walk,
};

const ROW: Format = Format::Contiguous;

/// Row-major steps of `dims`, with 0 along `axis`.
fn without(dims: &[usize], axis: usize) -> Vec<usize> {
    let mut steps = Layout::contiguous(dims).strides().to_vec();
    steps[axis] = 0;
    steps
}

#[test]
fn picked_by_index() {
    schedules(|host| {
        for dtype in DType::ALL {
            for axis in 0..3 {
                let (xd, mut id) = ([4, 7, 3], [4, 7, 3]);
                id[axis] = 5;
                let (x, index) = (normal(&xd, dtype, 1), whole(&id, xd[axis], DType::I64, 2));
                let n = index.len();
                let (from, by, y) = (Memory::of(&x, ROW), Memory::of(&index, ROW), Memory::new(n, dtype));
                let walk = Walk::new(&id, [index.layout().strides(), &without(&xd, axis)]);
                let (size, step) = (xd[axis] as i64, x.layout().strides()[axis] as i64);
                let (fault, kernel) = (Memory::new(1, DType::I64), format!("gather_b{}", dtype.size()));
                host.over(&kernel, n, &[&from, &by, &y, &walk, &(n as i64), &size, &step, &fault, &0_u32]);
                let want = execute(&Gather { axis }.into(), &[&x, &index]).unwrap().remove(0);
                equal(&y.read(&id, dtype, ROW), &want, &kernel);
                assert_eq!(fault.values::<i64>(), [-1]);
            }
        }
    });
}

#[test]
fn an_index_outside_is_reported() {
    schedules(|host| {
        let index = [0_i64, 2, -1, 3, 1, 9];
        let (x, by, y) = (Memory::with(&[1_f32, 2.0, 3.0]), Memory::with(&index), Memory::new(6, DType::F32));
        let (walk, fault) = (Walk::new(&[6], [&[1], &[0]]), Memory::new(1, DType::I64));
        host.over("gather_b4", 6, &[&x, &by, &y, &walk, &6_i64, &3_i64, &1_i64, &fault, &5_u32]);
        assert_eq!(y.values::<f32>(), [1.0, 3.0, 0.0, 0.0, 2.0, 0.0]);
        assert_eq!(fault.values::<i64>(), [5 << 40 | 2]);
        let fault = Memory::new(1, DType::I64);
        let walk = Walk::new(&[6], [&[1]]);
        host.over("check_index", 6, &[&by, &walk, &6_i64, &4_i64, &fault, &6_u32]);
        assert_eq!(fault.values::<i64>(), [6 << 40 | 2]);
    });
}

#[test]
fn added_by_index() {
    schedules(|host| {
        for dtype in DType::ALL {
            for axis in 0..3 {
                let (gd, len) = ([4, 6, 3], 5);
                let mut yd = gd;
                yd[axis] = len;
                let (g, index) = (normal(&gd, dtype, 3), whole(&gd, len, DType::I64, 4));
                let n: usize = yd.iter().product();
                let (from, by, y) = (Memory::of(&g, ROW), Memory::of(&index, ROW), Memory::new(n, dtype));
                let mut along = [0; 3];
                along[axis] = 1;
                let steps = without(&gd, axis);
                let walk = Walk::new(&yd, [&steps, &steps, &along]);
                let (count, step) = (gd[axis] as i64, g.layout().strides()[axis] as i64);
                let kernel = format!("scatter_add_{dtype}");
                host.over(&kernel, n, &[&from, &by, &y, &walk, &(n as i64), &count, &step, &step]);
                let op = ScatterAdd { axis, len };
                let want = execute(&op.into(), &[&g, &index]).unwrap().remove(0);
                near(&y.read(&yd, dtype, ROW), &want, 0.0, 1.0, &kernel);
            }
        }
    });
}
