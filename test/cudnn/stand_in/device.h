// The emulated GPU, whose runtime is in the program or the addon that opened this library.
#pragma once

#include "../../emulator/fault.h"
#include "../../emulator/library_work.h"
#include "objects.h"

namespace cuda_batchnorm::stand_in {

bool deviceIsThere();

// Complains where `bytes` from the address on are not memory of one device.
void requireMemory(const void* memory, size_t bytes, const char* name);

// Puts the work on the handle's stream.
void queue(cudnn::Handle handle, const char* name, const std::vector<emulator::Region>& regions, const emulator::LibraryWork& work);

}  // namespace cuda_batchnorm::stand_in
