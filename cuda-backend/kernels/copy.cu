// Copies: between layouts, transposed through shared memory, put back into zeros, joined along an axis, channels shuffled.
// They move elements of 1, 2, 4 or 8 bytes, whatever these mean.
#include "preamble.cuh"

/// y = x, walked in the order of y.
#define COPY_STRIDED(SIZE, T)                                                                                          \
    KERNEL(copy_strided_b##SIZE, const T *x, T *y, Walk<1> walk, i64 n) {                                              \
        FOR_GRID(i, n) {                                                                                               \
            y[i] = x[place(walk, i)];                                                                                  \
        }                                                                                                              \
    }
FOR_SIZES(COPY_STRIDED)

/// Side of a tile; 32 × 8 threads move it.
#define TILE 32
#define TILE_ROWS 8

template <class T> DEVICE void transpose(const T *RESTRICT x, T *RESTRICT y, int rows, int columns) {
    // A column of the tile is read at once: one more element a row puts its elements into different banks.
    SHARED(T, tile, TILE * (TILE + 1));
    const i64 matrix = (i64)blockIdx.z * rows * columns;
    const u32 tx = threadIdx.x, ty = threadIdx.y;
    const int across = (columns + TILE - 1) / TILE;
    const int left = (int)(blockIdx.x % across) * TILE, top = (int)(blockIdx.x / across) * TILE;
    for (int r = ty; r < TILE; r += TILE_ROWS) {
        if (top + r < rows && left + (int)tx < columns) {
            tile[r * (TILE + 1) + tx] = x[matrix + (i64)(top + r) * columns + left + tx];
        }
    }
    BARRIER();
    for (int r = ty; r < TILE; r += TILE_ROWS) {
        if (left + r < columns && top + (int)tx < rows) {
            y[matrix + (i64)(left + r) * rows + top + tx] = tile[tx * (TILE + 1) + r];
        }
    }
}

/// [batch, rows, columns] to [batch, columns, rows]: NCHW to NHWC (rows C, columns HW) and back. Block (32, 8); grid x
/// the tiles of a matrix, grid z the batch.
#define TRANSPOSE(SIZE, T)                                                                                             \
    KERNEL(transpose_b##SIZE, const T *x, T *y, int rows, int columns) { transpose<T>(x, y, rows, columns); }
FOR_SIZES(TRANSPOSE)

/// Where the operand's elements lie in the result: along each axis `len` from `start` by `step`. Axes outermost in the
/// result's memory first; `from` is the operand's distance between neighbours.
struct Spans {
    int rank;
    int dims[MAX_RANK], start[MAX_RANK], len[MAX_RANK], step[MAX_RANK];
    i64 from[MAX_RANK];
};

/// y = zeros with x at its places; n elements of y.
#define UNSLICE(SIZE, T)                                                                                               \
    KERNEL(unslice_b##SIZE, const T *x, T *y, Spans spans, i64 n) {                                                    \
        FOR_GRID(i, n) {                                                                                               \
            u32 rest = (u32)i;                                                                                         \
            i64 at = 0;                                                                                                \
            bool inside = true;                                                                                        \
            UNROLL for (int a = MAX_RANK - 1; a >= 0; a--) {                                                           \
                if (a < spans.rank) {                                                                                  \
                    const u32 size = (u32)spans.dims[a], next = rest / size;                                           \
                    const int place = (int)(rest - next * size) - spans.start[a];                                      \
                    const int k = place / spans.step[a];                                                               \
                    inside = inside && place >= 0 && k * spans.step[a] == place && k < spans.len[a];                   \
                    at += k * spans.from[a];                                                                           \
                    rest = next;                                                                                       \
                }                                                                                                      \
            }                                                                                                          \
            y[i] = inside ? x[at] : (T)0;                                                                              \
        }                                                                                                              \
    }
FOR_SIZES(UNSLICE)

/// How many operands one launch joins.
#define MAX_OPERANDS 8

/// Operands seen as [outer, width], dense, and where the rows of each start in those of the result.
struct Operands {
    int count;
    int width[MAX_OPERANDS], start[MAX_OPERANDS];
    const void *data[MAX_OPERANDS];
};

template <class T> DEVICE void cat(const Operands &operands, T *y, i64 outer, int row) {
    for (int k = 0; k < operands.count; k++) {
        const T *x = (const T *)operands.data[k];
        const u32 width = (u32)operands.width[k];
        T *to = y + operands.start[k];
        FOR_GRID(i, outer * width) {
            const u32 r = (u32)i / width, c = (u32)i - r * width;
            to[(i64)r * row + c] = x[i];
        }
    }
}

/// Rows of `row` elements from those of the operands.
#define CAT(SIZE, T)                                                                                                   \
    KERNEL(cat_b##SIZE, Operands operands, T *y, i64 outer, int row) { cat<T>(operands, y, outer, row); }
FOR_SIZES(CAT)

/// Channel j·groups + i of y [outer, C, inner] is channel i·C/groups + j of x; n elements.
#define SHUFFLE(SIZE, T)                                                                                               \
    KERNEL(channel_shuffle_b##SIZE, const T *x, T *y, i64 n, int channels, int groups, int inner) {                    \
        const u32 each = (u32)(channels / groups);                                                                     \
        FOR_GRID(i, n) {                                                                                               \
            const u32 pixel = (u32)i / inner, c = pixel % channels, place = (u32)i - pixel * inner;                    \
            const u32 from = c % groups * each + c / groups;                                                           \
            y[i] = x[(i64)(pixel - c + from) * inner + place];                                                         \
        }                                                                                                              \
    }
FOR_SIZES(SHUFFLE)

/// Channels in turn: channel j·total + first + k of y [pixels, each·total] is channel j of operand k, whose pixels are
/// `width` apart.
template <class T> DEVICE void interleave(const Operands &parts, T *y, i64 pixels, int each, int total, int first) {
    FOR_GRID(i, pixels * each * parts.count) {
        const u32 channel = (u32)i / parts.count, k = (u32)i - channel * parts.count, pixel = channel / each;
        const T *x = (const T *)parts.data[k];
        y[(i64)channel * total + first + k] = x[(i64)pixel * parts.width[k] + (channel - pixel * each)];
    }
}

/// The inverse: to dense operands.
template <class T> DEVICE void deinterleave(const T *x, const Operands &parts, i64 pixels, int each, int total, int first) {
    FOR_GRID(i, pixels * each * parts.count) {
        const u32 channel = (u32)i / parts.count, k = (u32)i - channel * parts.count;
        ((T *)parts.data[k])[channel] = x[(i64)channel * total + first + k];
    }
}

/// `total` operands of `each` channels, of which a launch takes those from `first` on.
#define INTERLEAVE(SIZE, T)                                                                                            \
    KERNEL(interleave_b##SIZE, Operands parts, T *y, i64 pixels, int each, int total, int first) {                     \
        interleave<T>(parts, y, pixels, each, total, first);                                                           \
    }                                                                                                                  \
    KERNEL(deinterleave_b##SIZE, const T *x, Operands parts, i64 pixels, int each, int total, int first) {             \
        deinterleave<T>(x, parts, pixels, each, total, first);                                                         \
    }
FOR_SIZES(INTERLEAVE)

/// Bytes from one place to another: 16 at a time where both start at a multiple of 16.
struct Pair {
    const void *from;
    void *to;
    i64 bytes;
};

/// Copies each pair; grid y the pairs, grid x any.
KERNEL(copy_many, const Pair *pairs) {
    const Pair p = pairs[blockIdx.y];
    const i64 packs = aligned(p.from) && aligned(p.to) ? p.bytes / 16 : 0;
    FOR_GRID(i, packs) { ((Pack<u32, 4> *)p.to)[i] = ((const Pack<u32, 4> *)p.from)[i]; }
    if (blockIdx.x == 0) {
        for (i64 i = packs * 16 + threadIdx.x; i < p.bytes; i += BLOCK) { ((u8 *)p.to)[i] = ((const u8 *)p.from)[i]; }
    }
}
