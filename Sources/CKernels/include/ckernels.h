/* Numeric kernels on weights in ggml's block formats. They allocate nothing, keep no state and may
 * run on any number of threads at once.
 *
 * Every kernel exists in a scalar version, which is the definition, and may exist in faster
 * versions; a `ck_kernels` table holds one complete choice. For one table the result of one (row,
 * token) pair is the same bits whatever the number of tokens or rows in the call.
 *
 * Caveats: nothing is checked here. The Swift target Kernels is the only caller and checks shapes.
 * Tensor types are ggml's numbers. Blocks may start at any address. Counts are elements, not
 * bytes, unless the name says so. Buffers do not overlap unless a comment allows it. */
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/* `rows` rows of `columns` weights in block format, `stride_bytes` from row to row. */
typedef struct ck_matrix {
  uint32_t type;
  const void *base;
  size_t stride_bytes;
  size_t rows;
  size_t columns;
} ck_matrix;

/* What tokens bring to a value head of a gated delta net, and where its answers go. Token t has q, k and v
 * at t * stride, gate and beta at t * gate_stride, out at t * out_stride. */
typedef struct ck_delta_tokens {
  size_t count;
  const float *q, *k, *v; /* [dim] */
  size_t stride;
  const float *gate, *beta;
  size_t gate_stride;
  float *out; /* [dim] */
  size_t out_stride;
} ck_delta_tokens;

/* Queries of some heads of consecutive tokens that share keys and values. Position p of keys and values has
 * `dim` elements of `type`, F32, F16 or Q8_0, at p * row_bytes; head h of token t has its query at
 * t * query_token_stride + h * query_stride and its answer likewise, [dim] each. The first token sees
 * `positions`, at least 1, and each later one sees one more; for Q8_0 `dim` is a multiple of 32. */
typedef struct ck_attention {
  uint32_t type;
  const void *keys, *values;
  size_t row_bytes;
  size_t positions;
  size_t dim;
  const float *queries;
  size_t query_stride, query_token_stride;
  size_t heads, tokens;
  float scale;
  float *out;
  size_t out_stride, out_token_stride;
} ck_attention;

/* The kernels of one instruction set. */
typedef struct ck_kernels {
  /* out[t * out_stride + r] = sum over c of w[r, c] * x[t * x_stride + c], for all rows r and
   * tokens t < tokens. Activations stay float32. Reads no byte past the last block of a row. */
  void (*multiply)(ck_matrix w, const float *x, size_t x_stride, size_t tokens, float *out,
                   size_t out_stride);

  /* Quantises `rows` rows of `columns` float32 activations, `columns` a multiple of 32, to rows of
   * ck_quantized_bytes(columns) bytes at `out`, which is aligned to 4. A row's bytes depend on that
   * row alone. What is not a number stays one. `is_wide` is that of the products they enter. NULL: this
   * table multiplies floats only. */
  void (*_Nullable quantize)(const float *x, size_t x_stride, size_t columns, size_t rows,
                             bool is_wide, void *out);
  /* As `multiply`, with rows that `quantize` wrote, one after another; token t is row `rows[t]`, or row
   * t without `rows`. `is_wide`: 16 bits an activation, else 8. `w` is of a type that
   * ck_takes_quantized accepts. NULL where `quantize` is. */
  void (*_Nullable multiply_quantized)(ck_matrix w, const void *x, const int32_t *_Nullable rows,
                                       size_t tokens, bool is_wide, float *out, size_t out_stride);

  /* sum of a[i] * b[i] */
  float (*dot)(const float *a, const float *b, size_t count);
  /* y[i] += factor * x[i] */
  void (*add_scaled)(float *y, float factor, const float *x, size_t count);
  /* y[i] += x[i] */
  void (*add)(float *y, const float *x, size_t count);
  /* out[i] = x[i] / sqrt(mean of x^2 + epsilon) * weight[i]; weight may be NULL, out may be x */
  void (*rms_norm)(const float *x, const float *_Nullable weight, float epsilon, float *out,
                   size_t count);
  /* out[i] = x[i] / sqrt(sum of x^2 + epsilon); out may be x */
  void (*l2_normalize)(const float *x, float epsilon, float *out, size_t count);
  /* out[i] = silu(gate[i]) * up[i]; out may be gate or up */
  void (*silu_multiply)(const float *gate, const float *up, float *out, size_t count);
  /* y[i] *= sigmoid(gate[i]) */
  void (*sigmoid_multiply)(float *y, const float *gate, size_t count);
  /* out[t, h] = sum over p of w[p] * values[p], where w = softmax over p of scale * query[t, h] . keys[p].
   * `scratch` has ck_attention_scratch_floats(tokens * heads, dim) floats, aligned to 64 bytes. The bits of
   * a token's head do not depend on which others are in the call. */
  void (*attend)(const ck_attention *attention, float *scratch);
  /* x[i] = exp(x[i]) / sum of exp(x); -infinity gives 0 */
  void (*softmax)(float *x, size_t count);
  /* Rotates the pairs (x[i], x[i + half]), i < half, by the angles given as cosines and sines. */
  void (*rotate_pairs)(float *x, const float *cosines, const float *sines, size_t half);

  /* out[c] = silu(sum over j < width of taps[c * width + j] * history[j][c]), oldest row first */
  void (*convolve_silu)(const float *taps, const float *_Nonnull const *_Nonnull history,
                        size_t width, float *out, size_t channels);
  /* Steps of the gated delta rule for one value head, a token each. S is [dim x dim], key index first:
   *   S *= exp(gate); u = beta * (v - S^T k); S += k u^T; out = S^T q / sqrt(dim)
   * `state` is ck_delta_state_floats(dim) floats that hold S, all zero before the first token; only this
   * function and ck_delta_associations know how, and one sequence stays with one table. The bits are
   * those of one call a token. */
  void (*delta_steps)(float *state, ck_delta_tokens tokens, size_t dim);
} ck_kernels;

/* The definition. */
const ck_kernels *ck_scalar_kernels(void);

/* AVX2 + FMA + F16C; NULL where the CPU or the build has none. */
const ck_kernels *_Nullable ck_avx2_kernels(void);

/* AVX-512 with VNNI, VBMI and GFNI (Ice Lake and later, Zen 4 and later); NULL where the CPU or the
 * build has none. */
const ck_kernels *_Nullable ck_avx512_kernels(void);

/* AVX-512, and products of byte matrices in AMX's tiles, to the same bits, and of BF16 matrices, in an order
 * of their own; NULL where the CPU has none or the system does not let the process use them, which is asked
 * for here. */
const ck_kernels *_Nullable ck_amx_kernels(void);

/* NEON, with byte products (dotprod) and products of byte matrices (i8mm) where the CPU has them, to
 * the same bits; NULL where the build is not for AArch64. */
const ck_kernels *_Nullable ck_neon_kernels(void);

/* Bytes of a quantised row of `columns` activations, a multiple of 64. */
size_t ck_quantized_bytes(size_t columns);

/* Whether weights of `type` can be multiplied by quantised activations. */
bool ck_takes_quantized(uint32_t type);

/* Whether the kernels know tensor type `type`. */
bool ck_supports(uint32_t type);

/* Elements and bytes of a block of `type`; 0 when it is not supported. */
size_t ck_block_elements(uint32_t type);
size_t ck_block_bytes(uint32_t type);

/* out[i] = element i of a row of `columns` elements at `row`. One definition for all instruction
 * sets. `type` is supported, `columns` a whole number of blocks. */
void ck_dequantize_row(uint32_t type, const void *row, size_t columns, float *out);

/* Floats of the state of `delta_steps`, a multiple of 16. */
size_t ck_delta_state_floats(size_t dim);

/* out[i * dim + j] = S[i, j] of a state of `delta_steps`. */
void ck_delta_associations(const float *state, size_t dim, float *out);

/* Floats that `attend` needs for `queries` heads, those of all tokens. */
size_t ck_attention_scratch_floats(size_t queries, size_t dim);

/* Writes `count` floats as a row of `type`: F32, F16 or, with a multiple of 32, Q8_0. What is not finite
 * does not become finite. */
void ck_store_row(uint32_t type, const float *x, size_t count, void *row);

/* Tells the CPU that the caller spins. */
static inline void ck_spin_hint(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#pragma clang assume_nonnull end

#endif
