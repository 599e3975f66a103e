/* SPDX-License-Identifier: Apache-2.0
 * Status codes of libtrack. Installed beside track.h; the one list below makes the enum, the names and the texts.
 * Negative: failed. Zero: done. Positive: done, with news. */
#ifndef TRK_BASE_TRACK_STATUS_H
#define TRK_BASE_TRACK_STATUS_H

#define TRK_STATUS_LIST(X)                                                     \
    X(TRK_END, 1, "no more data")                                              \
    X(TRK_OK, 0, "ok")                                                         \
    X(TRK_E_ARGUMENT, -1, "invalid argument")                                  \
    X(TRK_E_MEMORY, -2, "out of memory")                                       \
    X(TRK_E_IO, -3, "input/output error")                                      \
    X(TRK_E_FORMAT, -4, "malformed or unsupported file")                       \
    X(TRK_E_MODEL, -5, "not a usable model")                                   \
    X(TRK_E_STATE, -6, "call not possible in this state")                      \
    X(TRK_E_UNSUPPORTED, -7, "not supported by this build or machine")         \
    X(TRK_E_BACKEND, -8, "compute backend failed")                             \
    X(TRK_E_NOT_FOUND, -9, "not found")

typedef enum trk_status {
#define TRK_STATUS_ENUM(name, value, text) name = value,
    TRK_STATUS_LIST(TRK_STATUS_ENUM)
#undef TRK_STATUS_ENUM
} trk_status;

#endif
