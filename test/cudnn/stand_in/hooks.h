// What tests ask the stand-in, beside cuDNN's own functions. Found by name, as those are.
#pragma once

#include <cstddef>

extern "C" {
// Those that were made and not destroyed.
__attribute__((visibility("default"))) size_t standInLivingHandles();
__attribute__((visibility("default"))) size_t standInLivingDescriptors();

// How often it was used in a way that is wrong, whether the call said so or, later, the device.
__attribute__((visibility("default"))) size_t standInComplaints();

// The calls since standInReset(), a line of JSON for each; to be read before the thread asks again.
__attribute__((visibility("default"))) const char* standInCalls();

// The next call of this function, "cudnnCreate", does nothing but return the status; 0 calls it off.
__attribute__((visibility("default"))) void standInFailNext(const char* function, int status);

// Forgets calls, complaints and what is to fail. Handles and descriptors stay.
__attribute__((visibility("default"))) void standInReset();
}
