/* Decoders: levels against the portable ones and the fixtures, rows against the fixtures. */
#include "check.h"

#if defined(__aarch64__)

#include "../../Sources/CKernels/arm/neon.h"

#define PORTABLE(NAME, GROUP, MINIMA) [CK_##NAME] = {ck_levels_##NAME, GROUP, MINIMA},
static const ck_level_type portable[CK_TYPES] = {CK_EACH_LEVEL_TYPE(PORTABLE)};
#define OWN(NAME) [CK_##NAME] = ck_neon_levels_##NAME,
static ck_levels *const own[CK_TYPES] = {CK_EACH_NEON_LEVEL_TYPE(OWN)};

/* Blocks and results end at guarded pages. */
static void check_own(random_source *random, uint32_t type, block_style style, size_t count) {
  const ck_level_type *levels = &portable[type];
  const size_t bytes = ck_bytes_of(ck_find_type(type), count), groups = count / levels->group;
  uint8_t *blocks = guarded(bytes);
  fill_blocks(random, type, style, blocks, count / ck_block_elements(type));
  int8_t *found = guarded(count), expected[CK_TILE_COLUMNS];
  float *scales = guarded(groups * 4), *minima = guarded(groups * 4);
  float expected_scales[CK_MOST_GROUPS], expected_minima[CK_MOST_GROUPS] = {0};
  levels->decode(blocks, count, expected, expected_scales, expected_minima);
  own[type](blocks, count, found, scales, minima);
  expect(memcmp(found, expected, count) == 0, "%s, style %d: levels", type_names[type], style);
  for (size_t g = 0; g < groups; g++) {
    expect(is_same(scales[g], expected_scales[g]), "%s, style %d: scale %zu", type_names[type],
           style, g);
    expect(is_same(minima[g], expected_minima[g]), "%s, style %d: minimum %zu", type_names[type],
           style, g);
  }
  free_guarded(blocks, bytes);
  free_guarded(found, count);
  free_guarded(scales, groups * 4);
  free_guarded(minima, groups * 4);
}

/* `count` bytes of fixtures/dequant/NAME.EXTENSION. */
static void *read_fixture(const char *folder, const char *name, const char *extension, size_t count) {
  char path[1024];
  snprintf(path, sizeof path, "%s/dequant/%s.%s", folder, name, extension);
  FILE *file = fopen(path, "rb");
  void *bytes = guarded(count);
  if (!file || fread(bytes, 1, count, file) != count || fgetc(file) != EOF) {
    fprintf(stderr, "neon_check: %s: not %zu bytes\n", path, count);
    exit(2);
  }
  fclose(file);
  return bytes;
}

static void check_fixture(const char *folder, uint32_t type) {
  const ck_level_type *levels = &portable[type];
  const size_t elements = 24 * ck_block_elements(type), bytes = 24 * ck_block_bytes(type);
  uint8_t *blocks = read_fixture(folder, type_names[type], "blocks", bytes);
  float *values = read_fixture(folder, type_names[type], "f32", 4 * elements);
  float *out = guarded(4 * elements);
  ck_dequantize_row(type, blocks, elements, out);
  expect(memcmp(out, values, 4 * elements) == 0, "%s: dequantised row", type_names[type]);
  for (size_t c = 0; levels->decode && c < elements; c += CK_TILE_COLUMNS) {
    const size_t count = elements - c < CK_TILE_COLUMNS ? elements - c : CK_TILE_COLUMNS;
    int8_t found[CK_TILE_COLUMNS];
    float scales[CK_MOST_GROUPS], minima[CK_MOST_GROUPS] = {0};
    ck_levels *decode = own[type] ? own[type] : levels->decode;
    decode(blocks + ck_bytes_of(ck_find_type(type), c), count, found, scales, minima);
    for (size_t i = 0; i < count; i++) {
      const size_t g = i / levels->group;
      const double product = (double)scales[g] * found[i], value = values[c + i];
      /* The reference rounds the product and the difference, and IQ1 its own form of the scale. */
      const double bound = 0x1p-22 * (fabs(product) + fabs((double)minima[g]));
      expect(fabs(product - (double)minima[g] - value) <= bound, "%s: level %zu", type_names[type],
             c + i);
    }
  }
  free_guarded(blocks, bytes);
  free_guarded(values, 4 * elements);
  free_guarded(out, 4 * elements);
}

void check_levels(const char *fixtures) {
  random_source random = {11};
  for (uint32_t type = 0; type < CK_TYPES; type++) {
    for (int style = 0; own[type] && style < STYLES; style++) {
      const size_t elements = ck_block_elements(type);
      for (size_t count = elements; count <= CK_TILE_COLUMNS; count += elements) {
        for (int i = 0; i < 8; i++) check_own(&random, type, (block_style)style, count);
      }
    }
    if (portable[type].decode || type == CK_BF16) check_fixture(fixtures, type);
  }
}

#else

void check_levels(const char *fixtures) { (void)fixtures; }

#endif
