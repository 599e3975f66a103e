/* SPDX-License-Identifier: Apache-2.0
 * Shared by the video tests: a scratch folder, asserts that print the error line, a whole video in memory. */
#ifndef TRK_TESTS_VIDEO_CHECK_H
#define TRK_TESTS_VIDEO_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "scratch_folder.h"
#include "video.h"
#include "video_fixtures.h"

#define assert_works(call)                                                                                             \
    do {                                                                                                               \
        trk_status status_ = (call);                                                                                   \
        if (status_ != TRK_OK)                                                                                         \
            fail_msg("%s: %d %s", #call, status_, trk_error_text());                                                   \
    } while (0)

/* Fails with the code, and the one line says `text`. */
#define assert_fails(call, code, text)                                                                                 \
    do {                                                                                                               \
        trk_status status_ = (call);                                                                                   \
        if (status_ != (code) || !strstr(trk_error_text(), text) || strchr(trk_error_text(), '\n'))                    \
            fail_msg("%s: %d \"%s\", expected %d and \"%s\"", #call, status_, trk_error_text(), code, text);           \
    } while (0)

#define N_PATHS 4
static char scratch[64];

/* A name in the scratch folder; a few at a time stay valid. */
static inline char *in_scratch(const char *name)
{
    static char paths[N_PATHS][256];
    static int turn;
    char *path = paths[turn++ % N_PATHS];
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

static inline int make_scratch(void **state)
{
    trk_video_versions(); /* quiets FFmpeg, also for the fixtures */
    snprintf(scratch, sizeof scratch, "%s/trk-video-XXXXXX", P_tmpdir);
    return mkdtemp(scratch) ? 0 : -1;
}

static inline int remove_scratch(void **state)
{
    return scratch_remove(scratch);
}

static inline int count_files(const char *folder)
{
    int n = 0;
    DIR *listing = opendir(folder);
    for (const struct dirent *entry; listing && (entry = readdir(listing));)
        n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    if (listing)
        closedir(listing);
    return n;
}

static inline char *make_folder(const char *name)
{
    char *path = in_scratch(name);
    assert_int_equal(mkdir(path, 0777), 0);
    return path;
}

static inline void write_bytes(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

static inline uint8_t *read_bytes(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *bytes = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(*bytes + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *bytes, file), *bytes);
    fclose(file);
    return data;
}

/* Makes it, or skips the test where this FFmpeg lacks the encoder. */
static inline char *make_video(const char *name, const fixture *f)
{
    char *path = in_scratch(name);
    int result = fixture_write(path, f);
    if (result == 1)
        skip();
    if (result)
        fail_msg("%s: the fixture could not be written", name);
    return path;
}

typedef struct clip {
    int n, width, height;
    uint8_t *rgb;   /* [n][height][width][3] */
    int64_t *index; /* [n] */
    double *pts;    /* [n] */
    int64_t damaged;
    trk_status end;
    char description[160];
    int64_t promised;
    int exact;
} clip;

static inline void clip_free(clip *c)
{
    free(c->rgb);
    free(c->index);
    free(c->pts);
}

static inline const uint8_t *clip_frame(const clip *c, int i)
{
    return c->rgb + (size_t)i * (size_t)c->width * (size_t)c->height * 3;
}

static inline int clip_number(const clip *c, int i)
{
    return fixture_number(clip_frame(c, i), (ptrdiff_t)c->width * 3, c->width, c->height);
}

static inline clip read_clip(const char *path, const trk_video_params *params)
{
    clip c = {0};
    trk_video_reader *reader = NULL;
    trk_picture *picture;
    assert_works(trk_video_open(&reader, path, params));
    const trk_video_info *info = trk_video_get_info(reader);
    c.width = info->width;
    c.height = info->height;
    c.promised = info->n_frames;
    c.exact = info->n_frames_exact;
    snprintf(c.description, sizeof c.description, "%s", info->description);
    size_t bytes = (size_t)c.width * (size_t)c.height * 3;
    while ((c.end = trk_video_read(reader, &picture)) == TRK_OK) {
        assert_int_equal(picture->width, c.width);
        assert_int_equal(picture->height, c.height);
        assert_non_null(picture->rgb);
        c.rgb = realloc(c.rgb, bytes * (size_t)(c.n + 1));
        c.index = realloc(c.index, sizeof *c.index * (size_t)(c.n + 1));
        c.pts = realloc(c.pts, sizeof *c.pts * (size_t)(c.n + 1));
        assert_true(c.rgb && c.index && c.pts);
        for (int y = 0; y < c.height; y++)
            memcpy(c.rgb + (size_t)c.n * bytes + (size_t)y * (size_t)c.width * 3, picture->rgb + y * picture->stride,
                   (size_t)c.width * 3);
        c.index[c.n] = picture->index;
        c.pts[c.n++] = picture->pts;
        trk_video_release(reader, picture);
    }
    c.damaged = trk_video_damaged(reader);
    trk_video_close(&reader);
    assert_null(reader);
    return c;
}

static inline clip read_whole(const char *path)
{
    return read_clip(path, NULL);
}

#endif
