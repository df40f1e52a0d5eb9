#include "handle.h"

#include <utility>

#include "../cuda/runtime/device.h"

namespace cuda_batchnorm::cudnn {
namespace {

class StreamHandle {
 public:
  StreamHandle(std::shared_ptr<const Library> library, CudaStream stream) : library_(std::move(library)), owned_(*library_) {
    CUDNN_CALL(*library_, SetStream, owned_.get(), stream);
  }

  Handle get() const { return owned_.get(); }

 private:
  const std::shared_ptr<const Library> library_;  // outlives the handle
  const Owned<Handle, &Functions::Create, &Functions::Destroy> owned_;
};

}  // namespace

Handle handleOf(const std::shared_ptr<const Library>& library, cuda::Stream& stream) {
  std::shared_ptr<void>& kept = stream.lane()->companion();
  if (kept == nullptr) {
    stream.device().select();
    kept = std::make_shared<StreamHandle>(library, stream.handle());
  }
  return static_cast<StreamHandle*>(kept.get())->get();
}

}  // namespace cuda_batchnorm::cudnn
