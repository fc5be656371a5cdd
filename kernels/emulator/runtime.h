// What the scheduler and the checker share, and what Python reads of them by ctypes (as laid out in __init__.py).
#pragma once
#define EMULATOR_RUNTIME
#include "device.h"

namespace emu {
struct Fiber;
enum State { FRESH, READY, AT_BARRIER, AT_COLLECTIVE, DONE };
struct Past {                        // what the checker knows of a thread
    uint16_t barriers, fences;       // passed so far
    uint16_t syncs[32];              // how many __syncwarp of each lane lie before this thread's next access
    unsigned accesses;               // so far
};
struct Thread {
    State state;
    int number;                      // in its block
    uint3 index;
    int line;                        // of the barrier or collective at which it waits
    uint32_t site;                   // in check mode, where functions are inlined: which of them
    bool predicate;
    uint64_t result;                 // of the barrier or collective
    Fiber* fiber;
    Past past;
};
struct Place { uint32_t site; int line, block, thread; };  // site: return address from the start of the library, or 0
const Place NOBODY{0, 0, -1, -1};
const int NOWHERE = -1, STRAY = -2;  // of Fault::region: no address is meant; one that is in no array
struct Fault {
    const char *kind, *note, *array;  // array: the name of a shared one
    int region;                       // the number of an argument's
    int64_t offset, bytes, count;
    Place here, other;
};
extern Thread* running;              // null outside of a kernel
extern int block_number;
extern bool checking;

Place place(int line);
void report(const Fault&);            // the same kind in the same place is counted, not repeated
inline void report(const char* kind, Place here, const char* note = nullptr, Place other = NOBODY)
{
    report({kind, note, nullptr, NOWHERE, 0, 0, 1, here, other});
}
[[noreturn]] void stop();             // ends the launch: no further thread runs
uint32_t site_of(void* return_address);
bool on_stack(const Thread&, const char*);
void checker_shared(char* begin, size_t bytes, int unit, const char* name);
void checker_block_ends();
}  // namespace emu
