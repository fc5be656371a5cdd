// What the logits of a discriminator cost, and what they say of two batches: one launch each, where array formulas take
// four to ten. x are n numbers, y are m, which may be 0 for the losses: few enough for one block.
//
// Compiled for REAL, what is computed with, and STORE, what logits and losses are in memory: REAL or, beside float, Half.
// variant: REAL=float STORE=Half
// variant: REAL=double STORE=double

#ifndef REAL
#define REAL float
#define STORE float
#endif
#include "half.h"

#define THREADS 256
#define WARPS (THREADS / 32)

// The sum over all threads of the block, in thread 0, always in the same order.
__device__ __forceinline__ REAL block_sum(REAL a)
{
    __shared__ REAL slot[WARPS];
    for (int o = 16; o > 0; o >>= 1) a += __shfl_down_sync(0xffffffffu, a, o);
    __syncthreads();  // the sum before this one has been read
    if (threadIdx.x % 32 == 0) slot[threadIdx.x / 32] = a;
    __syncthreads();
    a = 0;
    for (int w = 0; w < WARPS; ++w) a += slot[w];
    return a;
}

// The mean of f over n numbers as this thread's share of it; 0 of none.
template <class F> __device__ __forceinline__ REAL share_of_mean(const STORE* __restrict__ x, int n, F f)
{
    REAL a = 0;
    for (int i = threadIdx.x; i < n; i += THREADS) a += f(get(x[i]));
    return n ? a / n : 0;
}

__device__ __forceinline__ REAL sigmoid(REAL v) { return tanh(v * (REAL)0.5) * (REAL)0.5 + (REAL)0.5; }

__device__ __forceinline__ REAL softplus(REAL v)
{
    return log1p(exp(v > 0 ? -v : v)) + (v > 0 ? v : v == v ? (REAL)0 : v);
}

// loss = mean of softplus(sign_x x) + mean of softplus(sign_y y). One block. Bytes: x and y once.
extern "C" __global__ void __launch_bounds__(THREADS)
softplus_means(const STORE* __restrict__ x, const STORE* __restrict__ y, STORE* __restrict__ loss, int n, int m,
               REAL sign_x, REAL sign_y)
{
    const REAL of_x = share_of_mean(x, n, [=](REAL v) { return softplus(sign_x * v); });
    const REAL of_y = share_of_mean(y, m, [=](REAL v) { return softplus(sign_y * v); });
    const REAL sum = block_sum(of_x + of_y);
    if (threadIdx.x == 0) put(loss[0], sum);
}

// gx = g sign_x sigmoid(sign_x x) / n, and gy likewise, for the gradient g of the loss. Grid ceil((n + m) / 256). Bytes:
// x, y, gx and gy once.
extern "C" __global__ void __launch_bounds__(THREADS)
softplus_means_grad(const STORE* __restrict__ x, const STORE* __restrict__ y, const STORE* __restrict__ g,
                    STORE* __restrict__ gx, STORE* __restrict__ gy, int n, int m, REAL sign_x, REAL sign_y)
{
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i < n)
        put(gx[i], get(g[0]) / n * sign_x * sigmoid(sign_x * get(x[i])));
    else if (i < n + m)
        put(gy[i - n], get(g[0]) / m * sign_y * sigmoid(sign_y * get(y[i - n])));
}

// found = {mean of sigmoid(x), mean of sigmoid(y), half the share of x > 0 plus half the share of y < 0}. One block. Bytes:
// x and y twice.
extern "C" __global__ void __launch_bounds__(THREADS)
opinions(const STORE* __restrict__ x, const STORE* __restrict__ y, REAL* __restrict__ found, int n, int m)
{
    const REAL real = block_sum(share_of_mean(x, n, [](REAL v) { return sigmoid(v); }));
    const REAL fake = block_sum(share_of_mean(y, m, [](REAL v) { return sigmoid(v); }));
    const REAL right = block_sum(share_of_mean(x, n, [](REAL v) { return (REAL)(v > 0); }) +
                                 share_of_mean(y, m, [](REAL v) { return (REAL)(v < 0); }));
    if (threadIdx.x == 0) {
        found[0] = real;
        found[1] = fake;
        found[2] = right / 2;
    }
}
