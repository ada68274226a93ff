// Which instruction set the kernels use, decided once at run time.
#pragma once

namespace tacit {

enum class Isa : int { portable = 0, avx2 = 1, avx512 = 2 };

// The best set this processor and operating system offer.
Isa best_isa() noexcept;

// The set in use: best_isa() until set_isa() lowers it (tests compare the paths bit for bit).
Isa isa() noexcept;

// Throws std::invalid_argument where the processor lacks the set.
void set_isa(Isa wanted);

// AES instructions are a feature of their own: without them the Python door uses OpenSSL.
bool has_aes() noexcept;

}  // namespace tacit
