// What tests ask the stand-in, beside cuDNN's functions. The library exports these by their names.
#pragma once

#include <cstddef>

extern "C" {
size_t standInLivingHandles();
size_t standInLivingDescriptors();
size_t standInComplaints();  // calls that were refused, since the library was opened
// The next call of the function ends with this status.
void standInFailNext(const char* function, int status);
}
