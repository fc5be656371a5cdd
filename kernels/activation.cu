// Activations and their gradients, element by element: one launch where array formulas take two to six.
//
// All arrays have n numbers in the same order. Compiled for REAL = float or double, what is computed with, STORE, what they
// are in memory: REAL or, beside float, Half, and VEC = numbers moved at once (16 bytes; it must divide n). Grid
// ceil(n / VEC / 256); a thread has one pack. Bytes: every array once.
// variant: REAL=float STORE=float VEC=1
// variant: REAL=float STORE=Half VEC=1,8
// variant: REAL=double STORE=double VEC=1,2

#ifndef REAL
#define REAL float
#define STORE float
#define VEC 4
#endif
#include "half.h"

#define THREADS 256

struct alignas(sizeof(STORE) * VEC) Pack { STORE at[VEC]; };

template <class F> __device__ __forceinline__ void map(const STORE* __restrict__ x, STORE* __restrict__ y, int n, F f)
{
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= n / VEC) return;
    Pack p = ((const Pack*)x)[i];
    for (int k = 0; k < VEC; ++k) put(p.at[k], f(get(p.at[k])));
    ((Pack*)y)[i] = p;
}

template <class F> __device__ __forceinline__ void map(const STORE* __restrict__ y, const STORE* __restrict__ gy,
                                                       STORE* __restrict__ gx, int n, F f)
{
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= n / VEC) return;
    Pack p = ((const Pack*)y)[i];
    const Pack g = ((const Pack*)gy)[i];
    for (int k = 0; k < VEC; ++k) put(p.at[k], f(get(p.at[k]), get(g.at[k])));
    ((Pack*)gx)[i] = p;
}

// y = x where x > 0, else slope x; with slope 0 it is max(x, 0), also for -inf.
extern "C" __global__ void __launch_bounds__(THREADS)
leaky_relu(const STORE* __restrict__ x, STORE* __restrict__ y, int n, REAL slope)
{
    map(x, y, n, [=](REAL v) { return v > 0 ? v : slope == 0 && v == v ? (REAL)0 : slope * v; });
}

// gx = gy where y > 0, else slope gy.
extern "C" __global__ void __launch_bounds__(THREADS)
leaky_relu_grad(const STORE* __restrict__ y, const STORE* __restrict__ gy, STORE* __restrict__ gx, int n, REAL slope)
{
    map(y, gy, gx, n, [=](REAL v, REAL g) { return v > 0 ? g : slope * g; });
}

// gx = gy (1 - y^2).
extern "C" __global__ void __launch_bounds__(THREADS)
tanh_grad(const STORE* __restrict__ y, const STORE* __restrict__ gy, STORE* __restrict__ gx, int n)
{
    map(y, gy, gx, n, [](REAL v, REAL g) { return (1 - v * v) * g; });
}

// y = 1 / (1 + exp(-x)), by a tanh, which does not overflow.
extern "C" __global__ void __launch_bounds__(THREADS)
sigmoid(const STORE* __restrict__ x, STORE* __restrict__ y, int n)
{
    map(x, y, n, [](REAL v) { return tanh(v * (REAL)0.5) * (REAL)0.5 + (REAL)0.5; });
}

// gx = gy y (1 - y).
extern "C" __global__ void __launch_bounds__(THREADS)
sigmoid_grad(const STORE* __restrict__ y, const STORE* __restrict__ gy, STORE* __restrict__ gx, int n)
{
    map(y, gy, gx, n, [](REAL v, REAL g) { return (1 - v) * v * g; });
}

// y = log(1 + exp(beta x)) / beta = max(x, 0) + log(1 + exp(-|beta x|)) / beta for beta > 0.
extern "C" __global__ void __launch_bounds__(THREADS)
softplus(const STORE* __restrict__ x, STORE* __restrict__ y, int n, REAL beta)
{
    map(x, y, n, [=](REAL v) {
        const REAL z = v * beta;
        return log1p(exp(z > 0 ? -z : z)) / beta + (v > 0 ? v : v == v ? (REAL)0 : v);
    });
}
