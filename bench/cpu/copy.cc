// Times a plain copy of a tensor: the yardstick of the CPU benchmark. Usage: copy THREADS; helper.ts tells what it reads and writes.
//
// Each thread copies its part with memcpy, 64 KiB at a time: for one large block memcpy may turn to stores past the caches,
// which here would make the yardstick slower than any plain loop.
#include <algorithm>
#include <iostream>

#include "protocol.h"
#include "team.h"

namespace {

constexpr size_t kPiece = 64 * 1024;

void copyPart(char* destination, const char* source, size_t bytes, int part, int parts) {
  const size_t pieces = (bytes + kPiece - 1) / kPiece;
  const size_t begin = pieces * part / parts * kPiece;
  const size_t end = std::min(bytes, pieces * (part + 1) / parts * kPiece);
  for (size_t at = begin; at < end; at += kPiece) std::memcpy(destination + at, source + at, std::min(kPiece, end - at));
}

}  // namespace

int main(int, char** arguments) {
  Team team(std::atoi(arguments[1]));
  std::cout << "memcpy" << std::endl;
  char* source = nullptr;
  char* destination = nullptr;
  size_t bytes = 0;
  answerRequests(
      [&](const Request& request) {
        std::free(source);
        std::free(destination);
        bytes = static_cast<size_t>(request.n * request.c * request.h * request.w) * sizeof(float);
        source = allocate(bytes);
        destination = allocate(bytes);
      },
      [&](const Request& request) {
        return Answer{team.burst([&](int part) { copyPart(destination, source, bytes, part, team.size()); }, request.calls)};
      });
}
