// Work in chunks on all cores. The chunks never depend on how many cores there are, and sums of chunks are added in
// their order: the same numbers on every machine of one instruction set, and from run to run.
#pragma once
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace conmim {

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
    {
      std::lock_guard<std::mutex> lock(mutex_);
      work_ = &work;
      chunks_ = chunks;
      next_.store(0);
      busy_ = threads_ - 1;
      round_++;
    }
    wake_.notify_all();
    take(work, chunks);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
  }

  int threads() const { return threads_; }

 private:
  Pool() {
    cpu_set_t set;
    threads_ = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                           : static_cast<int>(std::thread::hardware_concurrency());
    threads_ = std::max(1, threads_);
    for (int i = 1; i < threads_; i++) std::thread([this] { serve(); }).detach();
  }

  void take(const std::function<void(int64_t)>& work, int64_t chunks) {
    for (int64_t i; (i = next_.fetch_add(1)) < chunks;) work(i);
  }

  void serve() {
    uint64_t seen = 0;
    for (;;) {
      const std::function<void(int64_t)>* work;
      int64_t chunks;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return round_ != seen; });
        seen = round_;
        work = work_;
        chunks = chunks_;
      }
      take(*work, chunks);
      std::lock_guard<std::mutex> lock(mutex_);
      if (--busy_ == 0) done_.notify_one();
    }
  }

  int threads_ = 1, busy_ = 0;
  uint64_t round_ = 0;
  int64_t chunks_ = 0;
  std::atomic<int64_t> next_{0};
  const std::function<void(int64_t)>* work_ = nullptr;
  std::mutex running_, mutex_;
  std::condition_variable wake_, done_;
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

}  // namespace conmim
