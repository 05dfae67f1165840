#include "../internal/decode.h"
#include "../internal/activations.h"
#include "../internal/levels.h"

#define BLOCK(NAME, ELEMENTS) [CK_##NAME] = {ELEMENTS, sizeof(ck_block_##NAME), ck_decode_##NAME}
#define PLAIN(NAME, BYTES) [CK_##NAME] = {1, BYTES, ck_decode_##NAME}

static const ck_type types[CK_TYPES] = {
    PLAIN(F32, 4), PLAIN(F16, 2), PLAIN(BF16, 2), PLAIN(F64, 8), PLAIN(I8, 1), PLAIN(I16, 2),
    PLAIN(I32, 4), BLOCK(Q4_0, 32), BLOCK(Q4_1, 32), BLOCK(Q5_0, 32), BLOCK(Q5_1, 32),
    BLOCK(Q8_0, 32), BLOCK(Q2_K, 256), BLOCK(Q3_K, 256), BLOCK(Q4_K, 256), BLOCK(Q5_K, 256),
    BLOCK(Q6_K, 256), BLOCK(IQ1_S, 256), BLOCK(IQ1_M, 256), BLOCK(IQ2_XXS, 256),
    BLOCK(IQ2_XS, 256), BLOCK(IQ2_S, 256), BLOCK(IQ3_XXS, 256), BLOCK(IQ3_S, 256),
    BLOCK(IQ4_NL, 32), BLOCK(IQ4_XS, 256), BLOCK(MXFP4, 32), BLOCK(NVFP4, 64), BLOCK(TQ1_0, 256),
    BLOCK(TQ2_0, 256),
};

const ck_type *ck_find_type(uint32_t type) {
  return type < CK_TYPES && types[type].elements ? &types[type] : NULL;
}

bool ck_supports(uint32_t type) { return ck_find_type(type) != NULL; }

size_t ck_block_elements(uint32_t type) {
  const ck_type *found = ck_find_type(type);
  return found ? found->elements : 0;
}

size_t ck_block_bytes(uint32_t type) {
  const ck_type *found = ck_find_type(type);
  return found ? found->bytes : 0;
}

void ck_dequantize_row(uint32_t type, const void *row, size_t columns, float *out) {
  ck_find_type(type)->decode(row, columns, out);
}

bool ck_takes_quantized(uint32_t type) {
#define IS_LEVEL_TYPE(NAME, GROUP, MINIMA) || type == CK_##NAME
  return false CK_EACH_LEVEL_TYPE(IS_LEVEL_TYPE);
#undef IS_LEVEL_TYPE
}

size_t ck_quantized_bytes(size_t columns) { return ck_activations_bytes(columns); }
