// Batch normalisation with an activation behind it, fused:
//
//   h = gamma (x - mean) / sqrt(var + eps) + beta;   y = h, or max(h, 0), or h where h > 0 and slope h elsewhere
//
// x is (outer, C, inner) in memory: images (N, C, H, W) have inner = H W, images that lie channel by channel outer = 1,
// vectors (N, C) inner = 1. A channel has count = outer inner numbers. Neither the normalised values nor the activation's
// mask are stored: the backward pass finds both again from x.
//
// An activation behind a bias instead, y = activation(x + bias), and its gradient are here, too; it may be tanh. A second
// array may lie otherwise than x, if its numbers of a channel come in the same order: its own inner says how.
//
// Compiled for REAL = float or double, what is computed with, and STORE, what x, y and their gradients are in memory: REAL
// or, beside float, Half. VEC = numbers moved at once (16 bytes; it must divide every inner), ROWS = 1 where inner is 1,
// TANH = 1 for tanh. Blocks have 256 threads.
//
// Grid (splits, C): a channel belongs to `splits` blocks, whose threads run over it side by side. With ROWS the grid is
// (splits, ceil(C / 32)): lanes are neighbouring channels, warps are rows. Splits are at most 256.
// variant: REAL=float STORE=float VEC=1,4 ROWS=0 TANH=0,1
// variant: REAL=float STORE=Half VEC=1,8 ROWS=0 TANH=0,1
// variant: REAL=double STORE=double VEC=1,2 ROWS=0 TANH=0,1
// variant: REAL=float STORE=float,Half VEC=1 ROWS=1 TANH=0,1
// variant: REAL=double STORE=double VEC=1 ROWS=1 TANH=0,1

#ifndef REAL
#define REAL float
#define STORE float
#define VEC 4
#define ROWS 0
#define TANH 0
#endif
#include "half.h"

#define THREADS 256
#define WARPS (THREADS / 32)
#define ALL 0xffffffffu

struct alignas(sizeof(STORE) * VEC) Pack { STORE at[VEC]; };

// What this thread has to do: channel c, packs first, first + step, ... of its count / VEC.
struct Part { int c, first, step; bool valid; };

__device__ __forceinline__ Part my_part(int channels)
{
#if ROWS
    const int c = blockIdx.y * 32 + threadIdx.x % 32;
    return {c, (int)(blockIdx.x * WARPS + threadIdx.x / 32), (int)(gridDim.x * WARPS), c < channels};
#else
    return {(int)blockIdx.y, (int)(blockIdx.x * THREADS + threadIdx.x), (int)(gridDim.x * THREADS), true};
#endif
}

// Where pack number j of channel c is. inner counts packs here.
__device__ __forceinline__ long long place(int j, int c, int channels, int inner)
{
#if ROWS
    return (long long)j * channels + c;
#else
    const int o = j / inner;
    return ((long long)o * channels + c) * inner + (j - o * inner);
#endif
}

// Sums over the threads that share a channel: warps by shuffles, then the 8 warps in order. The total is valid in lane 0
// of warp 0, with ROWS in all lanes of warp 0, each for its channel. T merges by `a.add(b)` and moves by `a.down(o)`.
template <class T> __device__ __forceinline__ T block_total(T a)
{
    __shared__ T slot[WARPS][ROWS ? 32 : 1];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, mine = ROWS ? lane : 0;
#if !ROWS
    for (int o = 16; o > 0; o >>= 1) a.add(a.down(o));
#endif
    if (ROWS || lane == 0) slot[warp][mine] = a;
    __syncthreads();
    if (warp == 0 && (ROWS || lane == 0))
        for (int w = 1; w < WARPS; ++w) a.add(slot[w][mine]);
    return a;
}

// The splits' parts merged by every block, which spares a launch: thread s of a channel begins with split s.
template <class T> __device__ __forceinline__ T total_of_splits(const T* parts, int channels, Part part)
{
    __shared__ T total[ROWS ? 32 : 1];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, splits = gridDim.x;
    T a = T::zero();
#if ROWS
    if (part.valid)
        for (int s = warp; s < splits; s += WARPS) a.add(parts[s * channels + part.c]);
#else
    if ((int)threadIdx.x < splits) a = parts[part.c * splits + threadIdx.x];
#endif
    a = block_total(a);
    if (warp == 0 && (ROWS || lane == 0)) total[ROWS ? lane : 0] = a;
    __syncthreads();
    return total[ROWS ? lane : 0];
}

template <class T> __device__ __forceinline__ void store_part(T* __restrict__ parts, T a, int channels, Part part)
{
    const bool writer = ROWS ? threadIdx.x < 32 && part.valid : threadIdx.x == 0;
    if (writer) parts[ROWS ? blockIdx.x * channels + part.c : part.c * gridDim.x + blockIdx.x] = a;
}

// Number, mean and sum of squared distances from it; merged as Chan, Golub and LeVeque (1979) do, so nothing is lost
// where the mean is far from 0.
struct Moments {
    REAL n, mean, m2;
    static __device__ __forceinline__ Moments zero() { return {0, 0, 0}; }
    __device__ __forceinline__ void add(Moments b)
    {
        const REAL both = n + b.n, d = b.mean - mean, share = both > 0 ? b.n / both : 0;
        mean += d * share;
        m2 += b.m2 + d * d * n * share;
        n = both;
    }
    __device__ __forceinline__ Moments down(int o) const
    {
        return {__shfl_down_sync(ALL, n, o), __shfl_down_sync(ALL, mean, o), __shfl_down_sync(ALL, m2, o)};
    }
};

struct Sums {
    REAL g, gx;
    static __device__ __forceinline__ Sums zero() { return {0, 0}; }
    __device__ __forceinline__ void add(Sums b) { g += b.g; gx += b.gx; }
    __device__ __forceinline__ Sums down(int o) const
    {
        return {__shfl_down_sync(ALL, g, o), __shfl_down_sync(ALL, gx, o)};
    }
};

__device__ __forceinline__ REAL first_number(const STORE* __restrict__ x, int c, int inner)
{
    return get(x[(long long)c * inner]);
}

// h where it is positive, else slope h: slope 1 is no activation, and 0 is max(h, 0), also for -inf. A NaN stays one.
__device__ __forceinline__ REAL activate(REAL h, REAL slope)
{
#if TANH
    return tanh(h);
#else
    return h < 0 ? slope == 0 ? 0 : h * slope : h;
#endif
}

// The gradient in front of the activation, from what goes into it or comes out of it; with TANH, comes out of it.
__device__ __forceinline__ REAL behind(REAL g, REAL h, REAL slope)
{
#if TANH
    return (1 - h * h) * g;
#else
    return h > 0 ? g : slope == 0 ? 0 : g * slope;
#endif
}

// This thread's share of y = activation((x - near) scale + shift).
__device__ __forceinline__ void normalise(const STORE* __restrict__ x, STORE* __restrict__ y, Part part, REAL near,
                                          REAL scale, REAL shift, REAL slope, int count, int channels, int inner,
                                          int inner_y)
{
    for (int j = part.first; j < count / VEC; j += part.step) {
        Pack p = ((const Pack*)x)[place(j, part.c, channels, inner / VEC)];
        for (int k = 0; k < VEC; ++k) put(p.at[k], activate((get(p.at[k]) - near) * scale + shift, slope));
        ((Pack*)y)[place(j, part.c, channels, inner_y / VEC)] = p;
    }
}

// A float cannot hold the mean of numbers around 1e4 whose deviation is 1 well enough to subtract it. So statistics are
// double in memory, and x - mean is taken as (x - near) - rest: near is a float close to the mean, rest what it misses,
// which goes into the constant term.

// Forward, first half: the moments of each split. Parts are (C, splits), with ROWS (splits, C), and their means distances
// from the channel's first number. Each thread sums distances from the first number it meets itself, then turns the sums
// into Moments. Bytes: x once.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
bn_moments(const STORE* __restrict__ x, REAL* __restrict__ parts, int count, int channels, int inner)
{
    const Part part = my_part(channels);
    Moments a = Moments::zero();
    if (part.valid && part.first < count / VEC) {
        const Pack* packs = (const Pack*)x;
        const REAL origin = get(packs[place(part.first, part.c, channels, inner / VEC)].at[0]);
        REAL sum = 0, squares = 0;
        for (int j = part.first; j < count / VEC; j += part.step) {
            const Pack p = packs[place(j, part.c, channels, inner / VEC)];
            a.n += VEC;
            for (int k = 0; k < VEC; ++k) {
                const REAL d = get(p.at[k]) - origin;
                sum += d;
                squares += d * d;
            }
        }
        const REAL mean = sum / a.n, m2 = squares - sum * mean;
        a.mean = origin - first_number(x, part.c, inner) + mean;
        a.m2 = m2 < 0 ? 0 : m2;
    }
    store_part((Moments*)parts, block_total(a), channels, part);
}

// Forward, second half: the statistics and y. The variance in var is biased, the one in running_var is not; running_* <-
// decay running + (1 - decay) new, unless decay is 1. Bytes: x once, y once.
extern "C" __global__ void __launch_bounds__(THREADS)
bn_forward(const STORE* __restrict__ x, const REAL* __restrict__ parts, const REAL* __restrict__ gamma,
           const REAL* __restrict__ beta, STORE* __restrict__ y, double* __restrict__ mean, double* __restrict__ var,
           double* __restrict__ inv_std, REAL* __restrict__ running_mean, REAL* __restrict__ running_var, int count,
           int channels, int inner, int inner_y, REAL eps, REAL decay, REAL slope)
{
    const Part part = my_part(channels);
    const Moments a = total_of_splits((const Moments*)parts, channels, part);
    if (!part.valid) return;
    const int c = part.c;
    const double middle = (double)first_number(x, c, inner) + a.mean;
    const REAL variance = a.m2 / a.n, r = 1 / sqrt(variance + eps), scale = gamma[c] * r;
    const REAL near = (REAL)middle, shift = beta[c] - (REAL)(middle - near) * scale;
    if (part.first == 0) {
        mean[c] = middle;
        var[c] = variance;
        inv_std[c] = r;
        if (decay != 1) {
            const REAL unbiased = a.m2 / (a.n > 1 ? a.n - 1 : 1);
            running_mean[c] = decay * running_mean[c] + (1 - decay) * (REAL)middle;
            running_var[c] = decay * running_var[c] + (1 - decay) * unbiased;
        }
    }
    normalise(x, y, part, near, scale, shift, slope, count, channels, inner, inner_y);
}

// Forward with given statistics. Bytes: x once, y once.
extern "C" __global__ void __launch_bounds__(THREADS)
bn_fixed(const STORE* __restrict__ x, const REAL* __restrict__ gamma, const REAL* __restrict__ beta,
         const REAL* __restrict__ mean, const REAL* __restrict__ var, STORE* __restrict__ y, int count, int channels,
         int inner, int inner_y, REAL eps, REAL slope)
{
    const Part part = my_part(channels);
    if (!part.valid) return;
    const int c = part.c;
    const REAL scale = gamma[c] / sqrt(var[c] + eps);
    normalise(x, y, part, mean[c], scale, beta[c], slope, count, channels, inner, inner_y);
}

// Backward, first half: per split the sums of g and g xhat, g being gy in front of the activation. Bytes: x, gy once.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
bn_sums(const STORE* __restrict__ x, const STORE* __restrict__ gy, const REAL* __restrict__ gamma,
        const REAL* __restrict__ beta, const double* __restrict__ mean, const double* __restrict__ inv_std,
        REAL* __restrict__ parts, int count, int channels, int inner, int inner_gy, REAL slope)
{
    const Part part = my_part(channels);
    Sums a = Sums::zero();
    if (part.valid) {
        const int c = part.c;
        const REAL near = (REAL)mean[c], rest = (REAL)(mean[c] - near), r = (REAL)inv_std[c];
        const REAL scale = gamma[c] * r, shift = beta[c] - rest * scale;
        for (int j = part.first; j < count / VEC; j += part.step) {
            const Pack p = ((const Pack*)x)[place(j, c, channels, inner / VEC)];
            const Pack q = ((const Pack*)gy)[place(j, c, channels, inner_gy / VEC)];
            for (int k = 0; k < VEC; ++k) {
                const REAL d = get(p.at[k]) - near, g = behind(get(q.at[k]), d * scale + shift, slope);
                a.g += g;
                a.gx += g * d;
            }
        }
        a.gx = (a.gx - rest * a.g) * r;
    }
    store_part((Sums*)parts, block_total(a), channels, part);
}

// Backward, second half: gbeta = sum g, ggamma = sum g xhat, gx = gamma inv_std (g - (gbeta + xhat ggamma) / count).
// Bytes: x, gy, gx once.
extern "C" __global__ void __launch_bounds__(THREADS)
bn_backward(const STORE* __restrict__ x, const STORE* __restrict__ gy, const REAL* __restrict__ parts,
            const REAL* __restrict__ gamma, const REAL* __restrict__ beta, const double* __restrict__ mean,
            const double* __restrict__ inv_std, STORE* __restrict__ gx, REAL* __restrict__ ggamma,
            REAL* __restrict__ gbeta, int count, int channels, int inner, int inner_gy, REAL slope)
{
    const Part part = my_part(channels);
    const Sums a = total_of_splits((const Sums*)parts, channels, part);
    if (!part.valid) return;
    const int c = part.c;
    if (part.first == 0) {
        gbeta[c] = a.g;
        ggamma[c] = a.gx;
    }
    const REAL near = (REAL)mean[c], rest = (REAL)(mean[c] - near), r = (REAL)inv_std[c];
    const REAL scale = gamma[c] * r, shift = beta[c] - rest * scale;
    const REAL tilt = r * (a.gx / count), base = a.g / count - rest * tilt;
    for (int j = part.first; j < count / VEC; j += part.step) {
        const long long i = place(j, c, channels, inner / VEC);
        Pack p = ((const Pack*)x)[i];
        const Pack q = ((const Pack*)gy)[place(j, c, channels, inner_gy / VEC)];
        for (int k = 0; k < VEC; ++k) {
            const REAL d = get(p.at[k]) - near, g = behind(get(q.at[k]), d * scale + shift, slope);
            put(p.at[k], scale * (g - base - d * tilt));
        }
        ((Pack*)gx)[i] = p;
    }
}

// y = activation(y + bias[c]), in place. Bytes: y twice.
extern "C" __global__ void __launch_bounds__(THREADS)
bias_activation(STORE* __restrict__ y, const STORE* __restrict__ bias, int count, int channels, int inner, REAL slope)
{
    const Part part = my_part(channels);
    if (!part.valid) return;
    const REAL b = get(bias[part.c]);
    for (int j = part.first; j < count / VEC; j += part.step) {
        Pack& p = ((Pack*)y)[place(j, part.c, channels, inner / VEC)];
        Pack q = p;
        for (int k = 0; k < VEC; ++k) put(q.at[k], activate(get(q.at[k]) + b, slope));
        p = q;
    }
}

// gx, the gradient in front of the activation, from y, and gbias, its sums over channels. The last block of a channel to
// arrive adds up the splits, in their order; arrivals, one number for each row of the grid, are 0 before and after.
// Bytes: y, gy and gx once.
extern "C" __global__ void __launch_bounds__(THREADS)
bias_activation_grad(const STORE* __restrict__ y, const STORE* __restrict__ gy, STORE* __restrict__ gx,
                     STORE* __restrict__ gbias, REAL* __restrict__ parts, unsigned* __restrict__ arrivals, int count,
                     int channels, int inner, int inner_gy, REAL slope)
{
    const Part part = my_part(channels);
    Sums a = Sums::zero();
    for (int j = part.first; part.valid && j < count / VEC; j += part.step) {
        const long long i = place(j, part.c, channels, inner / VEC);
        Pack p = ((const Pack*)y)[i];
        const Pack q = ((const Pack*)gy)[place(j, part.c, channels, inner_gy / VEC)];
        for (int k = 0; k < VEC; ++k) {
            const REAL g = behind(get(q.at[k]), get(p.at[k]), slope);
            put(p.at[k], g);
            a.g += g;
        }
        ((Pack*)gx)[i] = p;
    }
    store_part((Sums*)parts, block_total(a), channels, part);
    __threadfence();
    __shared__ bool last;
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(&arrivals[blockIdx.y], 1u) == gridDim.x - 1;
        if (last) arrivals[blockIdx.y] = 0;
        __threadfence();
    }
    __syncthreads();
    if (!last) return;
    a = total_of_splits((const Sums*)parts, channels, part);
    if (ROWS ? threadIdx.x < 32 && part.valid : threadIdx.x == 0) put(gbias[part.c], a.g);
}
