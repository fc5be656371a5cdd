// Runs a kernel: blocks one after another, the threads of a block as fibers. A thread runs until it waits at a barrier
// or at a collective of its warp; the order in which threads are started and resumed is the caller's choice, so a run
// is deterministic. What can go wrong at barriers and collectives is found here, in both modes.
#include "runtime.h"

#include <csetjmp>
#include <csignal>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>
#include <algorithm>
#include <sys/mman.h>
#include <ucontext.h>

uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace emu {
static const size_t STACK = 1 << 20, SHARED_GAP = 4096, SHARED_SPACE = 8 << 20;
struct Fiber { jmp_buf context; char* stack; bool started; };
struct Collection {                  // lanes of one warp that have come to one collective
    unsigned mask, arrived;
    Collective kind;
    int width;
    uint64_t value[32];
    int argument[32];
};
struct SharedArray { const char *name, *function; int line; char* begin; size_t bytes; };

Entry* Entry::first;
Thread* running;
int block_number;
static std::vector<Thread> threads;
static std::vector<int> order;
static size_t next_fresh;
static std::vector<std::vector<Collection>> collections;  // by warp
static std::vector<Fiber*> fibers, idle;
static Fiber main_fiber;
static Fiber* current;
static const Entry* entry;
static void** arguments;
static bool stopped;
static std::vector<Fault> faults;
static std::vector<SharedArray> shared_arrays;
static char* shared_space;
static size_t shared_used, dynamic_bytes;
static bool dynamic_declared;

Place place(int line) { return {0, line, block_number, running ? running->number : 0}; }

void report(const Fault& fault)
{
    for (Fault& f : faults)
        if (f.kind == fault.kind && f.here.site == fault.here.site && f.here.line == fault.here.line &&
            f.other.site == fault.other.site) {
            f.count++;
            return;
        }
    faults.push_back(fault);
}

// ---- fibers: makecontext lays out a new stack, after that _setjmp and _longjmp switch without a system call ----

static char* reserve(size_t bytes)  // memory that costs nothing until it is touched
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    return (char*)mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
}

static void switch_to(Fiber& from, Fiber& to)
{
    current = &to;
    if (!_setjmp(from.context)) _longjmp(to.context, 1);
}

static void resume(Thread& t)
{
    running = &t;
    threadIdx = t.index;
}

static void fiber_main()
{
    for (;;) {
        Fiber* me = current;
        // A thread that never waits leaves its fiber to the next: a kernel without barriers is a plain loop.
        while (next_fresh < order.size()) {
            Thread& t = threads[order[next_fresh++]];
            t.fiber = me;
            resume(t);
            entry->call(entry->function, arguments);
            t.state = DONE;
        }
        idle.push_back(me);
        switch_to(*me, main_fiber);
    }
}

static void start_threads()
{
    if (idle.empty()) {
        fibers.push_back(new Fiber{{}, reserve(STACK), false});
        idle.push_back(fibers.back());
    }
    Fiber* f = idle.back();
    idle.pop_back();
    if (f->started) return switch_to(main_fiber, *f);
    f->started = true;
    ucontext_t fresh;
    getcontext(&fresh);
    fresh.uc_stack.ss_sp = f->stack;
    fresh.uc_stack.ss_size = STACK;
    makecontext(&fresh, fiber_main, 0);
    current = f;
    if (!_setjmp(main_fiber.context)) setcontext(&fresh);
}

static void wait(State state)
{
    running->state = state;
    switch_to(*running->fiber, main_fiber);
}

void stop()
{
    stopped = true;
    for (;;) switch_to(*running->fiber, main_fiber);
}

void trap(const char* what, int line)
{
    report("trap", place(line), what);
    stop();
}

bool on_stack(const Thread& t, const char* p) { return p >= t.fiber->stack && p < t.fiber->stack + STACK; }

// ---- barriers and collectives ----

// Where the kernel calls the function of device.h that is running; only in check mode it is one call in the code.
#define SITE (checking ? site_of(__builtin_return_address(1)) : 0)

int block_barrier(bool predicate, int line)
{
    running->predicate = predicate;
    running->line = line, running->site = SITE;
    wait(AT_BARRIER);
    running->past.barriers++;
    return int(running->result);
}

static int64_t source_lane(const Collection& c, int lane)
{
    const int64_t a = uint32_t(c.argument[lane]);  // unsigned in CUDA, but for SHUFFLE, of which the last bits count
    const int first = lane & ~(c.width - 1), end = first + c.width;
    switch (c.kind) {
    case SHUFFLE: return first + (a & (c.width - 1));
    case SHUFFLE_UP: return lane - a >= first ? lane - a : lane;
    case SHUFFLE_DOWN: return lane + a < end ? lane + a : lane;
    case SHUFFLE_XOR: return (lane ^ a) < end ? lane ^ a : lane;
    default: return lane;
    }
}

// A __syncwarp of some lanes: what any of them has seen, all have seen.
static void join(unsigned mask, Thread* warp)
{
    uint16_t seen[32] = {};
    for (int lane = 0; lane < 32; ++lane) {
        if (!(mask >> lane & 1)) continue;
        warp[lane].past.syncs[lane]++;
        for (int l = 0; l < 32; ++l) seen[l] = std::max(seen[l], warp[lane].past.syncs[l]);
    }
    for (int lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1) memcpy(warp[lane].past.syncs, seen, sizeof seen);
}

static Place waiting(const Thread& t) { return {0, t.line, block_number, t.number}; }

static void report_diverged(const char* kind, const Thread& a, const Thread& b)
{
    report(kind, waiting(a), a.line == b.line ? "the line is reached by different ways" : nullptr, waiting(b));
}

static void complete(const Collection& c, Thread* warp)
{
    uint64_t ballot = 0;
    for (int lane = 0; lane < 32; ++lane)
        if (c.mask >> lane & 1 && c.value[lane]) ballot |= 1u << lane;
    for (int lane = 0; lane < 32; ++lane) {
        if (!(c.mask >> lane & 1)) continue;
        const int64_t source = source_lane(c, lane);
        if (!(c.mask >> source & 1))
            report("shuffle from an inactive lane", waiting(warp[lane]));
        warp[lane].result = c.kind == VOTE ? ballot : c.mask >> source & 1 ? c.value[source] : ~uint64_t(0);
        warp[lane].state = READY;
    }
    if (c.kind == SYNC) join(c.mask, warp);
}

uint64_t warp_collective(Collective kind, unsigned mask, uint64_t value, int argument, int width, int line)
{
    const int lane = running->number % 32, first = running->number - lane;
    const int lanes = std::min(32, int(threads.size()) - first);
    if (lanes < 32) mask &= (1u << lanes) - 1;  // a full mask in a last warp that is not full is what everybody writes
    if (!(mask >> lane & 1)) {
        report("shuffle from an inactive lane", place(line), "the calling lane is not in its own mask");
        stop();
    }
    auto& open = collections[first / 32];
    const auto awaits_me = [=](const Collection& c) { return c.mask == mask && !(c.arrived >> lane & 1); };
    auto c = std::find_if(open.begin(), open.end(), awaits_me);
    if (c == open.end()) c = open.insert(c, Collection{mask, 1u << lane, kind, width, {}, {}});
    const Thread& came_first = threads[first + __builtin_ctz(c->arrived)];
    running->line = line, running->site = SITE;
    if (c->kind != kind || came_first.line != line || came_first.site != running->site) {
        report_diverged("divergent warp", *running, came_first);
        stop();
    }
    c->arrived |= 1u << lane;
    c->value[lane] = value;
    c->argument[lane] = argument;
    if (c->arrived == mask) {
        const Collection whole = *c;
        open.erase(c);
        complete(whole, &threads[first]);
    } else {
        wait(AT_COLLECTIVE);
    }
    return running->result;
}

void fence() { running->past.fences++; }

// ---- shared memory: arrays with a gap between them, so that what strays is in none ----

void* dynamic_shared(int unit)
{
    char* begin = shared_space + SHARED_GAP;
    if (!dynamic_declared) checker_shared(begin, dynamic_bytes, unit, "dynamic");
    dynamic_declared = true;
    return begin;
}

void* shared_array(size_t bytes, int unit, const char* name, const char* function, int line)
{
    for (const SharedArray& a : shared_arrays)
        if (a.function == function && a.line == line && !strcmp(a.name, name)) return a.begin;
    size_t total = dynamic_bytes + bytes;
    for (const SharedArray& a : shared_arrays) total += a.bytes;
    char* begin = shared_space + shared_used;
    shared_used += (bytes + SHARED_GAP + 255) / 256 * 256;
    if (total - dynamic_bytes > 48 << 10 || total > 227 << 10 || shared_used > SHARED_SPACE) {
        const char* why = "a block has 48 KB for such arrays";
        report({"too much shared memory", why, name, NOWHERE, 0, int64_t(total), 1, place(line), NOBODY});
        stop();
    }
    memset(begin, 0xff, bytes);  // NaN, or -1: what is read before it is written shows
    shared_arrays.push_back({name, function, line, begin, bytes});
    checker_shared(begin, bytes, unit, name);
    return begin;
}

// ---- a launch ----

// Nobody is ready: all wait at one barrier, which opens, or something is wrong. False: the launch cannot go on.
static bool open_barrier()
{
    const Thread *at = nullptr, *other = nullptr, *done = nullptr;
    int holding = 0;
    for (const Thread& t : threads) {
        if (t.state == DONE) done = &t;
        if (t.state != AT_BARRIER) continue;
        holding += t.predicate;
        if (!at) at = &t;
        else if (t.line != at->line || t.site != at->site) other = &t;
    }
    for (size_t warp = 0; warp < collections.size(); ++warp)
        for (const Collection& c : collections[warp]) {
            const Thread* lanes = &threads[warp * 32];
            bool left = false;
            for (int l = 0; l < 32; ++l) left |= (c.mask & ~c.arrived) >> l & 1 && lanes[l].state == DONE;
            const Place there = waiting(lanes[__builtin_ctz(c.arrived)]);
            if (left) report("shuffle from an inactive lane", there, "a lane of the mask has returned");
            else report("deadlock", there, "a lane of the mask waits elsewhere");
            return false;
        }
    if (other) {
        report_diverged("divergent barrier", *at, *other);
        return false;
    }
    if (done) report("barrier after exit", waiting(*at), nullptr, {0, 0, block_number, done->number});
    for (Thread& t : threads)
        if (t.state == AT_BARRIER) t.state = READY, t.result = holding;
    return true;
}

static uint3 unravel(unsigned n, uint3 size) { return {n % size.x, n / size.x % size.y, n / size.x / size.y}; }

static void arrange(std::vector<int>& numbers, int schedule, std::mt19937& random)
{
    std::iota(numbers.begin(), numbers.end(), 0);
    if (schedule == 1) std::reverse(numbers.begin(), numbers.end());
    if (schedule == 2) std::shuffle(numbers.begin(), numbers.end(), random);
}

static void run_block()
{
    memset(shared_space + SHARED_GAP, 0xff, dynamic_bytes);
    for (SharedArray& a : shared_arrays) memset(a.begin, 0xff, a.bytes);
    for (size_t i = 0; i < threads.size(); ++i) {
        Thread& t = threads[i];
        t.state = FRESH, t.number = int(i), t.index = unravel(i, blockDim);
        if (checking) t.past = {};
    }
    next_fresh = 0;
    while (!stopped && next_fresh < order.size()) start_threads();
    for (bool waiting = true; waiting && !stopped;) {
        waiting = false;
        bool resumed = false;
        for (size_t i = 0; i < order.size() && !stopped; ++i) {
            Thread& t = threads[order[i]];
            if (t.state == READY) {
                resumed = true;
                resume(t);
                switch_to(main_fiber, *t.fiber);
            }
            waiting |= t.state != DONE;
        }
        if (!resumed && waiting && !stopped) stopped = !open_barrier();
    }
    running = nullptr;
}
}  // namespace emu

using namespace emu;
extern "C" {
#pragma GCC visibility push(default)  // all else is hidden: two programs in one process share nothing
const Entry* emu_entries() { return Entry::first; }

// Returns how many faults there are by now; order: 0 forward, 1 reverse, 2 random.
int emu_launch(const Entry* e, const unsigned* grid, const unsigned* block, size_t shared, void** args, int schedule,
               unsigned seed)
{
#ifdef __SSE__  // CuPy compiles with -ftz=true: subnormal floats are 0 (here doubles, too, which on a GPU are not)
    const unsigned modes = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(modes | 0x8040);
#endif
    const auto interrupted = checking ? signal(SIGINT, SIG_DFL) : SIG_ERR;  // Ctrl-C ends a kernel that never ends
    entry = e, arguments = args;
    gridDim = {grid[0], grid[1], grid[2]}, blockDim = {block[0], block[1], block[2]};
    threads.resize(size_t(block[0]) * block[1] * block[2]);
    order.resize(threads.size());
    collections.assign((threads.size() + 31) / 32, {});
    if (!shared_space) shared_space = reserve(SHARED_SPACE);
    dynamic_bytes = shared;
    dynamic_declared = false;
    shared_used = (SHARED_GAP + shared + SHARED_GAP + 255) / 256 * 256;
    shared_arrays.clear();
    faults.clear();
    std::mt19937 random(seed);
    std::vector<int> blocks(size_t(grid[0]) * grid[1] * grid[2]);
    arrange(blocks, schedule, random);
    stopped = false;
    for (size_t i = 0; i < blocks.size() && !stopped; ++i) {
        block_number = blocks[i];
        blockIdx = unravel(block_number, gridDim);
        arrange(order, schedule, random);
        run_block();
        checker_block_ends();
    }
    if (stopped) {  // fibers that were left inside a kernel start anew
        idle = fibers;
        for (Fiber* f : fibers) f->started = false;
    }
#ifdef __SSE__
    __builtin_ia32_ldmxcsr(modes);
#endif
    if (interrupted != SIG_ERR) signal(SIGINT, interrupted);
    return stopped ? -int(faults.size()) : int(faults.size());
}
const Fault* emu_faults() { return faults.data(); }
}
