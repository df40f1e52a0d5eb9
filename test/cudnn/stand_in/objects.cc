// Handles, descriptors, versions and errors.
#include "objects.h"

#include <cstring>
#include <mutex>
#include <set>

#include "device.h"
#include "entry.h"

namespace cuda_batchnorm::stand_in {
namespace {

using namespace cudnn;

std::mutex mutex;
std::set<const void*> handles;
std::set<const void*> descriptors;
size_t complaints = 0;
thread_local std::string lastError;

// A call to fail on purpose.
std::string failingFunction;
Status failingStatus = kSuccess;

template <class Type>
void create(std::set<const void*>& all, Type** object) {
  if (object == nullptr) throw badParameter("there is no place for the new object");
  *object = new Type;
  const std::lock_guard<std::mutex> lock(mutex);
  all.insert(*object);
}

void requireLiving(const std::set<const void*>& all, const void* object, const char* name) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (all.count(object) == 0) throw badParameter(std::string(name) + " is none that lives");
}

template <class Type>
void destroy(std::set<const void*>& all, Type* object, const char* name) {
  requireLiving(all, object, name);
  const std::lock_guard<std::mutex> lock(mutex);
  all.erase(object);
  delete object;
}

void failOnPurpose(const char* function) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (failingFunction != function) return;
  failingFunction.clear();
  throw Complaint(failingStatus, "a failure that was asked for");
}

}  // namespace

Status enter(const char* function, const std::function<void()>& body) {
  try {
    failOnPurpose(function);
    body();
    return kSuccess;
  } catch (const Complaint& complaint) {
    const std::lock_guard<std::mutex> lock(mutex);
    ++complaints;
    lastError = complaint.what();
    return complaint.status();
  }
}

size_t sizeOf(DataType type) { return type == DataType::Double ? 8 : type == DataType::Float ? 4 : 2; }

HandleStruct& living(Handle handle) {
  requireLiving(handles, handle, "handle");
  return *handle;
}

TensorStruct& living(TensorDescriptor descriptor, const char* name) {
  requireLiving(descriptors, descriptor, name);
  return *descriptor;
}

const TensorStruct& complete(TensorDescriptor descriptor, const char* name) {
  const TensorStruct& tensor = living(descriptor, name);
  if (!tensor.set) throw badParameter(std::string(name) + " was never set");
  return tensor;
}

const ActivationStruct& complete(ActivationDescriptor descriptor) {
  requireLiving(descriptors, descriptor, "activationDesc");
  if (!descriptor->set) throw badParameter("activationDesc was never set");
  return *descriptor;
}

}  // namespace cuda_batchnorm::stand_in

namespace cuda_batchnorm::cudnn {

std::string TensorStruct::words() const {
  return std::string(format == Format::NCHW ? "NCHW" : "NHWC") + " " + std::to_string(n) + "x" + std::to_string(c) + "x" +
         std::to_string(h) + "x" + std::to_string(w) + " of type " + std::to_string(static_cast<int>(type));
}

}  // namespace cuda_batchnorm::cudnn

using namespace cuda_batchnorm::stand_in;
using namespace cuda_batchnorm::cudnn;

CUDNN_EXPORT size_t cudnnGetVersion() { return 92400; }

CUDNN_EXPORT const char* cudnnGetErrorString(Status status) {
  if (status == kSuccess) return "CUDNN_STATUS_SUCCESS";
  if (status == kNotInitialized) return "CUDNN_STATUS_NOT_INITIALIZED";
  if (status == kOverflow) return "CUDNN_STATUS_RUNTIME_FP_OVERFLOW";
  if (status >= kExecutionFailed) return "CUDNN_STATUS_EXECUTION_FAILED";
  if (status >= kInternalError) return "CUDNN_STATUS_INTERNAL_ERROR";
  if (status >= kNotSupported) return "CUDNN_STATUS_NOT_SUPPORTED";
  return "CUDNN_STATUS_BAD_PARAM";
}

CUDNN_EXPORT void cudnnGetLastErrorString(char* message, size_t bytes) {
  if (message == nullptr || bytes == 0) return;
  std::strncpy(message, lastError.c_str(), bytes - 1);
  message[bytes - 1] = '\0';
  lastError.clear();
}

CUDNN_EXPORT Status cudnnCreate(Handle* handle) {
  return enter("cudnnCreate", [&] {
    if (!deviceIsThere()) throw Complaint(kNotInitialized, "there is no emulated GPU in this process");
    create(handles, handle);
  });
}

CUDNN_EXPORT Status cudnnDestroy(Handle handle) {
  return enter("cudnnDestroy", [&] { destroy(handles, handle, "handle"); });
}

CUDNN_EXPORT Status cudnnSetStream(Handle handle, CudaStream stream) {
  return enter("cudnnSetStream", [&] {
    HandleStruct& target = living(handle);
    if (target.hasStream && target.stream != stream) throw badParameter("the handle is used on two streams");
    target.stream = stream;
    target.hasStream = true;
  });
}

CUDNN_EXPORT Status cudnnCreateTensorDescriptor(TensorDescriptor* descriptor) {
  return enter("cudnnCreateTensorDescriptor", [&] { create(descriptors, descriptor); });
}

CUDNN_EXPORT Status cudnnSetTensor4dDescriptor(TensorDescriptor descriptor, Format format, DataType type, int n, int c, int h, int w) {
  return enter("cudnnSetTensor4dDescriptor", [&] {
    TensorStruct& tensor = living(descriptor, "tensorDesc");
    if (n <= 0 || c <= 0 || h <= 0 || w <= 0) throw badParameter("a tensor has a dimension that is not positive");
    const bool known = type == DataType::Float || type == DataType::Double || type == DataType::Half || type == DataType::BFloat16;
    if (!known) throw badParameter("a tensor's data type is unknown");
    tensor = TensorStruct{};
    tensor.format = format;
    tensor.type = type;
    tensor.n = n;
    tensor.c = c;
    tensor.h = h;
    tensor.w = w;
    tensor.set = true;
    if (tensor.size() > INT32_MAX) throw notSupported("a tensor has more than 2^31 - 1 elements");
  });
}

CUDNN_EXPORT Status cudnnDeriveBNTensorDescriptor(TensorDescriptor derived, TensorDescriptor x, Mode mode) {
  return enter("cudnnDeriveBNTensorDescriptor", [&] {
    TensorStruct parameters = complete(x, "xDesc");
    parameters.n = 1;
    if (mode != Mode::PerActivation) parameters.h = parameters.w = 1;
    parameters.type = parameters.type == DataType::Double ? DataType::Double : DataType::Float;
    parameters.derived = true;
    parameters.mode = mode;
    living(derived, "derivedBnDesc") = parameters;
  });
}

CUDNN_EXPORT Status cudnnDestroyTensorDescriptor(TensorDescriptor descriptor) {
  return enter("cudnnDestroyTensorDescriptor", [&] { destroy(descriptors, descriptor, "tensorDesc"); });
}

CUDNN_EXPORT Status cudnnCreateActivationDescriptor(ActivationDescriptor* descriptor) {
  return enter("cudnnCreateActivationDescriptor", [&] { create(descriptors, descriptor); });
}

CUDNN_EXPORT Status cudnnSetActivationDescriptor(ActivationDescriptor descriptor, ActivationMode mode, NanPropagation /*nan*/,
                                                 double /*coefficient*/) {
  return enter("cudnnSetActivationDescriptor", [&] {
    requireLiving(descriptors, descriptor, "activationDesc");
    descriptor->mode = mode;
    descriptor->set = true;
  });
}

CUDNN_EXPORT Status cudnnDestroyActivationDescriptor(ActivationDescriptor descriptor) {
  return enter("cudnnDestroyActivationDescriptor", [&] { destroy(descriptors, descriptor, "activationDesc"); });
}

// ---- for tests: see hooks.h ----

CUDNN_EXPORT size_t standInLivingHandles() {
  const std::lock_guard<std::mutex> lock(mutex);
  return handles.size();
}

CUDNN_EXPORT size_t standInLivingDescriptors() {
  const std::lock_guard<std::mutex> lock(mutex);
  return descriptors.size();
}

CUDNN_EXPORT size_t standInComplaints() {
  const std::lock_guard<std::mutex> lock(mutex);
  return complaints;
}

CUDNN_EXPORT void standInFailNext(const char* function, Status status) {
  const std::lock_guard<std::mutex> lock(mutex);
  failingFunction = function;
  failingStatus = status;
}
