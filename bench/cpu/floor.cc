// Times the fewest bytes an operation has to move, in the pattern in which it has to move them, without any arithmetic: what this machine
// allows. Usage: floor THREADS; helper.ts tells what it reads and writes.
//
// Inference reads a tensor and writes one. Training forward must have read all of a channel before it writes any of it, and then reads
// it again; backward likewise with two tensors. There are several ways to do so, and which is the fastest depends on the machine:
//   in order    all is read in the order of memory, a part by each thread; the threads meet; all is read again and written, in the same
//               order or from the end, which is still in the caches. The same split by rows of memory or by channels.
//   in tiles    a tile of channels that fits the caches is read, and then read again and written, before the next; one row after the
//               other, or several at once.
// and each of them writes through the caches or past them. All are tried, taking turns, when a problem is first asked for, and the one
// with the least median is what answers.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>

#if defined(__AVX__)
#include <immintrin.h>
#endif

#include "team.h"

namespace {

constexpr int64_t kLine = 16;  // floats in a cache line

constexpr int64_t toLine(int64_t column) { return column / kLine * kLine; }

typedef int32_t Line __attribute__((vector_size(64)));
typedef int32_t LineInMemory __attribute__((vector_size(64), aligned(4), may_alias));

#define INLINE inline __attribute__((always_inline))

INLINE Line load(const float* source) { return *reinterpret_cast<const LineInMemory*>(source); }
INLINE void store(float* to, Line value) { *reinterpret_cast<LineInMemory*>(to) = value; }

#if defined(__AVX512F__)
constexpr bool kCanPassCaches = true;
INLINE void storePastCaches(float* to, Line value) {
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), reinterpret_cast<__m512i>(value));
}
#elif defined(__AVX__)
constexpr bool kCanPassCaches = true;
INLINE void storePastCaches(float* to, Line value) {
  __m256i halves[2];
  std::memcpy(halves, &value, sizeof value);
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to), halves[0]);
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to) + 1, halves[1]);
}
#else
constexpr bool kCanPassCaches = false;
INLINE void storePastCaches(float* to, Line value) { store(to, value); }
#endif

struct Tensors {
  const float* x;
  const float* gradient;  // null but in backward
  float* out;
};

// Some of the columns of some rows.
struct Block {
  int64_t row, endRow, column, endColumn;
};

std::atomic<int32_t> sink;

// Calls body(place) with the places of one line in each of some rows, where `rows` at once are left, and of one in one row elsewhere.
template <int rows, class Body>
INLINE void forEachLine(const Block& block, int64_t stride, Body body) {
  int64_t row = block.row;
  for (; row + rows <= block.endRow; row += rows) {
    for (int64_t at = block.column; at < block.endColumn; at += kLine) {
      int64_t places[rows];
      for (int k = 0; k < rows; k++) places[k] = (row + k) * stride + at;
      body(places);
    }
  }
  for (; row < block.endRow; row++) {
    for (int64_t at = block.column; at < block.endColumn; at += kLine) {
      const int64_t places[1] = {row * stride + at};
      body(places);
    }
  }
}

template <bool backward>
INLINE Line loadAll(const Tensors& tensors, int64_t at) {
  const Line x = load(tensors.x + at);
  return backward ? x | load(tensors.gradient + at) : x;
}

template <int rows, bool backward>
void readBlock(const Tensors& tensors, const Block& block, int64_t stride) {
  Line all = {};
  forEachLine<rows>(block, stride, [&](const auto& places) {
    for (const int64_t at : places) all |= loadAll<backward>(tensors, at);
  });
  if (all[0] == 7) sink = 1;  // so that the reads are not left out
}

// All rows are loaded before any is stored: a load right after a store waits for it where their addresses end alike.
template <int rows, bool backward, bool past>
void writeBlock(const Tensors& tensors, const Block& block, int64_t stride) {
  forEachLine<rows>(block, stride, [&](const auto& places) {
    constexpr int count = std::extent_v<std::remove_reference_t<decltype(places)>>;
    Line values[count];
    for (int k = 0; k < count; k++) values[k] = loadAll<backward>(tensors, places[k]);
    for (int k = 0; k < count; k++) past ? storePastCaches(tensors.out + places[k], values[k]) : store(tensors.out + places[k], values[k]);
  });
}

// The tensor as a matrix: a row has the channels of one outer index. Rows begin on cache lines.
struct Matrix {
  int64_t rows, columns;
  int64_t channelColumns;

  int64_t channelBytes() const { return rows * channelColumns * static_cast<int64_t>(sizeof(float)); }
};

Matrix matrixOf(const std::string& layout, int64_t n, int64_t c, int64_t h, int64_t w) {
  const Matrix exact = layout == "first" ? Matrix{n, c * h * w, h * w} : Matrix{n * h * w, c, 1};
  return {exact.rows, toLine(exact.columns + kLine - 1), exact.channelColumns};
}

enum class Operation { Inference, TrainingForward, Backward };

struct Way {
  int64_t tileBytes;  // 0: in order
  bool byChannels;    // how the threads share the tensor: by channels or by rows
  bool reverse;       // in order: read again from the end
  bool several;       // four rows at once
  bool past;          // writes past the caches

  std::string name() const {
    const std::string kind = tileBytes > 0 ? "in tiles of " + std::to_string(tileBytes >> 10) + " KiB"
                                           : std::string("in order, shared by ") + (byChannels ? "channels" : "rows");
    return kind + (reverse ? ", again from the end" : "") + (several ? ", four rows at once" : "") + (past ? ", past the caches" : "");
  }
};

// Of tiles only those that are whole channels: one at least, and not more than the next size takes.
std::vector<Way> waysOf(Operation operation, const Matrix& matrix) {
  std::vector<Way> ways;
  for (int past = 0; past <= int{kCanPassCaches}; past++) {
    for (int byChannels = 0; byChannels < 2; byChannels++) {
      for (int reverse = 0; reverse < (operation == Operation::Inference ? 1 : 2); reverse++) {
        ways.push_back({0, byChannels == 1, reverse == 1, false, past == 1});
      }
    }
    if (operation == Operation::Inference) continue;
    for (int64_t bytes = 128 << 10; bytes <= 1024 << 10; bytes *= 2) {
      if (matrix.channelBytes() > bytes) continue;
      for (int several = 0; several < 2; several++) ways.push_back({bytes, true, false, several == 1, past == 1});
    }
  }
  return ways;
}

template <int rows>
void read(const Tensors& tensors, const Block& block, int64_t stride) {
  tensors.gradient ? readBlock<rows, true>(tensors, block, stride) : readBlock<rows, false>(tensors, block, stride);
}

template <int rows, bool past>
void write(const Tensors& tensors, const Block& block, int64_t stride) {
  tensors.gradient ? writeBlock<rows, true, past>(tensors, block, stride) : writeBlock<rows, false, past>(tensors, block, stride);
}

// One operation, one way.
class Floor {
 public:
  Floor(Team& team, Operation operation, const Matrix& matrix, const Tensors& tensors, const Way& way)
      : team_(team), operation_(operation), matrix_(matrix), tensors_(tensors), way_(way) {
    if (operation != Operation::Backward) tensors_.gradient = nullptr;
    for (int part = 0; part < team.size(); part++) parts_.push_back(piecesOf(part));
  }

  double burst(int calls) const {
    return team_.burst([this](int part) { work(part); }, calls);
  }

 private:
  void work(int part) const {
    const std::vector<Block>& pieces = parts_[static_cast<size_t>(part)];
    if (operation_ == Operation::Inference) {
      for (const Block& piece : pieces) writePiece(piece);
    } else if (way_.tileBytes > 0) {
      for (const Block& piece : pieces) {
        readPiece(piece);
        writePiece(piece);
      }
    } else {
      for (const Block& piece : pieces) readPiece(piece);
      if (!way_.byChannels) team_.meet();  // a channel is known when all threads have read their part of it
      if (way_.reverse) {
        for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) writePiece(*piece);
      } else {
        for (const Block& piece : pieces) writePiece(piece);
      }
    }
#if defined(__AVX__)
    if (way_.past) _mm_sfence();
#endif
  }

  void readPiece(const Block& piece) const {
    way_.several ? read<4>(tensors_, piece, matrix_.columns) : read<1>(tensors_, piece, matrix_.columns);
  }
  void writePiece(const Block& piece) const {
    if (way_.past) {
      way_.several ? write<4, true>(tensors_, piece, matrix_.columns) : write<1, true>(tensors_, piece, matrix_.columns);
    } else {
      way_.several ? write<4, false>(tensors_, piece, matrix_.columns) : write<1, false>(tensors_, piece, matrix_.columns);
    }
  }

  // What the thread works on, in order.
  std::vector<Block> piecesOf(int part) const {
    const auto share = [&](int64_t all, int64_t which) { return all * which / team_.size(); };
    const int64_t channels = matrix_.columns / matrix_.channelColumns;
    const auto firstColumn = [&](int64_t which) {
      return which == team_.size() ? matrix_.columns : toLine(share(channels, which) * matrix_.channelColumns);
    };
    const Block own = way_.byChannels ? Block{0, matrix_.rows, firstColumn(part), firstColumn(part + 1)}
                                      : Block{share(matrix_.rows, part), share(matrix_.rows, part + 1), 0, matrix_.columns};
    constexpr int64_t kPiece = 256 << 10;  // in order: what is taken at once when reading again from the end
    const int64_t floats = kPiece / static_cast<int64_t>(sizeof(float));
    const int64_t rowsAtOnce =
        way_.tileBytes > 0 ? matrix_.rows : std::max<int64_t>(1, floats / std::max(kLine, own.endColumn - own.column));
    const int64_t wanted = way_.tileBytes > 0 ? way_.tileBytes / matrix_.channelBytes() * matrix_.channelColumns : floats / rowsAtOnce;
    const int64_t columnsAtOnce = std::max(kLine, toLine(wanted));
    std::vector<Block> pieces;
    for (int64_t row = own.row; row < own.endRow; row += rowsAtOnce) {
      for (int64_t column = own.column; column < own.endColumn; column += columnsAtOnce) {
        pieces.push_back({row, std::min(row + rowsAtOnce, own.endRow), column, std::min(column + columnsAtOnce, own.endColumn)});
      }
    }
    return pieces;
  }

  Team& team_;
  Operation operation_;
  Matrix matrix_;
  Tensors tensors_;
  Way way_;
  std::vector<std::vector<Block>> parts_;
};

// A problem's tensors and, for each operation, the best way.
class Bench {
 public:
  Bench(Team& team, const Matrix& matrix) : team_(team), matrix_(matrix) {
    const auto bytes = static_cast<size_t>(matrix.rows * matrix.columns) * sizeof(float);
    for (char*& block : blocks_) block = allocate(bytes);
  }
  ~Bench() {
    for (char* block : blocks_) std::free(block);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  const Way& best(Operation operation) {
    std::optional<Way>& chosen = best_[static_cast<int>(operation)];
    if (!chosen) chosen = choose(operation);
    return *chosen;
  }

  double burst(Operation operation, const Way& way, int calls) { return Floor(team_, operation, matrix_, tensors(), way).burst(calls); }

 private:
  Tensors tensors() const {
    return {reinterpret_cast<float*>(blocks_[0]), reinterpret_cast<float*>(blocks_[1]), reinterpret_cast<float*>(blocks_[2])};
  }

  // The least median of some rounds in which all take turns.
  Way choose(Operation operation) {
    constexpr int kRounds = 7;
    constexpr double kBurstSeconds = 0.002;
    const std::vector<Way> ways = waysOf(operation, matrix_);
    std::vector<std::vector<double>> times(ways.size());
    for (int round = 0; round < kRounds; round++) {
      for (size_t i = 0; i < ways.size(); i++) {
        const int calls = std::max(1, static_cast<int>(kBurstSeconds / burst(operation, ways[i], 1)));
        times[i].push_back(burst(operation, ways[i], calls));
      }
    }
    for (std::vector<double>& all : times) std::sort(all.begin(), all.end());
    const auto least =
        std::min_element(times.begin(), times.end(), [](const auto& a, const auto& b) { return a[kRounds / 2] < b[kRounds / 2]; });
    return ways[static_cast<size_t>(least - times.begin())];
  }

  Team& team_;
  Matrix matrix_;
  char* blocks_[3];
  std::optional<Way> best_[3];
};

}  // namespace

int main(int, char** arguments) {
  Team team(std::atoi(arguments[1]));
  std::cout << "loads and stores" << std::endl;
  std::unique_ptr<Bench> bench;
  std::string open, name, layout;
  int calls;
  int64_t n, c, h, w;
  while (std::cin >> name >> calls >> layout >> n >> c >> h >> w) {
    const std::string problem =
        layout + ' ' + std::to_string(n) + ' ' + std::to_string(c) + ' ' + std::to_string(h) + ' ' + std::to_string(w);
    if (problem != open) {
      bench.reset();  // its memory first
      bench = std::make_unique<Bench>(team, matrixOf(layout, n, c, h, w));
      open = problem;
    }
    const Operation operation = name == "inference"  ? Operation::Inference
                                : name == "backward" ? Operation::Backward
                                                     : Operation::TrainingForward;
    const Way way = bench->best(operation);
    std::printf("%.9f %s\n", bench->burst(operation, way, calls), way.name().c_str());
    std::fflush(stdout);
  }
}
