/* AMX's tile instructions in plain C (Intel's manual, volume 2), so that what the kernels do with tiles can be
 * held to the definition on a CPU with AVX-512 alone. Included before the kernels' source, whose
 * intrinsics it replaces. */
#ifndef AMX_MODEL_H
#define AMX_MODEL_H

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbsud
#undef _tile_dpbf16ps
#define _tile_loadconfig model_loadconfig
#define _tile_release model_release
#define _tile_zero model_zero
#define _tile_loadd model_loadd
#define _tile_stored model_stored
#define _tile_dpbsud model_dpbsud
#define _tile_dpbf16ps model_dpbf16ps

typedef struct {
  int rows, row_bytes;
  uint8_t data[16][64];
} model_tile;

static _Thread_local struct {
  int is_configured;
  model_tile tiles[8];
} model;

static inline void model_require(int is_met, const char *what) {
  if (is_met) return;
  fprintf(stderr, "amx_model: %s\n", what);
  abort();
}

static inline void model_loadconfig(const void *configuration) {
  const uint8_t *c = configuration;
  uint16_t bytes[16];
  memcpy(bytes, c + 16, sizeof bytes);
  model_require(c[0] == 1 && c[1] == 0, "palette 1 from row 0 on");
  for (int i = 2; i < 16; i++) model_require(c[i] == 0, "reserved bytes are zero");
  memset(&model, 0, sizeof model);
  for (int i = 0; i < 16; i++) {
    model_require(i < 8 || (bytes[i] == 0 && c[48 + i] == 0), "there are eight tiles");
    model_require(bytes[i] <= 64 && c[48 + i] <= 16, "a tile has up to 16 rows of 64 bytes");
    model_require((bytes[i] == 0) == (c[48 + i] == 0), "rows and their bytes are both there");
    if (i >= 8) continue;
    model.tiles[i].rows = c[48 + i];
    model.tiles[i].row_bytes = bytes[i];
  }
  model.is_configured = 1;
}

static inline void model_release(void) { memset(&model, 0, sizeof model); }

static inline model_tile *model_use(int number) {
  model_require(model.is_configured && model.tiles[number].rows > 0, "a tile is configured before its use");
  return &model.tiles[number];
}

static inline void model_zero(int number) {
  model_tile *t = model_use(number);
  memset(t->data, 0, sizeof t->data);
}

static inline void model_loadd(int number, const void *base, size_t stride) {
  model_tile *t = model_use(number);
  memset(t->data, 0, sizeof t->data);
  for (int r = 0; r < t->rows; r++) {
    memcpy(t->data[r], (const uint8_t *)base + (size_t)r * stride, (size_t)t->row_bytes);
  }
}

static inline void model_stored(int number, void *base, size_t stride) {
  const model_tile *t = model_use(number);
  for (int r = 0; r < t->rows; r++) {
    memcpy((uint8_t *)base + (size_t)r * stride, t->data[r], (size_t)t->row_bytes);
  }
}

static inline void model_require_product(const model_tile *c, const model_tile *a, const model_tile *b) {
  model_require(c->rows == a->rows && c->row_bytes == b->row_bytes && a->row_bytes == 4 * b->rows,
                "shapes of a product agree");
}

/* c[m][n] += sum over k and i < 4 of a[m][4k + i] (with a sign) * b[k][4n + i] (without) */
static inline void model_dpbsud(int sums, int left, int right) {
  model_tile *c = model_use(sums);
  const model_tile *a = model_use(left), *b = model_use(right);
  model_require_product(c, a, b);
  for (int m = 0; m < c->rows; m++) {
    for (int n = 0; n < c->row_bytes / 4; n++) {
      int32_t sum;
      memcpy(&sum, c->data[m] + 4 * n, 4);
      for (int k = 0; k < 4 * b->rows; k++) {
        sum += (int8_t)a->data[m][k] * (int32_t)b->data[k / 4][4 * n + k % 4];
      }
      memcpy(c->data[m] + 4 * n, &sum, 4);
    }
  }
}

/* What is below 2^-126 counts as zero, before and after every operation. */
static inline float model_flush(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }

static inline float model_bf16(const uint8_t *from) {
  const uint8_t bytes[4] = {0, 0, from[0], from[1]};
  float x;
  memcpy(&x, bytes, sizeof x);
  return model_flush(x);
}

/* c[m][n] += even + odd, where even = sum over k of a[m][2k] * b[k][2n], each product and sum rounded once, and
 * odd the same of a[m][2k + 1] and b[k][2n + 1] */
static inline void model_dpbf16ps(int sums, int left, int right) {
  model_tile *c = model_use(sums);
  const model_tile *a = model_use(left), *b = model_use(right);
  model_require_product(c, a, b);
  for (int m = 0; m < c->rows; m++) {
    for (int n = 0; n < c->row_bytes / 4; n++) {
      float parts[2] = {0, 0}, sum;
      for (int k = 0; k < 2 * b->rows; k++) {
        const float x = model_bf16(a->data[m] + 2 * k), y = model_bf16(b->data[k / 2] + 4 * n + k % 2 * 2);
        parts[k % 2] = model_flush(fmaf(x, y, parts[k % 2]));
      }
      memcpy(&sum, c->data[m] + 4 * n, 4);
      sum = model_flush(model_flush(sum) + model_flush(parts[0] + parts[1]));
      memcpy(c->data[m] + 4 * n, &sum, 4);
    }
  }
}

#endif
