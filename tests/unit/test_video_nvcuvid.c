/* SPDX-License-Identifier: Apache-2.0
 * libnvcuvid.so.1 of the stand-in: a decoder that shows the pictures it is given. Names and layouts are those of
 * NVDEC's interface. */
#include "test_video_driver.h"

#include <stdlib.h>

#define UNKNOWN 999
#define MOST    64 /* surfaces */

typedef struct capabilities {
    int codec, chroma;
    unsigned depth_above_8, unused[3];
    uint8_t is_supported, n_engines;
    uint16_t formats; /* bit 0 NV12, 1 P016, 2 YUV444, 3 YUV444 of 16 bits */
    unsigned most_width, most_height, most_blocks;
    uint16_t least_width, least_height;
} capabilities;

typedef struct creation {
    unsigned long width, height, n_surfaces;
    int codec, chroma;
    unsigned long flags, depth_above_8, intra_only, most_width, most_height, unused;
    int16_t area[4];
    int format, deinterlacing;
    unsigned long target_width, target_height, n_outputs;
} creation;

typedef struct picture_params {
    int width_blocks, height_blocks, surface;
} picture_params;

typedef struct decoder {
    creation asked;
    int number[MOST]; /* in decoding order of what lies in the surface; -1: nothing that could be decoded */
} decoder;

#define API(name, ...)                                                                                                 \
    DRIVER_API int name(__VA_ARGS__);                                                                                  \
    int name(__VA_ARGS__)

API(cuvidGetDecoderCaps, capabilities *c)
{
    c->is_supported = !driver.unsupported && c->chroma == 1; /* 4:2:0 */
    c->n_engines = 1;
    c->formats = 3;
    c->most_width = c->most_height = 8192;
    c->most_blocks = 65536;
    c->least_width = c->least_height = 16;
    return 0;
}

API(cuvidCreateDecoder, decoder **out, const creation *asked)
{
    *out = driver.no_decoder || asked->n_surfaces > MOST ? NULL : calloc(1, sizeof **out);
    if (!*out)
        return UNKNOWN;
    (*out)->asked = *asked;
    return 0;
}

API(cuvidDestroyDecoder, decoder *d)
{
    free(d);
    return 0;
}

API(cuvidDecodePicture, decoder *d, const picture_params *p)
{
    if (p->surface < 0 || (unsigned long)p->surface >= d->asked.n_surfaces)
        return UNKNOWN;
    d->number[p->surface] = -1;
    if (driver.decode_fails_after >= 0 && driver.n_decoded >= driver.decode_fails_after)
        return UNKNOWN;
    d->number[p->surface] = driver.n_decoded++;
    return 0;
}

/* A copy for the caller, as the real one makes; n_outputs of them at most. */
API(cuvidMapVideoFrame64, decoder *d, int surface, unsigned long long *address, unsigned *pitch, void *unused)
{
    const int bytes_each = d->asked.format ? 2 : 1;
    const int height = (int)((d->asked.target_height + 1) & ~1ul); /* chroma begins in an even row, as on a card */
    if (driver.n_mapped >= (int)d->asked.n_outputs || d->number[surface] < 0)
        return UNKNOWN;
    *pitch = (unsigned)((d->asked.target_width * (unsigned)bytes_each + 511) / 512 * 512);
    *address = driver_allocate((size_t)*pitch * (size_t)(height + (height + 1) / 2));
    if (!*address)
        return UNKNOWN;
    driver.show(d->number[surface], driver_bytes((void *)(uintptr_t)*address), *pitch, height, bytes_each);
    if (++driver.n_mapped > driver.most_mapped)
        driver.most_mapped = driver.n_mapped;
    return 0;
}

API(cuvidUnmapVideoFrame64, decoder *d, unsigned long long address)
{
    driver_release(address);
    driver.n_mapped--;
    return 0;
}

/* Loaded with the rest, and not called here. */
#define UNUSED(name)                                                                                                   \
    API(name, void)                                                                                                    \
    {                                                                                                                  \
        return UNKNOWN;                                                                                                \
    }
UNUSED(cuvidGetDecodeStatus)
UNUSED(cuvidReconfigureDecoder)
UNUSED(cuvidCtxLockCreate)
UNUSED(cuvidCtxLockDestroy)
UNUSED(cuvidCtxLock)
UNUSED(cuvidCtxUnlock)
UNUSED(cuvidCreateVideoSource)
UNUSED(cuvidCreateVideoSourceW)
UNUSED(cuvidDestroyVideoSource)
UNUSED(cuvidSetVideoSourceState)
UNUSED(cuvidGetVideoSourceState)
UNUSED(cuvidGetSourceVideoFormat)
UNUSED(cuvidGetSourceAudioFormat)
UNUSED(cuvidCreateVideoParser)
UNUSED(cuvidParseVideoData)
UNUSED(cuvidDestroyVideoParser)
