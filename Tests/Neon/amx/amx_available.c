/* Stands for Sources/CKernels/x86/amx.c where AMX's tiles are those of amx_model.h. */
#include "../../../Sources/CKernels/x86/amx.h"

bool ck_amx_is_available(void) { return true; }
