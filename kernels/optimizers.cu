// One step of an optimizer, of one of its hooks or of an average, for many arrays in one launch. A table by value holds
// where they lie, so that nothing is uploaded at a step; rates, and the number of the step of a rule that depends on it,
// lie in device memory, so that a captured graph goes on counting and a schedule changes a number instead of the graph.
//
// Compiled for RULE, one of the functions below, with STATES = arrays beside p and g that it moves or reads; REAL = float
// or double, what is computed with; STATE, what p and the states are in memory, and GRAD, what g is: REAL or Half, a half
// that is computed as a float. A float p beside a Half g has a copy in halves, written too. VEC = numbers moved at once: 4, or 1
// where an address is odd and in double, which takes many registers. With HOOK = 1 p is only written, and a only read.
// registers: 72
// variant: RULE=adam STATES=2,3 REAL=double STATE=double GRAD=double VEC=1
// variant: RULE=adam STATES=3 REAL=float STATE=float,Half GRAD=Half VEC=1,4
// variant: RULE=sgd,follow STATES=0 REAL=float STATE=float GRAD=float VEC=4
// variant: RULE=momentum_sgd,corrected_momentum_sgd,nesterov_ag,adagrad,rmsprop STATES=1 REAL=double STATE=double GRAD=double VEC=1
// variant: RULE=adadelta,msvag STATES=2 REAL=double STATE=double GRAD=double VEC=1
// variant: RULE=rmsprop_graves,smorms3 STATES=3 REAL=double STATE=double GRAD=double VEC=1
// variant: RULE=scale,clip STATES=0 HOOK=1 REAL=float STATE=Half GRAD=Half VEC=4
// variant: RULE=weight_decay,lasso,lars STATES=1 HOOK=1 REAL=double STATE=double GRAD=double VEC=1

#ifndef RULE
#define RULE adam
#define STATES 2
#define REAL float
#define STATE float
#define GRAD float
#define VEC 4
#define HOOK 0
#endif

#define THREADS 256
#define MOST 64      // tensors in one table: parameters of a kernel may take 4 KB
#define CHUNK 4096   // numbers of one block
#define RATES 16     // of one array

#include "half.h"

template <class T, int N> struct alignas(sizeof(T) * N) Pack { T at[N]; };

struct Tensors {
    unsigned long long p[MOST], g[MOST], a[MOST], b[MOST], c[MOST], half[MOST];   // addresses
    int size[MOST];
    int first[MOST];                                                              // number of each tensor's first block
};

// The rules of minigan/optimizers.py, in the order of its operations; a, b, c are the states in its order, r the rates.
#define ARGUMENTS REAL& p, const REAL g, REAL& a, REAL& b, REAL& c, const REAL* r
#define MOVES __device__ __forceinline__ void

MOVES sgd(ARGUMENTS) { p -= r[1] * g; }

MOVES momentum_sgd(ARGUMENTS)
{
    a = r[2] * a - r[1] * g;
    p += a;
}

MOVES corrected_momentum_sgd(ARGUMENTS)
{
    a = r[2] * a - g;
    p += r[1] * a;
}

MOVES nesterov_ag(ARGUMENTS)
{
    a = r[2] * a - r[1] * g;
    p += r[3] * a;
    p -= r[4] * g;
}

MOVES adagrad(ARGUMENTS)
{
    a += g * g;
    p -= r[1] * g / (sqrt(a) + r[2]);
}

MOVES adadelta(ARGUMENTS)
{
    a = r[1] * a + r[2] * g * g;
    const REAL step = sqrt((b + r[3]) / (a + r[3])) * g;
    b = r[1] * b + r[2] * step * step;
    p -= step;
}

MOVES rmsprop(ARGUMENTS)
{
    a = r[2] * a + r[3] * g * g;
    p -= r[1] * g / (sqrt(a + r[4]) + r[5]);
}

MOVES rmsprop_graves(ARGUMENTS)
{
    a = r[2] * a + r[3] * g * g;
    b = r[2] * b + r[3] * g;
    c = r[4] * c - r[1] * g / sqrt(a - b * b + r[5]);
    p += c;
}

MOVES smorms3(ARGUMENTS)
{
    const REAL share = 1 / (a + 1);
    b = (1 - share) * b + share * g;
    c = (1 - share) * c + share * g * g;
    const REAL x = b * b / (c + r[2]);
    p -= g * (r[1] < x ? r[1] : x) / (sqrt(c) + r[2]);
    a = 1 + a * (1 - x);
}

MOVES msvag(ARGUMENTS)
{
    a += r[1] * (g - a);
    b += r[1] * (g * g - b);
    const REAL m = a / r[2], square = m * m, left = square + r[3] * ((b / r[2] - square) / r[4]);
    const REAL total = left < square ? square : left;
    p -= r[5] * (r[6] * m * (square / (total > 0 ? total : 1)) + r[7] * p);
}

MOVES adam(ARGUMENTS)
{
    a += r[1] * (g - a);
    b += r[2] * (g * g - b);
    if (STATES > 2) c = c > b ? c : b;
    const REAL rate = r[4] / (sqrt(STATES > 2 ? c : b) + r[3]);
    p = r[5] * p - r[6] * ((rate < r[7] ? r[7] : rate > r[8] ? r[8] : rate) * a);   // with bounds, AdaBound's
}

MOVES follow(ARGUMENTS) { p += r[1] * (g - p); }

// Hooks: p is a new gradient, a the parameter.
MOVES scale(ARGUMENTS) { p = r[1] * g; }
MOVES weight_decay(ARGUMENTS) { p = r[1] * a + g; }
MOVES lasso(ARGUMENTS) { p = g + r[1] * (REAL)((a > 0) - (a < 0)); }
MOVES clip(ARGUMENTS) { p = g < r[1] ? r[1] : g > r[2] ? r[2] : g; }
MOVES lars(ARGUMENTS) { p = r[1] * (g + r[2] * a); }

// The tensor of this block: the last one that begins at it or before.
__device__ __forceinline__ int my_tensor(const Tensors& tensors, int count)
{
    int low = 0, high = count - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (tensors.first[middle] <= (int)blockIdx.x) low = middle; else high = middle - 1;
    }
    return low;
}

template <int N, class T> __device__ __forceinline__ Pack<T, N> load(bool needed, const T* from)
{
    return needed ? *(const Pack<T, N>*)from : Pack<T, N>();
}

template <int N, class T> __device__ __forceinline__ void store(bool needed, T* to, const Pack<T, N>& pack)
{
    if (needed) *(Pack<T, N>*)to = pack;
}

// N numbers from i on move.
template <int N> __device__ __forceinline__ void
move(int i, STATE* p, const GRAD* g, STATE* a, STATE* b, STATE* c, GRAD* half, const REAL* r)
{
    Pack<STATE, N> P = load<N>(!HOOK, p + i), A = load<N>(STATES > 0, a + i);
    Pack<STATE, N> B = load<N>(STATES > 1, b + i), C = load<N>(STATES > 2, c + i);
    const Pack<GRAD, N> G = load<N>(true, g + i);
    Pack<GRAD, N> H;
    for (int k = 0; k < N; ++k) {
        REAL p_ = get(P.at[k]), a_ = get(A.at[k]), b_ = get(B.at[k]), c_ = get(C.at[k]);
        RULE(p_, get(G.at[k]) * r[0], a_, b_, c_, r);
        put(P.at[k], p_), put(A.at[k], a_), put(B.at[k], b_), put(C.at[k], c_);
        put(H.at[k], p_);
    }
    store<N>(true, p + i, P);
    store<N>(STATES > 0 && !HOOK, a + i, A);
    store<N>(STATES > 1, b + i, B);
    store<N>(STATES > 2, c + i, C);
    store<N>(sizeof(GRAD) < sizeof(STATE), half + i, H);
}

// Every p moves by its rule. Grid: for each tensor ceil(size / 4096) blocks; a thread has every 256th pack of one's
// numbers. The rates of tensor i begin at i * apart: one set is for all, or each has its own. Bytes: p and what the rule
// moves read and written once, g read once.
extern "C" __global__ void __launch_bounds__(THREADS)
step_all(const Tensors tensors, int count, const double* __restrict__ rates, int apart)
{
    const int t = my_tensor(tensors, count), begin = ((int)blockIdx.x - tensors.first[t]) * CHUNK;
    STATE *p = (STATE*)tensors.p[t], *a = (STATE*)tensors.a[t], *b = (STATE*)tensors.b[t], *c = (STATE*)tensors.c[t];
    const GRAD* g = (const GRAD*)tensors.g[t];
    GRAD* half = (GRAD*)tensors.half[t];
    REAL r[9];
    for (int k = 0; k < 9; ++k) r[k] = (REAL)rates[t * apart + k];
    const int size = tensors.size[t], end = size - begin > CHUNK ? begin + CHUNK : size;
    const int packed = begin + (end - begin) / VEC * VEC;
#pragma unroll 1
    for (int i = begin + threadIdx.x * VEC; i < packed; i += THREADS * VEC) move<VEC>(i, p, g, a, b, c, half, r);
#pragma unroll 1
    for (int i = packed + threadIdx.x; VEC > 1 && i < end; i += THREADS) move<1>(i, p, g, a, b, c, half, r);
}

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
