#include "parallel.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <unistd.h>
#include <vector>

namespace tacit {
namespace {

std::atomic<int> wanted{1};

// One job at a time; workers sleep on a condition variable between jobs.
class Pool {
 public:
  void run(std::size_t parts, const std::function<void(std::size_t)>& part) {
    std::unique_lock<std::mutex> one_job(busy_);
    grow(parts - 1);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      part_ = &part;
      next_ = 0;
      parts_ = parts;
      left_ = parts;
    }
    wake_.notify_all();
    work();
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return left_ == 0; });
    part_ = nullptr;
  }

 private:
  void grow(std::size_t workers) {
    std::lock_guard<std::mutex> lock(mutex_);
    while (workers_ < workers) {
      ++workers_;
      std::thread([this] { loop(); }).detach();
    }
  }

  void loop() {
    for (;;) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [this] { return part_ != nullptr && next_ < parts_; });
      }
      work();
    }
  }

  void work() {
    for (;;) {
      const std::function<void(std::size_t)>* part;
      std::size_t index;
      {
        std::lock_guard<std::mutex> lock(mutex_);
        if (part_ == nullptr || next_ >= parts_) return;
        part = part_;
        index = next_++;
      }
      (*part)(index);
      std::lock_guard<std::mutex> lock(mutex_);
      if (--left_ == 0) done_.notify_all();
    }
  }

  std::mutex busy_, mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(std::size_t)>* part_ = nullptr;
  std::size_t next_ = 0, parts_ = 0, left_ = 0, workers_ = 0;
};

// A pool does not survive fork(): the child makes its own. Never destroyed, so that exit does not join workers.
Pool& pool() {
  static std::mutex guard;
  static Pool* instance = nullptr;
  static pid_t owner = 0;
  std::lock_guard<std::mutex> lock(guard);
  if (instance == nullptr || owner != getpid()) {
    instance = new Pool;
    owner = getpid();
  }
  return *instance;
}

}  // namespace

int threads() noexcept { return wanted.load(std::memory_order_relaxed); }

void set_threads(int count) {
  if (count < 1 || count > 256) throw std::invalid_argument("threads must be between 1 and 256");
  wanted.store(count);
}

void parallel_for(std::size_t n, std::size_t grain, const std::function<void(std::size_t, std::size_t)>& body) {
  if (n == 0) return;
  const std::size_t parts = std::min<std::size_t>(threads(), (n + grain - 1) / std::max<std::size_t>(grain, 1));
  if (parts <= 1) {
    body(0, n);
    return;
  }
  const std::size_t step = (n + parts - 1) / parts;
  pool().run(parts, [&](std::size_t p) {
    const std::size_t begin = p * step, end = std::min(n, begin + step);
    if (begin < end) body(begin, end);
  });
}

}  // namespace tacit
