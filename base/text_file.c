/* SPDX-License-Identifier: Apache-2.0 */
#include "text_file.h"

#include "heap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void trk_text_drop_mark(char *text)
{
    static const char mark[] = "\xef\xbb\xbf";
    const size_t n = sizeof mark - 1;
    if (!strncmp(text, mark, n))
        memmove(text, text + n, strlen(text + n) + 1);
}

trk_status trk_text_file_read(const char *path, char **out)
{
    FILE *file = fopen(path, "rbe");
    trk_status rc = TRK_OK;
    if (!file)
        return TRK_FAIL(TRK_E_IO, "%s: %s", path, strerror(errno));
    char *text = trk_heap_allocate(TRK_MEM_SCRATCH, "text file", TRK_TEXT_FILE_BYTES + 1);
    if (!text)
        TRK_CHECK(TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path));
    size_t n = fread(text, 1, TRK_TEXT_FILE_BYTES, file);
    text[n] = 0;
    if (ferror(file))
        TRK_CHECK(TRK_FAIL(TRK_E_IO, "%s: %s", path, strerror(errno)));
    if (n == TRK_TEXT_FILE_BYTES)
        TRK_CHECK(TRK_FAIL(TRK_E_FORMAT, "%s: expected text below %d bytes", path, TRK_TEXT_FILE_BYTES));
    const char *zero = memchr(text, 0, n);
    if (zero)
        TRK_CHECK(TRK_FAIL(TRK_E_FORMAT, "%s: a zero byte at %td, expected text in UTF-8", path, zero - text));
    trk_text_drop_mark(text);
    *out = text;
    text = NULL;
done:
    trk_heap_release(text);
    fclose(file);
    return rc;
}
