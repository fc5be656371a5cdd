// One fault in every kernel, in the line marked with its kind; tests/kernels/test_emulator.py launches them all with
// x, y of n floats, blocks of 64 threads, unless it says otherwise.
#define INDEX (int)(blockIdx.x * blockDim.x + threadIdx.x)
#define FULL 0xffffffffu

extern "C" __global__ void reads_past(const float* x, float* y, int n)
{
    if (INDEX < n) y[INDEX] = x[INDEX + 1];  // out-of-bounds read
}

extern "C" __global__ void reads_before(const float* x, float* y, int n)
{
    if (INDEX < n) y[INDEX] = __ldg(x + INDEX - 1);  // out-of-bounds read
}

extern "C" __global__ void writes_past(const float* x, float* y, int n)
{
    y[INDEX] = x[min(INDEX, n - 1)];  // out-of-bounds write
}

extern "C" __global__ void half_past(const float* x, float* y, int n)
{
    if (INDEX < n / 2) ((float2*)y)[INDEX] = {x[INDEX], 1};
    if (INDEX == n / 2) ((float2*)y)[INDEX] = {x[0], 1};  // out-of-bounds write
}

struct Pair { float a, b; };
__device__ float sum(Pair p) { return p.a + p.b; }
extern "C" __global__ void hands_over_what_is_not_there(const float* x, float* y, int n)
{
    if (INDEX <= n / 2) y[INDEX] = sum(((const Pair*)x)[INDEX]);  // out-of-bounds read
}

extern "C" __global__ void follows_null(const float* x, float* y, int n)
{
    const float* none = n > 0 ? nullptr : x;
    y[INDEX % n] = none[INDEX % n];  // out-of-bounds read
}

extern "C" __global__ void leaves_a_gap(const float* x, float* y, int n)
{
    if (INDEX < n && INDEX != 70) y[INDEX] = x[INDEX];
}

extern "C" __global__ void reads_its_output(const float* x, float* y, int n)
{
    if (INDEX < n) y[INDEX] += x[INDEX];  // uninitialised read
}

extern "C" __global__ void writes_its_input(const float* x, float* y, int n)
{
    if (INDEX < n) y[INDEX] = 1;
    if (INDEX == 3) const_cast<float*>(x)[INDEX] = 0;  // write to an input
}

extern "C" __global__ void forgets_the_barrier(const float* x, float* y, int n)
{
    __shared__ float turned[64];
    turned[threadIdx.x] = x[min(INDEX, n - 1)];
    if (INDEX < n) y[INDEX] = turned[63 - threadIdx.x];  // race; in forward order half of it is an uninitialised read
}

extern "C" __global__ void forgets_the_second_barrier(const float* x, float* y, int n)
{
    __shared__ float turned[64];
    for (int round = 0; round < 2; ++round) {
        turned[threadIdx.x] = x[min(INDEX, n - 1)];  // race
        __syncthreads();
        if (INDEX < n) y[INDEX] = turned[63 - threadIdx.x];
    }
}

extern "C" __global__ void forgets_syncwarp(const float* x, float* y, int n)
{
    __shared__ float turned[64];
    turned[threadIdx.x] = 0;
    __syncthreads();
    turned[threadIdx.x] = x[min(INDEX, n - 1)];
    if (INDEX < n) y[INDEX] = turned[threadIdx.x ^ 1];  // race
}

extern "C" __global__ void syncs_half_a_warp(const float* x, float* y, int n)
{
    __shared__ float turned[64];
    turned[threadIdx.x] = 0;
    __syncthreads();
    turned[threadIdx.x] = x[min(INDEX, n - 1)];
    __syncwarp(threadIdx.x % 32 < 16 ? 0xffffu : 0xffff0000u);
    if (threadIdx.x % 32 < 16) __syncwarp(0xffffu);
    if (INDEX < n) y[INDEX] = turned[threadIdx.x ^ 16];  // race
}

extern "C" __global__ void adds_without_atomics(const float* x, float* y, int n)
{
    if (INDEX < n) y[INDEX % 7] += x[INDEX];  // race
}

extern "C" __global__ void blocks_share_a_word(const float* x, float* y, int n)
{
    if (threadIdx.x == 0) y[0] = x[min(INDEX, n - 1)];  // race
}

extern "C" __global__ void reads_what_others_add(const float* x, float* y, int n)
{
    if (INDEX < n) atomicAdd(y, x[INDEX]);  // race
    if (INDEX > 0 && INDEX < n) y[INDEX] = *y;
}

extern "C" __global__ void clears_and_adds(const float* x, float* y, int n)
{
    __shared__ float sum;
    if (threadIdx.x == 0) sum = 0; atomicAdd(&sum, x[min(INDEX, n - 1)]);  // race
    __syncthreads();
    if (INDEX < n) y[INDEX] = sum;
}

extern "C" __global__ void last_block_without_fence(const float* x, float* y, int n)
{
    __shared__ bool last;
    if (threadIdx.x == 0) {
        y[1 + blockIdx.x] = x[blockIdx.x];
        last = atomicAdd(y, 1.0f) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x < gridDim.x) y[8 + threadIdx.x] = y[1 + threadIdx.x];  // race
}

extern "C" __global__ void fences_too_early(const float* x, float* y, int n)
{
    if (threadIdx.x > 0) return;
    __threadfence();
    y[1 + blockIdx.x] = x[blockIdx.x];
    if (atomicAdd(y, 1.0f) == gridDim.x - 1) y[8] = y[1] + y[2];  // race
}

extern "C" __global__ void diverges_at_a_barrier(const float* x, float* y, int n)
{
    if (threadIdx.x < 32)
        __syncthreads();  // divergent barrier
    else
        __syncthreads();
    if (INDEX < n) y[INDEX] = x[INDEX];
}

__device__ __forceinline__ void meet()
{
    __syncthreads();  // divergent barrier
}
extern "C" __global__ void meets_in_two_places(const float* x, float* y, int n)
{
    if (threadIdx.x < 32)
        meet();
    else
        meet();
    if (INDEX < n) y[INDEX] = x[INDEX];
}

extern "C" __global__ void leaves_before_a_barrier(const float* x, float* y, int n)
{
    if (INDEX >= n) return;
    __syncthreads();  // barrier after exit
    y[INDEX] = x[INDEX];
}

extern "C" __global__ void waits_for_nobody(const float* x, float* y, int n)
{
    if (INDEX < n) y[INDEX] = x[INDEX];
    if (threadIdx.x % 2)
        __syncwarp();  // deadlock
    else
        __syncthreads();
}

extern "C" __global__ void reads_fresh_shared_memory(const float* x, float* y, int n)
{
    __shared__ float part[64];
    if (threadIdx.x < 32) part[threadIdx.x] = x[0];
    __syncthreads();
    if (INDEX < n) y[INDEX] = part[threadIdx.x];  // uninitialised read
}

extern "C" __global__ void overruns_a_shared_array(const float* x, float* y, int n)
{
    __shared__ float part[64];
    part[threadIdx.x + 1] = x[0];  // array overrun
    __syncthreads();
    if (INDEX < n) y[INDEX] = part[threadIdx.x];
}

extern "C" __global__ void overruns_an_array_in_a_struct(const float* x, float* y, int n)
{
    struct Four { float v[4]; };
    if (INDEX < n) y[INDEX] = ((const Four*)x)[0].v[n / 25];  // array overrun
}

__device__ void fill(float* p, float value)
{
    p[threadIdx.x + 1] = value;  // out-of-bounds write
}
extern "C" __global__ void overruns_by_a_pointer(const float* x, float* y, int n)
{
    __shared__ float part[64], other[64];
    fill(part, x[0]);
    fill(other, y[0]);
}

extern "C" __global__ void overruns_dynamic_memory(const float* x, float* y, int n)
{
    extern __shared__ float part[];
    part[threadIdx.x] = x[0];  // out-of-bounds write
}

extern "C" __global__ void shares_too_much(const float* x, float* y, int n)
{
    __shared__ float part[3 * 4096 + 1];  // too much shared memory
    part[threadIdx.x] = x[0];
}

extern "C" __global__ void index_overflows(const float* x, float* y, int n)
{
    const int offset = (INDEX + 1) * 50000000;  // integer overflow
    if (INDEX < n) y[INDEX] = x[abs(offset % n)];
}

extern "C" __global__ void divides_by_zero(const float* x, float* y, int n)
{
    y[INDEX % n] = x[n / (int)blockIdx.x % n];  // division by zero
}

extern "C" __global__ void reads_four_askew(const float* x, float* y, int n)
{
    const float4 v = *(const float4*)(x + INDEX % (n / 2));  // misaligned access
    if (INDEX < n) y[INDEX] = v.x;
}

extern "C" __global__ void shuffles_from_nobody(const float* x, float* y, int n)
{
    float v = x[min(INDEX, n - 1)];
    if (threadIdx.x % 32 < 16) v += __shfl_xor_sync(0xffff, v, 16);  // shuffle from an inactive lane
    if (INDEX < n) y[INDEX] = v;
}

extern "C" __global__ void not_in_its_mask(const float* x, float* y, int n)
{
    const float v = __shfl_sync(0xffff, x[min(INDEX, n - 1)], 0);  // shuffle from an inactive lane
    if (INDEX < n) y[INDEX] = v;
}

extern "C" __global__ void asks_who_has_left(const float* x, float* y, int n)
{
    if (INDEX >= n) return;
    y[INDEX] = __shfl_down_sync(FULL, x[INDEX], 1);  // shuffle from an inactive lane
}

extern "C" __global__ void diverges_in_a_warp(const float* x, float* y, int n)
{
    float v = x[min(INDEX, n - 1)];
    v += threadIdx.x % 2 ? __shfl_down_sync(FULL, v, 2) : __shfl_xor_sync(FULL, v, 4);  // divergent warp
    if (INDEX < n) y[INDEX] = v;
}

__device__ float twice_sum(float v)
{
    return 2 * __shfl_xor_sync(FULL, v, 16);  // divergent warp
}
extern "C" __global__ void shuffles_in_two_places(const float* x, float* y, int n)
{
    float v = x[min(INDEX, n - 1)];
    if (threadIdx.x % 32 < 16) v += twice_sum(v);
    else v -= twice_sum(v);
    if (INDEX < n) y[INDEX] = v;
}

extern "C" __global__ void asserts(const float* x, float* y, int n)
{
    assert(n < 10);  // trap
}

extern "C" __global__ void gives_up(const float* x, float* y, int n)
{
    if (INDEX == n / 2) __trap();  // trap
}

extern "C" __global__ void spins(const float* x, float* y, int n)
{
    while (*(volatile const float*)x < n) {}  // endless loop
}
