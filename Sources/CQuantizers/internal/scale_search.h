/* One scale for a group of elements: x[i] is stored as scale * level[i].
 *
 * For given levels the best scale is that of weighted least squares, sum(w x l) / sum(w l l), and takes
 * sum(w x l)^2 / sum(w l l) off the error, the gain. For a given scale the best levels are the nearest ones.
 * The search tries scales that put the largest element at and around either end of the levels, since
 * clipping it often pays, and then lets both rules improve the best of them in turn. */
#ifndef CQ_SCALE_SEARCH_H
#define CQ_SCALE_SEARCH_H

#include "books.h"

/* The most elements of a group, in lanes. */
#define CQ_GROUP_LANES 4

/* Elements and weights of a group; `wx` is their product. */
typedef struct group {
  lanes x[CQ_GROUP_LANES], w[CQ_GROUP_LANES], wx[CQ_GROUP_LANES];
  float energy; /* sum of w x^2 */
  float peak;   /* the element of the largest magnitude, with its sign */
} group;

/* What levels give: sum(w x l) and sum(w l l). */
typedef struct level_sums {
  float xl, ll;
} level_sums;

/* `weights` may be NULL: all are 1. */
CQ_INLINE void group_load(group *g, const float *x, const float *weights, int count) {
  lanes energy = lanes_of(0), high = lanes_of(0), low = lanes_of(0);
  for (int i = 0; i < count; i++) {
    g->x[i] = lanes_load(x + CQ_LANES * i);
    g->w[i] = weights ? lanes_load(weights + CQ_LANES * i) : lanes_of(1);
    g->wx[i] = g->w[i] * g->x[i];
    energy += g->wx[i] * g->x[i];
    high = lanes_max(high, g->x[i]);
    low = lanes_min(low, g->x[i]);
  }
  const float most = lanes_greatest(high), least = lanes_least(low);
  g->peak = most >= -least ? most : least;
  g->energy = lanes_sum(energy);
}

CQ_INLINE level_sums group_sums(const group *g, int count, enum book book, float inverse) {
  lanes xl = lanes_of(0), ll = lanes_of(0);
  for (int i = 0; i < count; i++) {
    const lanes level = book_nearest(book, g->x[i] * lanes_of(inverse));
    xl += g->wx[i] * level;
    ll += g->w[i] * level * level;
  }
  return (level_sums){lanes_sum(xl), lanes_sum(ll)};
}

/* The error that is left of the group's energy with the nearest levels of `scale`. */
CQ_INLINE float group_error(const group *g, int count, enum book book, float scale, level_sums *sums) {
  if (scale == 0) {
    *sums = (level_sums){0, 0};
    return g->energy;
  }
  *sums = group_sums(g, count, book, 1 / scale);
  return g->energy - scale * (2 * sums->xl - scale * sums->ll);
}

/* How finely a search looks, chosen by the width of the levels: steps and span as shares of the end. */
typedef struct search_range {
  int steps;
  float first, step;
} search_range;

/* The scale with the largest gain, 0 for a group of zeros. */
CQ_INLINE float group_best_scale(const group *g, int count, enum book book, search_range range) {
  float best_gain = 0, best_scale = 0;
  if (g->peak == 0) return 0;
  const float per_peak = 1 / g->peak;
  for (int end = 0; end < 2; end++) {
    const float limit = end == 0 ? -book_low(book) : book_high(book);
    for (int step = 0; step < range.steps; step++) {
      const float share = range.first + range.step * (float)step;
      const level_sums s = group_sums(g, count, book, limit * share * per_peak);
      if (s.xl * s.xl > best_gain * s.ll) {
        best_gain = s.xl * s.xl / s.ll;
        best_scale = s.xl / s.ll;
      }
    }
  }
  for (int turn = 0; turn < 2 && best_scale != 0; turn++) {
    const level_sums s = group_sums(g, count, book, 1 / best_scale);
    if (!(s.xl * s.xl > best_gain * s.ll)) break;
    best_gain = s.xl * s.xl / s.ll;
    best_scale = s.xl / s.ll;
  }
  return best_scale;
}

#endif
