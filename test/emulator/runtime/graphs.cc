// Graphs: captured work, to be launched any number of times.
#include <algorithm>
#include <utility>

#include "capture.h"
#include "events.h"

namespace cuda_batchnorm::emulator {

struct GraphExec {
  std::shared_ptr<const Graph> graph;
  std::shared_ptr<Mark> lastLaunch;  // nullptr: never launched
};

namespace {

std::shared_ptr<const Graph> graphOf(const Call& call, cudaGraph_t handle) {
  const auto found = call.driver.graphs.find(handle);
  if (found == call.driver.graphs.end()) throw Failure(cudaErrorInvalidValue, "no such graph");
  return found->second;
}

std::shared_ptr<GraphExec> execOf(const Call& call, cudaGraphExec_t handle) {
  const auto found = call.driver.execs.find(handle);
  if (found == call.driver.execs.end()) throw Failure(cudaErrorInvalidValue, "no such graph");
  return found->second;
}

bool failed(const Device& device) {
  const std::lock_guard<std::mutex> lock(driver().mutex);
  return device.sickness.has_value();
}

// One node after another; which ones are ordered, the clocks know.
void runNodes(const Graph& graph, const Turn& launch, uint64_t launchNumber) {
  Turn turn = launch;
  turn.order.launch = launchNumber;
  for (const Node& node : graph.nodes) {
    if (failed(launch.device)) return;
    turn.order.node = node.place;
    turn.order.nodesBefore = node.before;
    ++turn.seed;
    node.task.run(turn);
  }
}

}  // namespace
}  // namespace cuda_batchnorm::emulator

using namespace cuda_batchnorm::emulator;

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* numNodes) {
  return call([&](Call& call) {
    if (nodes != nullptr) throw Failure(cudaErrorNotSupported, "the emulator only counts nodes");
    required(numNodes, "numNodes") = graphOf(call, graph)->nodes.size();
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* pGraphExec, cudaGraph_t graph, unsigned long long /*flags*/) {
  return call([&](Call& call) {
    auto exec = std::make_shared<GraphExec>();
    exec->graph = graphOf(call, graph);
    required(pGraphExec, "pGraphExec") = reinterpret_cast<cudaGraphExec_t>(exec.get());
    call.driver.execs.emplace(*pGraphExec, std::move(exec));
  });
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* pGraphExec, cudaGraph_t graph, unsigned long long flags) {
  return cudaGraphInstantiate(pGraphExec, graph, flags);
}

cudaError_t cudaGraphUpload(cudaGraphExec_t graphExec, cudaStream_t stream) {
  return call([&](Call& call) {
    execOf(call, graphExec);
    refuseCapturing(*call.stream(stream));
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graphExec, cudaStream_t stream) {
  return call([&](Call& call) {
    const std::shared_ptr<GraphExec> exec = execOf(call, graphExec);
    const std::shared_ptr<Stream> target = call.stream(stream);
    call.strike(FailureKind::Launch, cudaErrorLaunchOutOfResources);
    if (target->lane) {
      for (const Node& node : exec->graph->nodes) record(*target, node.task);
      return;
    }
    // Launches of one graph follow each other, whatever their streams.
    if (exec->lastLaunch != nullptr) waitInStream(call, target, exec->lastLaunch);
    const uint64_t number = ++call.driver.lastLaunch;
    submit(call, target, {"cudaGraphLaunch", [graph = exec->graph, number](const Turn& turn) { runNodes(*graph, turn, number); }});
    exec->lastLaunch = markStream(call, target);
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graphExec) {
  return call(
      [&](Call& call) {
        execOf(call, graphExec);
        call.driver.execs.erase(graphExec);
      },
      OnFailedDevice::Proceed);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return call(
      [&](Call& call) {
        graphOf(call, graph);
        call.driver.graphs.erase(graph);
      },
      OnFailedDevice::Proceed);
}
