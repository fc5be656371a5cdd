// One step of an optimizer, of one of its hooks or of an average, for many arrays in one launch. A table by value holds
// where they lie, so that nothing is uploaded at a step; rates, and the number of the step of a rule that depends on it,
// lie in device memory, so that a captured graph goes on counting and a schedule changes a number instead of the graph.
//
// Compiled for RULE, one of the functions below, with STATES = arrays beside p and g that it moves or reads; STATE, what p
// and the states are in memory, and GRAD, what g is: float, double or Half, which is computed as a float. A float p beside
// a Half g has a copy in halves, written too. VEC = numbers moved at once: 4, or 1 where an address is odd and in double,
// which takes many registers. With HOOK = 1 p is only written, and a only read.
// registers: 72
// any: VEC
// variant: RULE=sgd STATES=0 STATE=float GRAD=float,Half
// variant: RULE=sgd STATES=0 STATE=Half GRAD=Half
// variant: RULE=sgd STATES=0 STATE=double GRAD=double VEC=1
// variant: RULE=momentum_sgd,corrected_momentum_sgd,nesterov_ag,adagrad,rmsprop STATES=1 STATE=float GRAD=float,Half
// variant: RULE=momentum_sgd,corrected_momentum_sgd,nesterov_ag,adagrad,rmsprop STATES=1 STATE=Half GRAD=Half
// variant: RULE=momentum_sgd,corrected_momentum_sgd,nesterov_ag,adagrad,rmsprop STATES=1 STATE=double GRAD=double VEC=1
// variant: RULE=adadelta,msvag STATES=2 STATE=float GRAD=float,Half
// variant: RULE=adadelta,msvag STATES=2 STATE=Half GRAD=Half
// variant: RULE=adadelta,msvag STATES=2 STATE=double GRAD=double VEC=1
// variant: RULE=rmsprop_graves,smorms3 STATES=3 STATE=float GRAD=float,Half
// variant: RULE=rmsprop_graves,smorms3 STATES=3 STATE=Half GRAD=Half
// variant: RULE=rmsprop_graves,smorms3 STATES=3 STATE=double GRAD=double VEC=1
// variant: RULE=adam STATES=2,3 STATE=float GRAD=float,Half
// variant: RULE=adam STATES=2,3 STATE=Half GRAD=Half
// variant: RULE=adam STATES=2,3 STATE=double GRAD=double VEC=1
// variant: RULE=follow STATES=0 STATE=float GRAD=float
// variant: RULE=follow STATES=0 STATE=Half GRAD=Half
// variant: RULE=follow STATES=0 STATE=double GRAD=double VEC=1
// variant: RULE=scale,clip STATES=0 HOOK=1 STATE=float GRAD=float
// variant: RULE=scale,clip STATES=0 HOOK=1 STATE=Half GRAD=Half
// variant: RULE=scale,clip STATES=0 HOOK=1 STATE=double GRAD=double VEC=1
// variant: RULE=weight_decay,lasso,lars STATES=1 HOOK=1 STATE=float GRAD=float
// variant: RULE=weight_decay,lasso,lars STATES=1 HOOK=1 STATE=Half GRAD=Half
// variant: RULE=weight_decay,lasso,lars STATES=1 HOOK=1 STATE=double GRAD=double VEC=1

#ifndef RULE
#define RULE adam
#define STATES 2
#define STATE float
#define GRAD float
#define VEC 4
#define HOOK 0
#endif

#define THREADS 256
#define CHUNK 4096   // numbers of one block

#include "half.h"
#include "tensors.h"

using REAL = decltype(get(STATE()));  // what is computed with

template <class T, int N> struct alignas(sizeof(T) * N) Pack { T at[N]; };

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
    const REAL step = sqrt(b + r[3]) / sqrt(a + r[3]) * g;   // one root of the quotient makes registers spill
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
