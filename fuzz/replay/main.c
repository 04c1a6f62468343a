/* Runs a fuzzer's function on each file named, in place of a fuzzer that makes inputs up. */
#include "../fuzz.h"

static void run(const char *path) {
  FILE *file = fopen(path, "rb");
  CHECK(file && fseek(file, 0, SEEK_END) == 0);
  long size = ftell(file);
  CHECK(size >= 0 && fseek(file, 0, SEEK_SET) == 0);
  uint8_t *bytes = malloc((size_t)size + 1);
  CHECK(bytes && fread(bytes, 1, (size_t)size, file) == (size_t)size);
  fclose(file);
  uint8_t *exact = copy_of(bytes, (size_t)size);
  free(bytes);
  LLVMFuzzerTestOneInput(exact, (size_t)size);
  free(exact);
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    printf("%s\n", argv[i]); /* the last one named is the one that failed */
    fflush(stdout);
    run(argv[i]);
  }
  return argc > 1 ? 0 : 2;
}
