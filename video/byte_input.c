/* SPDX-License-Identifier: Apache-2.0 */
#include "byte_input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavutil/error.h>
#include <libavutil/mem.h>

#define BUFFER_BYTES 65536
#define WAIT_MS      50 /* how long a call-off can go unnoticed while a pipe is silent */

int trk_byte_input_is_local(const char *path)
{
    struct stat info;
    if (!strcmp(path, "-") || !stat(path, &info) || strchr(path, '/') == path)
        return 1;
    if (strstr(path, "://"))
        return 0;
    const char *protocol = avio_find_protocol_name(path);
    return !protocol || !strcmp(protocol, "file");
}

static int read_bytes(void *opaque, uint8_t *buffer, int bytes)
{
    byte_input *input = opaque;
    for (;;) {
        if (trk_stop_is_set(input->stop))
            return AVERROR_EXIT;
        if (!input->seekable) {
            struct pollfd wait = {.fd = input->fd, .events = POLLIN};
            int ready = poll(&wait, 1, WAIT_MS);
            if (!ready || (ready < 0 && errno == EINTR))
                continue;
        }
        ssize_t n = read(input->fd, buffer, (size_t)bytes);
        if (n > 0) {
            input->has_read = 1;
            return (int)n;
        }
        if (!n)
            return AVERROR_EOF;
        if (errno != EINTR && errno != EAGAIN)
            return AVERROR(errno);
    }
}

static int64_t seek_bytes(void *opaque, int64_t offset, int whence)
{
    byte_input *input = opaque;
    if (whence & AVSEEK_SIZE) {
        struct stat info;
        return fstat(input->fd, &info) ? AVERROR(errno) : info.st_size - input->origin;
    }
    whence &= ~AVSEEK_FORCE;
    off_t at = lseek(input->fd, whence == SEEK_SET ? offset + input->origin : offset, whence);
    return at < 0 ? AVERROR(errno) : at - input->origin;
}

static trk_status make_io(byte_input *input)
{
    uint8_t *buffer = av_malloc(BUFFER_BYTES);
    if (buffer)
        input->io =
            avio_alloc_context(buffer, BUFFER_BYTES, 0, input, read_bytes, NULL, input->seekable ? seek_bytes : NULL);
    if (!input->io) {
        av_free(buffer);
        return TRK_FAIL(TRK_E_MEMORY, "out of memory for an input buffer");
    }
    input->io->seekable = input->seekable ? AVIO_SEEKABLE_NORMAL : 0;
    return TRK_OK;
}

static void free_io(byte_input *input)
{
    if (input->io)
        av_freep(&input->io->buffer);
    avio_context_free(&input->io);
}

trk_status trk_byte_input_open(byte_input *input, const char *path, const video_stop *stop)
{
    struct stat info;
    *input = (byte_input){.fd = -1, .stop = stop};
    input->owned = strcmp(path, "-") != 0;
    /* without waiting for the writer of a pipe: the first read does, and can be called off */
    input->fd = input->owned ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : STDIN_FILENO;
    if (input->fd < 0 || fstat(input->fd, &info))
        return TRK_FAIL(TRK_E_IO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return TRK_FAIL(TRK_E_IO, "%s: a folder, expected a file", path);
    if (S_ISREG(info.st_mode)) {
        off_t at = lseek(input->fd, 0, SEEK_CUR);
        input->seekable = at >= 0;
        input->origin = at > 0 ? at : 0;
        if (at >= 0 && info.st_size <= at)
            return TRK_FAIL(TRK_E_FORMAT, "%s: the file is empty", path);
    }
    return make_io(input);
}

trk_status trk_byte_input_rewind(byte_input *input, const char *path)
{
    free_io(input);
    if (!input->seekable || lseek(input->fd, input->origin, SEEK_SET) < 0)
        return TRK_FAIL(TRK_E_UNSUPPORTED, "%s: cannot go back to the start", path);
    return make_io(input);
}

void trk_byte_input_close(byte_input *input)
{
    free_io(input);
    if (input->fd >= 0 && input->owned)
        close(input->fd);
    input->fd = -1;
}
