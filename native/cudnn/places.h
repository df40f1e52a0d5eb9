// Where libcudnn may lie.
#pragma once

#include <string>
#include <vector>

namespace cuda_batchnorm::cudnn {

struct Places {
  bool loaderPath = false;           // whether the loader's own search comes first
  std::vector<std::string> folders;  // looked into one after the other
  std::string words;                 // all of it, to follow "was not found"
};

// CUDNN_HOME alone where it is set; else the loader's path and where pip and CUDA's installers put it.
Places places();

// The files of any version of cuDNN in a folder.
std::vector<std::string> librariesIn(const std::string& folder);

}  // namespace cuda_batchnorm::cudnn
