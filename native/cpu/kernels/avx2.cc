#define KERNEL_NAMESPACE avx2
#include "table.h"
