/* SPDX-License-Identifier: Apache-2.0
 * How failures travel: a status code by return value, one line of text in a thread-local buffer. */
#ifndef TRK_BASE_ERROR_H
#define TRK_BASE_ERROR_H

#include "track_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Records "text" (printf format; one line, see trk_keep_to_one_line) as this thread's last error and returns code. */
trk_status trk_fail(trk_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Bytes of the control character at the beginning of UTF-8 text: 1, 2 (U+0080 to U+009F), or 0 where there is none. */
int trk_control_bytes(const char *text);

/* Control characters, of a file's name say, become question marks: text stays one line. */
void trk_keep_to_one_line(char *text);

/* The text recorded by the last trk_fail of this thread ("" if none). Valid until the thread's next failure. */
const char *trk_error_text(void);

/* Puts "prefix: " in front of the recorded text, for callers that know the file or option. Returns code. */
trk_status trk_fail_prefix(trk_status code, const char *prefix);

/* Around a call that is allowed to fail: what was recorded before it, to be recorded again after it. */
typedef struct trk_error_line {
    char text[1024];
} trk_error_line;
void trk_error_keep(trk_error_line *out);
void trk_error_restore(const trk_error_line *kept);

/* trk_fail that shows the compiler its value: callers' error paths are then known to be taken. */
#define TRK_FAIL(code, ...)                                                    \
    __extension__({                                                            \
        const trk_status fail_code = (code);                                   \
        trk_fail(fail_code, __VA_ARGS__);                                      \
        fail_code;                                                             \
    })

/* In a function with `trk_status rc` and a `done:` label: leaves on failure. */
#define TRK_CHECK(call)                                                        \
    do {                                                                       \
        rc = (call);                                                           \
        if (rc < 0)                                                            \
            goto done;                                                         \
    } while (0)

#ifdef __cplusplus
}
#endif

#endif
