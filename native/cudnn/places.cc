#include "places.h"

#include <glob.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

namespace cuda_batchnorm::cudnn {
namespace {

#ifdef CUDA_BATCHNORM_EMULATED
constexpr bool kEmulated = true;
#else
constexpr bool kEmulated = false;
#endif

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

std::vector<std::string> matches(const std::string& pattern) {
  glob_t found = {};
  std::vector<std::string> paths;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  return paths;
}

void append(std::vector<std::string>& paths, const std::vector<std::string>& more) { paths.insert(paths.end(), more.begin(), more.end()); }

// pip's places of every Python that a shell would find, virtual environments among them.
std::vector<std::string> pipFolders() {
  constexpr char kPackage[] = "-packages/nvidia/cudnn/lib";
  std::vector<std::string> folders;
  for (const std::string& programs : split(environment("PATH"), ':')) {
    if (access((programs + "/python3").c_str(), X_OK) != 0) continue;
    append(folders, matches(programs + "/../lib*/python3*/*" + kPackage));
  }
  append(folders, matches(environment("HOME") + "/.local/lib/python3*/site" + kPackage));
  return folders;
}

}  // namespace

Places places() {
  Places places;
  const std::string home = environment("CUDNN_HOME");
  if (!home.empty()) {
    places.folders = {home, home + "/lib", home + "/lib64"};
    places.words = " in the folder that CUDNN_HOME names, " + home + ", in its lib or in its lib64";
    return places;
  }
  if (kEmulated) {
    places.words = ": CUDNN_HOME is not set, and an emulated GPU takes no library from elsewhere";
    return places;
  }
  places.loaderPath = true;
  places.folders = pipFolders();
  places.folders.emplace_back("/usr/local/cuda/lib64");
  places.words = " in the loader's path, among the packages of any python3 in PATH, or in /usr/local/cuda/lib64";
  return places;
}

std::vector<std::string> librariesIn(const std::string& folder) { return matches(folder + "/libcudnn.so.[0-9]*"); }

}  // namespace cuda_batchnorm::cudnn
