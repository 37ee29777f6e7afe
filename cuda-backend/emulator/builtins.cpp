// The emulated libnvrtc-builtins: only its name matters.
#include "emulator.h"

EXPORT int emulated_builtins() { return 0; }
