#include "refusal.h"

#include <atomic>

namespace cuda_batchnorm::cudnn {
namespace {

std::atomic<size_t> counted{0};

}  // namespace

void complain(const std::string& words) {
  countComplaint();
  throw Refusal(kBadParameter, words);
}

void refuseUnsupported(const std::string& words) { throw Refusal(kNotSupported, words); }

void countComplaint() { ++counted; }

size_t complaints() { return counted; }

void forgetComplaints() { counted = 0; }

}  // namespace cuda_batchnorm::cudnn
