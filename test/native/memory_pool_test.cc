#include "../../native/cpu/memory_pool.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "check.h"

namespace {

using cuda_batchnorm::Error;
using cuda_batchnorm::ErrorCode;
using cuda_batchnorm::cpu::MemoryPool;

constexpr size_t kMebibyte = size_t{1} << 20;

void nothing() {}

bool aligned(const void* block, size_t bytes) { return reinterpret_cast<uintptr_t>(block) % bytes == 0; }

void roundsLittle() {
  for (size_t bytes = 256; bytes < (size_t{1} << 40); bytes += 1 + bytes / 97) {
    const size_t size = MemoryPool::blockSize(bytes);
    CHECK(size >= bytes && size % 64 == 0);
    CHECK(size - bytes <= bytes / 3);
    CHECK(MemoryPool::blockSize(size) == size);
  }
  CHECK(MemoryPool::blockSize(0) == 64);
  CHECK(MemoryPool::blockSize(SIZE_MAX) == 0);
}

void aligns() {
  MemoryPool pool(nothing, SIZE_MAX);
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{65}, size_t{5000}, kMebibyte}) {
    void* const block = pool.allocate(bytes);
    CHECK(block != nullptr && aligned(block, 64));
    std::memset(block, 1, bytes);
  }
  for (const size_t bytes : {2 * kMebibyte, 3 * kMebibyte + 1, 17 * kMebibyte}) {
    void* const block = pool.allocate(bytes);
    CHECK(aligned(block, 2 * kMebibyte));
    std::memset(block, 1, bytes);
  }
}

void reuses() {
  MemoryPool pool(nothing, SIZE_MAX);
  for (const size_t bytes : {size_t{100}, size_t{100000}, 3 * kMebibyte}) {
    void* const first = pool.allocate(bytes);
    void* const second = pool.allocate(bytes);
    CHECK(first != second);
    pool.release(second);
    CHECK(pool.allocate(bytes - 1) == second);  // another size, the same class
    const size_t reserved = pool.use().reserved;
    for (int round = 0; round < 1000; ++round) {
      pool.release(first);
      CHECK(pool.allocate(bytes) == first);
    }
    CHECK(pool.use().reserved == reserved);
  }
}

void accounts() {
  MemoryPool pool(nothing, SIZE_MAX);
  void* const small = pool.allocate(100);
  void* const large = pool.allocate(3 * kMebibyte + 1);
  CHECK(pool.use().live == 3 * kMebibyte + 101);
  CHECK(pool.use().peak == pool.use().live);
  CHECK(pool.use().reserved == MemoryPool::blockSize(100) + MemoryPool::blockSize(3 * kMebibyte + 1));
  pool.release(large);
  CHECK(pool.use().live == 100 && pool.use().peak == 3 * kMebibyte + 101);
  pool.trim();
  CHECK(pool.use().reserved == MemoryPool::blockSize(100));
  pool.release(small);
  pool.trim();
  CHECK(pool.use().live == 0 && pool.use().reserved == 0);
}

void waitsBeforeTheSystemGetsMemoryBack() {
  int waits = 0;
  MemoryPool pool([&waits] { ++waits; }, 4 * kMebibyte);
  pool.trim();
  CHECK(waits == 0);  // nothing idle
  pool.release(pool.allocate(3 * kMebibyte));
  CHECK(waits == 0);
  void* const other = pool.allocate(4 * kMebibyte);  // fits only when the idle block is gone
  CHECK(waits == 1 && pool.use().reserved == 4 * kMebibyte);
  pool.release(other);
  pool.setLimit(kMebibyte);
  CHECK(waits == 2 && pool.use().reserved == 0 && pool.use().limit == kMebibyte);
}

void refusesInNumbers() {
  MemoryPool pool(nothing, 1000);
  void* const block = pool.allocate(500);
  for (const size_t bytes : {size_t{501}, size_t{1} << 50, SIZE_MAX}) {
    const Error error = errorOf([&] { pool.allocate(bytes); });
    CHECK(error.code() == ErrorCode::OutOfMemory);
    const std::string message = error.what();
    const std::string reserved = std::to_string(MemoryPool::blockSize(500)) + " reserved";
    for (const std::string& part : {std::to_string(bytes), std::string("500 are live"), reserved, std::string("limit of 1000")}) {
      CHECK(message.find(part) != std::string::npos);
    }
  }
  CHECK(pool.use().live == 500);
  pool.release(block);
}

void survivesASystemThatRefuses() {
  MemoryPool pool(nothing, SIZE_MAX);
  CHECK(errorOf([&] { pool.allocate(size_t{1} << 60); }).code() == ErrorCode::OutOfMemory);
  CHECK(pool.use().reserved == 0);
}

}  // namespace

int main() {
  roundsLittle();
  aligns();
  reuses();
  accounts();
  waitsBeforeTheSystemGetsMemoryBack();
  refusesInNumbers();
  survivesASystemThatRefuses();
}
