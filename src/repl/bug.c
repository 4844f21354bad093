/* The switch of the planted faults (base/bug.h). */
#include "base/bug.h"

#include "base/contract.h"

#ifdef HF_PLANT
int bug_planted = BUG_NONE;
#endif
STATIC_ASSERT(BUG_NONE == 0, "nothing is planted until a test says so");
