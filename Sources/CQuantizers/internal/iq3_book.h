/* The code book of IQ3_XXS as the search reads it. */
#ifndef CQ_IQ3_BOOK_H
#define CQ_IQ3_BOOK_H

#include <stdint.h>

#define CQ_IQ3_ROWS 256
/* Rows of the book looked at for one cell. */
#define CQ_IQ3_NEAR 8

/* A cell is a choice of one of eight levels for each of four elements, the first in the low bits. Its rows
 * are those of the book that are nearest to it, element by element for all of them. */
typedef struct cq_iq3_cell {
  int8_t values[4][CQ_IQ3_NEAR];
  uint8_t rows[CQ_IQ3_NEAR];
} cq_iq3_cell;

/* By element, then row. */
extern const int8_t cq_iq3_values[4][CQ_IQ3_ROWS];

/* The table of all 4096 cells; made by the first call, from any thread. */
const cq_iq3_cell *cq_iq3_cells(void);

#endif
