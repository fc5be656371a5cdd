// What a kernel sees of CUDA when the host's compiler translates it. A name that is missing here is a compile error:
// nothing is silently different from a GPU. __global__ functions and __shared__ arrays are rewritten in text beforehand
// (translate.py); the blocks run one after another, the threads of a block as fibers of one thread (scheduler.cpp).
#pragma once
#include <cmath>
#include <cstdint>
#include <utility>

#define MINIGAN_EMULATOR 1
#ifdef __SANITIZE_THREAD__  // check mode: the compiler inserts no call for structs that are handed to functions by value
#define __device__ __attribute__((always_inline))
#else
#define __device__
#endif
#define __global__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define RAW static inline __attribute__((no_sanitize("thread", "undefined")))  // the checker does not look inside

namespace emu {
template <class T> struct Element { using type = T; };  // of float4 it is float
}
#define VECTOR(NAME, T, ALIGNMENT, ...)                          \
    struct __attribute__((aligned(ALIGNMENT))) NAME { T __VA_ARGS__; }; \
    template <> struct emu::Element<NAME> { using type = T; };
#define VECTORS(NAME, T)                                         \
    VECTOR(NAME##2, T, 2 * sizeof(T), x, y)                      \
    VECTOR(NAME##3, T, sizeof(T), x, y, z)                       \
    VECTOR(NAME##4, T, sizeof(T) < 8 ? 4 * sizeof(T) : 16, x, y, z, w)  \
    RAW NAME##2 make_##NAME##2(T x, T y) { return {x, y}; }      \
    RAW NAME##3 make_##NAME##3(T x, T y, T z) { return {x, y, z}; } \
    RAW NAME##4 make_##NAME##4(T x, T y, T z, T w) { return {x, y, z, w}; }
VECTORS(float, float) VECTORS(double, double) VECTORS(int, int) VECTORS(uint, unsigned) VECTORS(uchar, unsigned char)
using dim3 = uint3;

// Constant for as long as a kernel's thread runs, so the compiler may keep them in registers; the scheduler sets them.
#ifdef EMULATOR_RUNTIME
extern uint3 threadIdx, blockIdx, blockDim, gridDim;
#else
extern const uint3 threadIdx, blockIdx, blockDim, gridDim;
#endif
static const int warpSize = 32;

namespace emu {
enum Collective { SHUFFLE, SHUFFLE_UP, SHUFFLE_DOWN, SHUFFLE_XOR, VOTE, SYNC };
int block_barrier(bool predicate, int line);  // returns how many threads' predicates held
uint64_t warp_collective(Collective, unsigned mask, uint64_t value, int argument, int width, int line);
void* shared_array(size_t bytes, int unit, const char* name, const char* function, int line);
void* dynamic_shared(int unit);
void fence();
void atomic_access(void*, size_t bytes, void* return_address);
[[noreturn]] void trap(const char* what, int line);

template <class T> RAW T copied(const void* from, size_t bytes)  // wherever it lies: numbers are not aligned there
{
    T value{};
    __builtin_memcpy(&value, from, bytes);
    return value;
}

// Where a __shared__ array lies; threads may share its memory by numbers of 1 or 2 bytes if it consists of such.
template <class T> RAW T& shared(const char* name, const char* function, int line)
{
    constexpr size_t element = sizeof(typename Element<std::remove_cv_t<std::remove_all_extents_t<T>>>::type);
    constexpr int unit = element < 3 ? element : 4;
    if constexpr (std::is_array<T>::value && !std::extent<T>::value) return *(T*)dynamic_shared(unit);
    else return *(T*)shared_array(sizeof(T), unit, name, function, line);
}

// A kernel's parameters and how to call it: what Python checks its arguments against, as NumPy's kinds of dtype.
struct Parameter { int kind, bytes, element, pointer, constant; };
struct Entry {
    const char* name;
    int most_threads, count;
    const Parameter* parameters;
    void (*function)();
    void (*call)(void (*)(), void**);
    Entry* next;
    static Entry* first;

    template <class... A> Entry(const char* name, int most_threads, void (*f)(A...))
        : name(name), most_threads(most_threads), count(sizeof...(A)), function((void (*)())f), next(first)
    {
        static const Parameter list[] = {parameter<A>()..., {}};
        parameters = list;
        call = [](void (*g)(), void** a) { apply((void (*)(A...))g, a, std::index_sequence_for<A...>()); };
        first = this;
    }
    template <class T> static Parameter parameter()
    {
        using Target = std::remove_pointer_t<T>;
        using E = typename Element<std::remove_cv_t<Target>>::type;
        const int kind = std::is_same<E, bool>::value ? 'b' : std::is_floating_point<E>::value ? 'f'
                         : !std::is_integral<E>::value ? 'V' : std::is_signed<E>::value ? 'i' : 'u';
        return {kind, int(sizeof(T)), int(sizeof(E)), std::is_pointer<T>::value, std::is_const<Target>::value};
    }
    template <class... A, size_t... I> RAW void apply(void (*f)(A...), void** a, std::index_sequence<I...>)
    {
        f(copied<std::remove_cv_t<A>>(a[I], sizeof(A))...);
    }
};

template <class To, class From> RAW To bits(From value)
{
    static_assert(sizeof(From) <= 8 && sizeof(To) <= 8, "at most 8 bytes are shuffled");
    return copied<To>(&value, sizeof(From) < sizeof(To) ? sizeof(From) : sizeof(To));
}
template <class T> struct Given { using type = T; };  // keeps the second argument of atomicAdd(T*, T) out of deduction
}  // namespace emu

// __builtin_LINE as a default argument is the line of the caller.
#define LINE int line = __builtin_LINE()
RAW void __syncthreads(LINE) { emu::block_barrier(false, line); }
RAW int __syncthreads_count(int p, LINE) { return emu::block_barrier(p, line); }
RAW int __syncthreads_or(int p, LINE) { return emu::block_barrier(p, line) > 0; }
RAW int __syncthreads_and(int p, LINE) { return emu::block_barrier(!p, line) == 0; }
RAW void __syncwarp(unsigned mask = ~0u, LINE) { emu::warp_collective(emu::SYNC, mask, 0, 0, 32, line); }
RAW unsigned __ballot_sync(unsigned mask, int p, LINE)
{
    return unsigned(emu::warp_collective(emu::VOTE, mask, p != 0, 0, 32, line));
}
RAW int __any_sync(unsigned mask, int p, LINE) { return __ballot_sync(mask, p, line) != 0; }
RAW int __all_sync(unsigned mask, int p, LINE) { return __ballot_sync(mask, !p, line) == 0; }
#define SHUFFLE_FUNCTION(NAME, KIND)                                                                       \
    template <class T> RAW T NAME(unsigned mask, T value, int argument, int width = 32, LINE)              \
    {                                                                                                      \
        return emu::bits<T>(emu::warp_collective(emu::KIND, mask, emu::bits<uint64_t>(value), argument, width, line)); \
    }
SHUFFLE_FUNCTION(__shfl_sync, SHUFFLE)
SHUFFLE_FUNCTION(__shfl_up_sync, SHUFFLE_UP)
SHUFFLE_FUNCTION(__shfl_down_sync, SHUFFLE_DOWN)
SHUFFLE_FUNCTION(__shfl_xor_sync, SHUFFLE_XOR)
RAW void __threadfence() { emu::fence(); }
RAW void __threadfence_block() { emu::fence(); }
RAW void __trap(LINE) { emu::trap("__trap()", line); }
#undef assert
#define assert(condition) ((condition) ? (void)0 : emu::trap("assert(" #condition ")", __LINE__))

// One thread of the system runs all, so plain reading and writing is atomic; the checker is told where it happens.
#define ATOMIC(NAME, RESULT, ...)                                                                                   \
    template <class T> __attribute__((noinline, no_sanitize("thread", "undefined"))) T NAME(T* p, __VA_ARGS__)      \
    {                                                                                                               \
        emu::atomic_access(p, sizeof(T), __builtin_return_address(0));                                              \
        const T old = *p;                                                                                           \
        *p = T(RESULT);                                                                                             \
        return old;                                                                                                 \
    }
#define VALUE typename emu::Given<T>::type
ATOMIC(atomicAdd, old + v, VALUE v)
ATOMIC(atomicSub, old - v, VALUE v)
ATOMIC(atomicMin, old < v ? old : v, VALUE v)
ATOMIC(atomicMax, old > v ? old : v, VALUE v)
ATOMIC(atomicExch, v, VALUE v)
ATOMIC(atomicInc, old >= v ? 0 : old + 1, VALUE v)
ATOMIC(atomicDec, old == 0 || old > v ? v : old - 1, VALUE v)
ATOMIC(atomicAnd, old & v, VALUE v)
ATOMIC(atomicOr, old | v, VALUE v)
ATOMIC(atomicXor, old ^ v, VALUE v)
ATOMIC(atomicCAS, old == compare ? v : old, VALUE compare, VALUE v)

// Macros, so that the checker sees the access in the kernel's own line.
#define __ldg(p) (*(p))
#define __ldcg(p) (*(p))
#define __ldcs(p) (*(p))
#define __stcg(p, v) ((void)(*(p) = (v)))
#define __stcs(p, v) ((void)(*(p) = (v)))

#define MINMAX(T) RAW T min(T a, T b) { return b < a ? b : a; } RAW T max(T a, T b) { return a < b ? b : a; }
MINMAX(int) MINMAX(unsigned) MINMAX(long) MINMAX(unsigned long) MINMAX(long long) MINMAX(unsigned long long)
RAW float min(float a, float b) { return fminf(a, b); }
RAW float max(float a, float b) { return fmaxf(a, b); }
RAW double min(double a, double b) { return fmin(a, b); }
RAW double max(double a, double b) { return fmax(a, b); }
RAW float rsqrtf(float x) { return 1.0f / sqrtf(x); }
RAW double rsqrt(double x) { return 1.0 / std::sqrt(x); }
RAW float rsqrt(float x) { return rsqrtf(x); }
// The C library has these names, too.
#define __expf(x) expf(x)
#define __logf(x) logf(x)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __powf(x, y) powf(x, y)
RAW void sincospif(float x, float* s, float* c) { *s = float(std::sin(M_PI * x)), *c = float(std::cos(M_PI * x)); }
RAW void sincospi(double x, double* s, double* c) { *s = std::sin(M_PI * x), *c = std::cos(M_PI * x); }
RAW float __fdividef(float a, float b) { return a / b; }
RAW float __frcp_rn(float a) { return 1.0f / a; }
RAW float __saturatef(float a) { return fminf(fmaxf(a, 0.0f), 1.0f); }
RAW int __popc(unsigned a) { return __builtin_popcount(a); }
RAW int __clz(int a) { return a ? __builtin_clz(unsigned(a)) : 32; }
RAW int __ffs(int a) { return __builtin_ffs(a); }
RAW unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
RAW int __mulhi(int a, int b) { return int(int64_t(a) * b >> 32); }
RAW unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
#define REINTERPRET(NAME, TO, FROM) RAW TO NAME(FROM a) { return emu::bits<TO>(a); }
REINTERPRET(__float_as_int, int, float) REINTERPRET(__int_as_float, float, int)
REINTERPRET(__float_as_uint, unsigned, float) REINTERPRET(__uint_as_float, float, unsigned)
REINTERPRET(__double_as_longlong, long long, double) REINTERPRET(__longlong_as_double, double, long long)
#undef LINE
#undef VALUE
#define asm static_assert(false, "there is no inline PTX in the emulator");
