/* What a value head of a gated delta net carries from token to token. */
#ifndef CK_DELTA_STATE_H
#define CK_DELTA_STATE_H

#include <stddef.h>

/* Tokens whose updates of the state wait until they are added as one product of matrices. Many tokens take 0.71
 * of the time of adding each at once with 8, 0.75 with 16, 0.86 with 32 and 1.02 with 64, whose products among
 * each other are more than they save; one token 0.8, 0.9, 1.0 and 1.3 (AVX2, 128 key indices). */
enum { CK_DELTA_CHUNK = 8 };

/* The state is keep * S + sum over waiting tokens i of decays[i] * k_i u_i^T. */
typedef struct {
  float *values;  /* [dim][dim], S, key index first */
  float *keys;    /* [CK_DELTA_CHUNK][dim], k */
  float *updates; /* [CK_DELTA_CHUNK][dim], u */
  float *decays;  /* [CK_DELTA_CHUNK], from the token's update to now */
  float *keep;    /* decay since tokens began to wait; anything where none does */
  float *count;   /* waiting tokens */
} ck_delta_state;

/* The parts of the state at `base`; all zeros are the one before any token. */
static inline ck_delta_state ck_delta_state_at(float *base, size_t dim) {
  ck_delta_state s;
  s.values = base;
  s.keys = s.values + dim * dim;
  s.updates = s.keys + CK_DELTA_CHUNK * dim;
  s.decays = s.updates + CK_DELTA_CHUNK * dim;
  s.keep = s.decays + CK_DELTA_CHUNK;
  s.count = s.keep + 1;
  return s;
}

#endif
