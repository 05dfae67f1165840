/* Where the attention kernels keep what they need besides keys and values. */
#ifndef CK_ATTENTION_LAYOUT_H
#define CK_ATTENTION_LAYOUT_H

#include "ckernels.h"

/* Positions of a block: a panel of 48 rows of 256 floats stays in the second cache, and 48 is a multiple
 * of the three keys that are multiplied side by side and of every vector's length. */
enum { CK_ATTENTION_BLOCK = 48 };

/* Offsets in floats. A row is a head's query of one token; `width` is the dimension rounded up to whole vectors
 * of any instruction set. */
typedef struct ck_attention_layout {
  size_t width;
  size_t panel;   /* [block, width] */
  size_t queries; /* [rows, width] */
  size_t sums;    /* [rows, width] */
  size_t weights; /* [rows, block] */
  size_t largest; /* [rows] */
  size_t totals;  /* [rows] doubles */
  size_t floats;
} ck_attention_layout;

static inline ck_attention_layout ck_attention_places(size_t rows, size_t dim) {
  ck_attention_layout at;
  const size_t counts = (rows + 15) / 16 * 16;
  at.width = (dim + 15) / 16 * 16;
  at.panel = 0;
  at.queries = at.panel + CK_ATTENTION_BLOCK * at.width;
  at.sums = at.queries + rows * at.width;
  at.weights = at.sums + rows * at.width;
  at.largest = at.weights + rows * CK_ATTENTION_BLOCK;
  at.totals = at.largest + counts;
  at.floats = at.totals + 2 * counts;
  return at;
}

#endif
