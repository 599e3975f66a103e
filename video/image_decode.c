/* SPDX-License-Identifier: Apache-2.0 */
#include "image_decode.h"

#include <stdio.h>
#include <string.h>

#include "libav.h"
#include "regular_file.h"
#include "tiff.h"

#define MAX_FILE_BYTES ((size_t)1 << 30)

static enum AVCodecID codec_of(const uint8_t *bytes, size_t n)
{
    static const struct {
        size_t at, n;
        const char *magic;
        enum AVCodecID id;
    } known[] = {{0, 8, "\x89PNG\r\n\x1a\n", AV_CODEC_ID_PNG},
                 {0, 3, "\xff\xd8\xff", AV_CODEC_ID_MJPEG},
                 {8, 4, "WEBP", AV_CODEC_ID_WEBP},
                 {0, 2, "BM", AV_CODEC_ID_BMP},
                 {0, 4, "II*\0", AV_CODEC_ID_TIFF},
                 {0, 4, "MM\0*", AV_CODEC_ID_TIFF},
                 {0, 2, "P1", AV_CODEC_ID_PBM},
                 {0, 2, "P4", AV_CODEC_ID_PBM},
                 {0, 2, "P2", AV_CODEC_ID_PGM},
                 {0, 2, "P5", AV_CODEC_ID_PGM},
                 {0, 2, "P3", AV_CODEC_ID_PPM},
                 {0, 2, "P6", AV_CODEC_ID_PPM}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (n >= known[i].at + known[i].n && !memcmp(bytes + known[i].at, known[i].magic, known[i].n))
            return known[i].id;
    return AV_CODEC_ID_NONE;
}

static trk_status read_file(AVPacket *packet, const char *path)
{
    FILE *file;
    size_t n;
    trk_status rc = trk_regular_file_open(&file, &n, path, "an image file");
    if (rc)
        return rc;
    if (!n)
        rc = TRK_FAIL(TRK_E_FORMAT, "%s: the file is empty", path);
    else if (n > MAX_FILE_BYTES)
        rc = TRK_FAIL(TRK_E_FORMAT, "%s: %zu bytes is too large for an image", path, n);
    else if (av_new_packet(packet, (int)n) < 0)
        rc = TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for %zu bytes", path, n);
    else if (fread(packet->data, 1, n, file) != n)
        rc = TRK_FAIL(TRK_E_IO, "%s: cannot be read to its end", path);
    fclose(file);
    return rc;
}

static trk_status decode_packet(AVFrame *frame, const AVPacket *packet, enum AVCodecID id, const char *path)
{
    trk_status rc = TRK_OK;
    const AVCodec *decoder = avcodec_find_decoder(id);
    if (!decoder)
        return TRK_FAIL(TRK_E_UNSUPPORTED, "%s: this FFmpeg has no %s decoder", path, avcodec_get_name(id));
    AVCodecContext *codec = avcodec_alloc_context3(decoder);
    if (!codec)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
    codec->thread_count = 1;
    codec->max_pixels = TRK_MAX_PIXELS;
    codec->err_recognition = AV_EF_EXPLODE | AV_EF_CRCCHECK; /* else half a JPEG is a picture */
    int error = avcodec_open2(codec, decoder, NULL);
    if (!error)
        error = avcodec_send_packet(codec, packet);
    if (!error)
        error = avcodec_send_packet(codec, NULL);
    if (!error)
        error = avcodec_receive_frame(codec, frame);
    if (error == AVERROR(ENOMEM))
        rc = TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
    else if (error < 0)
        rc = TRK_FAIL(TRK_E_FORMAT, "%s: a damaged or unsupported %s image", path, avcodec_get_name(id));
    avcodec_free_context(&codec);
    return rc;
}

trk_status trk_image_decode(AVFrame *frame, const char *path, const char **codec_name)
{
    trk_libav_init();
    av_frame_unref(frame);
    trk_status rc = TRK_OK;
    AVPacket *packet = av_packet_alloc();
    if (!packet)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
    TRK_CHECK(read_file(packet, path));
    enum AVCodecID id = codec_of(packet->data, (size_t)packet->size);
    if (id == AV_CODEC_ID_NONE) {
        rc = TRK_FAIL(TRK_E_FORMAT, "%s: not an image (expected PNG, JPEG, WebP, BMP, TIFF or PPM)", path);
        goto done;
    }
    if (id == AV_CODEC_ID_TIFF)
        trk_tiff_drop_notes(packet->data, (size_t)packet->size);
    TRK_CHECK(decode_packet(frame, packet, id, path));
    if (codec_name)
        *codec_name = avcodec_get_name(id);
done:
    av_packet_free(&packet);
    return rc;
}
