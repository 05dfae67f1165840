/* Products of quantised activations against their definition in plain C, bit for bit. */
#include "check.h"

#define TYPE(NAME, GROUP, MINIMA) [CK_##NAME] = {ck_levels_##NAME, GROUP, MINIMA},
static const ck_level_type level_types[CK_TYPES] = {CK_EACH_LEVEL_TYPE(TYPE)};

/* A row of activations or of weights as the definition has it. */
typedef struct {
  int32_t *values;
  float *scales; /* one for 32 activations, or for each group of weights */
  float *minima;
} whole_row;

/* With 8 bits the kernels multiply upper bytes and a scale 256 times as large. */
static void quantize_model(const float *x, size_t columns, bool is_wide, whole_row to) {
  for (size_t g = 0; g < columns / 32; g++) {
    float top = 0;
    bool is_number = true;
    for (size_t i = 0; i < 32; i++) {
      const float magnitude = fabsf(x[32 * g + i]);
      if (!isfinite(magnitude)) is_number = false;
      if (magnitude > top) top = magnitude;
    }
    const bool has_values = is_number && top >= 0x1p-100f;
    const float scale = has_values ? top / 32512 : is_number ? 0 : NAN;
    const float factor = has_values ? 32512 / top : 0;
    for (size_t i = 0; i < 32; i++) {
      const int32_t fine = has_values ? (int32_t)nearbyintf(x[32 * g + i] * factor) : 0;
      const int32_t upper = (int32_t)floorf((float)(fine + 128) / 256);
      to.values[32 * g + i] = is_wide ? fine : upper;
    }
    to.scales[g] = is_wide ? scale : 256 * scale;
  }
}

static void decode_model(uint32_t type, const uint8_t *row, size_t columns, whole_row to) {
  const ck_level_type *levels = &level_types[type];
  for (size_t c = 0; c < columns; c += CK_TILE_COLUMNS) {
    const size_t count = columns - c < CK_TILE_COLUMNS ? columns - c : CK_TILE_COLUMNS;
    int8_t part[CK_TILE_COLUMNS];
    levels->decode(row + ck_bytes_of(ck_find_type(type), c), count, part, to.scales + c / levels->group,
                   to.minima + c / levels->group);
    for (size_t i = 0; i < count; i++) to.values[c + i] = part[i];
  }
}

/* Whole numbers within a group; then the fused sums, group by group. */
static float product_model(const ck_level_type *type, size_t columns, whole_row w, whole_row x) {
  float sum = 0;
  for (size_t g = 0; g < columns / type->group; g++) {
    int64_t whole = 0, of_activations = 0;
    for (size_t i = g * type->group; i < (g + 1) * type->group; i++) {
      whole += (int64_t)w.values[i] * x.values[i];
      of_activations += x.values[i];
    }
    const float step = x.scales[g * type->group / 32];
    sum = fmaf((float)whole, w.scales[g] * step, sum);
    if (type->has_minima) sum = fmaf(-w.minima[g], step * (float)of_activations, sum);
  }
  return sum;
}

static whole_row allocate_row(size_t columns) {
  return (whole_row){malloc(columns * 4), malloc(columns / 16 * 4), malloc(columns / 16 * 4)};
}

static void free_row(whole_row row) {
  free(row.values);
  free(row.scales);
  free(row.minima);
}

/* Tokens of every kind in turn: random, zeros, all equal, large, at the least scale, subnormal,
 * alternating extremes, few among zeros, every whole step, with an infinity, with a NaN. */
enum { KINDS = 11 };

static void fill_token(random_source *random, size_t kind, float *x, size_t columns) {
  fill_floats(random, x, columns);
  for (size_t i = 0; i < columns; i++) {
    switch (kind % KINDS) {
      case 1: x[i] = 0; break;
      case 2: x[i] = -0.75f; break;
      case 3: x[i] *= 0x1p100f; break;
      case 4: x[i] *= 0x1p-98f; break;
      case 5: x[i] *= 0x1p-130f; break;
      case 6: x[i] = i % 2 ? 3 : -3; break;
      case 7: x[i] = i % 37 == 5 ? x[i] : 0; break;
      case 8: x[i] = i % 32 == 0 ? 32512 : (float)((int)(next_random(random) % 65025) - 32512); break;
      default: break;
    }
  }
  if (kind % KINDS == 9) x[columns / 2] = -INFINITY;
  if (kind % KINDS == 10) x[columns - 1] = NAN;
}

/* A matrix, its activations and what the definition makes of them. */
typedef struct {
  ck_matrix w;
  size_t tokens, weight_bytes, token_bytes;
  uint8_t *weights;
  float *x;
  void *quantized;
  float *expected; /* [tokens, rows] */
} product;

static product make_product(random_source *random, uint32_t type, block_style style, size_t rows,
                            size_t columns, size_t tokens, bool is_wide) {
  product p = {.tokens = tokens};
  const size_t row_bytes = ck_bytes_of(ck_find_type(type), columns);
  p.weight_bytes = rows * row_bytes;
  p.weights = guarded(p.weight_bytes);
  fill_blocks(random, type, style, p.weights, rows * columns / ck_block_elements(type));
  p.w = (ck_matrix){type, p.weights, row_bytes, rows, columns};
  p.x = guarded(tokens * columns * 4);
  for (size_t t = 0; t < tokens; t++) fill_token(random, t, p.x + t * columns, columns);
  p.token_bytes = ck_quantized_bytes(columns);
  p.quantized = guarded(tokens * p.token_bytes);
  kernels->quantize(p.x, columns, columns, tokens, is_wide, p.quantized);
  p.expected = malloc(tokens * rows * 4);
  whole_row weights = allocate_row(columns), activations = allocate_row(columns);
  for (size_t r = 0; r < rows; r++) {
    decode_model(type, p.weights + r * row_bytes, columns, weights);
    for (size_t t = 0; t < tokens; t++) {
      quantize_model(p.x + t * columns, columns, is_wide, activations);
      p.expected[t * rows + r] = product_model(&level_types[type], columns, weights, activations);
    }
  }
  free_row(weights);
  free_row(activations);
  return p;
}

static void free_product(product p) {
  free_guarded(p.weights, p.weight_bytes);
  free_guarded(p.x, p.tokens * p.w.columns * 4);
  free_guarded(p.quantized, p.tokens * p.token_bytes);
  free(p.expected);
}

/* `rows` rows from `first_row` on by `tokens` tokens from `first` on, with a gap between the results
 * of tokens that must stay as it is, and nothing behind the last result. */
static void check_part(const product *p, size_t first_row, size_t rows, size_t first, size_t tokens,
                       bool is_wide, block_style style) {
  const size_t gap = 3, stride = rows + gap, count = (tokens - 1) * stride + rows;
  float *out = guarded(count * 4);
  for (size_t i = 0; i < count; i++) out[i] = 7;
  ck_matrix w = p->w;
  w.base = p->weights + first_row * w.stride_bytes;
  w.rows = rows;
  soil_stack();
  kernels->multiply_quantized(w, (const uint8_t *)p->quantized + first * p->token_bytes, NULL, tokens,
                              is_wide, out, stride);
  for (size_t t = 0; t < tokens; t++) {
    for (size_t r = 0; r < rows; r++) {
      const float expected = p->expected[(first + t) * p->w.rows + first_row + r];
      expect(is_same(out[t * stride + r], expected),
             "%s, style %d, %d bits, %zu columns, row %zu of %zu, token %zu of %zu: %a, expected %a",
             type_names[w.type], style, is_wide ? 16 : 8, w.columns, r, rows, t, tokens,
             (double)out[t * stride + r], (double)expected);
    }
    for (size_t i = rows; i < stride && t + 1 < tokens; i++) {
      expect(out[t * stride + i] == 7, "%s: a result behind the rows", type_names[w.type]);
    }
  }
  free_guarded(out, count * 4);
}

/* Tokens in any order, some of them twice. */
static void check_list(const product *p, size_t tokens, bool is_wide) {
  const int32_t list[23] = {(int32_t)p->tokens - 1, 3,  3,  0,  12, 13, 14, 15, 16, 17, 18, 19,
                            20,                     21, 22, 23, 24, 25, 26, 27, 28, 2,  40};
  float *out = guarded(tokens * p->w.rows * 4);
  kernels->multiply_quantized(p->w, p->quantized, list, tokens, is_wide, out, p->w.rows);
  for (size_t t = 0; t < tokens; t++) {
    for (size_t r = 0; r < p->w.rows; r++) {
      expect(is_same(out[t * p->w.rows + r], p->expected[(size_t)list[t] * p->w.rows + r]),
             "%s: listed token %zu, row %zu", type_names[p->w.type], t, r);
    }
  }
  free_guarded(out, tokens * p->w.rows * 4);
}

/* One row of products for each token count and row count: all must be those of the definition, hence
 * the same bits. Weights end at a guarded page with each of the row counts. */
static void check_counts(random_source *random, uint32_t type, size_t columns, bool is_wide) {
  static const size_t token_counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 17, 64, 67};
  static const size_t row_counts[] = {1, 2, 3, 5, 8, 15, 16, 17, 33};
  const product p = make_product(random, type, RANDOM, 33, columns, 67, is_wide);
  for (size_t i = 0; i < sizeof token_counts / sizeof *token_counts; i++) {
    const size_t tokens = token_counts[i];
    check_part(&p, 0, 17, 67 - tokens, tokens, is_wide, RANDOM);
    check_part(&p, 32, 1, 0, tokens, is_wide, RANDOM);
  }
  for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
    const size_t rows = row_counts[i];
    check_part(&p, 33 - rows, rows, 0, 1, is_wide, RANDOM);
    check_part(&p, 33 - rows, rows, 20, 6, is_wide, RANDOM);
  }
  check_list(&p, 5, is_wide);
  check_list(&p, 23, is_wide);
  free_product(p);
}

void check_quantized_products(void) {
  static const size_t blocks[] = {1, 2, 3, 5, 9, 64};
  random_source random = {21};
  for (uint32_t type = 0; type < CK_TYPES; type++) {
    if (!level_types[type].decode) continue;
    const size_t elements = ck_block_elements(type);
    for (int is_wide = 0; is_wide < 2; is_wide++) {
      for (int style = 0; style < STYLES; style++) {
        for (size_t i = 0; i < 6; i++) {
          const size_t columns = blocks[i] * elements;
          if (columns > 2304) continue;
          const product p = make_product(&random, type, (block_style)style, 5, columns, KINDS, is_wide);
          check_part(&p, 0, 5, 0, KINDS, is_wide, (block_style)style);
          check_part(&p, 4, 1, 0, 1, is_wide, (block_style)style);
          check_part(&p, 1, 4, 8, 1, is_wide, (block_style)style);
          free_product(p);
        }
      }
      /* Kernels of blocks of 32 may take 256 columns at once, or half as many. */
      static const size_t widths[] = {320, 128, 384};
      for (size_t i = 0; i < 3; i++) {
        if (elements != 256) check_counts(&random, type, widths[i], is_wide);
      }
      if (elements == 256) check_counts(&random, type, 512, is_wide);
    }
  }
}
