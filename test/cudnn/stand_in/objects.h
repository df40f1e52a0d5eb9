// Handles and descriptors. Their addresses are never used again, so that one which was destroyed is known as such.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "../../../native/cudnn/abi.h"
#include "refusal.h"

namespace cuda_batchnorm::cudnn {

struct Shape {
  DataType type = DataType::Float;
  Format format = Format::NCHW;
  int n = 1, c = 1, h = 1, w = 1;

  size_t elements() const { return static_cast<size_t>(n) * static_cast<size_t>(c) * static_cast<size_t>(h) * static_cast<size_t>(w); }
  size_t bytes() const;
};

bool operator==(const Shape& a, const Shape& b);
inline bool operator!=(const Shape& a, const Shape& b) { return !(a == b); }

// "half NHWC 2x3x4x5", the dimensions in the order n, c, h, w.
std::string text(const Shape& shape);
const char* text(DataType type);
const char* text(Mode mode);
const char* text(Ops ops);
size_t sizeOf(DataType type);

struct HandleStruct {
  int device = 0;
  std::optional<CudaStream> stream;  // once it was set, or used on the default one
};

struct TensorStruct {
  std::optional<Shape> shape;       // once it was set or derived
  std::optional<Mode> derivedWith;  // nothing: set by hand
};

struct ActivationStruct {
  std::optional<ActivationMode> mode;  // once it was set
  NanPropagation nan = NanPropagation::No;
};

template <class Object>
class Registry {
 public:
  explicit Registry(const char* what) : what_(what) {}

  Object* make(const Object& initial) {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto entry = std::make_unique<Entry>(Entry{initial, true});
    Object* const object = &entry->object;
    entries_.emplace(object, std::move(entry));
    ++living_;
    return object;
  }

  void destroy(Object* object) {
    const std::lock_guard<std::mutex> lock(mutex_);
    find(object, "").alive = false;
    --living_;
  }

  // `role` is the argument's name.
  Object get(Object* object, const std::string& role = "") {
    const std::lock_guard<std::mutex> lock(mutex_);
    return find(object, role).object;
  }

  template <class Change>
  void change(Object* object, const Change& change) {
    const std::lock_guard<std::mutex> lock(mutex_);
    change(find(object, "").object);
  }

  size_t living() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return living_;
  }

 private:
  struct Entry {
    Object object;
    bool alive;
  };

  Entry& find(Object* object, const std::string& role) {
    const std::string who = what_ + (role.empty() ? "" : " of " + role);
    if (object == nullptr) complain("the " + who + " is null");
    const auto found = entries_.find(object);
    if (found == entries_.end()) complain("the " + who + " was never made");
    if (!found->second->alive) complain("the " + who + " was destroyed");
    return *found->second;
  }

  std::string what_;
  std::mutex mutex_;
  std::unordered_map<const Object*, std::unique_ptr<Entry>> entries_;
  size_t living_ = 0;
};

Registry<HandleStruct>& handles();
Registry<TensorStruct>& tensors();
Registry<ActivationStruct>& activations();

// Of a tensor descriptor that was set.
Shape shapeOf(TensorDescriptor descriptor, const std::string& role);

// What cudnnDeriveBNTensorDescriptor makes of x.
Shape parametersOf(const Shape& x, Mode mode);

// Enums come from callers, as integers.
void requireKnown(Mode mode);
void requireKnown(Ops ops);

}  // namespace cuda_batchnorm::cudnn
