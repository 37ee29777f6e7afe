//! Products against plain loops, for every instruction set of the machine.

use super::*;
use crate::cpu::simd::with_isa;
use proptest::prelude::*;

fn check<T: Scalar>(m: usize, k: usize, n: usize, a_transposed: bool, b_transposed: bool, gap: usize) {
    let number = |i: usize| T::from((i * 7919 % 2003) as f64 / 1001.0 - 1.0).expect("fits any float");
    let a: Vec<T> = (0..(m + gap) * (k + gap)).map(number).collect();
    let b: Vec<T> = (0..(k + gap) * (n + gap)).map(|i| number(i + 3)).collect();
    let a = MatRef {
        data: &a,
        row_step: if a_transposed { 1 } else { k + gap },
        column_step: if a_transposed { m + gap } else { 1 },
    };
    let b = MatRef {
        data: &b,
        row_step: if b_transposed { 1 } else { n + gap },
        column_step: if b_transposed { k + gap } else { 1 },
    };
    for isa in Isa::available() {
        let mut c = vec![T::nan(); m * n];
        with_isa(isa, || gemm(m, k, n, a, b, &mut c));
        for i in 0..m {
            for j in 0..n {
                let at = |m: &MatRef<'_, T>, r: usize, c: usize| {
                    m.data[r * m.row_step + c * m.column_step].to_f64().expect("a float")
                };
                let products = || (0..k).map(|l| at(&a, i, l) * at(&b, l, j));
                let (wanted, size): (f64, f64) = (products().sum(), products().map(f64::abs).sum());
                let found = c[i * n + j].to_f64().expect("a float");
                let tolerance = 32.0 * size * T::epsilon().to_f64().expect("a float");
                assert!(
                    (found - wanted).abs() <= tolerance,
                    "{isa} {m}×{k}×{n} ({i}, {j}): {found}, should be {wanted}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn products_match_plain_loops(
        m in 1usize..130, k in 0usize..40, n in 1usize..60, deep: bool,
        transposed: (bool, bool), gap in 0usize..3, double: bool,
    ) {
        let k = if deep { k + 500 } else { k };
        if double {
            check::<f64>(m, k, n, transposed.0, transposed.1, gap);
        } else {
            check::<f32>(m, k, n, transposed.0, transposed.1, gap);
        }
    }
}

#[test]
fn threads_do_not_change_the_product() {
    let a: Vec<f32> = (0..300 * 400).map(|i| (i % 101) as f32 * 0.37 - 17.0).collect();
    let b: Vec<f32> = (0..400 * 200).map(|i| (i % 97) as f32 * 0.11 - 5.0).collect();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
        let mut c = vec![0.0f32; 300 * 200];
        pool.install(|| gemm(300, 400, 200, MatRef::row_major(&a, 400), MatRef::row_major(&b, 200), &mut c));
        c.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    assert!(run(1) == run(3));
}
