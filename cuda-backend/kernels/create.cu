// Constants, ranges, random numbers (Philox4x32-10, as `tensor::rng`: bit for bit the same streams).
#include "preamble.cuh"

/// y = value.
#define FULL(T)                                                                                                        \
    KERNEL(full_##T, T *y, i64 n, f64 value) {                                                                         \
        const T v = Number<T>::from(value);                                                                            \
        FOR_GRID(i, n) { y[i] = v; }                                                                                   \
    }
FOR_ALL(FULL)

/// y[i] = start + i·step.
#define ARANGE(T)                                                                                                      \
    KERNEL(arange_##T, T *y, i64 n, f64 start, f64 step) {                                                             \
        FOR_GRID(i, n) { y[i] = Number<T>::from(start + (f64)i * step); }                                              \
    }
FOR_ALL(ARANGE)

struct Words {
    u32 v[4];
};

/// Block `counter` of a stream.
DEVICE Words philox(u64 seed, u64 stream, u64 counter) {
    u32 c[4] = {(u32)counter, (u32)(counter >> 32), (u32)stream, (u32)(stream >> 32)};
    u32 k[2] = {(u32)seed, (u32)(seed >> 32)};
    UNROLL for (int round = 0; round < 10; round++) {
        const u64 p0 = 0xD2511F53ull * c[0], p1 = 0xCD9E8D57ull * c[2];
        const u32 next[4] = {(u32)(p1 >> 32) ^ c[1] ^ k[0], (u32)p1, (u32)(p0 >> 32) ^ c[3] ^ k[1], (u32)p0};
        UNROLL for (int i = 0; i < 4; i++) { c[i] = next[i]; }
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
    return {{c[0], c[1], c[2], c[3]}};
}

/// In [0, 1), 24 random bits.
DEVICE f32 unit(u32 word) { return (f32)(word >> 8) * (1.0f / 16777216.0f); }

/// 16-bit types draw an f32 and round it, which may reach the upper bound that is left out.
template <class T> struct Uniform {
    DEVICE void draw(const Words &words, f64 low, f64 high, wide_t<T> (&out)[4]) {
        typedef wide_t<T> W;
        UNROLL for (int i = 0; i < 4; i++) {
            const W value = (W)(low + (high - low) * (f64)unit(words.v[i]));
            out[i] = (f64)wide(narrow<T>(value)) >= high ? (W)low : value;
        }
    }
};

template <class T> struct Bernoulli {
    DEVICE void draw(const Words &words, f64 p, f64, wide_t<T> (&out)[4]) {
        UNROLL for (int i = 0; i < 4; i++) { out[i] = (f64)unit(words.v[i]) < p ? 1 : 0; }
    }
};

template <class T> struct Normal {
    DEVICE void draw(const Words &words, f64 mean, f64 deviation, wide_t<T> (&out)[4]) {
        typedef wide_t<T> W;
        UNROLL for (int i = 0; i < 4; i += 2) {
            const W radius = sqrt((W)-2 * log((W)(1.0 - (f64)unit(words.v[i]))));
            const W angle = (W)6.283185307179586477 * (W)unit(words.v[i + 1]);
            out[i] = (W)mean + (W)deviation * radius * cos(angle);
            out[i + 1] = (W)mean + (W)deviation * radius * sin(angle);
        }
    }
};

template <class T, class Distribution>
DEVICE void random_values(T *y, i64 n, u64 seed, u64 stream, const u64 *shift, f64 a, f64 b) {
    stream += shift ? *shift : 0;
    FOR_GRID(block, (n + 3) / 4) {
        wide_t<T> values[4];
        Distribution::draw(philox(seed, stream, (u64)block), a, b, values);
        UNROLL for (int i = 0; i < 4; i++) {
            if (block * 4 + i < n) {
                y[block * 4 + i] = narrow<T>(values[i]);
            }
        }
    }
}

/// Element i from word i % 4 of block i / 4; *shift, where there is one, is added to the stream. (a, b): bounds; mean and deviation; probability of a 1 and nothing.
#define RANDOM(T)                                                                                                      \
    KERNEL(random_uniform_##T, T *y, i64 n, u64 seed, u64 stream, const u64 *shift, f64 a, f64 b) {                    \
        random_values<T, Uniform<T>>(y, n, seed, stream, shift, a, b);                                                 \
    }                                                                                                                  \
    KERNEL(random_normal_##T, T *y, i64 n, u64 seed, u64 stream, const u64 *shift, f64 a, f64 b) {                     \
        random_values<T, Normal<T>>(y, n, seed, stream, shift, a, b);                                                  \
    }                                                                                                                  \
    KERNEL(random_bernoulli_##T, T *y, i64 n, u64 seed, u64 stream, const u64 *shift, f64 a, f64 b) {                  \
        random_values<T, Bernoulli<T>>(y, n, seed, stream, shift, a, b);                                               \
    }
FOR_FLOATS(RANDOM)
