// One step of an optimizer for many parameters in one launch. A table by value holds where parameter, gradient and the
// rule's states lie, so that nothing is uploaded at a step; rates and, for Adam, the number of the step lie in device
// memory, so that a captured graph goes on counting and a schedule changes a number instead of the graph.
//
// Compiled for REAL = float or double, VEC = numbers moved at once (16 bytes, or 1 where an address is odd) and RULE:
//   0 SGD       p -= r0 g
//   1 momentum  m = r1 m - r0 g;  p += m
//   2 RMSprop   m = r1 m + (1 - r1) g^2;  p -= r0 g / (sqrt(m) + r2)
//   3 Adam      m += r1 (g - m);  v += r2 (g^2 - v);  p = r4 p - r0 m / (sqrt(v) + r3)
// variant: REAL=double VEC=2 RULE=2
// variant: REAL=float VEC=1 RULE=0
// variant: REAL=float VEC=4 RULE=1

#ifndef REAL
#define REAL float
#define VEC 4
#define RULE 3
#endif

#define THREADS 256
#define MOST 64      // tensors in one table: parameters of a kernel may take 4 KB
#define CHUNK 4096   // numbers of one block

struct alignas(sizeof(REAL) * VEC) Pack { REAL at[VEC]; };

struct Tensors {
    unsigned long long p[MOST], g[MOST], m[MOST], v[MOST];   // addresses
    int size[MOST];
    int first[MOST];                                         // number of each tensor's first block
};

__device__ __forceinline__ void move(REAL& p, REAL g, REAL& m, REAL& v, const double* __restrict__ rates)
{
    const REAL r0 = (REAL)rates[0];
#if RULE == 0
    p -= r0 * g;
#elif RULE == 1
    m = (REAL)rates[1] * m - r0 * g;
    p += m;
#elif RULE == 2
    m = (REAL)rates[1] * m + (REAL)(1 - rates[1]) * g * g;
    p -= r0 * g / (sqrt(m) + (REAL)rates[2]);
#else
    m += (REAL)rates[1] * (g - m);
    v += (REAL)rates[2] * (g * g - v);
    p = (REAL)rates[4] * p - r0 * m / (sqrt(v) + (REAL)rates[3]);
#endif
}

__device__ __forceinline__ void move_some(REAL* p, const REAL* g, REAL* m, REAL* v, const double* __restrict__ rates)
{
    Pack a = *(Pack*)p, c = a, d = a;
    const Pack b = *(const Pack*)g;
    if (RULE > 0) c = *(Pack*)m;
    if (RULE > 2) d = *(Pack*)v;
    for (int k = 0; k < VEC; ++k) move(a.at[k], b.at[k], c.at[k], d.at[k], rates);
    *(Pack*)p = a;
    if (RULE > 0) *(Pack*)m = c;
    if (RULE > 2) *(Pack*)v = d;
}

// Every parameter moves by its rule. Grid: for each tensor ceil(size / 4096) blocks; a thread has every 256th pack of
// one's numbers. Bytes: p, m, v read and written once, g read once.
extern "C" __global__ void __launch_bounds__(THREADS)
step_all(const Tensors tensors, int count, const double* __restrict__ rates)
{
    int low = 0, high = count - 1;      // the tensor of this block is the last one that begins at it or before
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (tensors.first[middle] <= (int)blockIdx.x) low = middle; else high = middle - 1;
    }
    REAL* p = (REAL*)tensors.p[low];
    const REAL* g = (const REAL*)tensors.g[low];
    REAL* m = (REAL*)tensors.m[low];
    REAL* v = (REAL*)tensors.v[low];
    const int size = tensors.size[low], begin = ((int)blockIdx.x - tensors.first[low]) * CHUNK;
    const int end = size - begin > CHUNK ? begin + CHUNK : size, packed = begin + (end - begin) / VEC * VEC;
#pragma unroll 1
    for (int i = begin + threadIdx.x * VEC; i < packed; i += THREADS * VEC) move_some(p + i, g + i, m + i, v + i, rates);
    REAL unused = 0;
    for (int i = packed + threadIdx.x; i < end; i += THREADS)
        move(p[i], g[i], RULE > 0 ? m[i] : unused, RULE > 2 ? v[i] : unused, rates);
}

// Adam's rates for the next step, by one thread in double: both means are corrected for their start at zero.
// Hyperparameters: alpha, beta1, beta2, eps, eta, weight decay, number of steps so far, which goes up.
extern "C" __global__ void adam_begin(double* __restrict__ hyper, double* __restrict__ rates)
{
    const double t = ++hyper[6];
    rates[0] = hyper[4] * hyper[0] * sqrt(1 - pow(hyper[2], t)) / (1 - pow(hyper[1], t));
    rates[1] = 1 - hyper[1];
    rates[2] = 1 - hyper[2];
    rates[3] = hyper[3];
    rates[4] = 1 - hyper[4] * hyper[5];
}
