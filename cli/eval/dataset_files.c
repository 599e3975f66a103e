/* SPDX-License-Identifier: Apache-2.0
 * Folders and text files of datasets: names, numbered images, lines of numbers. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dataset_internal.h"
#include "heap.h"
#include "number.h"
#include "regular_file.h"
#include "text_file.h"

#define MOST_TEXT_BYTES ((size_t)256 << 20) /* the largest real one, a ground truth of MOT20, has 30 MB */
#define MOST_NUMBER     1e9

trk_status dataset_no_memory(const char *path)
{
    return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
}

void *dataset_grown(void *items, size_t n, size_t item_bytes)
{
    if (n & (n - 1))
        return items;
    const size_t room = n ? 2 * n : 1;
    return room > SIZE_MAX / 2 / item_bytes ? NULL
                                            : trk_heap_resize(items, TRK_MEM_SCRATCH, "dataset", room * item_bytes);
}

/* --- names ------------------------------------------------------------------------------------------------------ */

char *dataset_path(const char *folder, const char *name)
{
    const size_t n = strlen(folder);
    return trk_heap_format("dataset", "%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", name);
}

/* The type bits of a file's mode; 0: there is none. */
static mode_t kind_of(const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct stat info;
    const int n = snprintf(path, sizeof path, "%s%s%s", folder, name ? "/" : "", name ? name : "");
    return n < 0 || (size_t)n >= sizeof path || stat(path, &info) ? 0 : info.st_mode & S_IFMT;
}

int dataset_has_folder(const char *folder, const char *name)
{
    return kind_of(folder, name) == S_IFDIR;
}

int dataset_has_file(const char *folder, const char *name)
{
    return kind_of(folder, name) == S_IFREG;
}

int dataset_name_is_safe(const char *name)
{
    const size_t n_name = strlen(name);
    if (!n_name || n_name > 512)
        return 0;
    for (size_t i = 0; i < n_name; i++)
        if (trk_control_bytes(name + i))
            return 0;
    for (const char *part = name;; part++) {
        const size_t n = strcspn(part, "/");
        if (!n || (n == 1 && *part == '.') || (n == 2 && !strncmp(part, "..", 2)))
            return 0;
        part += n;
        if (!*part)
            return 1;
    }
}

trk_status dataset_split_folder(char **out, const char *path, const char *split, const char *marker,
                                const char *const *usual)
{
    if (split && !dataset_name_is_safe(split))
        return TRK_FAIL(TRK_E_ARGUMENT, "split \"%s\": expected the name of a folder in %s", split, path);
    if (split && !dataset_has_folder(path, split))
        return TRK_FAIL(TRK_E_IO, "%s/%s: no such folder, expected that of the split", path, split);
    if (!split && !(marker && kind_of(path, marker))) {
        while (*usual && !dataset_has_folder(path, *usual))
            usual++;
        split = *usual;
    }
    *out = split ? dataset_path(path, split) : trk_heap_text("dataset", path);
    return *out ? TRK_OK : dataset_no_memory(path);
}

void dataset_names_free(dataset_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        trk_heap_release(names->items[i]);
    trk_heap_release(names->items);
    *names = (dataset_names){0};
}

static trk_status names_add(dataset_names *names, const char *name, const char *path)
{
    char **items = dataset_grown(names->items, names->n, sizeof *items);
    if (!items)
        return dataset_no_memory(path);
    names->items = items;
    items[names->n] = trk_heap_text("dataset", name);
    if (!items[names->n])
        return dataset_no_memory(path);
    if (++names->n > DATASET_MOST_CLIPS)
        return TRK_FAIL(TRK_E_FORMAT, "%s: expected at most %d names", path, DATASET_MOST_CLIPS);
    return TRK_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

trk_status dataset_names_of_folders(dataset_names *out, const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return TRK_FAIL(TRK_E_IO, "%s: %s, expected a folder of clips", path, strerror(errno));
    trk_status rc = TRK_OK;
    for (const struct dirent *entry; !rc && (errno = 0, entry = readdir(folder));)
        if (entry->d_name[0] != '.' && dataset_has_folder(path, entry->d_name))
            rc = dataset_name_is_safe(entry->d_name)
                     ? names_add(out, entry->d_name, path)
                     : TRK_FAIL(TRK_E_FORMAT, "%s: folder \"%.80s\", expected a name without control characters", path,
                                entry->d_name);
    if (!rc && errno)
        rc = TRK_FAIL(TRK_E_IO, "%s: cannot be read to its end: %s", path, strerror(errno));
    closedir(folder);
    if (out->n)
        qsort(out->items, out->n, sizeof *out->items, by_bytes);
    return rc;
}

trk_status dataset_names_of_list(dataset_names *out, const char *path)
{
    char *text = NULL;
    trk_status rc = TRK_OK;
    TRK_CHECK(dataset_text_read(&text, path));
    char *rest = text, *line;
    for (size_t at = 1; (line = dataset_text_line(&rest)); at++) {
        if (*line && !dataset_name_is_safe(line))
            TRK_CHECK(TRK_FAIL(TRK_E_FORMAT, "%s:%zu: \"%.80s\", expected the name of a clip", path, at, line));
        if (*line)
            TRK_CHECK(names_add(out, line, path));
    }
    if (!out->n)
        rc = TRK_FAIL(TRK_E_FORMAT, "%s: empty, expected the names of clips, one a line", path);
done:
    trk_heap_release(text);
    return rc;
}

/* --- numbered images -------------------------------------------------------------------------------------------- */

trk_status dataset_images_read(trk_numbered_images *out, const char *folder, int only_png)
{
    const trk_status rc = trk_numbered_images_read(out, folder, only_png);
    if (!rc && out->n > DATASET_MOST_FRAMES)
        return TRK_FAIL(TRK_E_FORMAT, "%s: expected at most %d images", folder, DATASET_MOST_FRAMES);
    return rc;
}

/* --- text ------------------------------------------------------------------------------------------------------- */

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static trk_status read_all(char **out, FILE *file, size_t n, const char *path)
{
    char *text = trk_heap_allocate(TRK_MEM_SCRATCH, "dataset", n + 1);
    if (!text)
        return dataset_no_memory(path);
    *out = text;
    if (fread(text, 1, n, file) != n)
        return TRK_FAIL(TRK_E_IO, "%s: cannot be read to its end", path);
    if (memchr(text, 0, n))
        return TRK_FAIL(TRK_E_FORMAT, "%s: a zero byte, expected text", path);
    while (n && (is_blank(text[n - 1]) || text[n - 1] == '\n'))
        n--;
    text[n] = 0;
    trk_text_drop_mark(text);
    return TRK_OK;
}

trk_status dataset_text_read(char **out, const char *path)
{
    FILE *file;
    size_t n;
    *out = NULL;
    trk_status rc = trk_regular_file_open(&file, &n, path, "a text file");
    if (rc)
        return rc;
    if (n > MOST_TEXT_BYTES)
        rc = TRK_FAIL(TRK_E_FORMAT, "%s: %zu bytes, expected at most %zu", path, n, MOST_TEXT_BYTES);
    else
        rc = read_all(out, file, n, path);
    fclose(file);
    if (rc) {
        trk_heap_release(*out);
        *out = NULL;
    }
    return rc;
}

trk_status dataset_json_read(json_t **out, const char *path)
{
    json_error_t error;
    char *text;
    trk_status rc = dataset_text_read(&text, path);
    if (rc)
        return rc;
    *out = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    trk_heap_release(text);
    return *out ? TRK_OK
                : TRK_FAIL(TRK_E_FORMAT, "%s: line %d, column %d: %s", path, error.line, error.column, error.text);
}

char *dataset_text_line(char **rest)
{
    char *line = *rest;
    if (!line)
        return NULL;
    char *end = strchr(line, '\n');
    *rest = end ? end + 1 : NULL;
    end = end ? end : line + strlen(line);
    while (end > line && is_blank(end[-1]))
        end--;
    *end = 0;
    while (is_blank(*line))
        line++;
    return line;
}

size_t dataset_text_numbers(const char *line, double *out, size_t most)
{
    for (size_t n = 0; n < most;) {
        while (is_blank(*line))
            line++;
        const size_t n_field = strcspn(line, ",");
        size_t n_digits = n_field;
        while (n_digits && is_blank(line[n_digits - 1]))
            n_digits--;
        if (!number_real(line, n_digits, &out[n]) || fabs(out[n]) > MOST_NUMBER)
            return 0;
        n++;
        line += n_field;
        if (!*line)
            return n;
        line++;
    }
    return 0;
}
