#define KERNEL_NAMESPACE baseline
#include "table.h"
