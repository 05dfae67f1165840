/* Where the attention kernels keep what they need besides keys and values. */
#ifndef CK_ATTENTION_LAYOUT_H
#define CK_ATTENTION_LAYOUT_H

#include "ckernels.h"

/* Positions of a block: a panel of 48 rows of 256 floats stays in the second cache, and 48 is a multiple
 * of the three keys that are multiplied side by side and of every vector's length. */
enum { CK_ATTENTION_BLOCK = 48 };

/* Offsets in floats; `width` is the dimension rounded up to whole vectors of any instruction set. */
typedef struct ck_attention_layout {
  size_t width;
  size_t panel;   /* [block, width] */
  size_t queries; /* [heads, width] */
  size_t sums;    /* [heads, width] */
  size_t weights; /* [heads, block] */
  size_t largest; /* [heads] */
  size_t totals;  /* [heads] doubles */
  size_t floats;
} ck_attention_layout;

static inline ck_attention_layout ck_attention_places(size_t heads, size_t dim) {
  ck_attention_layout at;
  const size_t counts = (heads + 15) / 16 * 16;
  at.width = (dim + 15) / 16 * 16;
  at.panel = 0;
  at.queries = at.panel + CK_ATTENTION_BLOCK * at.width;
  at.sums = at.queries + heads * at.width;
  at.weights = at.sums + heads * at.width;
  at.largest = at.weights + heads * CK_ATTENTION_BLOCK;
  at.totals = at.largest + counts;
  at.floats = at.totals + 2 * counts;
  return at;
}

#endif
