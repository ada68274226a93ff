#include "scratch.hpp"

#include <memory>
#include <new>

namespace tacit {
namespace {

constexpr std::align_val_t kAlignment{64};

struct Release {
  void operator()(std::uint64_t* words) const { ::operator delete[](words, kAlignment); }
};

struct Buffer {
  std::unique_ptr<std::uint64_t[], Release> words;
  std::size_t size = 0;
};

}  // namespace

std::uint64_t* scratch(Scratch purpose, std::size_t words) {
  thread_local Buffer buffers[static_cast<int>(Scratch::count)];
  Buffer& buffer = buffers[static_cast<int>(purpose)];
  if (buffer.size < words) {
    buffer.words.reset();
    buffer.size = 0;
    buffer.words.reset(static_cast<std::uint64_t*>(::operator new[](words * sizeof(std::uint64_t), kAlignment)));
    buffer.size = words;
  }
  return buffer.words.get();
}

}  // namespace tacit
