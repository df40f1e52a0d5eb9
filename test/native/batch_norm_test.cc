// The three operations against plain loops in double, on a problem for each way in which plan.cc cuts one into tasks. Most are too
// large for the tests in JavaScript.
#include "../../native/cpu/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "../../native/cpu/plan.h"
#include "check.h"
#include "instruction_set.h"

using namespace cuda_batchnorm;
using namespace cuda_batchnorm::cpu;

namespace {

constexpr double kEps = 1e-5;

template <class T>
std::vector<T> normals(int64_t count, double mean, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> distribution(mean, 1);
  std::vector<T> values(static_cast<size_t>(count));
  for (T& value : values) value = static_cast<T>(distribution(generator));
  return values;
}

// Statistics of one channel, and what backward needs of it.
struct Channel {
  double mean = 0, variance = 0, sum = 0, dot = 0;
};

template <class T>
struct Example {
  Problem problem;
  std::vector<T> x, dy;
  std::vector<Channel> channels;

  Example(int64_t outer, int64_t count, int64_t inner) {
    problem.outer = outer;
    problem.channels = count;
    problem.inner = inner;
    problem.dtype = std::is_same<T, float>::value ? DType::Float32 : DType::Float64;
    problem.parameterDtype = DType::Float64;
    problem.eps = kEps;
    x = normals<T>(problem.size(), 100, 1);
    dy = normals<T>(problem.size(), 0, 2);
    for (int64_t c = 0; c < count; ++c) channels.push_back(measure(c));
  }

  // Calls body(element) for a channel's values.
  template <class Body>
  void forEachValue(int64_t channel, Body body) const {
    for (int64_t o = 0; o < problem.outer; ++o) {
      const int64_t first = (o * problem.channels + channel) * problem.inner;
      for (int64_t i = first; i < first + problem.inner; ++i) body(static_cast<size_t>(i));
    }
  }

  Channel measure(int64_t channel) const {
    const auto count = static_cast<double>(problem.valuesPerChannel());
    Channel of;
    forEachValue(channel, [&](size_t i) { of.mean += static_cast<double>(x[i]); });
    of.mean /= count;
    forEachValue(channel, [&](size_t i) {
      const double deviation = static_cast<double>(x[i]) - of.mean;
      of.variance += deviation * deviation;
      of.sum += static_cast<double>(dy[i]);
      of.dot += static_cast<double>(dy[i]) * deviation;
    });
    of.variance /= count;
    return of;
  }

  // Compares results, one per element, with expected(channel, element).
  template <class Expected>
  void check(const std::vector<T>& results, Expected expected) const {
    const double tolerance = std::is_same<T, float>::value ? 2e-5 : 1e-11;
    for (int64_t c = 0; c < problem.channels; ++c) {
      const Channel& channel = channels[static_cast<size_t>(c)];
      forEachValue(c, [&](size_t i) { CHECK(std::fabs(static_cast<double>(results[i]) - expected(channel, i)) < tolerance); });
    }
  }

  double normalized(const Channel& channel, size_t i) const {
    return (static_cast<double>(x[i]) - channel.mean) / std::sqrt(channel.variance + kEps);
  }
};

template <class Call>
void runAll(const Call& call) {
  ThreadPool threads(3);
  std::vector<char> memory(workspaceBytes(call) + 64);
  const auto start = reinterpret_cast<uintptr_t>(memory.data());
  run(threads, call, memory.data() + (64 - start % 64) % 64);
}

template <class T>
void agreesWithPlainLoops(int64_t outer, int64_t count, int64_t inner) {
  const Example<T> example(outer, count, inner);
  const Problem& p = example.problem;
  std::vector<T> results(example.x.size());
  std::vector<double> statistics(static_cast<size_t>(3 * count));
  const double* const variance = statistics.data() + 2 * count;

  TrainingForward training;
  training.problem = p;
  training.input = example.x.data();
  training.output = results.data();
  training.statistics = statistics.data();
  runAll(training);
  example.check(results, [&](const Channel& channel, size_t i) { return example.normalized(channel, i); });
  for (int64_t c = 0; c < count; ++c) {
    const Channel& channel = example.channels[static_cast<size_t>(c)];
    CHECK(std::fabs(statistics[static_cast<size_t>(c)] + statistics[static_cast<size_t>(count + c)] - channel.mean) < 1e-7);
    CHECK(std::fabs(variance[c] / channel.variance - 1) < 2e-6);
  }

  std::fill(results.begin(), results.end(), T(0));
  InferenceForward inference;
  inference.problem = p;
  inference.input = example.x.data();
  inference.output = results.data();
  inference.mean = statistics.data();
  inference.variance = variance;
  runAll(inference);
  example.check(results, [&](const Channel& channel, size_t i) { return example.normalized(channel, i); });

  std::vector<double> gradWeight(static_cast<size_t>(count)), gradBias(static_cast<size_t>(count));
  Backward backward;
  backward.problem = p;
  backward.gradOutput = example.dy.data();
  backward.input = example.x.data();
  backward.mean = statistics.data();
  backward.meanLow = statistics.data() + count;
  backward.variance = variance;
  backward.gradInput = results.data();
  backward.gradWeight = gradWeight.data();
  backward.gradBias = gradBias.data();
  runAll(backward);
  const auto values = static_cast<double>(p.valuesPerChannel());
  example.check(results, [&](const Channel& channel, size_t i) {
    const double inverse = 1 / std::sqrt(channel.variance + kEps);
    const double slope = channel.dot * inverse * inverse / values;
    const double deviation = static_cast<double>(example.x[i]) - channel.mean;
    return inverse * (static_cast<double>(example.dy[i]) - channel.sum / values - deviation * slope);
  });
  for (int64_t c = 0; c < count; ++c) {
    const Channel& channel = example.channels[static_cast<size_t>(c)];
    const double tolerance = 1e-6 * values;
    CHECK(std::fabs(gradWeight[static_cast<size_t>(c)] - channel.dot / std::sqrt(channel.variance + kEps)) < tolerance);
    CHECK(std::fabs(gradBias[static_cast<size_t>(c)] - channel.sum) < tolerance);
  }
}

// What a plan is like, in a few words.
std::string kindOf(const Problem& p, int64_t tensorsRead) {
  const Plan plan = planReduction(p, tensorsRead);
  const std::string family = plan.columns ? "columns" : "runs";
  std::string kind = plan.resident ? "resident " + family : (plan.partsPerRun > 1 ? "parts of " : "stream of ") + family;
  if (plan.fetchesAhead) kind += ", ahead";
  if (plan.pastCaches) kind += ", past caches";
  return kind;
}

void agrees(const std::string& forward, const std::string& backward, int64_t outer, int64_t channels, int64_t inner) {
  Problem p;
  p.outer = outer;
  p.channels = channels;
  p.inner = inner;
  std::printf("[%d, %d, %d]: %s; %s\n", static_cast<int>(outer), static_cast<int>(channels), static_cast<int>(inner), kindOf(p, 1).c_str(),
              kindOf(p, 2).c_str());
  CHECK(kindOf(p, 1) == forward);
  CHECK(kindOf(p, 2) == backward);
  agreesWithPlainLoops<float>(outer, channels, inner);
  agreesWithPlainLoops<double>(outer, channels, inner);
}

}  // namespace

int main() {
  skipWithoutInstructionSet();
  agrees("resident columns", "resident columns", 5, 3, 7);     // folded, with rows left over
  agrees("resident columns", "resident columns", 32, 70, 49);  // written as runs, and so those of 36 and 127
  agrees("resident columns", "resident columns", 9, 41, 36);
  agrees("resident columns", "resident columns", 8, 5, 127);
  agrees("resident columns", "resident columns", 33, 1100, 1);
  agrees("stream of columns", "stream of columns", 20001, 3, 1);
  agrees("stream of columns", "stream of columns", 5003, 65, 1);
  agrees("stream of columns", "stream of columns", 1201, 1100, 1);  // more than one tile
  agrees("stream of columns", "stream of columns", 9999, 4, 9);
  agrees("resident runs", "resident runs", 1, 9, 1000);
  agrees("resident runs", "resident runs", 9, 40, 131);
  agrees("resident runs", "resident runs", 9, 64, 402);   // four rows at once, and one left over
  agrees("resident runs", "resident runs", 6, 16, 1102);  // the same, run by run
  agrees("resident runs", "stream of runs", 19, 250, 199);
  agrees("stream of runs", "stream of runs", 21, 30, 3001);
  agrees("stream of runs", "stream of runs", 13, 3, 30001);
  agrees("parts of runs", "parts of runs", 3, 2, 200003);
  // Beyond what caches hold: the next tile is fetched while one is written, and results are stored past the caches, where addresses
  // allow whole vectors.
  agrees("resident columns, ahead", "resident columns, ahead", 128, 400, 49);
  agrees("resident runs, ahead", "resident runs, ahead", 3, 128, 6001);
  agrees("resident runs, ahead, past caches", "resident runs, ahead, past caches", 33, 60, 2851);
  agrees("resident runs, ahead, past caches", "resident runs, ahead, past caches", 3, 60, 31357);
  agrees("stream of runs, past caches", "stream of runs, past caches", 47, 45, 2851);
  agrees("stream of columns, past caches", "stream of columns, past caches", 88001, 64, 1);
  agrees("stream of columns, past caches", "stream of columns, past caches", 83001, 68, 1);
  agrees("stream of columns, past caches", "stream of columns, past caches", 1901, 64, 49);  // written as runs
  std::puts("batch norm agrees with plain loops however it is cut");
}
