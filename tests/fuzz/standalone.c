/* SPDX-License-Identifier: MIT */
/*
 * standalone.c - runs a fuzz target over files instead of invented input, so that what a fuzzer
 * once found stays tested by any compiler.
 *
 * Takes folders and files as arguments and calls LLVMFuzzerTestOneInput once for each file, a
 * folder's in the order of their names and without its dot files. Each input has a block of its own
 * size, so that AddressSanitizer sees a read past its end. Knows nothing of what is tested. One
 * thread. Fails when an argument cannot be read or there was no file at all: an empty corpus proves
 * nothing.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static bool run_file(const char *path, size_t bytes)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(bytes > 0 ? bytes : 1);
    bool good = file && data && fread(data, 1, bytes, file) == bytes;

    if (good)
        LLVMFuzzerTestOneInput(data, bytes);
    else
        fprintf(stderr, "cannot read %s\n", path);
    free(data);
    if (file) fclose(file);
    return good;
}

/* The number of files run, or -1. */
static int run_folder(const char *path)
{
    struct dirent **entries;
    int entries_count = scandir(path, &entries, NULL, alphasort);
    int count = 0;

    if (entries_count < 0) return -1;
    for (int i = 0; i < entries_count; i++) {
        const char *file = entries[i]->d_name;
        char name[4096];
        struct stat st;

        snprintf(name, sizeof name, "%s/%s", path, file);
        if (count >= 0 && file[0] != '.' && stat(name, &st) == 0 && S_ISREG(st.st_mode))
            count = run_file(name, (size_t)st.st_size) ? count + 1 : -1;
        free(entries[i]);
    }
    free(entries);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;

    for (int i = 1; i < argc; i++) {
        struct stat st;
        int count = -1;

        if (stat(argv[i], &st) == 0) {
            if (S_ISDIR(st.st_mode))
                count = run_folder(argv[i]);
            else
                count = run_file(argv[i], (size_t)st.st_size) ? 1 : -1;
        }
        if (count < 0) {
            fprintf(stderr, "failed at %s\n", argv[i]);
            return 1;
        }
        total += count;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1;
}
