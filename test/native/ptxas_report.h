// What ptxas reported of kernels: the logs that native/cuda/compile.sh keeps.
#pragma once

#include <istream>
#include <map>
#include <regex>
#include <string>
#include <utility>

namespace cuda_batchnorm::cuda {

struct Resources {
  int registers = 0;  // of a thread
  size_t staticShared = 0;
};

// By compute capability ("sm_90") and mangled name.
using Report = std::map<std::pair<std::string, std::string>, Resources>;

inline void read(std::istream& log, Report& report) {
  static const std::regex entry("Compiling entry function '(\\w+)' for '(\\w+)'");
  static const std::regex used("Used (\\d+) registers(?:.*, (\\d+) bytes smem)?");
  std::pair<std::string, std::string> kernel;
  std::smatch match;
  for (std::string line; std::getline(log, line);) {
    if (std::regex_search(line, match, entry)) kernel = {match[2], match[1]};
    if (std::regex_search(line, match, used)) report[kernel] = {std::stoi(match[1]), match[2].matched ? std::stoul(match[2]) : 0};
  }
}

// The most that any kernel takes whose mangled name has the pattern, such as "13forwardOfRuns.*fLi4E"; no registers where there is none.
inline Resources most(const Report& report, const std::string& architecture, const std::string& pattern) {
  const std::regex mangled(pattern);
  Resources most;
  for (const auto& [kernel, resources] : report) {
    if (kernel.first != architecture || !std::regex_search(kernel.second, mangled)) continue;
    most.registers = std::max(most.registers, resources.registers);
    most.staticShared = std::max(most.staticShared, resources.staticShared);
  }
  return most;
}

}  // namespace cuda_batchnorm::cuda
