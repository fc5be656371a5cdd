// What the scheduler and the checker share, and what Python reads of them by ctypes (as laid out in __init__.py).
#pragma once
#define EMULATOR_RUNTIME
#include "device.h"

namespace emu {
struct Fiber;
enum State { FRESH, READY, AT_BARRIER, AT_COLLECTIVE, DONE };
struct Thread {
    State state;
    int number;                      // in its block
    uint3 index;
    int line;                        // of the barrier or collective at which it waits
    bool predicate;
    uint64_t result;                 // of the barrier or collective
    uint16_t barriers;               // passed so far
    uint16_t syncs[32];              // how many __syncwarp of each lane lie before this thread's next access
    bool fenced;
    Fiber* fiber;
};
struct Place { uint32_t site; int line, block, thread; };  // site: return address from the start of the library, or 0
struct Fault {
    const char* kind;
    const char* note;                // the name of a shared array, or more about the kind
    int region;                      // of an argument; -1: none
    int64_t offset, bytes, count;
    Place here, other;
};
extern Thread* running;              // null outside of a kernel
extern int block_number;

Place place(int line);
void report(const char* kind, Place here, const char* note = nullptr, int region = -1, int64_t offset = 0,
            int64_t bytes = 0, Place other = {});
[[noreturn]] void stop();            // ends the launch: no further thread runs
bool on_stack(const Thread&, const char*);
void checker_shared(char* begin, size_t bytes, const char* name);
void checker_block_ends();
}  // namespace emu
