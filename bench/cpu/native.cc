// Times ours without JavaScript: what is left of a time when parts of it are taken away. Usage: native THREADS PART, where PART is
//   whole    an operation as the library runs it
//   handed   of inference the kernels alone, on the library's threads, which the system places: no coefficients are computed
//   kernels  the same on threads that stay on a core each, and have always the same tasks: none is handed out
// helper.ts tells what it reads and writes.
#include "../../native/cpu/batch_norm.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "../../native/cpu/geometry.h"
#include "../../native/cpu/thread_pool.h"
#include "protocol.h"
#include "team.h"

using namespace cuda_batchnorm;
using namespace cuda_batchnorm::cpu;

namespace {

constexpr int kParameters = 12;  // arrays of one value per channel: all that a call reads or writes

Problem problemOf(const Request& r) {
  Problem problem;
  problem.outer = r.layout == "first" ? r.n : r.n * r.h * r.w;
  problem.channels = r.c;
  problem.inner = r.layout == "first" ? r.h * r.w : 1;
  problem.eps = 1e-5;
  return problem;
}

class Bench {
 public:
  explicit Bench(const Problem& problem) : problem_(problem), plan_(planElementwise(problem_)), geometry_(problem_, plan_) {
    const auto bytes = static_cast<size_t>(problem.size()) * sizeof(float);
    for (char*& tensor : tensors_) tensor = allocate(bytes);
    parameters_ = reinterpret_cast<float*>(allocate(kParameters * static_cast<size_t>(problem.channels) * sizeof(float)));
    const size_t needed = std::max({workspaceBytes(inference()), workspaceBytes(training()), workspaceBytes(backward())});
    workspace_ = allocate(std::max<size_t>(1, needed));
  }
  ~Bench() {
    for (char* tensor : tensors_) std::free(tensor);
    std::free(parameters_);
    std::free(workspace_);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  void runWhole(ThreadPool& threads, const std::string& operation) const {
    if (operation == "inference") {
      run(threads, inference(), workspace_);
    } else if (operation == "backward") {
      run(threads, backward(), workspace_);
    } else {
      run(threads, training(), workspace_);
    }
  }

  // Of inference.
  int64_t tasks() const { return geometry_.tasks(); }
  void runKernel(int64_t i) const {
    const Kernels::ForDType& ofDType = kernels().forDType[static_cast<int>(problem_.dtype)];
    const Kernels::Family& family = plan_.writesColumns ? ofDType.columns : ofDType.runs;
    const ForwardTensors tensors = {tensors_[0], nullptr, tensors_[2], nullptr, problem_.activation, plan_.pastCaches};
    const Task task = geometry_.task(i);
    const int64_t channel = geometry_.firstChannel(task.tile);
    family.forward(tensors, geometry_.tile(task), {row(0) + channel, row(1) + channel, row(2) + channel});
  }

 private:
  float* row(int i) const { return parameters_ + i * problem_.channels; }

  // What all calls have.
  template <class Call>
  Call prepared() const {
    Call call;
    call.problem = problem_;
    call.input = tensors_[0];
    call.weight = row(2);
    call.bias = row(3);
    return call;
  }

  InferenceForward inference() const {
    auto call = prepared<InferenceForward>();
    call.output = tensors_[2];
    call.mean = row(0);
    call.variance = row(1);
    return call;
  }

  TrainingForward training() const {
    auto call = prepared<TrainingForward>();
    call.output = tensors_[2];
    call.statistics = row(4);
    call.runningMean = row(7);
    call.runningVariance = row(8);
    call.momentum = 0.1;
    return call;
  }

  Backward backward() const {
    auto call = prepared<Backward>();
    call.gradOutput = tensors_[1];
    call.gradInput = tensors_[2];
    call.mean = row(0);
    call.variance = row(1);
    call.gradWeight = row(9);
    call.gradBias = row(10);
    return call;
  }

  const Problem problem_;
  const Plan plan_;
  const Geometry geometry_;
  char* tensors_[3];
  float* parameters_;
  char* workspace_;
};

template <class Call>
double burst(int calls, const Call& call) {
  const auto repeat = [&](int count) {
    for (int i = 0; i < count; i++) call();
  };
  repeat((calls + 3) / 4);
  const double start = seconds();
  repeat(calls);
  return (seconds() - start) / calls;
}

}  // namespace

int main(int, char** arguments) {
  const int threads = std::atoi(arguments[1]);
  const std::string part = arguments[2];
  ThreadPool pool(threads);
  std::optional<Team> team;  // whose threads, the caller's among them, stay on their cores
  if (part == "kernels") team.emplace(threads);
  std::cout << kernels().name << std::endl;
  std::unique_ptr<Bench> bench;
  const auto time = [&](const Request& request) {
    if (part == "whole") return burst(request.calls, [&] { bench->runWhole(pool, request.operation); });
    if (part == "handed") return burst(request.calls, [&] { pool.run(bench->tasks(), [&](int64_t i) { bench->runKernel(i); }); });
    const auto share = [&](int64_t member) {
      for (int64_t i = bench->tasks() * member / threads; i < bench->tasks() * (member + 1) / threads; i++) bench->runKernel(i);
    };
    return team->burst(share, request.calls);
  };
  answerRequests(
      [&](const Request& request) {
        bench.reset();  // its memory first
        bench = std::make_unique<Bench>(problemOf(request));
      },
      [&](const Request& request) { return Answer{time(request)}; });
}
