#include "batch_norm.h"

#include <algorithm>
#include <cmath>

#include "geometry.h"
#include "kernels/kernels.h"
#include "plan.h"
#include "sanitizer.h"

namespace cuda_batchnorm::cpu {

namespace {

constexpr size_t kAlignment = 64;

// ---- memory ----

// Hands out aligned arrays of a block; with a null block it only counts, so that sizing and using share one description.
class Arena {
 public:
  explicit Arena(void* block) : block_(static_cast<char*>(block)) {}

  template <class T>
  T* take(int64_t count) {
    char* array = block_ == nullptr ? nullptr : block_ + used_;
    used_ += (static_cast<size_t>(count) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return reinterpret_cast<T*>(array);
  }

  size_t used() const { return used_; }

 private:
  char* block_;
  size_t used_ = 0;
};

double readElement(const void* values, DType dtype, int64_t i) {
  switch (dtype) {
    case DType::Float32:
      return static_cast<double>(static_cast<const float*>(values)[i]);
    case DType::Float64:
      return static_cast<const double*>(values)[i];
    case DType::Float16:
      return static_cast<double>(toFloat(static_cast<const Float16*>(values)[i]));
    case DType::BFloat16:
      return static_cast<double>(toFloat(static_cast<const BFloat16*>(values)[i]));
  }
  return 0;
}

// ---- coefficients ----

// An array of the compute type, one entry per channel.
void* takeCoefficients(Arena& arena, const Problem& p) {
  return arena.take<char>(p.channels * static_cast<int64_t>(sizeOf(computeType(p.dtype))));
}

ForwardCoefficients takeForward(Arena& arena, const Problem& p) {
  return {takeCoefficients(arena, p), takeCoefficients(arena, p), takeCoefficients(arena, p)};
}

BackwardChannels takeBackward(Arena& arena, const Problem& p) {
  return {{takeForward(arena, p), takeCoefficients(arena, p), takeCoefficients(arena, p)},
          arena.take<double>(p.channels),
          arena.take<double>(p.channels),
          arena.take<double>(p.channels)};
}

// ---- what every pass has ----

constexpr int64_t kChannelsPerTask = 256;  // of the work per channel that follows when all chunks are done

const Kernels::Family& kernelsFor(const Problem& problem, bool columns) {
  const Kernels::ForDType& all = kernels().forDType[static_cast<int>(problem.dtype)];
  return columns ? all.columns : all.runs;
}

class Pass {
 public:
  size_t workspaceBytes() const { return arena_.used(); }

 protected:
  Pass(const Problem& problem, const Plan& plan, void* workspace)
      : p_(problem),
        plan_(plan),
        geometry_(p_, plan_),
        summing_(kernelsFor(p_, plan_.columns)),
        writing_(kernelsFor(p_, plan_.writesColumns)),
        arena_(workspace) {}

  void forward(const Task& task, ForwardTensors tensors, const ForwardCoefficients& coefficients) const {
    tensors.ahead = ahead(task);
    writing_.forward(tensors, geometry_.tile(task), from(coefficients, geometry_.firstChannel(task.tile)));
  }

  // Calls body(first channel, end) for blocks of channels: work per channel after all chunks are measured.
  template <class Body>
  void runByChannels(ThreadPool& threads, Body body) const {
    threads.run((p_.channels + kChannelsPerTask - 1) / kChannelsPerTask,
                [&](int64_t task) { body(task * kChannelsPerTask, std::min((task + 1) * kChannelsPerTask, p_.channels)); });
  }

  // Elements from each value of a tile to one of the next, where that should be fetched while this one is written.
  int64_t ahead(const Task& task) const { return plan_.fetchesAhead && task.tile + 1 < plan_.tiles ? plan_.channelsPerTile * p_.inner : 0; }

  // Coefficients from a channel on.
  Affine from(const ForwardCoefficients& all, int64_t channel) const {
    return {from(all.mean, channel), from(all.scale, channel), from(all.shift, channel)};
  }
  BackwardAffine from(const BackwardCoefficients& all, int64_t channel) const {
    return {from(all.forward, channel), from(all.slope, channel), from(all.offset, channel)};
  }
  const void* from(const void* coefficients, int64_t channel) const {
    return static_cast<const char*>(coefficients) + static_cast<size_t>(channel) * sizeOf(computeType(p_.dtype));
  }

  const Problem& p_;
  const Plan plan_;
  const Geometry geometry_;
  const Kernels::Family& summing_;
  const Kernels::Family& writing_;
  Arena arena_;
};

// ---- training forward ----

// Everything in double: for channels whose sums in float overflowed or vanished, and for NaN and infinities, which come out as the
// plain formulas make them (an infinite value gives an infinite mean and a NaN variance).
void preciseMoments(const Problem& p, const void* input, int64_t channel, double& mean, double& m2) {
  const auto forEachValue = [&](auto body) {
    for (int64_t o = 0; o < p.outer; ++o) {
      const int64_t first = (o * p.channels + channel) * p.inner;
      for (int64_t i = first; i < first + p.inner; ++i) body(readElement(input, p.dtype, i));
    }
  };
  double sum = 0;
  forEachValue([&](double x) { sum += x; });
  mean = sum / static_cast<double>(p.valuesPerChannel());
  m2 = 0;
  forEachValue([&](double x) { m2 += (x - mean) * (x - mean); });
}

bool needsPreciseMoments(double mean, double m2, const Problem& p) {
  if (!std::isfinite(mean) || !std::isfinite(m2)) return true;
  return p.eps < 1e-20 && m2 < 1e-30 * static_cast<double>(p.valuesPerChannel());
}

class TrainingPass : public Pass {
 public:
  TrainingPass(const TrainingForward& call, void* workspace)
      : Pass(call.problem, planReduction(call.problem, 1), workspace),
        call_(call),
        coefficients_(takeForward(arena_, p_)),
        mean_(arena_.take<double>(plan_.chunks * p_.channels)),
        m2_(arena_.take<double>(plan_.chunks * p_.channels)),
        tensors_{call.input, call.residual, call.output, static_cast<uint8_t*>(call.mask), p_.activation, plan_.pastCaches} {}

  void run(ThreadPool& threads) {
    if (plan_.resident) {
      threads.run(plan_.tiles, [this](int64_t tile) {
        measure({tile, 0});
        finish(geometry_.firstChannel(tile), geometry_.endChannel(tile));
        forward({tile, 0}, tensors_, coefficients_);
      });
      return;
    }
    threads.run(geometry_.tasks(), [this](int64_t i) { measure(geometry_.task(i)); });
    runByChannels(threads, [this](int64_t first, int64_t end) { finish(first, end); });
    threads.run(
        geometry_.tasks(), [this](int64_t i) { forward(geometry_.task(i), tensors_, coefficients_); }, Order::Backward);
  }

 private:
  int64_t index(int64_t chunk, int64_t channel) const { return chunk * p_.channels + channel; }

  void measure(const Task& task) {
    const int64_t first = index(task.chunk, geometry_.firstChannel(task.tile));
    summing_.moments(call_.input, geometry_.tile(task), mean_ + first, m2_ + first);
  }

  // Merges the chunks of each channel into the first (Chan, Golub & LeVeque 1979). A chunk holds as many values of every channel, so
  // the merge's divisions are the same for all.
  void mergeChunks(int64_t first, int64_t end) const {
    auto before = static_cast<double>(geometry_.valuesInChunk(0));
    for (int64_t chunk = 1; chunk < plan_.chunks; ++chunk) {
      const auto count = static_cast<double>(geometry_.valuesInChunk(chunk));
      const double weight = count / (before + count);
      const double spread = before * weight;
      const double* mean = mean_ + index(chunk, 0);
      const double* m2 = m2_ + index(chunk, 0);
      for (int64_t c = first; c < end; ++c) {
        const double delta = mean[c] - mean_[c];
        mean_[c] += delta * weight;
        m2_[c] += m2[c] + delta * delta * spread;
      }
      before += count;
    }
  }

  // Statistics, running statistics and coefficients of some channels.
  void finish(int64_t first, int64_t end) {
    mergeChunks(first, end);
    for (int64_t c = first; c < end; ++c) {
      if (needsPreciseMoments(mean_[c], m2_[c], p_)) preciseMoments(p_, call_.input, c, mean_[c], m2_[c]);
    }
    kernels().channels.training(call_, mean_, m2_, coefficients_, first, end);
  }

  const TrainingForward& call_;
  ForwardCoefficients coefficients_;
  double* mean_;  // [chunks, channels]
  double* m2_;
  ForwardTensors tensors_;
};

// ---- inference ----

class InferencePass : public Pass {
 public:
  InferencePass(const InferenceForward& call, void* workspace)
      : Pass(call.problem, planElementwise(call.problem), workspace),
        call_(call),
        coefficients_(takeForward(arena_, p_)),
        tensors_{call.input, call.residual, call.output, static_cast<uint8_t*>(call.mask), p_.activation, plan_.pastCaches} {}

  void run(ThreadPool& threads) {
    kernels().channels.inference(call_, coefficients_, 0, p_.channels);
    threads.run(geometry_.tasks(), [this](int64_t i) { forward(geometry_.task(i), tensors_, coefficients_); });
  }

 private:
  const InferenceForward& call_;
  ForwardCoefficients coefficients_;
  ForwardTensors tensors_;
};

// ---- backward ----

class BackwardPass : public Pass {
 public:
  BackwardPass(const Backward& call, void* workspace)
      : Pass(call.problem, planReduction(call.problem, 2), workspace),
        call_(call),
        channels_(takeBackward(arena_, p_)),
        sums_(arena_.take<GradientSums>(plan_.chunks * p_.channels)),
        tensors_{call.gradOutput, call.input,        call.residual, static_cast<const uint8_t*>(call.mask),
                 call.gradInput,  call.gradResidual, p_.activation, call.constantStatistics,
                 call.inPlace,    plan_.pastCaches} {}

  void run(ThreadPool& threads) {
    if (plan_.resident) {
      threads.run(plan_.tiles, [this](int64_t tile) {
        const int64_t first = geometry_.firstChannel(tile);
        const int64_t end = geometry_.endChannel(tile);
        prepare(first, end);
        if (needsSums()) {
          sum({tile, 0});
          finish(first, end);
        }
        gradient({tile, 0});
      });
      return;
    }
    runByChannels(threads, [this](int64_t first, int64_t end) { prepare(first, end); });
    if (needsSums()) {
      threads.run(geometry_.tasks(), [this](int64_t i) { sum(geometry_.task(i)); });
      runByChannels(threads, [this](int64_t first, int64_t end) { finish(first, end); });
    }
    threads.run(
        geometry_.tasks(), [this](int64_t i) { gradient(geometry_.task(i)); }, Order::Backward);
  }

 private:
  bool needsSums() const { return !call_.constantStatistics || call_.gradWeight != nullptr || call_.gradBias != nullptr; }

  GradientSums* sums(int64_t chunk, int64_t channel) const { return sums_ + chunk * p_.channels + channel; }

  void prepare(int64_t first, int64_t end) { kernels().channels.prepareBackward(call_, channels_, first, end); }

  void sum(const Task& task) {
    const int64_t first = geometry_.firstChannel(task.tile);
    summing_.gradientSums(tensors_, geometry_.tile(task), from(channels_.coefficients, first), sums(task.chunk, first));
  }

  // Parameter gradients, and the coefficients of the input's.
  void finish(int64_t first, int64_t end) {
    for (int64_t chunk = 1; chunk < plan_.chunks; ++chunk) {
      for (int64_t c = first; c < end; ++c) {
        sums(0, c)->sum += sums(chunk, c)->sum;
        sums(0, c)->dot += sums(chunk, c)->dot;
      }
    }
    kernels().channels.finishBackward(call_, channels_, sums_, first, end);
  }

  void gradient(const Task& task) {
    BackwardTensors tensors = tensors_;
    tensors.ahead = ahead(task);
    writing_.gradient(tensors, geometry_.tile(task), from(channels_.coefficients, geometry_.firstChannel(task.tile)));
  }

  const Backward& call_;
  BackwardChannels channels_;
  GradientSums* sums_;  // [chunks, channels]
  BackwardTensors tensors_;
};

}  // namespace

const char* instructionSet() {
#if defined(__aarch64__)
  return "neon";
#else
  return kernels().name;
#endif
}

size_t workspaceBytes(const TrainingForward& call) { return call.problem.size() == 0 ? 0 : TrainingPass(call, nullptr).workspaceBytes(); }
size_t workspaceBytes(const InferenceForward& call) { return call.problem.size() == 0 ? 0 : InferencePass(call, nullptr).workspaceBytes(); }
size_t workspaceBytes(const Backward& call) { return call.problem.size() == 0 ? 0 : BackwardPass(call, nullptr).workspaceBytes(); }

// An empty batch has no statistics: zeros are saved, and running statistics stay as they are.
void run(ThreadPool& threads, const TrainingForward& call, void* workspace) {
  if (call.problem.size() > 0) {
    TrainingPass(call, workspace).run(threads);
  } else {
    zeroBytes(call.statistics, static_cast<size_t>(call.statisticsRows() * call.problem.channels) * sizeOf(call.problem.parameterDtype));
  }
}

void run(ThreadPool& threads, const InferenceForward& call, void* workspace) {
  if (call.problem.size() > 0) InferencePass(call, workspace).run(threads);
}

void run(ThreadPool& threads, const Backward& call, void* workspace) {
  if (call.problem.size() > 0) {
    BackwardPass(call, workspace).run(threads);
    return;
  }
  const size_t bytes = static_cast<size_t>(call.problem.channels) * sizeOf(call.problem.parameterDtype);
  if (call.gradWeight != nullptr) zeroBytes(call.gradWeight, bytes);
  if (call.gradBias != nullptr) zeroBytes(call.gradBias, bytes);
}

void convert(ThreadPool& threads, void* destination, DType to, const void* source, DType from, int64_t count) {
  constexpr int64_t kRun = 64 << 10;
  const auto function = kernels().forDType[static_cast<int>(from)].convert[static_cast<int>(to)];
  threads.run((count + kRun - 1) / kRun, [&](int64_t i) {
    const int64_t first = i * kRun;
    function(static_cast<char*>(destination) + static_cast<size_t>(first) * sizeOf(to),
             static_cast<const char*>(source) + static_cast<size_t>(first) * sizeOf(from), std::min(kRun, count - first));
  });
}

}  // namespace cuda_batchnorm::cpu
