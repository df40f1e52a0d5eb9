#include "reserve.h"

#include <cstring>

#include "problem.h"

namespace cuda_batchnorm::cudnn {
namespace {

constexpr uint64_t kMagic = 0x65767265736572u;
constexpr size_t kHeadBytes = 128;
constexpr size_t kWordBits = 32;

// Of a signature, between the magic number and the print of the bits.
constexpr const char* kFields[] = {"mode", "ops", "data type", "format", "batch size", "channels", "height", "width", "epsilon", "x"};

size_t wordsFor(size_t bits) { return (bits + kWordBits - 1) / kWordBits; }

uint64_t bitsOf(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

}  // namespace

uint64_t fingerprint(const char* bytes, size_t count) {
  uint64_t print = 0xcbf29ce484222325u;
  for (size_t i = 0; i < count; ++i) print = (print ^ static_cast<unsigned char>(bytes[i])) * 0x100000001b3u;
  return print;
}

size_t Reserve::bytes(size_t bits) { return kHeadBytes + wordsFor(bits) * sizeof(uint32_t); }

Reserve::Reserve(const Problem& problem, char* memory) : problem_(problem), memory_(memory) {}

void Reserve::set(size_t element, bool passed) {
  char* const byte = memory_ + kHeadBytes + element / 8;
  const auto bit = static_cast<char>(1 << element % 8);
  *byte = static_cast<char>(passed ? *byte | bit : *byte & ~bit);
}

bool Reserve::passed(size_t element) const { return (memory_[kHeadBytes + element / 8] >> element % 8 & 1) != 0; }

Reserve::Signature Reserve::signature(double epsilon, uint64_t xPrint) const {
  const Shape& x = problem_.x;
  const auto number = [](auto value) { return static_cast<uint64_t>(value); };
  const uint64_t bits = fingerprint(memory_ + kHeadBytes, problem_.reserveBytes() - kHeadBytes);
  return {kMagic,      number(problem_.mode), number(problem_.ops), number(x.type),  number(x.format), number(x.n),
          number(x.c), number(x.h),           number(x.w),          bitsOf(epsilon), xPrint,           bits};
}

void Reserve::sign(double epsilon, uint64_t xPrint) {
  const Signature written = signature(epsilon, xPrint);
  static_assert(sizeof written <= kHeadBytes);
  std::memset(memory_, 0, kHeadBytes);
  std::memcpy(memory_, written.data(), sizeof written);
}

std::string Reserve::mismatch(double epsilon, uint64_t xPrint) const {
  const Signature expected = signature(epsilon, xPrint);
  Signature found;
  std::memcpy(found.data(), memory_, sizeof found);
  if (found[0] != kMagic) return "no forward pass has filled the reserve space";
  for (size_t i = 1; i + 1 < found.size(); ++i) {
    if (found[i] != expected[i]) return std::string("the reserve space is of another forward pass: its ") + kFields[i - 1] + " was another";
  }
  return found.back() == expected.back() ? "" : "the bits of the reserve space were overwritten after forward";
}

}  // namespace cuda_batchnorm::cudnn
