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

// Parameters and statistics go through double, some channels at a time: plain loops over short arrays, which compilers vectorize.
constexpr int64_t kBlock = 64;

class ChannelBlock {
 public:
  ChannelBlock(DType dtype, int64_t first, int64_t count) : isDouble_(dtype == DType::Float64), first_(first), count_(count) {}

  void read(const void* source, double whenAbsent, double* values) const {
    if (source == nullptr) {
      std::fill_n(values, count_, whenAbsent);
    } else if (isDouble_) {
      std::copy_n(static_cast<const double*>(source) + first_, count_, values);
    } else {
      const float* floats = static_cast<const float*>(source) + first_;
      for (int64_t i = 0; i < count_; ++i) values[i] = static_cast<double>(floats[i]);
    }
  }

  void write(void* destination, const double* values) const {
    if (destination == nullptr) return;
    if (isDouble_) {
      std::copy_n(values, count_, static_cast<double*>(destination) + first_);
    } else {
      float* floats = static_cast<float*>(destination) + first_;
      for (int64_t i = 0; i < count_; ++i) floats[i] = static_cast<float>(values[i]);
    }
  }

 private:
  bool isDouble_;
  int64_t first_, count_;
};

// Calls body(first, count) for blocks of the channels [first, end).
template <class Body>
void forEachBlock(int64_t first, int64_t end, Body body) {
  for (; first < end; first += kBlock) body(first, std::min(kBlock, end - first));
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

// ---- coefficients ----

// An array of the compute type, one entry per channel.
class CoefficientArray {
 public:
  CoefficientArray(Arena& arena, const Problem& p) : dtype_(p.dtype == DType::Float64 ? DType::Float64 : DType::Float32) {
    values_ = arena.take<char>(p.channels * static_cast<int64_t>(sizeOf(dtype_)));
  }

  const void* from(int64_t channel) const { return values_ + static_cast<size_t>(channel) * sizeOf(dtype_); }
  void set(int64_t first, int64_t count, const double* values) { ChannelBlock(dtype_, first, count).write(values_, values); }

 private:
  DType dtype_;
  char* values_;
};

// A mean as a dtype sees it: x - high is exact or nearly so; low is what is left of the mean.
struct SplitMean {
  double high[kBlock], low[kBlock];

  SplitMean(DType dtype, const double* mean, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      high[i] = dtype == DType::Float64 ? mean[i] : static_cast<double>(static_cast<float>(mean[i]));
      low[i] = std::isfinite(high[i]) ? mean[i] - high[i] : 0;
    }
  }
};

class ForwardCoefficients {
 public:
  ForwardCoefficients(Arena& arena, const Problem& p) : mean_(arena, p), scale_(arena, p), shift_(arena, p) {}

  void set(int64_t first, int64_t count, const SplitMean& mean, const double* scale, const double* bias) {
    double shift[kBlock];
    for (int64_t i = 0; i < count; ++i) shift[i] = bias[i] - mean.low[i] * scale[i];
    mean_.set(first, count, mean.high);
    scale_.set(first, count, scale);
    shift_.set(first, count, shift);
  }

  Affine from(int64_t channel) const { return {mean_.from(channel), scale_.from(channel), shift_.from(channel)}; }

 private:
  CoefficientArray mean_, scale_, shift_;
};

struct BackwardCoefficients {
  ForwardCoefficients forward;
  CoefficientArray slope, offset;

  BackwardCoefficients(Arena& arena, const Problem& p) : forward(arena, p), slope(arena, p), offset(arena, p) {}

  BackwardAffine from(int64_t channel) const { return {forward.from(channel), slope.from(channel), offset.from(channel)}; }
};

// ---- what every pass has ----

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

  void forward(const Task& task, const ForwardTensors& tensors, const ForwardCoefficients& coefficients) const {
    writing_.forward(tensors, geometry_.tile(task), coefficients.from(geometry_.firstChannel(task.tile)));
  }

  // Calls body(first channel, end) for blocks of channels: work per channel after all chunks are measured.
  template <class Body>
  void runByChannels(ThreadPool& threads, Body body) const {
    threads.run((p_.channels + kBlock - 1) / kBlock,
                [&](int64_t block) { body(block * kBlock, std::min((block + 1) * kBlock, p_.channels)); });
  }

  // weight / sqrt(variance + eps)
  void scaleOf(const double* weight, const double* variance, int64_t count, double* scale) const {
    kernels().inverseDeviations(variance, p_.eps, scale, count);
    for (int64_t i = 0; i < count; ++i) scale[i] *= weight[i];
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
        coefficients_(arena_, p_),
        mean_(arena_.take<double>(plan_.chunks * p_.channels)),
        m2_(arena_.take<double>(plan_.chunks * p_.channels)),
        tensors_{call.input, call.residual, call.output, static_cast<uint8_t*>(call.mask), p_.activation, exceedsCaches(p_)} {}

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
  void finish(int64_t begin, int64_t end) {
    mergeChunks(begin, end);
    forEachBlock(begin, end, [&](int64_t first, int64_t count) {
      for (int64_t c = first; c < first + count; ++c) {
        if (needsPreciseMoments(mean_[c], m2_[c], p_)) preciseMoments(p_, call_.input, c, mean_[c], m2_[c]);
      }
      const double share = 1 / static_cast<double>(p_.valuesPerChannel());
      double variance[kBlock], weight[kBlock], bias[kBlock], scale[kBlock];
      for (int64_t i = 0; i < count; ++i) variance[i] = std::max(m2_[first + i], 0.) * share;

      const ChannelBlock block(p_.parameterDtype, first, count);
      block.read(call_.weight, 1, weight);
      block.read(call_.bias, 0, bias);
      scaleOf(weight, variance, count, scale);
      coefficients_.set(first, count, SplitMean(p_.dtype, mean_ + first, count), scale, bias);
      saveStatistics(first, count, variance);
      updateRunning(first, count, variance);
    });
  }

  void saveStatistics(int64_t first, int64_t count, const double* variance) const {
    const SplitMean mean(p_.parameterDtype, mean_ + first, count);
    const double* const rows[kStatisticsRows] = {mean.high, mean.low, variance};
    for (int64_t row = 0; row < kStatisticsRows; ++row) {
      ChannelBlock(p_.parameterDtype, row * p_.channels + first, count).write(call_.statistics, rows[row]);
    }
  }

  void updateRunning(int64_t first, int64_t count, const double* variance) const {
    const auto values = static_cast<double>(p_.valuesPerChannel());
    // One value per channel has no unbiased variance; its biased one, 0, stands in.
    const double correction = call_.unbiasedRunningVariance && values > 1 ? values / (values - 1) : 1;
    const ChannelBlock block(p_.parameterDtype, first, count);
    const auto update = [&](void* running, const double* batch, double factor) {
      if (running == nullptr) return;
      double updated[kBlock];
      block.read(running, 0, updated);
      for (int64_t i = 0; i < count; ++i) updated[i] = (1 - call_.momentum) * updated[i] + call_.momentum * (factor * batch[i]);
      block.write(running, updated);
    };
    update(call_.runningMean, mean_ + first, 1);
    update(call_.runningVariance, variance, correction);
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
        coefficients_(arena_, p_),
        tensors_{call.input, call.residual, call.output, static_cast<uint8_t*>(call.mask), p_.activation, exceedsCaches(p_)} {}

  void run(ThreadPool& threads) {
    forEachBlock(0, p_.channels, [&](int64_t first, int64_t count) {
      double mean[kBlock], variance[kBlock], weight[kBlock], bias[kBlock], scale[kBlock];
      const ChannelBlock block(p_.parameterDtype, first, count);
      block.read(call_.mean, 0, mean);
      block.read(call_.variance, 1, variance);
      block.read(call_.weight, 1, weight);
      block.read(call_.bias, 0, bias);
      scaleOf(weight, variance, count, scale);
      coefficients_.set(first, count, SplitMean(p_.dtype, mean, count), scale, bias);
    });
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
        coefficients_(arena_, p_),
        scale_(arena_.take<double>(p_.channels)),
        unit_(arena_.take<double>(p_.channels)),
        low_(arena_.take<double>(p_.channels)),
        sums_(arena_.take<GradientSums>(plan_.chunks * p_.channels)),
        tensors_{call.gradOutput, call.input,        call.residual, static_cast<const uint8_t*>(call.mask),
                 call.gradInput,  call.gradResidual, p_.activation, call.constantStatistics,
                 call.inPlace,    exceedsCaches(p_)} {}

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

  void prepare(int64_t begin, int64_t end) {
    forEachBlock(begin, end, [&](int64_t first, int64_t count) {
      double mean[kBlock], meanLow[kBlock], variance[kBlock], weight[kBlock], bias[kBlock], inverse[kBlock];
      const ChannelBlock block(p_.parameterDtype, first, count);
      block.read(call_.mean, 0, mean);
      block.read(call_.meanLow, 0, meanLow);
      block.read(call_.variance, 1, variance);
      block.read(call_.weight, 1, weight);
      block.read(call_.bias, 0, bias);
      kernels().inverseDeviations(variance, p_.eps, inverse, count);
      for (int64_t i = 0; i < count; ++i) {
        mean[i] += meanLow[i];
        // A batch's variance beyond its dtype was saved as infinity. Its gradient is unknown then, and NaN says so where 0 would not.
        const bool overflowed = !call_.constantStatistics && std::isinf(variance[i]);
        if (overflowed) inverse[i] = std::nan("");
        scale_[first + i] = weight[i] * inverse[i];
        unit_[first + i] = call_.inPlace ? reciprocal(weight[i]) : inverse[i];
      }
      const SplitMean split(p_.dtype, call_.inPlace ? bias : mean, count);
      std::copy_n(split.low, count, low_ + first);
      coefficients_.forward.set(first, count, split, scale_ + first, bias);
    });
  }

  // 0 where there is none.
  static double reciprocal(double weight) {
    const double quotient = 1 / weight;
    return std::isfinite(quotient) ? quotient : 0;
  }

  void sum(const Task& task) {
    const int64_t first = geometry_.firstChannel(task.tile);
    summing_.gradientSums(tensors_, geometry_.tile(task), coefficients_.from(first), sums(task.chunk, first));
  }

  // Parameter gradients, and the coefficients of the input's.
  void finish(int64_t begin, int64_t end) {
    for (int64_t chunk = 1; chunk < plan_.chunks; ++chunk) {
      for (int64_t c = begin; c < end; ++c) {
        sums(0, c)->sum += sums(chunk, c)->sum;
        sums(0, c)->dot += sums(chunk, c)->dot;
      }
    }
    forEachBlock(begin, end, [&](int64_t first, int64_t count) {
      const double share = 1 / static_cast<double>(p_.valuesPerChannel());
      double gradWeight[kBlock], gradBias[kBlock], slope[kBlock], offset[kBlock];
      for (int64_t i = 0; i < count; ++i) {
        const int64_t c = first + i;
        gradBias[i] = sums(0, c)->sum;
        // The kernels subtract the high part of the mean only; the low part's share is a multiple of the plain sum.
        gradWeight[i] = (sums(0, c)->dot - low_[c] * gradBias[i]) * unit_[c];
        slope[i] = -scale_[c] * unit_[c] * gradWeight[i] * share;
        offset[i] = -scale_[c] * gradBias[i] * share - slope[i] * low_[c];
        // A weight of 0 leaves nothing of the input in the output. What gradient it has is then unknown; the input's does not ask.
        if (call_.inPlace && unit_[c] == 0) gradWeight[i] = std::nan("");
      }
      const ChannelBlock block(p_.parameterDtype, first, count);
      block.write(call_.gradWeight, gradWeight);
      block.write(call_.gradBias, gradBias);
      coefficients_.slope.set(first, count, slope);
      coefficients_.offset.set(first, count, offset);
    });
  }

  void gradient(const Task& task) {
    writing_.gradient(tensors_, geometry_.tile(task), coefficients_.from(geometry_.firstChannel(task.tile)));
  }

  const Backward& call_;
  BackwardCoefficients coefficients_;
  double* scale_;       // [channels]: weight / sqrt(variance + eps)
  double* unit_;        // [channels]: the normalized value is (x - mean) times this, with x and mean as the kernels have them
  double* low_;         // [channels]: what the rounded mean leaves
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
    zeroBytes(call.statistics, static_cast<size_t>(kStatisticsRows * call.problem.channels) * sizeOf(call.problem.parameterDtype));
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
