// Times the fewest bytes an operation has to move, in the pattern in which it has to move them: what this machine allows. Usage:
// floor THREADS bytes, without any arithmetic, or floor THREADS arithmetic, with as few instructions as it takes; helper.ts tells what it
// reads and writes.
//
// Inference reads a tensor and writes one. Training forward must have read all of a channel before it writes any of it, and then reads
// it again; backward likewise with two tensors. There are several ways to do so, and which is the fastest depends on the machine:
//   in order    all is read in the order of memory, a part by each thread; the threads meet; all is read again and written, in the same
//               order or from the end, which is still in the caches. The same split by rows of memory or by channels.
//   in tiles    a tile of channels that fits the caches is read, and then read again and written, before the next; which may be fetched
//               meanwhile.
// Each of them takes one row after the other, or several at once, and writes through the caches or past them. All are tried, taking turns,
// when a problem is first asked for, and the one with the least median is what answers.
#include <iostream>
#include <memory>
#include <numeric>
#include <optional>
#include <string>

#include "passes.h"
#include "protocol.h"
#include "team.h"

namespace {

constexpr int64_t toLine(int64_t column) { return column / kLine * kLine; }

// The tensor as a matrix: a row has the channels of one outer index. Rows begin on cache lines.
struct Matrix {
  int64_t rows, columns;
  int64_t channelColumns;

  int64_t channelBytes() const { return rows * channelColumns * static_cast<int64_t>(sizeof(float)); }
};

Matrix matrixOf(const Request& r) {
  const auto& [n, c, h, w] = std::tie(r.n, r.c, r.h, r.w);
  const Matrix exact = r.layout == "first" ? Matrix{n, c * h * w, h * w} : Matrix{n * h * w, c, 1};
  return {exact.rows, toLine(exact.columns + kLine - 1), exact.channelColumns};
}

enum class Operation { Inference, TrainingForward, Backward };

// How lines are taken together: so many rows at once when reading, and when writing; 1: four lines of one row.
struct Grouping {
  int read, write;
  bool apart;
};

constexpr Grouping kGroupings[] = {{1, 1, false}, {4, 2, false}, {4, 4, false}, {8, 4, false}, {4, 2, true}, {8, 4, true}};

struct Way {
  int64_t tileBytes;  // 0: in order
  bool byChannels;    // how the threads share the tensor: by channels or by rows
  bool reverse;       // in order: read again from the end
  Grouping grouping;
  bool past;           // writes past the caches
  bool ahead = false;  // in tiles: fetches the next one while one is written

  std::string name() const {
    const std::string kind = tileBytes > 0 ? "in tiles of " + std::to_string(tileBytes >> 10) + " KiB" + (ahead ? " fetched ahead" : "")
                                           : std::string("in order, shared by ") + (byChannels ? "channels" : "rows");
    const auto rows = [](int count) { return count == 1 ? std::string("one row") : std::to_string(count) + " rows"; };
    return kind + (reverse ? ", again from the end" : "") + ", " + rows(grouping.read) + " read and " + rows(grouping.write) +
           " written at once" + (grouping.apart ? ", far apart" : "") + (past ? ", past the caches" : "");
  }
};

// Of tiles only those that are whole channels: one at least, and not more than the next size takes.
std::vector<Way> waysOf(Operation operation, const Matrix& matrix) {
  std::vector<Way> ways;
  for (const Grouping& grouping : kGroupings) {
    for (int past = 0; past <= int{kCanPassCaches}; past++) {
      for (int byChannels = 0; byChannels < 2; byChannels++) {
        for (int reverse = 0; reverse < (operation == Operation::Inference ? 1 : 2); reverse++) {
          ways.push_back({0, byChannels == 1, reverse == 1, grouping, past == 1});
        }
      }
      if (operation == Operation::Inference) continue;
      for (int64_t bytes = 128 << 10; bytes <= 1024 << 10; bytes *= 2) {
        if (matrix.channelBytes() > bytes) continue;
        for (int ahead = 0; ahead < 2; ahead++) ways.push_back({bytes, true, false, grouping, past == 1, ahead == 1});
      }
    }
  }
  return ways;
}

using Pass = void (*)(const Tensors&, const Block&, int64_t stride, bool apart);

template <Arithmetic arithmetic, bool backward>
Pass readPass(int rows) {
  if (rows == 8) return readBlock<8, 1, arithmetic, backward>;
  return rows == 4 ? readBlock<4, 1, arithmetic, backward> : readBlock<1, 4, arithmetic, backward>;
}

template <Arithmetic arithmetic, bool backward, bool past>
Pass writePass(int rows) {
  if (rows == 4) return writeBlock<4, 1, arithmetic, backward, past>;
  return rows == 2 ? writeBlock<2, 1, arithmetic, backward, past> : writeBlock<1, 4, arithmetic, backward, past>;
}

struct Passes {
  Pass read, write;
};

template <Arithmetic arithmetic, bool backward>
Passes passesOf(const Way& way) {
  return {readPass<arithmetic, backward>(way.grouping.read), way.past ? writePass<arithmetic, backward, true>(way.grouping.write)
                                                                      : writePass<arithmetic, backward, false>(way.grouping.write)};
}

template <bool backward>
Passes passesOf(Arithmetic arithmetic, const Way& way) {
  switch (arithmetic) {
    case Arithmetic::EachRun:
      return passesOf<Arithmetic::EachRun, backward>(way);
    case Arithmetic::EachColumn:
      return passesOf<Arithmetic::EachColumn, backward>(way);
    default:
      return passesOf<Arithmetic::None, backward>(way);
  }
}

// One operation, one way.
class Floor {
 public:
  Floor(Team& team, Arithmetic arithmetic, Operation operation, const Matrix& matrix, const Tensors& tensors, const Way& way)
      : team_(team),
        operation_(operation),
        matrix_(matrix),
        tensors_(tensors),
        way_(way),
        run_(arithmetic == Arithmetic::EachRun ? matrix.channelColumns : matrix.columns),
        widest_(arithmetic == Arithmetic::EachColumn ? kMostColumns : matrix.columns),
        passes_(operation == Operation::Backward ? passesOf<true>(arithmetic, way) : passesOf<false>(arithmetic, way)) {
    for (int part = 0; part < team.size(); part++) parts_.push_back(piecesOf(part));
  }

  double burst(int calls) const {
    return team_.burst([this](int part) { work(part); }, calls);
  }

 private:
  void work(int part) const {
    const std::vector<Block>& pieces = parts_[static_cast<size_t>(part)];
    if (operation_ == Operation::Inference) {
      for (const Block& piece : pieces) run(passes_.write, piece);
    } else if (way_.tileBytes > 0) {
      for (size_t i = 0; i < pieces.size(); i++) {
        const bool last = i + 1 == pieces.size();
        run(passes_.read, pieces[i]);
        run(passes_.write, pieces[i], way_.ahead && !last ? pieces[i + 1].column - pieces[i].column : 0);
      }
    } else {
      for (const Block& piece : pieces) run(passes_.read, piece);
      if (!way_.byChannels) team_.meet();  // a channel is known when all threads have read their part of it
      if (way_.reverse) {
        for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) run(passes_.write, *piece);
      } else {
        for (const Block& piece : pieces) run(passes_.write, piece);
      }
    }
#if defined(__AVX__)
    if (way_.past) _mm_sfence();
#endif
  }

  void run(Pass pass, const Block& piece, int64_t ahead = 0) const {
    Tensors tensors = tensors_;
    tensors.ahead = ahead;
    pass(tensors, piece, matrix_.columns, way_.grouping.apart);
  }

  // What the thread works on, in order.
  std::vector<Block> piecesOf(int part) const {
    const auto share = [&](int64_t all, int64_t which) { return all * which / team_.size(); };
    const int64_t channels = matrix_.columns / matrix_.channelColumns;
    const auto firstColumn = [&](int64_t which) {
      return which == team_.size() ? matrix_.columns : toLine(share(channels, which) * matrix_.channelColumns);
    };
    const Block own = way_.byChannels ? Block{0, matrix_.rows, firstColumn(part), firstColumn(part + 1), run_}
                                      : Block{share(matrix_.rows, part), share(matrix_.rows, part + 1), 0, matrix_.columns, run_};
    constexpr int64_t kPiece = 256 << 10;  // in order: what is taken at once when reading again from the end
    const int64_t floats = kPiece / static_cast<int64_t>(sizeof(float));
    const int64_t width = std::clamp(own.endColumn - own.column, kLine, widest_);
    const int64_t rowsAtOnce = way_.tileBytes > 0 ? matrix_.rows : std::max<int64_t>(1, floats / width);
    const int64_t wanted = way_.tileBytes > 0 ? way_.tileBytes / matrix_.channelBytes() * matrix_.channelColumns : floats / rowsAtOnce;
    const int64_t columnsAtOnce = std::clamp(toLine(wanted), kLine, widest_);
    std::vector<Block> pieces;
    for (int64_t row = own.row; row < own.endRow; row += rowsAtOnce) {
      for (int64_t column = own.column; column < own.endColumn; column += columnsAtOnce) {
        pieces.push_back({row, std::min(row + rowsAtOnce, own.endRow), column, std::min(column + columnsAtOnce, own.endColumn), run_});
      }
    }
    return pieces;
  }

  Team& team_;
  Operation operation_;
  Matrix matrix_;
  Tensors tensors_;
  Way way_;
  int64_t run_;     // columns that go through with the same coefficients
  int64_t widest_;  // columns of a piece
  Passes passes_;
  std::vector<std::vector<Block>> parts_;
};

// A problem's tensors and, for each operation, the best way.
class Bench {
 public:
  Bench(Team& team, bool withArithmetic, const Matrix& matrix) : team_(team), matrix_(matrix) {
    constexpr int64_t kLongRun = 128;  // from which on a channel's coefficients are worth their registers
    if (withArithmetic) arithmetic_ = matrix.channelColumns >= kLongRun ? Arithmetic::EachRun : Arithmetic::EachColumn;
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

  double burst(Operation operation, const Way& way, int calls) {
    return Floor(team_, arithmetic_, operation, matrix_, tensors(), way).burst(calls);
  }

 private:
  Tensors tensors() const {
    return {reinterpret_cast<float*>(blocks_[0]), reinterpret_cast<float*>(blocks_[1]), reinterpret_cast<float*>(blocks_[2])};
  }

  // Short rounds leave a few ways, and longer ones decide among them.
  Way choose(Operation operation) {
    std::vector<Way> ways = waysOf(operation, matrix_);
    ways = fastest(operation, ways, 8, 3, 0.0005);
    return fastest(operation, ways, 1, 9, 0.002)[0];
  }

  // The `count` ways of the least medians, of rounds in which all take turns.
  std::vector<Way> fastest(Operation operation, const std::vector<Way>& ways, size_t count, size_t rounds, double burstSeconds) {
    std::vector<std::vector<double>> times(ways.size());
    for (size_t round = 0; round < rounds; round++) {
      for (size_t i = 0; i < ways.size(); i++) {
        const int calls = std::max(1, static_cast<int>(burstSeconds / burst(operation, ways[i], 1)));
        times[i].push_back(burst(operation, ways[i], calls));
      }
    }
    for (std::vector<double>& all : times) std::sort(all.begin(), all.end());
    std::vector<size_t> order(ways.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return times[a][rounds / 2] < times[b][rounds / 2]; });
    std::vector<Way> least;
    for (size_t i = 0; i < std::min(count, ways.size()); i++) least.push_back(ways[order[i]]);
    return least;
  }

  Team& team_;
  Matrix matrix_;
  Arithmetic arithmetic_ = Arithmetic::None;
  char* blocks_[3];
  std::optional<Way> best_[3];
};

}  // namespace

int main(int, char** arguments) {
  Team team(std::atoi(arguments[1]));
  const bool withArithmetic = std::string(arguments[2]) == "arithmetic";
  fillCoefficients();
  std::cout << (withArithmetic ? "loads, stores and arithmetic" : "loads and stores") << std::endl;
  std::unique_ptr<Bench> bench;
  answerRequests(
      [&](const Request& request) {
        bench.reset();  // its memory first
        bench = std::make_unique<Bench>(team, withArithmetic, matrixOf(request));
      },
      [&](const Request& request) {
        const Operation operation = request.operation == "inference"  ? Operation::Inference
                                    : request.operation == "backward" ? Operation::Backward
                                                                      : Operation::TrainingForward;
        const Way way = bench->best(operation);
        return Answer{bench->burst(operation, way, request.calls), way.name()};
      });
}
