#include "library.h"

#include <dlfcn.h>
#include <unistd.h>

#include <optional>

#include "../core/backend.h"
#include "places.h"

namespace cuda_batchnorm::cudnn {
namespace {

const char* const kName = "libcudnn.so.9";

struct Close {
  void operator()(void* library) const { dlclose(library); }
};
using Opened = std::unique_ptr<void, Close>;

Opened openFile(const std::string& file) {
  Opened opened(dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (opened != nullptr) return opened;
  const char* const error = dlerror();
  const std::string reason = error == nullptr ? file : error;
  // The loader says the same of a library that is not there and of one whose own libraries are not there, but for the name.
  const bool absent = file == kName && reason.rfind(file + ": cannot open shared object file: No such file", 0) == 0;
  throw Unusable(absent ? cause::kNotFound : cause::kUnreadable, "cuDNN cannot be loaded: " + reason);
}

template <class Function>
Function* functionOf(void* library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

std::string pathOf(void* library, const std::string& file) {
  Dl_info info = {};
  if (dladdr(dlsym(library, "cudnnGetVersion"), &info) == 0 || info.dli_fname == nullptr) return file;
  return info.dli_fname;
}

// 92400 is 9.24.0; in the scheme of older ones 8907 is 8.9.7.
struct Version {
  explicit Version(size_t number) {
    const size_t unit = number >= 10000 ? 10000 : 1000;
    major = number / unit;
    text = std::to_string(major) + "." + std::to_string(number % unit / 100) + "." + std::to_string(number % 100);
  }
  size_t major;
  std::string text;
};

std::string needed() { return "this package needs cuDNN " + std::to_string(kMajor); }

Unusable nothingFound(const Places& places) {
  const std::string reason = std::string(kName) + " was not found" + places.words;
  for (const std::string& folder : places.folders) {
    const auto others = librariesIn(folder);
    if (!others.empty()) return {cause::kOtherVersion, reason + ", but " + others.front() + " was, and " + needed()};
  }
  return {cause::kNotFound, reason};
}

}  // namespace

std::shared_ptr<const Library> Library::open() {
  const Places places = cudnn::places();
  std::optional<Unusable> first;  // what comes first is what is meant
  const auto tryOpen = [&](const std::string& file) -> std::shared_ptr<const Library> {
    try {
      return std::make_shared<Library>(file);
    } catch (const Unusable& failure) {
      if (!first && failure.cause() != std::string(cause::kNotFound)) first = failure;
      return nullptr;
    }
  };
  if (places.loaderPath) {
    if (auto library = tryOpen(kName)) return library;
  }
  for (const std::string& folder : places.folders) {
    const std::string file = folder + "/" + kName;
    if (access(file.c_str(), F_OK) != 0) continue;
    if (auto library = tryOpen(file)) return library;
  }
  throw first ? *first : nothingFound(places);
}

Library::Library(const std::string& file) {
  Opened opened = openFile(file);
  path_ = pathOf(opened.get(), file);
  // Asked first: of another version it matters little which functions are missing.
  const auto getVersion = functionOf<size_t()>(opened.get(), "cudnnGetVersion");
  if (getVersion == nullptr) throw Unusable(cause::kUnreadable, path_ + " is no cuDNN: it has no function cudnnGetVersion");
  const Version version(getVersion());
  version_ = version.text;
  if (version.major != kMajor) throw Unusable(cause::kOtherVersion, path_ + " is cuDNN " + version_ + ", and " + needed());
#define CUDA_BATCHNORM_RESOLVE(name, ...)                                       \
  functions_.name = functionOf<__VA_ARGS__>(opened.get(), "cudnn" #name);       \
  if (functions_.name == nullptr) {                                             \
    throw Unusable(cause::kUnreadable, path_ + " has no function cudnn" #name); \
  }
  CUDA_BATCHNORM_CUDNN_FUNCTIONS(CUDA_BATCHNORM_RESOLVE)
#undef CUDA_BATCHNORM_RESOLVE
  static_cast<void>(opened.release());  // it stays for as long as the process: it does not bear being unloaded
}

void Library::check(Status status, const char* function) const {
  if (status == kSuccess) return;
  constexpr size_t kMost = 1024;
  char details[kMost] = "";
  functions_.GetLastErrorString(details, kMost);
  std::string message = std::string(function) + " failed with " + functions_.GetErrorString(status) + " (" + std::to_string(status) + ")";
  if (details[0] != '\0') message += std::string(": ") + details;
  if (status == kOverflow) message += "; values are too large for the mode spatial-persistent, which mode spatial bears";
  throw Error(ErrorCode::Cudnn, message);
}

}  // namespace cuda_batchnorm::cudnn
