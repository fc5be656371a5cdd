// Random numbers from a counter: Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as
// 1, 2, 3"). Block number b of a stream is ten rounds of multiplying and mixing the counter (b, 0) under a key, so every
// thread finds its own four words at once, and a stream is known by two numbers.
//
// state = {key, number of the next block, 0} lies in device memory, so that a captured graph draws new numbers at every
// replay: each draw moves it on. Draws of one stream must not overlap in time. Compiled for REAL = float, four numbers a
// block of 24 bits each, or with WIDE = 1 double, two numbers of 53 bits; and for STORE, what they are in memory: REAL or,
// beside float, Half.
// variant: REAL=float STORE=Half WIDE=0
// variant: REAL=double STORE=double WIDE=1

#ifndef REAL
#define REAL float
#define STORE float
#define WIDE 0
#endif
#include "half.h"

#define THREADS 256
#define NUMBERS (WIDE ? 2 : 4)
#if WIDE
#define SINCOSPI sincospi
#else
#define SINCOSPI sincospif
#endif

struct Numbers { REAL at[NUMBERS]; };
struct alignas(sizeof(STORE) * NUMBERS) Pack { STORE at[NUMBERS]; };
struct Words { unsigned at[4]; };

__device__ __forceinline__ Words philox(unsigned long long block, unsigned long long key)
{
    unsigned c0 = (unsigned)block, c1 = (unsigned)(block >> 32), c2 = 0, c3 = 0;
    unsigned k0 = (unsigned)key, k1 = (unsigned)(key >> 32);
    for (int round = 0; round < 10; ++round) {
        const unsigned long long a = 0xD2511F53ull * c0, b = 0xCD9E8D57ull * c2;
        c0 = (unsigned)(b >> 32) ^ c1 ^ k0;
        c1 = (unsigned)b;
        c2 = (unsigned)(a >> 32) ^ c3 ^ k1;
        c3 = (unsigned)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

// Blocks of the stream for n > 0 numbers, which may be as many as an int counts.
__device__ __forceinline__ int blocks_of(int n) { return (n - 1) / NUMBERS + 1; }

// The words of this thread in a draw of n numbers. Of the blocks of threads, the last to have read the state, which counts
// them, moves it behind the draw.
__device__ __forceinline__ Words draw(unsigned long long* state, int i, int n)
{
    const unsigned long long key = state[0], first = state[1];
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        if (atomicAdd(&state[2], 1ull) == gridDim.x - 1) {
            __threadfence();  // between what the others have read and what is written here
            state[1] = first + blocks_of(n);
            state[2] = 0;
        }
    }
    return philox(first + i, key);
}

// Numbers in [0, 1), exact multiples of 2^-24 or 2^-53.
__device__ __forceinline__ Numbers uniform(Words w)
{
    Numbers u;
#if WIDE
    for (int k = 0; k < 2; ++k)
        u.at[k] = ((w.at[2 * k] >> 5) * 67108864.0 + (w.at[2 * k + 1] >> 6)) * (1.0 / 9007199254740992.0);
#else
    for (int k = 0; k < 4; ++k) u.at[k] = (w.at[k] >> 8) * (1.0f / 16777216.0f);
#endif
    return u;
}

// Numbers from N(0, 1), in pairs (Box and Muller 1958).
__device__ __forceinline__ Numbers normal(Words w)
{
    Numbers z = uniform(w);
    for (int k = 0; k < NUMBERS; k += 2) {
        const REAL radius = sqrt((REAL)-2 * log((REAL)1 - z.at[k])), turns = z.at[k + 1];
        REAL sine, cosine;
        SINCOSPI(2 * turns, &sine, &cosine);  // sin would reduce large angles, in local memory
        z.at[k] = radius * cosine;
        z.at[k + 1] = radius * sine;
    }
    return z;
}

// Numbers NUMBERS i and those behind it, of n: a whole pack at once by every thread that has all of its own.
__device__ __forceinline__ void store(STORE* __restrict__ out, Numbers z, int i, int n)
{
    Pack p;
    for (int k = 0; k < NUMBERS; ++k) put(p.at[k], z.at[k]);
    if (NUMBERS * i <= n - NUMBERS) {
        ((Pack*)out)[i] = p;
        return;
    }
    for (int k = 0; k < NUMBERS; ++k)
        if (NUMBERS * i + k < n) out[NUMBERS * i + k] = p.at[k];
}

__device__ __forceinline__ Pack load(const STORE* __restrict__ x, int i, int n)
{
    if (NUMBERS * i <= n - NUMBERS) return ((const Pack*)x)[i];
    Pack p;
    for (int k = 0; k < NUMBERS; ++k) p.at[k] = NUMBERS * i + k < n ? x[NUMBERS * i + k] : (STORE)0;
    return p;
}

// out[j] = low + width u_j. Grid ceil(n / (256 NUMBERS)); a thread has one block. Bytes: out once.
extern "C" __global__ void __launch_bounds__(THREADS)
philox_uniform(unsigned long long* __restrict__ state, STORE* __restrict__ out, int n, REAL low, REAL width)
{
    const int i = blockIdx.x * THREADS + threadIdx.x;
    Numbers p = uniform(draw(state, i, n));
    if (i >= blocks_of(n)) return;
    for (int k = 0; k < NUMBERS; ++k) p.at[k] = low + width * p.at[k];
    store(out, p, i, n);
}

// out[j] = mean + deviation z_j. Grid and bytes as above.
extern "C" __global__ void __launch_bounds__(THREADS)
philox_normal(unsigned long long* __restrict__ state, STORE* __restrict__ out, int n, REAL mean, REAL deviation)
{
    const int i = blockIdx.x * THREADS + threadIdx.x;
    Numbers p = normal(draw(state, i, n));
    if (i >= blocks_of(n)) return;
    for (int k = 0; k < NUMBERS; ++k) p.at[k] = mean + deviation * p.at[k];
    store(out, p, i, n);
}

// mask[j] = scale where u_j >= ratio, else 0; y = x mask. Grid as above. Bytes: x once, mask and y once.
extern "C" __global__ void __launch_bounds__(THREADS)
philox_dropout(unsigned long long* __restrict__ state, const STORE* __restrict__ x, STORE* __restrict__ mask,
               STORE* __restrict__ y, int n, REAL ratio, REAL scale)
{
    const int i = blockIdx.x * THREADS + threadIdx.x;
    Numbers p = uniform(draw(state, i, n));
    if (i >= blocks_of(n)) return;
    const Pack given = load(x, i, n);
    Numbers q;
    for (int k = 0; k < NUMBERS; ++k) {
        p.at[k] = p.at[k] >= ratio ? scale : (REAL)0;
        q.at[k] = get(given.at[k]) * p.at[k];
    }
    store(mask, p, i, n);
    store(y, q, i, n);
}
