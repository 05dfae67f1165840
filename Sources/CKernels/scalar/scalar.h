/* The scalar kernels; `ck_kernels` says what each computes. Faster tables take from here what they
 * have no version of their own for. */
#ifndef CK_SCALAR_H
#define CK_SCALAR_H

#include "ckernels.h"

void ck_scalar_multiply(ck_matrix w, const float *x, size_t x_stride, size_t tokens, float *out,
                        size_t out_stride);
float ck_scalar_dot(const float *a, const float *b, size_t count);
void ck_scalar_add_scaled(float *y, float factor, const float *x, size_t count);
void ck_scalar_add(float *y, const float *x, size_t count);
void ck_scalar_rms_norm(const float *x, const float *weight, float epsilon, float *out,
                        size_t count);
void ck_scalar_l2_normalize(const float *x, float epsilon, float *out, size_t count);
void ck_scalar_silu_multiply(const float *gate, const float *up, float *out, size_t count);
void ck_scalar_sigmoid_multiply(float *y, const float *gate, size_t count);
void ck_scalar_attend(const ck_attention *attention, float *scratch);
void ck_scalar_softmax(float *x, size_t count);
void ck_scalar_rotate_pairs(float *x, const float *cosines, const float *sines, size_t half);
void ck_scalar_convolve_silu(const float *taps, const float *const *history, size_t width,
                             float *out, size_t channels);
void ck_scalar_delta_steps(float *state, ck_delta_tokens tokens, size_t dim);

#endif
