// Finds faults of memory and counts its traffic. In check mode the kernel is compiled with the calls that
// -fsanitize=thread,undefined inserts before every load and store, but linked without that library: the functions below
// take these calls, and they know CUDA: the arguments and their sizes, shared arrays, barriers, blocks without order.
#include "runtime.h"

#include <algorithm>
#include <cstdlib>
#include <unordered_map>
#include <vector>

extern "C" __attribute__((visibility("hidden"))) const char __ehdr_start, _end;  // the linker's: from where to where
                                                                               // this library lies

namespace emu {
// Who touched a word last, and behind which barriers; mapped memory starts as zeros, so block 0 is stored as 1.
struct Touch { int block1; uint32_t site; uint16_t thread, barriers, syncs, fences : 15, atomic : 1; };
struct Word { Touch write, read[2]; };
struct Region {
    char* begin;
    size_t bytes;
    int unit;                        // bytes to a word: threads that touch two bytes of one word count as in conflict
    bool initialised, read_only;
    const char* name;                // of a shared array
    Word* words;
};
struct Traffic {
    uint32_t site;
    int region, write;
    const char* name;                // of a shared array
    int64_t requests, sectors, ideal, conflicts;
};
struct Request { int lanes, bytes; uint64_t address[32]; };
struct Site {                        // one load or store of the kernel's code
    Traffic traffic;
    std::vector<unsigned> times;                   // by thread: how often it came here
    std::vector<std::vector<Request>> requests;    // by warp: what its lanes asked for the first time, the second ...
};
// An atomic operation behind a __threadfence: what its thread did before the fence, and others of its block before a
// barrier, is seen by those who come to the same address by an atomic operation later ("the last block adds up").
struct Signal { const char* address; int thread, barriers, fences; };
struct Access { const char* p; size_t bytes; bool write; Place here; Region* region; Touch mine; };  // the present one

static const unsigned MOST_ACCESSES = 1 << 25;     // of one thread: so many would take seconds anyway
static const unsigned MOST_TIMES = 1024;           // that a thread's coming to one site is counted in a block: memory
bool checking;
static std::vector<Region> regions;
static std::unordered_map<uint64_t, Site> sites;
static std::vector<Traffic> traffic;
static std::unordered_map<const char*, std::unordered_map<int, std::vector<Signal>>> released;  // by address, by block
static std::vector<Signal> acquired;                                                            // by this block

uint32_t site_of(void* return_address) { return uint32_t((char*)return_address - &__ehdr_start - 1); }

static void add_region(Region r)
{
    r.words = (Word*)calloc(r.bytes / r.unit + 1, sizeof(Word));
    regions.push_back(r);
}

void checker_shared(char* begin, size_t bytes, int unit, const char* name)
{
    if (checking) add_region({begin, bytes, unit, false, false, name, nullptr});
}

static Region* find(const char* p)
{
    for (Region& r : regions)
        if (p >= r.begin && p < r.begin + r.bytes) return &r;
    return nullptr;
}

static Region* nearest(const char* p)
{
    Region* best = nullptr;
    int64_t least = 1 << 20;         // the gap that Python leaves between arguments
    for (Region& r : regions) {
        const int64_t away = p < r.begin ? r.begin - p : p - (r.begin + r.bytes);
        if (away < least) least = away, best = &r;
    }
    return best;
}

static void report_at(const char* kind, const Access& a, Place other = NOBODY)
{
    const Region* r = a.region;
    const int region = !r ? STRAY : r->name ? NOWHERE : int(r - regions.data());
    report({kind, nullptr, r ? r->name : nullptr, region, r ? a.p - r->begin : 0, int64_t(a.bytes), 1, a.here, other});
}

// Whether what `t` did earlier is certainly seen by the thread that runs now.
static bool ordered(const Touch& t)
{
    if (!t.block1) return true;
    const Thread& me = *running;
    if (t.block1 == block_number + 1) {
        if (t.thread == me.number || t.barriers != me.past.barriers) return true;
        if (t.thread / 32 == me.number / 32 && me.past.syncs[t.thread % 32] > t.syncs) return true;
    }
    for (const Signal& a : acquired)
        if (me.number == a.thread || me.past.barriers != uint16_t(a.barriers))
            for (const Signal& s : released[a.address][t.block1])
                if (t.thread == s.thread ? t.fences < s.fences : t.barriers < s.barriers) return true;
    return false;
}

static void check_race(const Touch& t, const Access& a)
{
    if ((t.atomic && a.mine.atomic) || ordered(t)) return;
    report_at("race", a, {t.site, 0, t.block1 - 1, t.thread});
}

static void touch(Word& w, const Access& a)
{
    const Touch& mine = a.mine;
    if (a.region->name && w.write.block1 != mine.block1) w = {};  // left by an earlier block
    if ((!a.write || mine.atomic) && !a.region->initialised && !w.write.block1) report_at("uninitialised read", a);
    check_race(w.write, a);
    if (a.write) {
        for (const Touch& t : w.read) check_race(t, a);
        const Touch& last = w.write;
        const bool still_plain = last.block1 == mine.block1 && last.thread == mine.thread && !last.atomic &&
                                 last.barriers == mine.barriers && last.syncs == mine.syncs;
        w = {mine, {}};
        if (still_plain) w.write.atomic = 0;  // an atomic operation does not hide the plain one right before it
    } else if (ordered(w.read[0])) {
        w.read[0] = mine;
    } else if (w.read[0].block1 != mine.block1 || w.read[0].thread / 32 != mine.thread / 32 || ordered(w.read[1])) {
        w.read[1] = mine;            // two readers, of different warps if there are: one of them is not the next writer
    }
}

static void count(const Access& a)
{
    const Region& r = *a.region;
    const int region = int(&r - regions.data()), thread = running->number;
    Site& s = sites[uint64_t(a.here.site) << 16 | region];
    if (s.times.empty()) {
        s.traffic = {a.here.site, region, a.write, r.name, 0, 0, 0, 0};
        s.times.resize(blockDim.x * blockDim.y * blockDim.z);
        s.requests.resize((s.times.size() + 31) / 32);
    }
    const unsigned time = s.times[thread];
    if (time == MOST_TIMES) return;
    s.times[thread]++;
    auto& requests = s.requests[thread / 32];
    if (requests.size() <= time) requests.resize(time + 1);
    Request& q = requests[time];
    q.bytes = int(a.bytes);
    q.address[q.lanes++] = uint64_t(r.name ? a.p - r.begin : a.p - (char*)nullptr);
}

// How many different pieces of `size` bytes the lanes from `first` to `end` touch; with banks, the most in one bank.
static int pieces(const Request& q, int first, int end, int size, int banks = 0)
{
    static std::vector<uint64_t> found;
    found.clear();
    for (int i = first; i < end; ++i)
        for (uint64_t a = q.address[i] / size; a <= (q.address[i] + q.bytes - 1) / size; ++a) found.push_back(a);
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    if (!banks) return int(found.size());
    int most = 0, in_bank[32] = {};
    for (uint64_t a : found) most = std::max(most, ++in_bank[a % banks]);
    return most;
}

static void add_up(Traffic& t, const Request& q)
{
    t.requests++;
    if (!t.name) {
        t.sectors += pieces(q, 0, q.lanes, 32);
        const int word = q.bytes % 4 == 0 ? 4 : q.bytes % 2 == 0 ? 2 : 1;
        t.ideal += (pieces(q, 0, q.lanes, word) * word + 31) / 32;
        return;
    }
    // Wider accesses go by half and quarter warps: 32 banks of 4 bytes at a time.
    const int lanes = std::max(1, 32 * 4 / std::max(4, q.bytes));
    for (int first = 0; first < q.lanes; first += lanes)
        t.conflicts += std::max(0, pieces(q, first, std::min(first + lanes, q.lanes), 4, 32) - 1);
}

void checker_block_ends()
{
    acquired.clear();
    for (auto& entry : sites) {
        Site& s = entry.second;
        for (auto& requests : s.requests) {
            for (const Request& q : requests) add_up(s.traffic, q);
            requests.clear();
        }
        std::fill(s.times.begin(), s.times.end(), 0);
    }
}

static void access(void* pointer, size_t bytes, void* return_address, bool write, bool atomic = false)
{
    const char* p = (char*)pointer;
    if (!checking || !running) return;
    Place here = place(0);
    here.site = site_of(return_address);
    if (++running->past.accesses > MOST_ACCESSES) {
        report("endless loop", here);
        stop();
    }
    const bool constant = !write && p >= &__ehdr_start && p < &_end;  // a table of the kernel's file
    if (constant || on_stack(*running, p)) return;
    const int n = running->number;
    const Touch mine{block_number + 1, here.site, uint16_t(n), running->past.barriers, running->past.syncs[n % 32],
                     running->past.fences, atomic};
    Access a{p, bytes, write, here, find(p), mine};
    if (!a.region || p + bytes > a.region->begin + a.region->bytes) {
        if (!a.region) a.region = nearest(p);
        report_at(write ? "out-of-bounds write" : "out-of-bounds read", a);
        stop();
    }
    const Region& r = *a.region;
    if (write && r.read_only) report_at("write to an input", a);
    const size_t offset = p - r.begin;
    for (size_t i = offset / r.unit; i <= (offset + bytes - 1) / r.unit; ++i) touch(r.words[i], a);
    count(a);
}

void atomic_access(void* p, size_t bytes, void* return_address)
{
    if (!checking || !running) return;
    access(p, bytes, return_address, true, true);
    const Signal mine{(char*)p, running->number, running->past.barriers, running->past.fences};
    if (released.count(mine.address)) acquired.push_back(mine);
    if (running->past.fences) released[mine.address][block_number + 1].push_back(mine);
}
}  // namespace emu

using namespace emu;
extern "C" {
#pragma GCC visibility push(default)
void emu_begin(int check)
{
    checking = check;
    for (Region& r : regions) free(r.words);
    regions.clear(), sites.clear(), released.clear(), acquired.clear();
}
void emu_region(char* begin, size_t bytes, int unit, int initialised, int read_only)
{
    add_region({begin, bytes, unit, initialised != 0, read_only != 0, nullptr, nullptr});
}
int64_t emu_unwritten(int region, int64_t* first)  // words of an output that nobody wrote, and the first one's offset
{
    const Region& r = regions[region];
    int64_t missing = 0;
    for (size_t i = r.bytes / r.unit; i-- > 0;)
        if (!r.words[i].write.block1) missing++, *first = int64_t(i * r.unit);
    return missing;
}
const Traffic* emu_traffic(int* n)
{
    traffic.clear();
    for (auto& entry : sites) traffic.push_back(entry.second.traffic);
    *n = int(traffic.size());
    return traffic.data();
}
#pragma GCC visibility pop

// ---- what the compiler calls ----

#define HERE __builtin_return_address(0)
#define HOOK(N)                                                                   \
    void __tsan_read##N(void* p) { access(p, N, HERE, false); }                   \
    void __tsan_write##N(void* p) { access(p, N, HERE, true); }                   \
    void __tsan_unaligned_read##N(void* p) { access(p, N, HERE, false); }         \
    void __tsan_unaligned_write##N(void* p) { access(p, N, HERE, true); }         \
    void __tsan_volatile_read##N(void* p) { access(p, N, HERE, false); }          \
    void __tsan_volatile_write##N(void* p) { access(p, N, HERE, true); }
HOOK(1) HOOK(2) HOOK(4) HOOK(8) HOOK(16)
void __tsan_read_range(void* p, size_t n) { access(p, n, HERE, false); }
void __tsan_write_range(void* p, size_t n) { access(p, n, HERE, true); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

struct Location { const char* file; unsigned line, column; };
#define UNDEFINED(HANDLER, KIND, NOTE, THEN) \
    void __ubsan_handle_##HANDLER(Location* l) { if (running) { report(KIND, place(l->line), NOTE); THEN; } }
UNDEFINED(add_overflow, "integer overflow", "in an addition", )
UNDEFINED(sub_overflow, "integer overflow", "in a subtraction", )
UNDEFINED(mul_overflow, "integer overflow", "in a multiplication", )
UNDEFINED(negate_overflow, "integer overflow", "in a negation", )
UNDEFINED(divrem_overflow, "division by zero", nullptr, stop())
UNDEFINED(float_cast_overflow, "integer overflow", "in a conversion from a float", )
UNDEFINED(out_of_bounds, "array overrun", nullptr, stop())

void __ubsan_handle_shift_out_of_bounds(Location* l, int64_t value, uint64_t by)
{
    const bool fits = by < 32 && int32_t(uint64_t(value) << by) >> by == value;  // C++17 has no ~0 << by, CUDA does
    if (running && !fits) report("integer overflow", place(l->line), "in a shift");
}

void __ubsan_handle_type_mismatch_v1(Location* l, char* p)  // the address is not a multiple of what the type needs
{
    if (!running || on_stack(*running, p)) return;
    report_at("misaligned access", {p, 0, false, place(l->line), nearest(p), {}});
}
}
