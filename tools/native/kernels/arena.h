// Memory of tensors. TensorFlow's own allocator on a CPU with oneDNN keeps regions of doubling size, gives a tensor up
// to twice of what it asks for, and never puts regions together: of a training step a fifth of what was resident held
// nothing (docs/benchmarks.md). Here tensors lie in one piece of address space, each in the lowest gap that has room
// for it, so that what lives for a step only closes up behind what lives as long as the network.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

#include "guard.h"

namespace conmim {

class Arena {
 public:
  static Arena& get() {
    static Arena* arena = new Arena(); // never deleted: tensors may outlive static objects
    return *arena;
  }

  /** Smaller tensors are left to TensorFlow: they are many, and come to little. None is where each has a guard. */
  static constexpr size_t SMALLEST = GUARD > 0 ? 1 : 1 << 16;

  /** So many bytes, aligned to 256, or null where there is no room or no such memory is to be had. */
  void* allocate(size_t bytes) {
    const size_t size = rounded(bytes);
    std::lock_guard<std::mutex> lock(mutex_);
    for (auto gap = gaps_.begin(); gap != gaps_.end(); ++gap) {
      const auto [at, room] = *gap;
      if (room < size) continue;
      gaps_.erase(gap);
      if (room > size) gaps_.emplace(at + size, room - size);
      live_ += size;
      used_ = std::max(used_, at + size);
      permit(base_ + at, bytes);
      forbid(base_ + at + bytes, size - bytes);
      return base_ + at;
    }
    return nullptr;
  }

  /** Takes back what `allocate` gave for so many bytes. */
  void release(void* memory, size_t bytes) {
    const size_t size = rounded(bytes);
    std::lock_guard<std::mutex> lock(mutex_);
    forbid(memory, size);
    auto gap = gaps_.emplace(static_cast<char*>(memory) - base_, size).first;
    const auto next = std::next(gap);
    if (next != gaps_.end() && gap->first + gap->second == next->first) {
      gap->second += next->second;
      gaps_.erase(next);
    }
    if (gap != gaps_.begin()) {
      const auto before = std::prev(gap);
      if (before->first + before->second == gap->first) {
        before->second += gap->second;
        gaps_.erase(gap);
      }
    }
    live_ -= size;
    // The last network is gone; less is kept, or each of some operations without one would begin with fresh pages.
    if (live_ == 0 && used_ > KEPT) giveBack();
  }

  /** What lies in gaps goes back to the system; it comes anew, as zeros, where it is written to. */
  void trim() {
    std::lock_guard<std::mutex> lock(mutex_);
    giveBack();
  }

  /** Bytes that tensors hold now, and of what was written to for them since it was last given back, gaps and all. */
  size_t live() const { return live_; }
  size_t used() const { return used_; }

 private:
  /** Of what nothing lies in any more. */
  static constexpr size_t KEPT = 64 << 20;

  Arena() {
    // Addresses, of which only those that are written to take memory: gaps and all, twice of what the machine has.
    const size_t room = 2 * static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
    void* memory = mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return; // a limit on address space: TensorFlow's allocator has to do
    base_ = static_cast<char*>(memory);
    gaps_.emplace(0, room);
  }

  void giveBack() {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    size_t top = 0; // where the highest tensor ends
    for (const auto [at, room] : gaps_) {
      const size_t from = (at + page - 1) / page * page, to = std::min(at + room, used_) / page * page;
      if (to > from) madvise(base_ + from, to - from, MADV_DONTNEED);
      top = at;
    }
    used_ = std::min(used_, top);
  }

  static size_t rounded(size_t bytes) { return (bytes + GUARD + 255) / 256 * 256; }

  std::mutex mutex_;
  char* base_ = nullptr;
  /** Where a gap begins, and its size; no two touch. */
  std::map<size_t, size_t> gaps_;
  size_t live_ = 0, used_ = 0;
};

} // namespace conmim
