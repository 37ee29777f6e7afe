// The Object Weighted Focal Loss (`tensor`, ops/focal_loss) and its gradient, from logits [pixels, classes], in one pass:
// L = −α·(1 − p)^γ·ln p (Eq. 4); dL/dz = α·[γ·(1 − p)^(γ−1)·p·ln p − (1 − p)^γ]·(δ − p), from Eq. 5.
#include "preamble.cuh"

/// Sum of losses and number of pixels.
struct Total {
    f64 sum, count;
};

/// Two values of 8 bytes; a shuffle takes one.
DEVICE Total fold_totals(Total t) {
    const auto add = [](f64 a, f64 b) { return a + b; };
    return {block_fold(t.sum, add), block_fold(t.count, add)};
}

/// qᵞ; most classes have an exponent of 0, 1 or 2.
template <class W> DEVICE W power(W q, W gamma) {
    return gamma == 0 ? (W)1 : gamma == 1 ? q : gamma == 2 ? q * q : pow(q, gamma);
}

/// A pixel's probabilities, as far as they matter.
template <class W> struct Pixel {
    /// Largest logit, 1/Σ exp(z − top), ln p and p of the true class, 1 − p from the other classes (exact near p = 1).
    W top, share, log_p, p, q;

    template <class T> DEVICE Pixel of(const T *z, int classes, int truth) {
        W top = wide(z[0]);
        for (int j = 1; j < classes; j++) {
            const W v = wide(z[j]);
            top = v > top || v != v ? v : top;
        }
        W own_logit = 0, own = 0, others = 0;
        for (int j = 0; j < classes; j++) {
            const W v = wide(z[j]) - top, e = exp(v);
            if (j == truth) {
                own_logit = v;
                own = e;
            } else {
                others += e;
            }
        }
        const W sum = own + others, share = 1 / sum;
        // What rounding took from the sum: near p = 1 it is all that ln p consists of.
        const W lost = others - (sum - own);
        return {top, share, own_logit - (log(sum) + lost * share), own * share, others * share};
    }
};

template <class T, class L>
DEVICE void focal(const T *RESTRICT logits, const L *RESTRICT labels, const wide_t<T> *alpha, const wide_t<T> *gamma,
                  const wide_t<T> *weight, T *gradient, Total *parts, i64 pixels, int classes, i64 ignore,
                  u64 *fault, u32 ticket) {
    typedef wide_t<T> W;
    Total total = {0, 0};
    FOR_GRID(c, classes) {
        const W g = gamma[c];
        if (!(g == 0 || g >= 1)) {
            report(fault, ticket, pixels + c);
        }
    }
    FOR_GRID(i, pixels) {
        const i64 truth = labels[i];
        const T *z = logits + i * classes;
        T *dz = gradient ? gradient + i * classes : gradient;
        const bool known = truth >= 0 && truth < classes, counts = known && truth != ignore;
        if (!known && truth != ignore) {
            report(fault, ticket, i);
        }
        if (!counts) {
            for (int j = 0; dz && j < classes; j++) { dz[j] = narrow<T>(0); }
            continue;
        }
        const Pixel<W> at = Pixel<W>::of(z, classes, (int)truth);
        const W a = alpha[truth], g = gamma[truth];
        total.sum -= (f64)(a * power(at.q, g) * at.log_p);
        total.count += 1;
        if (dz) {
            const W inner = g == 0 ? (W)0 : g * power(at.q, g - 1) * at.p * at.log_p;
            const W factor = (weight ? *weight : (W)1) * a * (inner - power(at.q, g));
            for (int j = 0; j < classes; j++) {
                const W v = j == truth ? at.q : -(exp(wide(z[j]) - at.top) * at.share);
                dz[j] = narrow<T>(factor == 0 ? (W)0 : factor * v);
            }
        }
    }
    total = fold_totals(total);
    if (parts && threadIdx.x == 0) {
        parts[blockIdx.x] = total;
    }
}

/// The losses added up into parts [grid x] and, or, the gradient of weight · Σ losses (weight 1 for null): either pointer
/// may be null. A label that is neither a class nor `ignore` is reported by its pixel, a γ that is neither 0 nor at least 1
/// by pixels + class.
#define FOCAL(T, L)                                                                                                    \
    KERNEL(focal_loss_##T##_##L, const T *logits, const L *labels, const wide_t<T> *alpha, const wide_t<T> *gamma,     \
           const wide_t<T> *weight, T *gradient, Total *parts, i64 pixels, int classes, i64 ignore, u64 *fault,        \
           u32 ticket) {                                                                                               \
        focal(logits, labels, alpha, gamma, weight, gradient, parts, pixels, classes, ignore, fault, ticket);          \
    }
/// The parts (16 bytes each) added up; one block.
#define FOCAL_FINISH(T)                                                                                                \
    KERNEL(focal_loss_finish_##T, const Total *parts, T *sum, T *pixels, int count) {                                  \
        Total total = {0, 0};                                                                                          \
        for (int i = threadIdx.x; i < count; i += BLOCK) {                                                             \
            total.sum += parts[i].sum;                                                                                 \
            total.count += parts[i].count;                                                                             \
        }                                                                                                              \
        total = fold_totals(total);                                                                                    \
        if (threadIdx.x == 0) {                                                                                        \
            *sum = Number<T>::from(total.sum);                                                                         \
            *pixels = Number<T>::from(total.count);                                                                    \
        }                                                                                                              \
    }
#define FOCAL_LOSS(T) FOCAL(T, u8) FOCAL(T, i64)
FOR_FLOATS(FOCAL_LOSS)
FOCAL_FINISH(f32)
FOCAL_FINISH(f64)
