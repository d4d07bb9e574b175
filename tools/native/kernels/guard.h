// For memory that is handed out in parts by the kernels themselves, where the address sanitizer is compiled in
// (tools/sanitize.mjs): it sees only what the C library hands out. Elsewhere nothing.
#pragma once
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace conmim {

#if defined(__SANITIZE_ADDRESS__)
/** Bytes behind each part that are nobody's. */
constexpr size_t GUARD = 256;
/** From now on a fault to read or write. */
inline void forbid(const void* memory, size_t bytes) { __asan_poison_memory_region(memory, bytes); }
inline void permit(const void* memory, size_t bytes) { __asan_unpoison_memory_region(memory, bytes); }
#else
constexpr size_t GUARD = 0;
inline void forbid(const void*, size_t) {}
inline void permit(const void*, size_t) {}
#endif

} // namespace conmim
