/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as an image file, in one channel and in three. What is accepted is read to the last pixel. */
#include "video.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static volatile uint8_t checksum;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    char path[32];
    int fd = memfd_create("image", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    size_t done = 0;
    for (ssize_t n; done < n_bytes && (n = write(fd, bytes + done, n_bytes - done)) > 0;)
        done += (size_t)n;
    for (int channels = 1; channels <= 3; channels += 2) {
        trk_image image = {0};
        if (trk_image_read(&image, path, channels) == TRK_OK)
            for (size_t i = 0; i < (size_t)image.width * (size_t)image.height * (size_t)channels; i++)
                checksum ^= image.data[i];
        trk_image_free(&image);
    }
    close(fd);
    return 0;
}
