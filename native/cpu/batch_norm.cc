#include "batch_norm.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../core/welford.h"
#include "kernels/kernels.h"
#include "plan.h"

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

double readParameter(const void* values, DType dtype, int64_t i) {
  return dtype == DType::Float64 ? static_cast<const double*>(values)[i] : static_cast<double>(static_cast<const float*>(values)[i]);
}

double readParameter(const void* values, DType dtype, int64_t i, double whenAbsent) {
  return values == nullptr ? whenAbsent : readParameter(values, dtype, i);
}

void writeParameter(void* values, DType dtype, int64_t i, double value) {
  if (values == nullptr) return;
  if (dtype == DType::Float64) {
    static_cast<double*>(values)[i] = value;
  } else {
    static_cast<float*>(values)[i] = static_cast<float>(value);
  }
}

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

// ---- geometry ----

// The tasks of a plan, and where in the tensor each of them works.
struct Task {
  int64_t tile, chunk;
};

class Geometry {
 public:
  Geometry(const Problem& problem, const Plan& plan) : problem_(problem), plan_(plan) {}

  int64_t tasks() const { return plan_.tiles * plan_.chunks; }
  // Neighbouring columns of the same rows come one after the other, as in memory.
  Task task(int64_t i) const { return {i % plan_.tiles, i / plan_.tiles}; }
  // The same from the end: what was read last is still in cache.
  Task taskFromEnd(int64_t i) const { return task(tasks() - 1 - i); }

  int64_t firstChannel(int64_t tile) const { return tile * plan_.channelsPerTile; }
  int64_t endChannel(int64_t tile) const { return std::min(firstChannel(tile) + plan_.channelsPerTile, problem_.channels); }

  RowRange range(int64_t channel, int64_t chunk) const {
    return {channel * problem_.inner, stride(), problem_.inner, chunk * plan_.chunkLength, chunkLength(chunk, problem_.valuesPerChannel())};
  }

  ColumnTile tile(const Task& task) const {
    const int64_t first = firstChannel(task.tile);
    return {task.chunk * plan_.chunkLength * stride() + first * problem_.inner, stride(), chunkLength(task.chunk, problem_.outer),
            problem_.inner, endChannel(task.tile) - first};
  }

 private:
  int64_t stride() const { return problem_.channels * problem_.inner; }
  int64_t chunkLength(int64_t chunk, int64_t length) const { return std::min(plan_.chunkLength, length - chunk * plan_.chunkLength); }

  const Problem& problem_;
  const Plan& plan_;
};

// ---- coefficients ----

// An array of the compute type, one entry per channel.
class CoefficientArray {
 public:
  CoefficientArray(Arena& arena, const Problem& p) : isDouble_(p.dtype == DType::Float64) {
    values_ = isDouble_ ? static_cast<void*>(arena.take<double>(p.channels)) : static_cast<void*>(arena.take<float>(p.channels));
  }

  const void* from(int64_t channel) const {
    return static_cast<const char*>(values_) + static_cast<size_t>(channel) * (isDouble_ ? sizeof(double) : sizeof(float));
  }

  void set(int64_t channel, double value) {
    if (isDouble_) {
      static_cast<double*>(values_)[channel] = value;
    } else {
      static_cast<float*>(values_)[channel] = static_cast<float>(value);
    }
  }

 private:
  void* values_;
  bool isDouble_;
};

// A mean as the compute type sees it: x - high is exact or nearly so, and what is left of the mean goes into the shift.
struct SplitMean {
  double high, low;
  SplitMean(double mean, DType dtype)
      : high(dtype == DType::Float64 ? mean : static_cast<double>(static_cast<float>(mean))), low(std::isfinite(high) ? mean - high : 0) {}
};

class ForwardCoefficients {
 public:
  ForwardCoefficients(Arena& arena, const Problem& p) : dtype_(p.dtype), mean_(arena, p), scale_(arena, p), shift_(arena, p) {}

  void set(int64_t channel, double mean, double scale, double bias) {
    const SplitMean split(mean, dtype_);
    mean_.set(channel, split.high);
    scale_.set(channel, scale);
    shift_.set(channel, bias - split.low * scale);
  }

  Affine from(int64_t channel) const { return {mean_.from(channel), scale_.from(channel), shift_.from(channel)}; }

 private:
  DType dtype_;
  CoefficientArray mean_, scale_, shift_;
};

class BackwardCoefficients {
 public:
  BackwardCoefficients(Arena& arena, const Problem& p) : forward(arena, p), slope(arena, p), offset(arena, p) {}

  BackwardAffine from(int64_t channel) const { return {forward.from(channel), slope.from(channel), offset.from(channel)}; }

  ForwardCoefficients forward;
  CoefficientArray slope, offset;
};

// ---- what every pass has ----

class Pass {
 public:
  size_t workspaceBytes() const { return arena_.used(); }

 protected:
  Pass(const Problem& problem, const Plan& plan, void* workspace)
      : p_(problem), plan_(plan), geometry_(p_, plan_), kernels_(kernels().forDType[static_cast<int>(p_.dtype)]), arena_(workspace) {}

  template <class Body>
  void forEachChannel(int64_t tile, Body body) const {
    for (int64_t c = geometry_.firstChannel(tile); c < geometry_.endChannel(tile); ++c) body(c);
  }

  void forward(const Task& task, const ForwardTensors& tensors, const ForwardCoefficients& coefficients) const {
    if (plan_.columns) {
      kernels_.columnForward(tensors, geometry_.tile(task), coefficients.from(geometry_.firstChannel(task.tile)));
    } else {
      forEachChannel(task.tile, [&](int64_t c) { kernels_.rowForward(tensors, geometry_.range(c, task.chunk), coefficients.from(c)); });
    }
  }

  const Problem& p_;
  const Plan plan_;
  const Geometry geometry_;
  const Kernels::ForDType& kernels_;
  Arena arena_;
};

// ---- training forward ----

// Everything in double: for channels whose sums in float overflowed or vanished, and for NaN and infinities, which come out as the
// plain formulas make them (an infinite value gives an infinite mean and a NaN variance).
Moments preciseMoments(const Problem& p, const void* input, int64_t channel) {
  const auto forEachValue = [&](auto body) {
    for (int64_t o = 0; o < p.outer; ++o) {
      const int64_t first = (o * p.channels + channel) * p.inner;
      for (int64_t i = first; i < first + p.inner; ++i) body(readElement(input, p.dtype, i));
    }
  };
  const auto count = static_cast<double>(p.valuesPerChannel());
  double sum = 0;
  forEachValue([&](double x) { sum += x; });
  const double mean = sum / count;
  double squares = 0;
  forEachValue([&](double x) { squares += (x - mean) * (x - mean); });
  return {count, mean, squares};
}

bool needsPreciseMoments(const Moments& moments, const Problem& p) {
  if (!std::isfinite(moments.mean) || !std::isfinite(moments.m2)) return true;
  return p.eps < 1e-20 && moments.m2 < 1e-30 * moments.count;
}

class TrainingPass : public Pass {
 public:
  TrainingPass(const TrainingForward& call, void* workspace)
      : Pass(call.problem, planReduction(call.problem), workspace),
        call_(call),
        coefficients_(arena_, p_),
        moments_(arena_.take<Moments>(plan_.chunks * p_.channels)),
        tensors_{call.input, call.residual, call.output, static_cast<uint8_t*>(call.mask), p_.activation} {}

  void run(ThreadPool& threads) {
    if (plan_.resident) {
      threads.run(plan_.tiles, [this](int64_t tile) {
        measure({tile, 0});
        finish(tile);
        forward({tile, 0}, tensors_, coefficients_);
      });
      return;
    }
    threads.run(geometry_.tasks(), [this](int64_t i) { measure(geometry_.task(i)); });
    threads.run(plan_.tiles, [this](int64_t tile) { finish(tile); });
    threads.run(geometry_.tasks(), [this](int64_t i) { forward(geometry_.taskFromEnd(i), tensors_, coefficients_); });
  }

 private:
  Moments* moments(int64_t chunk, int64_t channel) const { return moments_ + chunk * p_.channels + channel; }

  void measure(const Task& task) {
    if (plan_.columns) {
      kernels_.columnMoments(call_.input, geometry_.tile(task), moments(task.chunk, geometry_.firstChannel(task.tile)));
    } else {
      forEachChannel(task.tile, [&](int64_t c) { *moments(task.chunk, c) = kernels_.rowMoments(call_.input, geometry_.range(c, task.chunk)); });
    }
  }

  Moments channelMoments(int64_t channel) const {
    Moments total = *moments(0, channel);
    for (int64_t chunk = 1; chunk < plan_.chunks; ++chunk) total = merge(total, *moments(chunk, channel));
    return needsPreciseMoments(total, p_) ? preciseMoments(p_, call_.input, channel) : total;
  }

  // Statistics, running statistics and coefficients of the tile's channels.
  void finish(int64_t tile) {
    const DType dtype = p_.parameterDtype;
    const auto count = static_cast<double>(p_.valuesPerChannel());
    forEachChannel(tile, [&](int64_t c) {
      const Moments batch = channelMoments(c);
      const double variance = std::max(batch.m2, 0.) / count;
      const SplitMean saved(batch.mean, dtype);
      writeParameter(call_.statistics, dtype, c, saved.high);
      writeParameter(call_.statistics, dtype, p_.channels + c, saved.low);
      writeParameter(call_.statistics, dtype, 2 * p_.channels + c, variance);
      const double scale = readParameter(call_.weight, dtype, c, 1) / std::sqrt(variance + p_.eps);
      coefficients_.set(c, batch.mean, scale, readParameter(call_.bias, dtype, c, 0));
      updateRunning(c, batch.mean, variance);
    });
  }

  void updateRunning(int64_t channel, double mean, double variance) {
    if (call_.runningMean == nullptr) return;
    const auto count = static_cast<double>(p_.valuesPerChannel());
    // One value per channel has no unbiased variance; its biased one, 0, stands in.
    const double correction = call_.unbiasedRunningVariance && count > 1 ? count / (count - 1) : 1;
    const auto update = [&](void* values, double batch) {
      const double old = readParameter(values, p_.parameterDtype, channel);
      writeParameter(values, p_.parameterDtype, channel, (1 - call_.momentum) * old + call_.momentum * batch);
    };
    update(call_.runningMean, mean);
    update(call_.runningVariance, variance * correction);
  }

  const TrainingForward& call_;
  ForwardCoefficients coefficients_;
  Moments* moments_;  // [chunks, channels]
  ForwardTensors tensors_;
};

// ---- inference ----

class InferencePass : public Pass {
 public:
  InferencePass(const InferenceForward& call, void* workspace)
      : Pass(call.problem, planElementwise(call.problem), workspace),
        call_(call),
        coefficients_(arena_, p_),
        tensors_{call.input, call.residual, call.output, static_cast<uint8_t*>(call.mask), p_.activation} {}

  void run(ThreadPool& threads) {
    const DType dtype = p_.parameterDtype;
    for (int64_t c = 0; c < p_.channels; ++c) {
      const double deviation = std::sqrt(readParameter(call_.variance, dtype, c) + p_.eps);
      const double scale = readParameter(call_.weight, dtype, c, 1) / deviation;
      coefficients_.set(c, readParameter(call_.mean, dtype, c), scale, readParameter(call_.bias, dtype, c, 0));
    }
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
      : Pass(call.problem, planReduction(call.problem), workspace),
        call_(call),
        coefficients_(arena_, p_),
        sums_(arena_.take<GradientSums>(plan_.chunks * p_.channels)),
        tensors_{call.gradOutput, call.input,        call.residual, static_cast<const uint8_t*>(call.mask),
                 call.gradInput,  call.gradResidual, p_.activation, call.constantStatistics} {}

  void run(ThreadPool& threads) {
    if (plan_.resident) {
      threads.run(plan_.tiles, [this](int64_t tile) {
        prepare(tile);
        if (needsSums()) sum({tile, 0});
        finish(tile);
        gradient({tile, 0});
      });
      return;
    }
    threads.run(plan_.tiles, [this](int64_t tile) { prepare(tile); });
    if (needsSums()) threads.run(geometry_.tasks(), [this](int64_t i) { sum(geometry_.task(i)); });
    threads.run(plan_.tiles, [this](int64_t tile) { finish(tile); });
    threads.run(geometry_.tasks(), [this](int64_t i) { gradient(geometry_.taskFromEnd(i)); });
  }

 private:
  bool needsSums() const { return !call_.constantStatistics || call_.gradWeight != nullptr || call_.gradBias != nullptr; }

  GradientSums* sums(int64_t chunk, int64_t channel) const { return sums_ + chunk * p_.channels + channel; }

  double mean(int64_t channel) const {
    return readParameter(call_.mean, p_.parameterDtype, channel) + readParameter(call_.meanLow, p_.parameterDtype, channel, 0);
  }
  double inverseDeviation(int64_t channel) const {
    return 1 / std::sqrt(readParameter(call_.variance, p_.parameterDtype, channel) + p_.eps);
  }
  double weight(int64_t channel) const { return readParameter(call_.weight, p_.parameterDtype, channel, 1); }

  void prepare(int64_t tile) {
    forEachChannel(tile, [&](int64_t c) {
      coefficients_.forward.set(c, mean(c), weight(c) * inverseDeviation(c), readParameter(call_.bias, p_.parameterDtype, c, 0));
    });
  }

  void sum(const Task& task) {
    const int64_t first = geometry_.firstChannel(task.tile);
    if (plan_.columns) {
      kernels_.columnGradientSums(tensors_, geometry_.tile(task), coefficients_.from(first), sums(task.chunk, first));
    } else {
      forEachChannel(task.tile, [&](int64_t c) {
        *sums(task.chunk, c) = kernels_.rowGradientSums(tensors_, geometry_.range(c, task.chunk), coefficients_.from(c));
      });
    }
  }

  // Parameter gradients, and the coefficients of the input's.
  void finish(int64_t tile) {
    if (!needsSums()) return;
    const double share = 1 / static_cast<double>(p_.valuesPerChannel());
    forEachChannel(tile, [&](int64_t c) {
      GradientSums total;
      for (int64_t chunk = 0; chunk < plan_.chunks; ++chunk) {
        total.sum += sums(chunk, c)->sum;
        total.dot += sums(chunk, c)->dot;
      }
      // The kernels subtract the high part of the mean only; the low part's share is a multiple of the plain sum.
      const double inverse = inverseDeviation(c);
      const double low = SplitMean(mean(c), p_.dtype).low;
      const double dot = (total.dot - low * total.sum) * inverse;
      writeParameter(call_.gradBias, p_.parameterDtype, c, total.sum);
      writeParameter(call_.gradWeight, p_.parameterDtype, c, dot);
      const double scale = weight(c) * inverse;
      const double slope = -scale * inverse * dot * share;
      coefficients_.slope.set(c, slope);
      coefficients_.offset.set(c, -scale * total.sum * share - slope * low);
    });
  }

  void gradient(const Task& task) {
    if (plan_.columns) {
      kernels_.columnGradient(tensors_, geometry_.tile(task), coefficients_.from(geometry_.firstChannel(task.tile)));
    } else {
      forEachChannel(task.tile, [&](int64_t c) { kernels_.rowGradient(tensors_, geometry_.range(c, task.chunk), coefficients_.from(c)); });
    }
  }

  const Backward& call_;
  BackwardCoefficients coefficients_;
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
    std::memset(call.statistics, 0, static_cast<size_t>(kStatisticsRows * call.problem.channels) * sizeOf(call.problem.parameterDtype));
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
  for (int64_t c = 0; c < call.problem.channels; ++c) {
    writeParameter(call.gradWeight, call.problem.parameterDtype, c, 0);
    writeParameter(call.gradBias, call.problem.parameterDtype, c, 0);
  }
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
