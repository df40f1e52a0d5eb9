// CHECK(condition) ends the test with the condition's text and place where it does not hold.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "../../native/core/error.h"

#define CHECK(condition)                                                           \
  do {                                                                             \
    if (!(condition)) {                                                            \
      std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                                \
    }                                                                              \
  } while (false)

// What `body` throws; ends the test where it throws nothing.
template <typename Body>
cuda_batchnorm::Error errorOf(const Body& body) {
  try {
    body();
  } catch (const cuda_batchnorm::Error& error) {
    return error;
  }
  std::fprintf(stderr, "nothing was thrown\n");
  std::exit(1);
}
