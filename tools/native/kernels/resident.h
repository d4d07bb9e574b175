// What a process holds beside its tensors.
#pragma once
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace conmim {

/**
 * Lets go of the pages of TensorFlow's libraries that were mapped while they were loaded: a quarter of a gigabyte of
 * relocations, symbols and initializers, nearly none of which is looked at again. What is needed after all is mapped
 * again from the page cache, 64 kB at a time. Segments that may be written to, which relocations are in, are left
 * alone.
 */
inline void forgetLoading() {
  dl_iterate_phdr(
      [](dl_phdr_info* library, size_t, void*) {
        if (!std::strstr(library->dlpi_name, "libtensorflow")) return 0;
        const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
        for (int i = 0; i < library->dlpi_phnum; i++) {
          const auto& segment = library->dlpi_phdr[i];
          if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W)) continue;
          // Whole pages of this segment alone.
          const uintptr_t from = (library->dlpi_addr + segment.p_vaddr + page - 1) / page * page;
          const uintptr_t to = (library->dlpi_addr + segment.p_vaddr + segment.p_memsz) / page * page;
          if (to > from) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
        }
        return 0;
      },
      nullptr);
}

/** Memory that was freed, and that the C library keeps for later, goes back to the system. */
inline void returnFreed() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

} // namespace conmim
