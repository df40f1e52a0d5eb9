# Where cuDNN's header lies, in CUDNN_HEADER_FOLDERS, with that of CUDA's runtime, which it includes; or in CUDNN_HEADER_MISSING why not.
set(CUDNN_HEADER_FOLDERS "")
set(CUDNN_HEADER_MISSING "")

# pip's package: nvidia-cudnn-cu13 and its like.
find_program(PYTHON_FOR_CUDNN NAMES python3)
set(SITE_PACKAGES "")
if(PYTHON_FOR_CUDNN)
  execute_process(COMMAND ${PYTHON_FOR_CUDNN} -c "import site; print(';'.join(site.getsitepackages() + [site.getusersitepackages()]))"
    OUTPUT_VARIABLE SITE_PACKAGES OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  list(TRANSFORM SITE_PACKAGES APPEND /nvidia/cudnn/include)
endif()

# Looked for anew each time: the environment may name another place by now.
unset(CUDNN_FOLDER CACHE)
unset(CUDART_FOLDER CACHE)
find_path(CUDNN_FOLDER cudnn.h NO_DEFAULT_PATH HINTS $ENV{CUDNN_HOME}/include /usr/include /usr/local/cuda/include ${SITE_PACKAGES})
find_program(CUDNN_NVCC nvcc PATHS ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin)
get_filename_component(NVCC_FILE "${CUDNN_NVCC}" REALPATH)
get_filename_component(NVCC_FOLDER "${NVCC_FILE}" DIRECTORY)
find_path(CUDART_FOLDER cuda_runtime_api.h NO_DEFAULT_PATH
  HINTS ${NVCC_FOLDER}/../include $ENV{CUDA_PATH}/include /usr/local/cuda/include /usr/include)
mark_as_advanced(PYTHON_FOR_CUDNN CUDNN_FOLDER CUDART_FOLDER CUDNN_NVCC)

if(NOT CUDNN_FOLDER)
  set(CUDNN_HEADER_MISSING "no cudnn.h in CUDNN_HOME/include, /usr/include, /usr/local/cuda/include or pip's packages")
elseif(NOT CUDART_FOLDER)
  set(CUDNN_HEADER_MISSING "cudnn.h is there, but not cuda_runtime_api.h, which it includes")
else()
  set(CUDNN_HEADER_FOLDERS ${CUDNN_FOLDER} ${CUDART_FOLDER})
endif()
