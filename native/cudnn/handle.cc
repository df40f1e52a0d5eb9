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

  bool isOf(const Library& library) const { return library_->path() == library.path(); }
  Handle get() const { return owned_.get(); }

 private:
  const std::shared_ptr<const Library> library_;  // outlives the handle
  const Owned<Handle, &Functions::Create, &Functions::Destroy> owned_;
};

}  // namespace

Handle handleOf(const std::shared_ptr<const Library>& library, cuda::Stream& stream) {
  stream.device().select();
  std::shared_ptr<void>& kept = stream.lane()->companion();
  const auto* const known = static_cast<const StreamHandle*>(kept.get());
  // Another library, where CUDNN_HOME has changed, knows nothing of this one's handles.
  if (known == nullptr || !known->isOf(*library)) kept = std::make_shared<StreamHandle>(library, stream.handle());
  return static_cast<const StreamHandle*>(kept.get())->get();
}

}  // namespace cuda_batchnorm::cudnn
