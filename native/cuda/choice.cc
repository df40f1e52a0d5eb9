#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "../core/error.h"
#include "plan.h"

namespace cuda_batchnorm::cuda {
namespace {

[[noreturn]] void refuse(const std::string& item) {
  throw Error(
      ErrorCode::InvalidArgument,
      "Expected items of team=block|cluster|grid, blocks=N, threads=N, shared=BYTES, kept=PERCENT, explain, and constants as latency=7e-7, "
      "separated by commas, for CUDA_BATCHNORM_PLAN but received " +
          item);
}

uint32_t number(const std::string& item, const std::string& value, uint32_t least, uint32_t most) {
  const bool digits =
      !value.empty() && value.size() <= 6 && std::all_of(value.begin(), value.end(), [](unsigned char c) { return std::isdigit(c); });
  const auto parsed = digits ? static_cast<uint32_t>(std::stoul(value)) : 0;
  if (!digits || parsed < least || parsed > most) refuse(item);
  return parsed;
}

// Whether it is a constant of the prediction.
bool takeConstant(Choice& choice, const std::string& item, const std::string& key, const std::string& value) {
  for (const TuningConstant& constant : kTuningConstants) {
    if (key != constant.name) continue;
    char* end = nullptr;
    const double parsed = std::strtod(value.c_str(), &end);
    if (value.empty() || *end != '\0' || !(parsed >= 0 && parsed < 1e6)) refuse(item);
    choice.constants.emplace_back(constant.place, parsed);
    return true;
  }
  return false;
}

void take(Choice& choice, const std::string& item) {
  const size_t equals = item.find('=');
  const std::string key = item.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : item.substr(equals + 1);
  if (item == "explain") {
    choice.explain = true;
  } else if (key == "team") {
    for (const TeamKind kind : {TeamKind::Block, TeamKind::Cluster, TeamKind::Grid}) {
      if (value == name(kind)) choice.kind = kind;
    }
    if (!choice.kind) refuse(item);
  } else if (key == "blocks") {
    choice.blocks = number(item, value, 1, 65535);
  } else if (key == "threads") {
    choice.threads = number(item, value, 1, kMostBlockThreads);
  } else if (key == "shared") {
    choice.sharedBytes = number(item, value, 0, 999999);
  } else if (key == "kept") {
    choice.kept = number(item, value, 0, 100);
  } else if (!takeConstant(choice, item, key, value)) {
    refuse(item);
  }
}

}  // namespace

Choice Choice::parse(const std::string& text) {
  Choice choice;
  for (size_t begin = 0; begin < text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    take(choice, text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return choice;
}

Tuning Choice::tuningFor(const DeviceProperties& device) const {
  Tuning tuning = tuningOf(device.major, device.minor);
  for (const auto& [place, value] : constants) tuning.*place = value;
  return tuning;
}

}  // namespace cuda_batchnorm::cuda
