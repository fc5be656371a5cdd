// Kernels without a fault: the emulator must find none, in whatever order their threads run.
#ifndef REAL
#define REAL float
#endif
#define FULL 0xffffffffu

struct Sizes { int n; int pad; long long stride; };

extern "C" __global__ void __launch_bounds__(64, 4)
scale(const REAL* __restrict__ x, REAL* __restrict__ y, REAL factor, const Sizes sizes)
{
    const long long i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < sizes.n) y[i * sizes.stride] = factor * __ldg(x + i);
}

// A template with shared memory of its own for each of its instances.
template <int N>
__device__ float block_sum(float v)
{
    __shared__ float part[N];
    for (int o = 16; o > 0; o /= 2) v += __shfl_down_sync(FULL, v, o);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x == 0)
        for (int w = 1; w < N && w * 32 < blockDim.x; ++w) v += part[w];
    return v;  // in thread 0
}

extern "C" __global__ void sum_and_squares(const float* x, float* out, int n)
{
    float s = 0, q = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) s += x[i], q += x[i] * x[i];
    s = block_sum<8>(s);
    q = block_sum<9>(q);
    if (threadIdx.x == 0) out[2 * blockIdx.x] = s, out[2 * blockIdx.x + 1] = q;
}

// The last block to arrive adds up what all have written: fence, counter, and the counter is ready for the next launch.
extern "C" __global__ void sum_in_one_launch(const float* x, float* part, unsigned* arrived, float* out, int n)
{
    __shared__ bool last;
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const float s = block_sum<8>(i < n ? x[i] : 0);
    if (threadIdx.x == 0) {
        part[blockIdx.x] = s;
        __threadfence();
        last = atomicAdd(arrived, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x == 0) {
        float total = 0;
        for (int b = 0; b < gridDim.x; ++b) total += part[b];
        *out = total;
        *arrived = 0;
    }
}

// PAD columns more in the tile keep its columns out of one bank.
#ifndef PAD
#define PAD 1
#endif
extern "C" __global__ void transpose(const float* x, float* y, int rows, int columns)
{
    __shared__ float tile[32][32 + PAD];
    const int column = blockIdx.x * 32 + threadIdx.x, row = blockIdx.y * 32 + threadIdx.y;
    for (int r = 0; r < 32; r += 8)
        if (row + r < rows && column < columns) tile[threadIdx.y + r][threadIdx.x] = x[(row + r) * columns + column];
    __syncthreads();
    const int to_column = blockIdx.y * 32 + threadIdx.x, to_row = blockIdx.x * 32 + threadIdx.y;
    for (int r = 0; r < 32; r += 8)
        if (to_row + r < columns && to_column < rows)
            y[(to_row + r) * rows + to_column] = tile[threadIdx.x][threadIdx.y + r];
}

extern "C" __global__ void histogram(const unsigned char* x, int* counts, unsigned char* even, int n)
{
    extern __shared__ __align__(16) int mine[];
    if (threadIdx.x < 16) mine[threadIdx.x] = 0;
    __syncthreads();
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(&mine[x[i] % 16], 1);
    if (i < n) even[i] = x[i] % 2 == 0;  // neighbours write bytes of one word: no race
    __syncthreads();
    if (threadIdx.x < 16) atomicAdd(counts + threadIdx.x, mine[threadIdx.x]);
}

extern "C" __global__ void add_four(const float4* x, float4* y, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const float4 a = x[i], b = y[i];
    y[i] = make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

extern "C" __global__ void strided(const float* x, float* y, int n, int stride)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i % stride * (n / stride) + i / stride] = x[i];
}

// A table of addresses, as of the parameters that an optimizer updates in one launch.
extern "C" __global__ void add_to_all(float* const* tables, const int* sizes, float value)
{
    for (int i = threadIdx.x; i < sizes[blockIdx.x]; i += blockDim.x) tables[blockIdx.x][i] += value;
}

extern "C" __global__ void collectives(int* out)
{
    __shared__ volatile int turns[2], unused;
    const int lane = threadIdx.x % 32, n = blockDim.x;
    int* mine = out + threadIdx.x;
    mine[0] = __shfl_sync(FULL, lane, 5);
    mine[n] = __shfl_up_sync(FULL, lane, 3);
    mine[2 * n] = __shfl_down_sync(FULL, lane, 3);
    mine[3 * n] = __shfl_xor_sync(FULL, lane, 1);
    mine[4 * n] = __shfl_sync(FULL, lane, 1, 8);
    mine[5 * n] = (int)__ballot_sync(FULL, lane % 3 == 0);
    mine[6 * n] = __any_sync(FULL, lane == 40) + 2 * __all_sync(FULL, lane < 40);
    mine[7 * n] = __syncthreads_count(threadIdx.x < 10) + 1000 * __syncthreads_or(threadIdx.x == 3);
    mine[7 * n] += 2000 * __syncthreads_and(1);
    if (lane < 8) mine[8 * n] = __shfl_xor_sync(0xffu, lane, 7); else mine[8 * n] = -1;
    if (lane == 0) turns[threadIdx.x / 32] = 7;
    __syncwarp();
    mine[9 * n] = turns[threadIdx.x / 32];
    mine[10 * n] = (int)__umulhi(0xdeadbeefu, 0x12345678u);
    mine[11 * n] = __float_as_int(rsqrtf(4.0f)) + (max(3, lane) << 0) + __popc(255u) + __clz(1) + __ffs(8);
}

// Half warps that go their own ways meet by __syncwarp of their halves, then all do.
extern "C" __global__ void halves(int* out)
{
    __shared__ int box[32];
    const int lane = threadIdx.x;
    const unsigned mine = lane < 16 ? 0xffffu : 0xffff0000u;
    box[lane] = lane;
    __syncwarp(mine);
    const int next = box[lane ^ 1];
    __syncwarp(mine);
    if (lane < 16) {
        box[lane] = next;
        __syncwarp(mine);
    }
    __syncwarp();
    out[lane] = box[31 - lane];
}

// The last thread of all adds up: a fence and a counter, no barrier.
extern "C" __global__ void last_thread(const int* x, int* copy, int* arrived, int* out, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    copy[i] = x[i];
    __threadfence();
    if (atomicAdd(arrived, 1) < n - 1) return;
    *out = 0;
    for (int j = 0; j < n; ++j) *out += copy[j];
}

// Neighbours write bytes of one word of shared memory, declared in every way there is.
extern "C" __global__ void turn_bytes(const unsigned char* x, unsigned char* y)
{
    extern __shared__ unsigned char given[];
    alignas(16) static __shared__ short pairs[64];
    volatile __align__(8) __shared__ bool odd[64];
    given[threadIdx.x] = x[threadIdx.x];
    pairs[threadIdx.x] = 256 + threadIdx.x;
    odd[threadIdx.x] = threadIdx.x % 2;
    __syncthreads();
    y[threadIdx.x] = given[63 - threadIdx.x] + 2 * odd[threadIdx.x ^ 1] + pairs[threadIdx.x ^ 3] / 256;
}

// Constants are read by a pointer; ones are shifted out of a number, which C++ forbids and CUDA does not.
__constant__ int taps[3] = {1, 2, 4};
__device__ __forceinline__ int weighted(const int* weights, int v)
{
    int sum = 0;
    for (int k = 0; k < 3; ++k) sum += weights[k] * v;
    return sum;
}
extern "C" __global__ void tables_and_masks(int* y, size_t n)
{
    const size_t i = min(size_t(threadIdx.x), n - 1);
    y[i] = (weighted(taps, int(i)) << 1) & (~0 << threadIdx.x % 4);
}

// Every atomic operation, each on a number of its own; what they leave does not depend on the order.
extern "C" __global__ void atomics(unsigned* y, float* sums)
{
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(y, 3u), atomicSub(y + 1, 1u), atomicMin(y + 2, 5 + i), atomicMax(y + 3, i);
    atomicInc(y + 4, 9u), atomicDec(y + 5, 9u);
    atomicAnd(y + 6, ~(1u << i % 31)), atomicOr(y + 7, 1u << i % 31), atomicXor(y + 8, i < 3 ? 4u : 0u);
    atomicExch(y + 9, 7u);
    unsigned old = atomicAdd(y + 10, 0u), seen;
    do {
        seen = old;
        old = atomicCAS(y + 10, seen, max(seen, i));
    } while (old != seen);
    atomicAdd(sums, 0.5f), atomicExch(sums + 1, 2.0f);
}

extern "C" __global__ void intrinsics(const float* x, float* y, unsigned long long* z)
{
    const uint4 v = make_uint4(1, 2, 3, 4);
    y[0] = __expf(__ldcg(x)), y[1] = __logf(__ldcs(x)), y[2] = __sinf(*x), y[3] = __cosf(*x), y[4] = __powf(*x, 3);
    y[5] = __fdividef(1, *x), y[6] = __frcp_rn(*x), __stcg(y + 7, __saturatef(*x)), __stcs(y + 8, rsqrt(*x));
    y[9] = __uint_as_float(__float_as_uint(*x) + 1);
    z[0] = __mulhi(-1 << 20, 1 << 20), z[1] = __umul64hi(1ull << 40, 1ull << 40);
    z[2] = __double_as_longlong(__longlong_as_double(5)), z[3] = v.x + v.y + v.z + v.w;
    __threadfence_block();
}
