// Numbers as they are stored, and as they are computed with: a Half, 16 bits, becomes a float and back; other types stay.
// Without cuda_fp16.h, which is not everywhere. A file that says #include "half.h" gets this text in that line, so it has
// no preprocessor lines.
typedef unsigned short Half;

// No float here is subnormal, since CuPy compiles with -ftz=true, which makes those 0: a subnormal half is 2^-14 too large,
// less 2^-14.
__device__ __forceinline__ float get(Half h)
{
    const int sign = (h & 0x8000) << 16, kind = h & 0x7c00, rest = (h & 0x7fff) << 13;
    const float small = __int_as_float(rest + 0x38800000) - __int_as_float(0x38800000);
    const int size = kind == 0 ? __float_as_int(small) : kind == 0x7c00 ? rest | 0x7f800000 : rest + 0x38000000;
    return __int_as_float(sign | size);
}
__device__ __forceinline__ float get(float x) { return x; }
__device__ __forceinline__ double get(double x) { return x; }

// Rounded to the nearest, to the even one of two.
__device__ __forceinline__ void put(Half& h, float f)
{
    const int bits = __float_as_int(f), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    const int normal = (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
    const int subnormal = __float_as_int(__int_as_float(size) + 0.5f) - 0x3f000000;  // the addition rounds
    const int finite = size < 0x38800000 ? subnormal : normal;
    h = (Half)(sign | (size > 0x7f800000 ? 0x7e00 : size >= 0x47800000 ? 0x7c00 : finite));
}
__device__ __forceinline__ void put(float& to, float x) { to = x; }
__device__ __forceinline__ void put(double& to, double x) { to = x; }
