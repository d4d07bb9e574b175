// Work in chunks on all cores. The chunks never depend on how many cores there are, and sums of chunks are added in
// their order: the same numbers on every machine of one instruction set, and from run to run.
#pragma once
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace conmim {

/** Threads that work on chunks, the caller among them. */
class Pool {
 public:
  static Pool& get() {
    static Pool* pool = new Pool(); // never deleted: its threads may outlive static objects
    return *pool;
  }

  /** Calls `work(chunk)` for every chunk in [0, chunks), on all threads; returns when all are done. */
  void run(int64_t chunks, const std::function<void(int64_t)>& work) {
    if (chunks <= 1 || threads_ == 1) {
      for (int64_t i = 0; i < chunks; i++) work(i);
      return;
    }
    std::lock_guard<std::mutex> one(running_);
    work_ = &work;
    chunks_ = chunks;
    next_.store(0);
    open_.store(++rounds_);
    if (sleepers_.load() > 0) {
      mutex_.lock(); // none is between its last look and its sleep
      mutex_.unlock();
      wake_.notify_all();
    }
    take();
    // Who comes now is too late, and who came is waited for.
    open_.store(0);
    for (Patience patience; inside_.load() > 0;)
      if (!patience.more()) std::this_thread::yield();
  }

  int threads() const { return threads_; }

 private:
  /** Of looking again before sleeping: twice of what it takes to wake a thread that sleeps on a virtual machine. */
  static constexpr std::chrono::microseconds LOOKING{200};
  class Patience {
   public:
    bool more() {
      pause();
      return ++looks_ % 64 != 0 || std::chrono::steady_clock::now() < end_;
    }

   private:
    static void pause() {
#if defined(__x86_64__) || defined(__i386__)
      __builtin_ia32_pause();
#elif defined(__aarch64__)
      asm volatile("yield");
#endif
    }
    int looks_ = 0;
    std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + LOOKING;
  };

  Pool() {
    cpu_set_t set;
    threads_ = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                           : static_cast<int>(std::thread::hardware_concurrency());
    threads_ = std::max(1, threads_);
    for (int i = 1; i < threads_; i++) std::thread([this] { serve(); }).detach();
  }

  void take() {
    for (int64_t i; (i = next_.fetch_add(1)) < chunks_;) (*work_)(i);
  }

  void serve() {
    for (uint64_t seen = 0;;) {
      const auto is_new = [&] {
        const uint64_t round = open_.load();
        return round != 0 && round != seen;
      };
      for (Patience patience; !is_new();) {
        if (patience.more()) continue;
        std::unique_lock<std::mutex> lock(mutex_);
        sleepers_++;
        wake_.wait(lock, is_new);
        sleepers_--;
      }
      inside_++;
      // While someone is inside, no other round begins; where this one has ended, there is nothing to take.
      const uint64_t round = open_.load();
      if (round != 0) {
        seen = round;
        take();
      }
      inside_--;
    }
  }

  int threads_ = 1;
  uint64_t rounds_ = 0;
  /** Number of the round that is open, or 0; and of threads that may be at its chunks, beside the caller. */
  std::atomic<uint64_t> open_{0};
  std::atomic<int> inside_{0}, sleepers_{0};
  int64_t chunks_ = 0;
  std::atomic<int64_t> next_{0};
  const std::function<void(int64_t)>* work_ = nullptr;
  std::mutex running_, mutex_;
  std::condition_variable wake_;
};

/** Rows in chunks: `work(from, to, chunk)`. At most 32 chunks, of at least 16 rows. */
inline int64_t chunksOf(int64_t rows) { return std::clamp<int64_t>(rows / 16, 1, 32); }

template <class Work>
void parallelRows(int64_t rows, const Work& work) {
  const int64_t chunks = chunksOf(rows);
  Pool::get().run(chunks, [&](int64_t c) { work(rows * c / chunks, rows * (c + 1) / chunks, c); });
}

/** Sums over rows of `count` vectors of some width: each chunk into its own, then all in order. */
class ColumnSums {
 public:
  ColumnSums(int64_t rows, int64_t width, int count)
      : chunks_(chunksOf(rows)), size_(width * count), width_(width), sums_(chunks_ * size_, 0.f) {}
  float* of(int64_t chunk, int which) { return sums_.data() + chunk * size_ + which * width_; }
  void total(int which, float* out) const {
    std::fill(out, out + width_, 0.f);
    for (int64_t c = 0; c < chunks_; c++) {
      const float* part = sums_.data() + c * size_ + which * width_;
      for (int64_t i = 0; i < width_; i++) out[i] += part[i];
    }
  }

 private:
  int64_t chunks_, size_, width_;
  std::vector<float> sums_;
};

} // namespace conmim
