// The rates of a step of optimizers.cu that are not known beforehand: they depend on the number of the step, or on norms of
// gradients and parameters. Hyperparameters and rates are 16 doubles in device memory.
//
// For norms compiled for GRAD, what gradients are in memory, and STATE, what parameters are if STATES is 1.
// variant: STATES=0,1 STATE=double GRAD=double
// variant: STATES=0,1 STATE=Half GRAD=Half
// variant: STATES=1

#ifndef STATES
#define STATES 0
#define STATE float
#define GRAD float
#endif

#define THREADS 256
#define CHUNK 4096   // numbers of one block
#define RATES 16     // of one array

#include "half.h"
#include "tensors.h"

// Adam's rates for the next step, by one thread in double: both means are corrected for their start at zero.
// Hyperparameters: the factor of the gradient, number of steps so far, which goes up, alpha, beta1, beta2, eps, eta, weight
// decay; where AdaBound's bounds meet and their gamma, 0 for none.
extern "C" __global__ void adam_begin(double* __restrict__ hyper, double* __restrict__ rates)
{
    const double t = ++hyper[1], bound = hyper[8], gamma = hyper[9], infinite = 1 / 0.0;
    rates[0] = hyper[0];
    rates[1] = 1 - hyper[3];
    rates[2] = 1 - hyper[4];
    rates[3] = hyper[5];
    rates[4] = hyper[2] * sqrt(1 - pow(hyper[4], t)) / (1 - pow(hyper[3], t));
    rates[5] = 1 - hyper[6] * hyper[7];
    rates[6] = hyper[6];
    rates[7] = gamma ? bound * (1 - 1 / (gamma * t + 1)) : -infinite;
    rates[8] = gamma ? bound * (1 + 1 / (gamma * t)) : infinite;
}

// M-SVAG's rates for the next step, likewise. Hyperparameters: the factor, number of steps so far, lr, beta, eta, weight
// decay, the largest rho.
extern "C" __global__ void msvag_begin(double* __restrict__ hyper, double* __restrict__ rates)
{
    const double t = ++hyper[1], beta = hyper[3], power = pow(beta, t);
    const double rho = (1 - beta) * (1 - beta) * (1 - power * power) / ((1 - beta * beta) * (1 - power) * (1 - power));
    rates[0] = hyper[0];
    rates[1] = 1 - beta;
    rates[2] = 1 - power;
    rates[3] = rho < hyper[6] ? rho : hyper[6];
    rates[4] = 1 - rates[3];
    rates[5] = hyper[4];
    rates[6] = hyper[2];
    rates[7] = hyper[5];
}

// An average's rate for the next step. Hyperparameters: 1, number of steps so far, decay.
extern "C" __global__ void follow_begin(double* __restrict__ hyper, double* __restrict__ rates)
{
    const double t = ++hyper[1], decay = (1 + t) / (10 + t);
    rates[0] = 1;
    rates[1] = 1 - (decay < hyper[2] ? decay : hyper[2]);
}

__device__ __forceinline__ double block_total(double x)
{
    __shared__ double slot[THREADS];
    slot[threadIdx.x] = x;
    for (int o = THREADS / 2; o > 0; o /= 2) {
        __syncthreads();
        if (threadIdx.x < o) slot[threadIdx.x] += slot[threadIdx.x + o];
    }
    __syncthreads();
    const double total = slot[0];
    __syncthreads();
    return total;
}

// Sums of squares of g and, with STATES, of a, two for each block. Grid as of step_all. Bytes: g and a read once.
extern "C" __global__ void __launch_bounds__(THREADS)
squares(const Tensors tensors, int count, double* __restrict__ parts)
{
    const int t = my_tensor(tensors, count), begin = ((int)blockIdx.x - tensors.first[t]) * CHUNK;
    const int size = tensors.size[t], end = size - begin > CHUNK ? begin + CHUNK : size;
    const GRAD* g = (const GRAD*)tensors.g[t];
    const STATE* a = (const STATE*)tensors.a[t];
    double of_g = 0, of_a = 0;
    for (int i = begin + threadIdx.x; i < end; i += THREADS) {
        of_g += (double)get(g[i]) * get(g[i]);
        if (STATES > 0) of_a += (double)get(a[i]) * get(a[i]);
    }
    of_g = block_total(of_g), of_a = block_total(of_a);
    if (threadIdx.x == 0) parts[2 * blockIdx.x] = of_g, parts[2 * blockIdx.x + 1] = of_a;
}

// The rates of the rules scale and lars from the sums of squares. Grid: one block for each tensor, whose parts it adds up;
// for scale one in all. Hyperparameters: 1, threshold; for lars also weight decay, eps and 1 / the loss scale.
extern "C" __global__ void __launch_bounds__(THREADS)
norm_rates(const Tensors tensors, int blocks, const double* __restrict__ parts, const double* __restrict__ hyper,
           double* __restrict__ rates)
{
    const int t = blockIdx.x, end = t + 1 < gridDim.x ? tensors.first[t + 1] : blocks;
    double of_g = 0, of_a = 0;
    for (int i = tensors.first[t] + threadIdx.x; i < end; i += THREADS) of_g += parts[2 * i], of_a += parts[2 * i + 1];
    of_g = sqrt(block_total(of_g)), of_a = sqrt(block_total(of_a));
    if (threadIdx.x) return;
    rates += t * RATES;
    rates[0] = 1;
    if (STATES) {
        rates[1] = of_a > hyper[1] ? of_a / (hyper[3] + of_g * hyper[4] + hyper[2] * of_a) : 1;
        rates[2] = hyper[2] / hyper[4];
    } else rates[1] = of_g > hyper[1] ? hyper[1] / of_g : 1;
}
