/* Weights as small integers: what integer dot products multiply. A group of 16 or 32 neighbouring
 * weights of a row shares a scale, and in some types a minimum:
 *     w[i] = scale * level[i] - minimum,  -128 <= level <= 127 */
#ifndef CK_LEVELS_H
#define CK_LEVELS_H

#include "blocks.h"
#include "decode.h"

/* Weights of one row that are decoded at once. */
enum { CK_TILE_COLUMNS = CK_SUPER, CK_MOST_GROUPS = CK_TILE_COLUMNS / 16 };

/* Decodes `count` <= 256 weights, a whole number of blocks. `scales` and `minima` get one entry a
 * group; `minima` stays untouched for types that have none. */
typedef void ck_levels(const uint8_t *blocks, size_t count, int8_t *levels, float *scales,
                       float *minima);

/* Head of a definition: CK_LEVELS(levels_Q8_0) { ... } defines ck_levels_Q8_0. */
#define CK_LEVELS(NAME)                                                                       \
  void ck_##NAME(const uint8_t *blocks, size_t count, int8_t *levels, float *scales,          \
                 float *minima __attribute__((unused)))

typedef struct ck_level_type {
  ck_levels *decode; /* NULL: the type has no integer form */
  uint8_t group;     /* weights that share a scale: 16 or 32 */
  bool has_minima;
} ck_level_type;

#define CK_EACH_LEVEL_TYPE(X)                                                                     \
  X(Q4_0, 32, false) X(Q4_1, 32, true) X(Q5_0, 32, false) X(Q5_1, 32, true) X(Q8_0, 32, false)    \
  X(Q2_K, 16, true) X(Q3_K, 16, false) X(Q4_K, 32, true) X(Q5_K, 32, true) X(Q6_K, 16, false)     \
  X(IQ1_S, 32, false) X(IQ1_M, 16, false) X(IQ2_XXS, 32, false) X(IQ2_XS, 16, false)              \
  X(IQ2_S, 16, false) X(IQ3_XXS, 32, false) X(IQ3_S, 32, false) X(IQ4_NL, 32, false)              \
  X(IQ4_XS, 32, false) X(MXFP4, 32, false) X(NVFP4, 16, false) X(TQ1_0, 32, false)                \
  X(TQ2_0, 32, false)

#define CK_DECLARE_LEVELS(NAME, GROUP, MINIMA) ck_levels ck_levels_##NAME;
CK_EACH_LEVEL_TYPE(CK_DECLARE_LEVELS)
#undef CK_DECLARE_LEVELS

#endif
