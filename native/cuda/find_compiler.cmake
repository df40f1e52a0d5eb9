# Enables the language CUDA where a compiler for it works, and says in CUDA_COMPILER what was found, for Device.report().
include(CheckLanguage)

find_program(CUDA_BATCHNORM_NVCC nvcc PATHS ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin)
mark_as_advanced(CUDA_BATCHNORM_NVCC)
if(CUDA_BATCHNORM_NVCC AND NOT DEFINED ENV{CUDACXX})
  set(ENV{CUDACXX} ${CUDA_BATCHNORM_NVCC}) # one that is not on the PATH too
endif()
if(NOT CMAKE_CUDA_COMPILER)
  unset(CMAKE_CUDA_COMPILER CACHE) # it may have been installed, or mended, since
endif()
check_language(CUDA)

if(NOT CMAKE_CUDA_COMPILER)
  set(CUDA_COMPILER "not found")
  if(DEFINED ENV{CUDACXX})
    set(CUDA_COMPILER "$ENV{CUDACXX}, which does not work with ${CMAKE_CXX_COMPILER}")
  endif()
  return()
endif()

execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --version OUTPUT_VARIABLE NVCC_VERSION)
string(REGEX MATCH "release ([0-9.]+)" NVCC_VERSION "${NVCC_VERSION}")
set(CUDA_COMPILER "nvcc ${CMAKE_MATCH_1}")
# The first that knows clusters and compute capability 9.0.
if(CMAKE_MATCH_1 VERSION_LESS 11.8)
  string(APPEND CUDA_COMPILER ", older than 11.8")
  return()
endif()

# Code for each generation, as far as this compiler knows it, and PTX of one, from which drivers make code for the generations that are
# not named: of 9.0, which has every instruction that the kernels use. Never `native`: the machine that builds may have no GPU.
if(DEFINED ENV{CUDAARCHS})
  set(CMAKE_CUDA_ARCHITECTURES $ENV{CUDAARCHS})
  unset(ENV{CUDAARCHS}) # or CMake would keep it for later builds
elseif(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-code OUTPUT_VARIABLE KNOWN)
  set(CMAKE_CUDA_ARCHITECTURES 90)
  foreach(ARCHITECTURE 75 80 100 120)
    if(KNOWN MATCHES "sm_${ARCHITECTURE}\n")
      list(APPEND CMAKE_CUDA_ARCHITECTURES ${ARCHITECTURE}-real)
    endif()
  endforeach()
endif()
enable_language(CUDA)
set(CUDA_FOUND ON)
