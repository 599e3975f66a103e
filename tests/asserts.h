/* SPDX-License-Identifier: Apache-2.0
 * Assertions on calls of the public interface that tell what the library says. Include <cmocka.h> and "track.h" first. */
#ifndef TRK_TESTS_ASSERTS_H
#define TRK_TESTS_ASSERTS_H

#include <string.h>

#define assert_ok(call)                                                                                                \
    do {                                                                                                               \
        if ((call) < 0)                                                                                                \
            fail_msg("%s: %s", #call, trk_last_error());                                                               \
    } while (0)

/* Fails with this status, and a line that contains the text. */
#define assert_refused(call, status, text)                                                                             \
    do {                                                                                                               \
        assert_int_equal((call), (status));                                                                            \
        if (!strstr(trk_last_error(), (text)))                                                                         \
            fail_msg("error is \"%s\", expected it to contain \"%s\"", trk_last_error(), (text));                      \
    } while (0)

#endif
