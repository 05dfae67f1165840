#include "internal/iq3_book.h"

#include <pthread.h>

#include "codebooks.h"

#define VALUE(code, element) CK_IQ3_XXS_VALUE((code) >> (3 * (element)) & 7),
#define FIRST(code) VALUE(code, 0)
#define SECOND(code) VALUE(code, 1)
#define THIRD(code) VALUE(code, 2)
#define FOURTH(code) VALUE(code, 3)
const int8_t cq_iq3_values[4][CQ_IQ3_ROWS] = {
    {CK_IQ3_XXS_CODES(FIRST)},
    {CK_IQ3_XXS_CODES(SECOND)},
    {CK_IQ3_XXS_CODES(THIRD)},
    {CK_IQ3_XXS_CODES(FOURTH)},
};

static cq_iq3_cell cells[4096];

/* The nearest rows by squared distance, the earlier of equal ones first; 1 million distances. */
static void make_cells(void) {
  for (int cell = 0; cell < 4096; cell++) {
    int distance[CQ_IQ3_NEAR], row[CQ_IQ3_NEAR], found = 0;
    for (int candidate = 0; candidate < CQ_IQ3_ROWS; candidate++) {
      int sum = 0;
      for (int j = 0; j < 4; j++) {
        const int difference = cq_iq3_values[j][candidate] - CK_IQ3_XXS_VALUE(cell >> (3 * j) & 7);
        sum += difference * difference;
      }
      int place = found;
      while (place > 0 && distance[place - 1] > sum) place--;
      if (place == CQ_IQ3_NEAR) continue;
      if (found < CQ_IQ3_NEAR) found++;
      for (int i = found - 1; i > place; i--) {
        distance[i] = distance[i - 1];
        row[i] = row[i - 1];
      }
      distance[place] = sum;
      row[place] = candidate;
    }
    for (int i = 0; i < CQ_IQ3_NEAR; i++) cells[cell].rows[i] = (uint8_t)row[i];
    for (int j = 0; j < 4; j++) {
      for (int i = 0; i < CQ_IQ3_NEAR; i++) cells[cell].values[j][i] = cq_iq3_values[j][row[i]];
    }
  }
}

const cq_iq3_cell *cq_iq3_cells(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_cells);
  return cells;
}
