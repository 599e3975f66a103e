/* SPDX-License-Identifier: Apache-2.0 */
#include "job_list.h"

#include <string.h>

#include "heap.h"
#include "text_file.h"

/* --- words ------------------------------------------------------------------------------------------------------ */

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The character that a backslash and the one after it stand for: in double quotes it is kept before most. */
static int is_escape(const char *at, char quote)
{
    return *at == '\\' && quote != '\'' && (!quote || (at[1] && strchr("\"\\$`", at[1])));
}

/* Reads the word at *line, moves *line behind it, and writes it, shorter or as long, from *to on. */
static trk_status take_word(char **line, char **to)
{
    char *at = *line, *out = *to, quote = 0;
    for (; *at && (quote || !is_blank(*at)); at++) {
        if (is_escape(at, quote)) {
            if (!*++at)
                return TRK_FAIL(TRK_E_ARGUMENT, "a backslash at the end of the line: expected a character after it");
            *out++ = *at;
        } else if (quote ? *at == quote : *at == '\'' || *at == '"')
            quote = quote ? 0 : *at;
        else
            *out++ = *at;
    }
    if (quote)
        return TRK_FAIL(TRK_E_ARGUMENT, "%c without a second one on the line", quote);
    *line = *at ? at + 1 : at;
    *out = 0;
    *to = out + 1;
    return TRK_OK;
}

trk_status job_list_split(char *line, char **words, size_t *n_words)
{
    for (*n_words = 0;;) {
        while (is_blank(*line))
            line++;
        if (!*line || *line == '#')
            return TRK_OK;
        char *word = line, *to = line;
        trk_status rc = take_word(&line, &to);
        if (rc)
            return rc;
        words[(*n_words)++] = word;
    }
}

/* --- lines ------------------------------------------------------------------------------------------------------ */

static trk_status no_memory(const char *path)
{
    return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
}

static trk_status append(job_list *list, const char *path, size_t line)
{
    job *items =
        trk_heap_grown(list->items, &list->capacity, list->n_items + 1, sizeof *items, TRK_MEM_SCRATCH, "list of jobs");
    if (!items)
        return no_memory(path);
    list->items = items;
    job *item = &list->items[list->n_items];
    *item = (job){.where = trk_heap_format("list of jobs", "%s:%zu", path, line)};
    if (!item->where)
        return no_memory(path);
    list->n_items++;
    return TRK_OK;
}

static trk_status read_line(job_list *list, char *text, const char *path, size_t line, int argc, char **argv)
{
    size_t n_words = 0;
    trk_status rc = TRK_OK;
    char **words = trk_heap_allocate(TRK_MEM_SCRATCH, "list of jobs", (strlen(text) / 2 + 1) * sizeof *words);
    char *where = trk_heap_format("list of jobs", "%s:%zu", path, line);
    if (!words || !where)
        TRK_CHECK(no_memory(path));
    rc = job_list_split(text, words, &n_words);
    if (!rc && n_words) {
        TRK_CHECK(append(list, path, line));
        rc = options_parse_job(&list->items[list->n_items - 1].wanted, argc, argv, n_words, words);
    }
    if (rc)
        trk_fail_prefix(rc, where);
done:
    trk_heap_release(where);
    trk_heap_release(words);
    return rc;
}

/* Standard input is one video at most. */
static trk_status check_streams(const job_list *list)
{
    const job *reader = NULL;
    for (size_t i = 0; i < list->n_items; i++) {
        const job *item = &list->items[i];
        if (strcmp(item->wanted.operands[0], "-"))
            continue;
        if (reader)
            return TRK_FAIL(TRK_E_ARGUMENT, "%s: standard input is the video of %s already", item->where,
                            reader->where);
        reader = item;
    }
    return TRK_OK;
}

trk_status job_list_read(job_list *out, const char *path, int argc, char **argv)
{
    *out = (job_list){0};
    trk_status rc = trk_text_file_read(path, &out->text);
    if (rc)
        return trk_fail_prefix(rc, "--list");
    char *next = out->text;
    for (size_t line = 1; next; line++) {
        char *text = next;
        next = strchr(text, '\n');
        if (next)
            *next++ = 0;
        rc = read_line(out, text, path, line, argc, argv);
        if (rc)
            return rc;
    }
    if (!out->n_items)
        return TRK_FAIL(TRK_E_ARGUMENT, "--list: %s: expected at least one line VIDEO PROMPT... [OPTION...]", path);
    return check_streams(out);
}

void job_list_free(job_list *list)
{
    for (size_t i = 0; i < list->n_items; i++) {
        options_free(&list->items[i].wanted);
        trk_heap_release(list->items[i].where);
    }
    trk_heap_release(list->items);
    trk_heap_release(list->text);
    *list = (job_list){0};
}
