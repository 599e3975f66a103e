/* SPDX-License-Identifier: Apache-2.0
 * Runs a fuzz target once over each file of the folders and files named: the corpus as a regression test, without
 * libFuzzer. Inputs are copied into blocks of their exact size, so that a sanitizer sees any byte read beyond. */
#include "replay.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (!file || fstat(fileno(file), &status) < 0) {
        perror(path);
        if (file)
            fclose(file);
        return -1;
    }
    size_t n = (size_t)status.st_size;
    uint8_t *bytes = malloc(n ? n : 1);
    int ok = bytes && fread(bytes, 1, n, file) == n;
    fclose(file);
    if (ok)
        LLVMFuzzerTestOneInput(bytes, n);
    else
        fprintf(stderr, "%s: cannot be read\n", path);
    free(bytes);
    return ok ? 1 : -1;
}

/* How many files were run, or -1. */
static int replay(const char *path)
{
    DIR *folder = opendir(path);
    int n = 0;
    if (!folder)
        return replay_file(path);
    for (const struct dirent *entry; n >= 0 && (entry = readdir(folder));) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        n = replay_file(name) < 0 ? -1 : n + 1;
    }
    closedir(folder);
    return n;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int n = replay(argv[i]);
        if (n < 0)
            return 1;
        total += n;
    }
    printf("%d inputs\n", total);
    return total ? 0 : 1;
}
