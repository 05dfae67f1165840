/* Sixteen-entry value tables of the 4-bit types, as ggml defines them. */
#ifndef CK_TABLES_H
#define CK_TABLES_H

#include <stdint.h>

/* IQ4_NL and IQ4_XS (`kvalues_iq4nl`). */
static const int8_t ck_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                         1,    13,   25,  38,  53,  69,  89,  113};

/* MXFP4 and NVFP4: twice the FP4 (E2M1) value, so that all are integers (`kvalues_mxfp4`). */
static const int8_t ck_fp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

#endif
