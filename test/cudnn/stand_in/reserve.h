// What forward leaves for backward in the reserve space: which pass it was, and one bit for each element that passed the activation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace cuda_batchnorm::cudnn {

struct Problem;

class Reserve {
 public:
  // For so many bits.
  static size_t bytes(size_t bits);

  Reserve(const Problem& problem, char* memory);

  void set(size_t element, bool passed);
  bool passed(size_t element) const;

  // After all bits are set. `xPrint` is fingerprint() of x.
  void sign(double epsilon, uint64_t xPrint);
  // Why it is not of the forward pass that this backward pass belongs to; empty where it is.
  std::string mismatch(double epsilon, uint64_t xPrint) const;

 private:
  using Signature = std::array<uint64_t, 12>;
  Signature signature(double epsilon, uint64_t xPrint) const;

  const Problem& problem_;
  char* memory_;
};

// Of bytes; other bytes have another.
uint64_t fingerprint(const char* bytes, size_t count);

}  // namespace cuda_batchnorm::cudnn
