// Elements of the types that the libraries take, read and written as double.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace emulator {

enum class Type { F16, BF16, F32, F64 };

inline size_t size_of(Type t) { return t == Type::F64 ? 8 : t == Type::F32 ? 4 : 2; }

inline double read(Type t, const void *base, int64_t i) {
    switch (t) {
    case Type::F64: return static_cast<const double *>(base)[i];
    case Type::F32: return static_cast<const float *>(base)[i];
    case Type::BF16: {
        uint32_t bits = uint32_t(static_cast<const uint16_t *>(base)[i]) << 16;
        float v;
        memcpy(&v, &bits, 4);
        return v;
    }
    case Type::F16: {
        const uint16_t h = static_cast<const uint16_t *>(base)[i];
        const int exponent = h >> 10 & 31;
        const double fraction = h & 1023, sign = h >> 15 ? -1 : 1;
        if (exponent == 31) {
            return fraction != 0 ? NAN : sign * INFINITY;
        }
        return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, exponent - 25));
    }
    }
    return NAN;
}

/// Rounded to nearest, ties to even.
inline uint16_t half_of(double v) {
    if (v != v) {
        return 0x7e00;
    }
    const uint16_t sign = std::signbit(v) ? 0x8000 : 0;
    v = std::fabs(v);
    if (v == 0) {
        return sign;
    }
    if (v >= 65520) {
        return sign | 0x7c00;
    }
    int exponent;
    std::frexp(v, &exponent);
    exponent = exponent < -13 ? -13 : exponent; // below it, subnormal
    const double steps = std::nearbyint(std::ldexp(v, 11 - exponent));
    // 2048 steps carry into the exponent, as the bits do.
    const int base = exponent + 13;
    return uint16_t(sign | uint16_t((base << 10) + int(steps)));
}

inline void write(Type t, void *base, int64_t i, double v) {
    switch (t) {
    case Type::F64: static_cast<double *>(base)[i] = v; return;
    case Type::F32: static_cast<float *>(base)[i] = float(v); return;
    case Type::BF16: {
        const float f = float(v);
        uint32_t bits;
        memcpy(&bits, &f, 4);
        static_cast<uint16_t *>(base)[i] =
            f != f ? uint16_t(bits >> 16 | 0x40) : uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
        return;
    }
    case Type::F16: static_cast<uint16_t *>(base)[i] = half_of(v); return;
    }
}

} // namespace emulator
