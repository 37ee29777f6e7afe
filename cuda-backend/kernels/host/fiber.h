// Stacks that can be left and entered again: what a CUDA thread runs on under the host shim.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace shim {

#if defined(__x86_64__)
// Pushes the registers that a function must preserve, exchanges stacks, pops them.
extern "C" void shim_switch(void **leave, void *enter);
asm(R"(
.text
.globl shim_switch
.hidden shim_switch
.type shim_switch, @function
shim_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size shim_switch, .-shim_switch
)");
#endif

/// A place to come back to: a fiber's, or that of the thread that runs fibers.
struct Place {
#if defined(__x86_64__)
    void *sp = nullptr;
#else
    ucontext_t context;
#endif
    // For AddressSanitizer, which wants to know on which stack the program is.
    void *fake = nullptr;
    const void *bottom = nullptr;
    size_t size = 0;
};

/// Leaves `from`, continues `to`.
inline void jump(Place &from, Place &to) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&from.fake, to.bottom, to.size);
#endif
#if defined(__x86_64__)
    shim_switch(&from.sp, to.sp);
#else
    swapcontext(&from.context, &to.context);
#endif
#if defined(__SANITIZE_ADDRESS__)
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(from.fake, &bottom, &size);
#endif
}

/// A stack with a guard page below it.
struct Fiber {
    static constexpr size_t GUARD = 4096, STACK = 256 * 1024;
    char *memory;
    Place place;

    /// A fiber that starts in `entry`, which must never return.
    explicit Fiber(void (*entry)()) {
        void *m = mmap(nullptr, GUARD + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (m == MAP_FAILED || mprotect(m, GUARD, PROT_NONE) != 0) {
            fputs("host shim: no memory for a stack\n", stderr);
            abort();
        }
        memory = static_cast<char *>(m);
        start(entry);
    }
    Fiber(const Fiber &) = delete;
    ~Fiber() { munmap(memory, GUARD + STACK); }

    /// Forgets what it was doing and starts again in `entry`.
    void start(void (*entry)()) {
        place.bottom = memory + GUARD;
        place.size = STACK;
        place.fake = nullptr;
#if defined(__x86_64__)
        // Six registers, then the address that `ret` takes; the stack is aligned as after a call.
        uint64_t *top = reinterpret_cast<uint64_t *>(memory + GUARD + STACK) - 2;
        top[0] = reinterpret_cast<uint64_t>(entry);
        top[1] = 0;
        for (int i = 1; i <= 6; i++) {
            top[-i] = 0;
        }
        place.sp = top - 6;
#else
        getcontext(&place.context);
        place.context.uc_stack.ss_sp = memory + GUARD;
        place.context.uc_stack.ss_size = STACK;
        place.context.uc_link = nullptr;
        makecontext(&place.context, entry, 0);
#endif
    }
};

} // namespace shim
