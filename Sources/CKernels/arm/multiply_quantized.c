/* The NEON matrix product of quantised weights with quantised activations; tile.h says how rows and
 * tokens meet. */
#include "tile.h"

#if defined(__aarch64__)

#define TYPE(NAME, GROUP, MINIMA) [CK_##NAME] = {ck_levels_##NAME, GROUP, MINIMA},
static const ck_level_type portable[CK_TYPES] = {CK_EACH_LEVEL_TYPE(TYPE)};
#define OWN(NAME) [CK_##NAME] = ck_neon_levels_##NAME,
static ck_levels *const own[CK_TYPES] = {CK_EACH_NEON_LEVEL_TYPE(OWN)};

/* [row][group] to [group][row]. */
static void turn_floats(float (*to)[CK_TILE_ROWS], float (*from)[CK_MOST_GROUPS], size_t groups) {
  for (size_t r = 0; r < CK_TILE_ROWS; r += 4) {
    for (size_t g = 0; g < groups; g += 4) {
      uint32x4_t v[4];
      for (size_t i = 0; i < 4; i++) v[i] = vreinterpretq_u32_f32(vld1q_f32(&from[r + i][g]));
      ck_transpose4(v);
      for (size_t i = 0; i < 4; i++) vst1q_f32(&to[g + i][r], vreinterpretq_f32_u32(v[i]));
    }
  }
}

/* Decodes `count` columns of sixteen rows and turns their scales. */
static void load_rows(ck_neon_tile *s, ck_levels *decode, const ck_level_type *type,
                      const uint8_t *const rows[CK_TILE_ROWS], size_t offset, size_t bytes,
                      size_t count) {
  for (int r = 0; r < CK_TILE_ROWS; r++) {
    const uint8_t *at = rows[r] + offset;
    /* Sixteen streams are more than the hardware follows; two tiles ahead hides the memory. Past the
     * end of the weights nothing comes of it: a prefetch never faults. */
    for (size_t line = 0; line < bytes; line += 64) {
      __builtin_prefetch((const void *)((uintptr_t)at + 2 * bytes + line));
    }
    decode(at, count, s->levels[r], s->row_scales[r], s->row_minima[r]);
  }
  const size_t groups = count / type->group;
  turn_floats(s->scales, s->row_scales, groups);
  if (type->has_minima) turn_floats(s->minima, s->row_minima, groups);
}

static ck_neon_token token_at(const void *row, size_t columns, size_t group) {
  const ck_neon_activations a = ck_neon_activations_at((void *)(uintptr_t)row, columns);
  return (ck_neon_token){
      .high = a.high,
      .low = a.low,
      .scales = a.scales,
      .sums = group == 32 ? a.sums32 : a.sums16,
  };
}

void ck_neon_multiply_tiles(const ck_neon_products products, ck_matrix w, const void *x,
                            const int32_t *list, size_t tokens, bool is_wide, float *out,
                            size_t out_stride) {
  const ck_type *blocks = ck_find_type(w.type);
  const ck_level_type *type = &portable[w.type];
  ck_levels *decode = own[w.type] ? own[w.type] : type->decode;
  ck_neon_product *multiply = products[is_wide][type->group == 32][type->has_minima];
  const size_t token_bytes = ck_activations_bytes(w.columns);
  ck_neon_tile s;
  for (size_t row = 0; row < w.rows; row += CK_TILE_ROWS) {
    const size_t height = w.rows - row < CK_TILE_ROWS ? w.rows - row : CK_TILE_ROWS;
    const uint8_t *rows[CK_TILE_ROWS];
    for (size_t r = 0; r < CK_TILE_ROWS; r++) {
      /* The last row stands in for those behind it. */
      rows[r] = (const uint8_t *)w.base + (row + (r < height ? r : height - 1)) * w.stride_bytes;
    }
    for (size_t done = 0; done < tokens; done += CK_TOKEN_GROUP) {
      const size_t group = tokens - done < CK_TOKEN_GROUP ? tokens - done : CK_TOKEN_GROUP;
      ck_neon_token here[CK_TOKEN_GROUP];
      for (size_t t = 0; t < group; t++) {
        const size_t index = list ? (size_t)list[done + t] : done + t;
        here[t] = token_at((const uint8_t *)x + index * token_bytes, w.columns, type->group);
      }
      memset(s.sums, 0, group * sizeof s.sums[0]);
      for (size_t column = 0; column < w.columns; column += CK_TILE_COLUMNS) {
        const size_t left = w.columns - column;
        const size_t count = left < CK_TILE_COLUMNS ? left : CK_TILE_COLUMNS;
        load_rows(&s, decode, type, rows, ck_bytes_of(blocks, column), ck_bytes_of(blocks, count),
                  count);
        multiply(&s, here, group, column, count);
      }
      for (size_t t = 0; t < group; t++) {
        memcpy(out + (done + t) * out_stride + row, s.sums[t], height * sizeof(float));
      }
    }
  }
}

#endif
