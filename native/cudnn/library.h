// libcudnn.so.9, opened at run time.
#pragma once

#include <memory>
#include <string>

#include "../core/error.h"
#include "abi.h"

namespace cuda_batchnorm::cudnn {

// No cuDNN that could be used.
class Unusable : public Error {
 public:
  Unusable(const char* cause, const std::string& reason) : Error(ErrorCode::DeviceUnavailable, reason), cause_(cause) {}
  const char* cause() const { return cause_; }  // one of cuda_batchnorm::cause

 private:
  const char* cause_;
};

class Library {
 public:
  // The first that is found and can be used. Throws Unusable.
  static std::shared_ptr<const Library> open();

  // A file, or a name for the loader to look for. Throws Unusable.
  explicit Library(const std::string& file);

  const Functions& functions() const { return functions_; }
  const std::string& path() const { return path_; }
  const std::string& version() const { return version_; }

  // Throws ErrorCode::Cudnn with cuDNN's own words unless the status is success.
  void check(Status status, const char* function) const;

 private:
  Functions functions_;
  std::string path_;
  std::string version_;
};

// Something that cuDNN creates, and destroys with this object.
template <class Type, Status (*Functions::*create)(Type*), Status (*Functions::*destroy)(Type)>
class Owned {
 public:
  explicit Owned(const Library& library) : library_(library) {
    library.check((library.functions().*create)(&object_), "the creation of a cuDNN object");
  }
  ~Owned() { (library_.functions().*destroy)(object_); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

  Type get() const { return object_; }

 private:
  const Library& library_;
  Type object_ = nullptr;
};

// Calls a function by its name without "cudnn".
#define CUDNN_CALL(library, name, ...) (library).check((library).functions().name(__VA_ARGS__), "cudnn" #name)

}  // namespace cuda_batchnorm::cudnn
