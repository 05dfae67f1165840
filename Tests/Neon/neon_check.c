/* Checks the NEON kernels without Swift, so that a cross compiler and a user-mode emulator are enough:
 *     neon_check any|plain|dotprod|i8mm FIXTURES
 * The first argument is the kind of products that this CPU should get. Built for x86-64,
 * `neon_check avx2|avx512|amx FIXTURES` holds those tables to the same model of the quantised products;
 * its status is 77 on a CPU without. */
#include "check.h"

const ck_kernels *kernels;

#if defined(__aarch64__)

#include "../../Sources/CKernels/arm/neon.h"

static const char *choose(const char *kind) {
  kernels = ck_neon_kernels();
  const bool is_i8mm = kernels->multiply_quantized == ck_i8mm_multiply_quantized;
  const bool is_dotprod = kernels->multiply_quantized == ck_dotprod_multiply_quantized;
  (void)kind;
  return is_i8mm ? "i8mm" : is_dotprod ? "dotprod" : "plain";
}

#else

static const char *choose(const char *kind) {
  kernels = strcmp(kind, "avx2") == 0  ? ck_avx2_kernels()
            : strcmp(kind, "amx") == 0 ? ck_amx_kernels()
                                       : ck_avx512_kernels();
  return kind;
}

#endif

int main(int count, char **arguments) {
  if (count != 3) {
    fprintf(stderr, "usage: neon_check any|plain|dotprod|i8mm FIXTURES\n");
    return 64;
  }
  const char *found = choose(arguments[1]);
  if (!kernels) return 77;
  if (strcmp(arguments[1], "any") && strcmp(found, arguments[1])) {
    fprintf(stderr, "neon_check: this CPU is %s, expected %s\n", found, arguments[1]);
    return 2;
  }
  check_levels(arguments[2]);
  check_quantized_products();
  check_float_products();
  check_vectors();
  check_attention();
  if (failures) {
    fprintf(stderr, "neon_check: %s: %ld of %ld expectations not met\n", found, failures, expectations);
    return 1;
  }
  printf("neon_check: %s: all %ld expectations met, digest %016llx, of BF16 %016llx\n", found, expectations,
         (unsigned long long)digest_so_far, (unsigned long long)bf16_digest_so_far);
  return 0;
}
