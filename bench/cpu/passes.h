// The two passes that batch normalization makes over a block of a matrix, in their barest form: one that reads what sums are made of, and
// one that reads again and writes. With the arithmetic of the operation, or with none.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__AVX__)
#include <immintrin.h>
#endif

#define INLINE inline __attribute__((always_inline))

constexpr int64_t kLine = 16;             // floats in a cache line
constexpr int64_t kMostColumns = 1024;    // of a block whose columns have coefficients of their own
constexpr int64_t kApart = kMostColumns * 5 / 4;  // from one such array to the next: not a multiple of a page, so that loads from one do not wait for stores to another

typedef float Line __attribute__((vector_size(64)));
typedef float LineInMemory __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t Bits __attribute__((vector_size(64)));

INLINE Line load(const float* source) { return *reinterpret_cast<const LineInMemory*>(source); }
INLINE void store(float* to, Line value) { *reinterpret_cast<LineInMemory*>(to) = value; }
INLINE Line broadcast(float value) { return value - Line{}; }
INLINE Line either(Line a, Line b) { return reinterpret_cast<Line>(reinterpret_cast<Bits>(a) | reinterpret_cast<Bits>(b)); }

#if defined(__AVX512F__)
constexpr bool kCanPassCaches = true;
INLINE void storePastCaches(float* to, Line value) { _mm512_stream_ps(to, reinterpret_cast<__m512>(value)); }
#elif defined(__AVX__)
constexpr bool kCanPassCaches = true;
INLINE void storePastCaches(float* to, Line value) {
  __m256 halves[2];
  std::memcpy(halves, &value, sizeof value);
  _mm256_stream_ps(to, halves[0]);
  _mm256_stream_ps(to + kLine / 2, halves[1]);
}
#else
constexpr bool kCanPassCaches = false;
INLINE void storePastCaches(float* to, Line value) { store(to, value); }
#endif

enum class Arithmetic {
  None,
  EachRun,     // a channel is a run of columns: its coefficients and sums stay in registers until the next one's
  EachColumn,  // a column has its own, in arrays that stay in the first-level cache
};

struct Tensors {
  const float* x;
  const float* gradient;  // read in backward only
  float* out;
  int64_t ahead = 0;  // floats from what is read to what the second-level cache is to fetch while all is written; 0: nothing
};

// Some of the columns of some rows. A run begins at the first column, and after each `run` columns.
struct Block {
  int64_t row, endRow, column, endColumn;
  int64_t run;
};

// Of a line in which one run ends and the next begins: the lanes of the first.
INLINE Bits lanesBefore(int32_t border) {
  constexpr Bits numbers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return numbers < border;
}

// ---- what is taken together ----

// So many lines of so many rows: what they share is loaded once.
template <int rowsTogether, int linesTogether>
struct Group {
  static constexpr int rows = rowsTogether, lines = linesTogether;
  int64_t first, distance;  // floats
  int64_t column;           // of the block

  INLINE int64_t at(int row, int line) const { return first + row * distance + line * kLine; }
};

template <int rows, int lines, class Pass>
INLINE void forEachGroupOfRow(const Block& block, int64_t first, int64_t distance, Pass& pass) {
  const int64_t columns = block.endColumn - block.column;
  int64_t column = 0;
  for (int64_t run = 0; column < columns; run++) {
    const int64_t border = std::min(columns, (run + 1) * block.run);
    const int64_t end = border / kLine * kLine;
    pass.begin(run);
    for (; column + lines * kLine <= end; column += lines * kLine) pass.take(Group<rows, lines>{first + column, distance, column});
    for (; column < end; column += kLine) pass.take(Group<rows, 1>{first + column, distance, column});
    if (end < border && column == end) {
      pass.takeShared(Group<rows, 1>{first + column, distance, column}, run + 1, lanesBefore(static_cast<int32_t>(border - end)));
      column += kLine;
    }
    pass.end(run);
  }
}

// Rows that are taken together are neighbours, or a part of the block away: an odd number of rows, so that they do not crowd a few sets of
// the first-level cache.
template <int rows, int lines, class Pass>
INLINE void forEachGroup(const Block& block, int64_t stride, bool apart, Pass& pass) {
  const int64_t all = block.endRow - block.row;
  const bool canBeApart = apart && all >= 8 * rows;
  const int64_t groups = canBeApart ? (all / rows - 1) | 1 : all / rows;
  const int64_t distance = canBeApart ? groups * stride : stride;
  const int64_t step = canBeApart ? stride : rows * stride;
  const int64_t first = block.row * stride + block.column;
  for (int64_t group = 0; group < groups; group++) forEachGroupOfRow<rows, lines>(block, first + group * step, distance, pass);
  for (int64_t row = groups * rows; row < all; row++) forEachGroupOfRow<1, 4>(block, first + row * stride, stride, pass);
}

// ---- arithmetic ----

enum Coefficient { kMean, kScale, kShift, kSlope, kOffset, kCoefficients };

alignas(64) inline float coefficientArrays[kCoefficients][kApart];

inline void fillCoefficients() { std::fill_n(coefficientArrays[0], kCoefficients * kApart, 0.5F); }

// Those of the run that is gone through, or of the columns.
template <Arithmetic arithmetic>
class Coefficients {
 public:
  INLINE void begin(int64_t run) {
    if (arithmetic != Arithmetic::EachRun) return;
    for (int i = 0; i < kCoefficients; i++) ofRun_[i] = broadcast(coefficientArrays[i][run % kMostColumns]);
  }
  // The other lanes have those of the next run.
  INLINE void share(int64_t next, Bits before) {
    if (arithmetic != Arithmetic::EachRun) return;
    for (int i = 0; i < kCoefficients; i++) ofRun_[i] = before ? ofRun_[i] : broadcast(coefficientArrays[i][next % kMostColumns]);
  }
  INLINE Line at(Coefficient which, int64_t column) const {
    return arithmetic == Arithmetic::EachColumn ? load(coefficientArrays[which] + column) : ofRun_[which];
  }

 private:
  Line ofRun_[kCoefficients] = {};
};

inline std::atomic<int32_t> sink;  // so that what is computed is not left out

// The sums of all that is read and of its products with the deviations, for each run or column; without arithmetic, its bits.
template <Arithmetic arithmetic>
class Sums {
 public:
  INLINE explicit Sums(int64_t columns) {
    if (arithmetic == Arithmetic::None) return;
    std::fill_n(first_, columns, 0.0F);
    std::fill_n(second_, columns, 0.0F);
  }
  INLINE ~Sums() {
    const Line all = arithmetic == Arithmetic::None ? either(either(firsts_[0], firsts_[1]), either(firsts_[2], firsts_[3]))
                                                    : load(first_) + load(second_);
    if (all[0] == 7.25F) sink = 1;
  }

  INLINE void begin() {
    if (arithmetic != Arithmetic::EachRun) return;
    for (int i = 0; i < kRegisters; i++) firsts_[i] = seconds_[i] = Line{};
    firsts_[0] = nextFirst_;
    seconds_[0] = nextSecond_;
    nextFirst_ = nextSecond_ = Line{};
  }

  template <int rows, int lines>
  INLINE void add(int64_t column, const Line (&values)[rows][lines], const Line (&deviations)[rows][lines]) {
    for (int line = 0; line < lines; line++) {
      if (arithmetic == Arithmetic::EachColumn) {
        addToColumn(column + line * kLine, line, values, deviations);
      } else {
        for (int row = 0; row < rows; row++) addToRegister((row * lines + line) % kRegisters, values[row][line], deviations[row][line]);
      }
    }
  }

  // The other lanes belong to the next run.
  template <int rows>
  INLINE void addShared(const Line (&values)[rows][1], const Line (&deviations)[rows][1], Bits before) {
    if (arithmetic != Arithmetic::EachRun) return add(0, values, deviations);
    for (int row = 0; row < rows; row++) {
      const Line value = values[row][0], product = value * deviations[row][0];
      Line &first = firsts_[row % kRegisters], &second = seconds_[row % kRegisters];
      first = before ? first + value : first;
      second = before ? second + product : second;
      nextFirst_ = before ? nextFirst_ : nextFirst_ + value;
      nextSecond_ = before ? nextSecond_ : nextSecond_ + product;
    }
  }

  // A run's lanes are left to be added up at the end.
  INLINE void end(int64_t run) {
    if (arithmetic != Arithmetic::EachRun) return;
    const int64_t at = run * kLine % kMostColumns;
    store(first_ + at, load(first_ + at) + ((firsts_[0] + firsts_[1]) + (firsts_[2] + firsts_[3])));
    store(second_ + at, load(second_ + at) + ((seconds_[0] + seconds_[1]) + (seconds_[2] + seconds_[3])));
  }

 private:
  static constexpr int kRegisters = 4;  // chains of additions beside each other

  INLINE void addToRegister(int i, Line value, Line deviation) {
    if (arithmetic == Arithmetic::None) {
      firsts_[i] = either(firsts_[i], either(value, deviation));
    } else {
      firsts_[i] += value;
      seconds_[i] += value * deviation;
    }
  }

  template <int rows, int lines>
  INLINE void addToColumn(int64_t column, int line, const Line (&values)[rows][lines], const Line (&deviations)[rows][lines]) {
    Line sum[rows], product[rows];
    for (int row = 0; row < rows; row++) {
      sum[row] = values[row][line];
      product[row] = values[row][line] * deviations[row][line];
    }
    for (int half = rows / 2; half > 0; half /= 2) {
      for (int row = 0; row < half; row++) {
        sum[row] += sum[row + half];
        product[row] += product[row + half];
      }
    }
    store(first_ + column, load(first_ + column) + sum[0]);
    store(second_ + column, load(second_ + column) + product[0]);
  }

  Line firsts_[kRegisters] = {}, seconds_[kRegisters] = {};
  Line nextFirst_ = {}, nextSecond_ = {};
  alignas(64) float first_[kApart];
  alignas(64) float second_[kApart];
};

// ---- passes ----

template <Arithmetic arithmetic, bool backward>
class ReadPass {
 public:
  INLINE ReadPass(const Tensors& tensors, int64_t columns) : tensors_(tensors), sums_(std::min(columns, kMostColumns)) {}

  INLINE void begin(int64_t run) {
    coefficients_.begin(run);
    sums_.begin();
  }
  template <class G>
  INLINE void take(const G& group) {
    Line values[G::rows][G::lines], deviations[G::rows][G::lines];
    read(group, values, deviations);
    sums_.add(group.column, values, deviations);
  }
  template <class G>
  INLINE void takeShared(const G& group, int64_t next, Bits before) {
    Line values[G::rows][G::lines], deviations[G::rows][G::lines];
    coefficients_.share(next, before);
    read(group, values, deviations);
    sums_.addShared(values, deviations, before);
  }
  INLINE void end(int64_t run) { sums_.end(run); }

 private:
  template <class G>
  INLINE void read(const G& group, Line (&values)[G::rows][G::lines], Line (&deviations)[G::rows][G::lines]) const {
    for (int line = 0; line < G::lines; line++) {
      const Line mean = coefficients_.at(kMean, group.column + line * kLine);
      for (int row = 0; row < G::rows; row++) {
        const Line x = load(tensors_.x + group.at(row, line));
        deviations[row][line] = arithmetic == Arithmetic::None ? x : x - mean;
        values[row][line] = backward ? load(tensors_.gradient + group.at(row, line)) : deviations[row][line];
      }
    }
  }

  const Tensors tensors_;
  Coefficients<arithmetic> coefficients_;
  Sums<arithmetic> sums_;
};

template <Arithmetic arithmetic, bool backward, bool past>
class WritePass {
 public:
  INLINE explicit WritePass(const Tensors& tensors) : tensors_(tensors) {}

  INLINE void begin(int64_t run) { coefficients_.begin(run); }
  // All is loaded before any is stored: a load right after a store waits for it where their addresses end alike.
  template <class G>
  INLINE void take(const G& group) {
    Line results[G::rows][G::lines];
    for (int line = 0; line < G::lines; line++) {
      Line coefficient[kCoefficients];
      for (int i = 0; i < kCoefficients; i++) coefficient[i] = coefficients_.at(Coefficient(i), group.column + line * kLine);
      for (int row = 0; row < G::rows; row++) results[row][line] = result(group.at(row, line), coefficient);
    }
    for (int line = 0; line < G::lines; line++) {
      for (int row = 0; row < G::rows; row++) {
        float* const to = tensors_.out + group.at(row, line);
        past ? storePastCaches(to, results[row][line]) : store(to, results[row][line]);
      }
    }
  }
  template <class G>
  INLINE void takeShared(const G& group, int64_t next, Bits before) {
    coefficients_.share(next, before);
    take(group);
  }
  INLINE void end(int64_t) {}

 private:
  INLINE Line result(int64_t at, const Line (&coefficient)[kCoefficients]) const {
    if (tensors_.ahead != 0) {
      __builtin_prefetch(tensors_.x + at + tensors_.ahead, 0, 2);
      if (backward) __builtin_prefetch(tensors_.gradient + at + tensors_.ahead, 0, 2);
    }
    const Line x = load(tensors_.x + at);
    const Line gradient = backward ? load(tensors_.gradient + at) : x;
    if (arithmetic == Arithmetic::None) return either(x, gradient);
    const Line deviation = x - coefficient[kMean];
    if (!backward) return deviation * coefficient[kScale] + coefficient[kShift];
    return gradient * coefficient[kScale] + (deviation * coefficient[kSlope] + coefficient[kOffset]);
  }

  const Tensors tensors_;
  Coefficients<arithmetic> coefficients_;
};

template <int rows, int lines, Arithmetic arithmetic, bool backward>
void readBlock(const Tensors& tensors, const Block& block, int64_t stride, bool apart) {
  ReadPass<arithmetic, backward> pass(tensors, block.endColumn - block.column);
  forEachGroup<rows, lines>(block, stride, apart, pass);
}

template <int rows, int lines, Arithmetic arithmetic, bool backward, bool past>
void writeBlock(const Tensors& tensors, const Block& block, int64_t stride, bool apart) {
  WritePass<arithmetic, backward, past> pass(tensors);
  forEachGroup<rows, lines>(block, stride, apart, pass);
}
