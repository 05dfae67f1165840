/* Speed of the matrix products, a line of CSV for each type and table of kernels.
 *
 * usage: kernel_bench THREADS [TYPE,TYPE,... [MEGABYTES]]
 *
 * Every figure is the best of several runs (of one, with the scalar kernels), all threads at once, each on
 * rows of its own: `matvec` in
 * GB/s of weights read from memory, one token; `gmac_N` in 10^9 multiply-adds a second with N tokens
 * from memory, which is where experts come from; `bits` are those of an activation. `read` is what the same threads read from the same
 * memory and do nothing else, in the same minute. Weights are random, six bits of every byte, and MEGABYTES in all:
 * 1024, several times any last-level share, or as given. */
#include "ckernels.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* COLUMNS divides into whole blocks of every type. */
enum { COLUMNS = 4096, MOST_TOKENS = 512, MOST_THREADS = 64, OUT_ROWS = 4096 };

static const struct {
  const char *name;
  uint32_t id;
} types[] = {
    {"F32", 0},      {"F16", 1},      {"BF16", 30},    {"Q8_0", 8},     {"Q4_0", 2},    {"Q4_1", 3},
    {"Q5_0", 6},     {"Q5_1", 7},     {"Q2_K", 10},    {"Q3_K", 11},    {"Q4_K", 12},   {"Q5_K", 13},
    {"Q6_K", 14},    {"IQ1_S", 19},   {"IQ1_M", 29},   {"IQ2_XXS", 16}, {"IQ2_XS", 17}, {"IQ2_S", 22},
    {"IQ3_XXS", 18}, {"IQ3_S", 21},   {"IQ4_NL", 20},  {"IQ4_XS", 23},  {"TQ1_0", 34},  {"TQ2_0", 35},
    {"MXFP4", 39},   {"NVFP4", 40},
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What one thread works on. */
typedef struct {
  const ck_kernels *kernels;
  ck_matrix w;
  const float *x;
  const void *quantized;
  bool is_wide; /* 16 bits an activation */
  float *out;
  size_t tokens; /* 0: read only */
  uint64_t sum;
} job;

static void *run(void *argument) {
  job *j = argument;
  if (j->tokens == 0) {
    const uint64_t *p = j->w.base;
    uint64_t sums[8] = {0};
    for (size_t i = 0; i + 8 <= j->w.rows * j->w.stride_bytes / 8; i += 8) {
      /* Ahead for the first cache and the second, as the kernels do: alone the hardware leaves a third of the
       * speed (Emerald Rapids). */
      __builtin_prefetch(p + i + 128, 0, 3);
      __builtin_prefetch(p + i + 1024, 0, 2);
      for (size_t k = 0; k < 8; k++) sums[k] += p[i + k];
    }
    for (size_t k = 0; k < 8; k++) j->sum += sums[k];
    return NULL;
  }
  /* Results go round in a place that stays in the caches, as those of a layer do. */
  for (size_t row = 0; row < j->w.rows; row += OUT_ROWS) {
    ck_matrix part = j->w;
    part.base = (const uint8_t *)j->w.base + row * part.stride_bytes;
    part.rows = j->w.rows - row < OUT_ROWS ? j->w.rows - row : OUT_ROWS;
    if (j->quantized) {
      j->kernels->multiply_quantized(part, j->quantized, NULL, j->tokens, j->is_wide, j->out, OUT_ROWS);
    } else {
      j->kernels->multiply(part, j->x, COLUMNS, j->tokens, j->out, OUT_ROWS);
    }
  }
  return NULL;
}

/* Best seconds of `runs` in which all threads do their job. */
static double best_of(job *jobs, int threads, int runs) {
  double best = INFINITY;
  for (int i = 0; i < runs; i++) {
    pthread_t handles[MOST_THREADS];
    const double start = now();
    for (int t = 1; t < threads; t++) pthread_create(&handles[t], NULL, run, &jobs[t]);
    run(&jobs[0]);
    for (int t = 1; t < threads; t++) pthread_join(handles[t], NULL);
    const double seconds = now() - start;
    if (seconds < best) best = seconds;
  }
  return best;
}

static uint64_t state = 1;

static uint64_t random_word(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return state ^ state >> 29;
}

static void *take(size_t bytes) {
  const size_t huge = 2 << 20;
  uint8_t *p = mmap(NULL, bytes + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) {
    fprintf(stderr, "kernel_bench: no memory for %zu bytes\n", bytes);
    exit(2);
  }
  p = (uint8_t *)(((uintptr_t)p + huge - 1) / huge * huge);
#ifdef MADV_HUGEPAGE
  madvise(p, bytes, MADV_HUGEPAGE);
#endif
  return p;
}

int main(int argc, char **argv) {
  const int threads = argc > 1 ? atoi(argv[1]) : 0;
  if (threads < 1 || threads > MOST_THREADS) {
    fprintf(stderr, "usage: kernel_bench THREADS [TYPE,TYPE,... [MEGABYTES]]\n");
    return 64;
  }
  const int megabytes = argc > 3 ? atoi(argv[3]) : 1024;
  if (megabytes < 1 || megabytes > 65536) {
    fprintf(stderr, "kernel_bench: MEGABYTES are 1 to 65536, found %s\n", argv[3]);
    return 64;
  }
  const size_t weights = (size_t)megabytes << 20;
  const struct {
    const char *name;
    const ck_kernels *kernels;
  } tables[] = {{"avx2", ck_avx2_kernels()},
                {"avx512", ck_avx512_kernels()},
                {"amx", ck_amx_kernels()},
                {"neon", ck_neon_kernels()},
                {"scalar", ck_scalar_kernels()}};
  static const size_t tokens[] = {1, 4, 10, 64, 512};
  uint8_t *bytes = take(weights);
  float *x = take((size_t)MOST_TOKENS * COLUMNS * sizeof *x);
  void *quantized = take(MOST_TOKENS * ck_quantized_bytes(COLUMNS));
  float *out = take((size_t)threads * MOST_TOKENS * OUT_ROWS * sizeof *out);
  for (size_t i = 0; i < (size_t)MOST_TOKENS * COLUMNS; i++) {
    x[i] = (float)(random_word() >> 40) * 0x1p-23f - 1;
  }
  printf("type,isa,bits,threads,read_gb_s,matvec_gb_s,gmac_4,gmac_10,gmac_64,gmac_512\n");
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    if (argc > 2) {
      char list[256], name[32];
      snprintf(list, sizeof list, ",%s,", argv[2]);
      snprintf(name, sizeof name, ",%s,", types[i].name);
      if (!strstr(list, name)) continue;
    }
    const size_t stride = COLUMNS / ck_block_elements(types[i].id) * ck_block_bytes(types[i].id);
    const size_t all = weights / stride / (size_t)threads / 16 * 16;
    /* Without the upper bits what is read as a scale, in whatever width and place, is finite. A scale of
     * MXFP4 is a bare exponent: from 64 on its products are normal, as those of real weights. So are F32
     * and BF16 with that bit of the exponent; a subnormal one in 64 makes Intel's cores ten times as slow. */
    const bool is_float = strcmp(types[i].name, "F32") == 0 || strcmp(types[i].name, "BF16") == 0;
    const uint64_t least = strcmp(types[i].name, "MXFP4") == 0 ? 0x4040404040404040
                           : is_float                          ? 0x2020202020202020
                                                               : 0;
    for (size_t k = 0; k < weights; k += 8) {
      const uint64_t word = (random_word() & 0x3f3f3f3f3f3f3f3f) | least;
      memcpy(bytes + k, &word, sizeof word);
    }
    for (size_t k = 0; k < sizeof tables / sizeof *tables; k++) {
      const ck_kernels *kernels = tables[k].kernels;
      if (!kernels) continue;
      const bool is_scalar = strcmp(tables[k].name, "scalar") == 0;
      const bool quantizes = kernels->quantize && ck_takes_quantized(types[i].id);
      /* Floats have 32 bits; the definition multiplies floats only. */
      for (int bits = quantizes ? 16 : 32; bits >= (quantizes ? 8 : 32); bits -= 8) {
        if (quantizes) kernels->quantize(x, COLUMNS, COLUMNS, MOST_TOKENS, bits == 16, quantized);
        job jobs[MOST_THREADS];
        for (int t = 0; t < threads; t++) {
          jobs[t] = (job){
              .kernels = kernels,
              .w = {.type = types[i].id, .base = bytes + (size_t)t * all * stride,
                    .stride_bytes = stride, .rows = all, .columns = COLUMNS},
              .x = x,
              .quantized = quantizes ? quantized : NULL,
              .is_wide = bits == 16,
              .out = out + (size_t)t * MOST_TOKENS * OUT_ROWS,
          };
        }
        const double read = best_of(jobs, threads, 5);
        const double read_bytes = (double)threads * (double)all * (double)stride;
        printf("%s,%s,%d,%d,%.2f", types[i].name, tables[k].name, bits, threads, read_bytes / read / 1e9);
        for (size_t n = 0; n < sizeof tokens / sizeof *tokens; n++) {
          /* A share of the rows is enough where a row takes long, and the definition takes very long. */
          size_t rows = all / (tokens[n] < 4 ? 1 : tokens[n] < 64 ? 4 : tokens[n] < 512 ? 16 : 64);
          if (is_scalar) rows = rows / 32;
          rows = rows / 16 * 16 ? rows / 16 * 16 : 16;
          for (int t = 0; t < threads; t++) {
            jobs[t].w.rows = rows;
            jobs[t].tokens = tokens[n];
          }
          const double seconds = best_of(jobs, threads, is_scalar ? 1 : 5);
          const double products = (double)threads * (double)rows * COLUMNS * (double)tokens[n];
          printf(",%.2f", n == 0 ? (double)threads * (double)rows * (double)stride / seconds / 1e9
                                 : products / seconds / 1e9);
        }
        printf("\n");
        fflush(stdout);
      }
    }
  }
  return 0;
}
