// The emulator of the process: in the test program itself, or in the addon, which is loaded so that its names are its own.
#pragma once

#include "../../emulator/library_work.h"

namespace cuda_batchnorm::cudnn {

struct Emulator {
  decltype(&queueLibraryWork) queueWork = nullptr;
  decltype(&cudaGetDevice) getDevice = nullptr;
  decltype(&cudaGetDeviceCount) getDeviceCount = nullptr;
  decltype(&cudaDeviceSynchronize) deviceSynchronize = nullptr;
};

// nullptr where there is none.
const Emulator* loadedEmulator();

// The calling thread's.
int currentDevice();

}  // namespace cuda_batchnorm::cudnn
