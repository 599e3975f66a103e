/* SPDX-License-Identifier: Apache-2.0
 * State files: the header, and the public calls. A file is written beside its place and renamed into it, so that there
 * is always a whole one; what is read is believed only after every checksum. */
#include "state.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap.h"
#include "temporary.h"

static const char magic[8] = "TRKSTATE"; /* without a terminator */

typedef struct state_header {
    char magic[8];
    uint32_t version, reserved;
    uint64_t payload_bytes, fingerprint, payload_hash;
    uint64_t header_hash; /* of all above */
} state_header;

_Static_assert(sizeof(state_header) == 48, "the header has no padding");
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "state files are little-endian, and written as they lie in memory"
#endif

static uint64_t hash_of_header(const state_header *h)
{
    return XXH3_64bits(h, offsetof(state_header, header_hash));
}

static trk_status check_header(const state_header *h, size_t bytes)
{
    if (bytes < sizeof *h)
        return TRK_FAIL(TRK_E_FORMAT, "truncated: %zu bytes, a state has at least %zu", bytes, sizeof *h);
    if (memcmp(h->magic, magic, sizeof magic) != 0)
        return TRK_FAIL(TRK_E_FORMAT, "not a state of track: it does not start with \"TRKSTATE\"");
    if (h->version != TRK_STATE_VERSION)
        return TRK_FAIL(TRK_E_FORMAT, "a state of version %u: expected version %d", (unsigned)h->version,
                        TRK_STATE_VERSION);
    if (h->header_hash != hash_of_header(h) || h->reserved)
        return TRK_FAIL(TRK_E_FORMAT, "altered: the checksum of its header is %016llx, expected %016llx",
                        (unsigned long long)hash_of_header(h), (unsigned long long)h->header_hash);
    if (h->payload_bytes > bytes - sizeof *h)
        return TRK_FAIL(TRK_E_FORMAT, "truncated: %zu bytes after the header, expected %llu", bytes - sizeof *h,
                        (unsigned long long)h->payload_bytes);
    if (h->payload_bytes < bytes - sizeof *h)
        return TRK_FAIL(TRK_E_FORMAT, "altered: %zu bytes after the header, expected %llu", bytes - sizeof *h,
                        (unsigned long long)h->payload_bytes);
    return TRK_OK;
}

trk_status trk_state_check(const void *data, size_t bytes, uint64_t fingerprint, trk_blob_reader *payload)
{
    state_header h = {0};
    memcpy(&h, data, bytes < sizeof h ? bytes : sizeof h);
    trk_status rc = check_header(&h, bytes);
    if (rc < 0)
        return rc;
    const unsigned char *start = (const unsigned char *)data + sizeof h;
    uint64_t hash = XXH3_64bits(start, bytes - sizeof h);
    if (hash != h.payload_hash)
        return TRK_FAIL(TRK_E_FORMAT, "altered: the checksum of its content is %016llx, expected %016llx",
                        (unsigned long long)hash, (unsigned long long)h.payload_hash);
    if (h.fingerprint != fingerprint)
        return TRK_FAIL(TRK_E_MODEL, "of another model or image size: fingerprint %016llx, this model's is %016llx",
                        (unsigned long long)h.fingerprint, (unsigned long long)fingerprint);
    *payload = (trk_blob_reader){.data = start, .bytes = bytes - sizeof h};
    return TRK_OK;
}

/* Fills in the header that was left free at the start. */
static void seal(trk_blob *blob, uint64_t fingerprint)
{
    state_header h = {.version = TRK_STATE_VERSION, .fingerprint = fingerprint};
    memcpy(h.magic, magic, sizeof magic);
    h.payload_bytes = blob->bytes - sizeof h;
    h.payload_hash = XXH3_64bits(blob->data + sizeof h, h.payload_bytes);
    h.header_hash = hash_of_header(&h);
    memcpy(blob->data, &h, sizeof h);
}

/* --- files ---------------------------------------------------------------------------------------------------- */

static trk_status io_failure(const char *what, const char *path)
{
    return TRK_FAIL(TRK_E_IO, "%s: %s: %s", path, what, strerror(errno));
}

/* bytes read; less than asked for at the end of the file; -1 on failure */
static ssize_t read_all(int fd, unsigned char *data, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = read(fd, data + done, bytes - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* Makes the renaming last. Some file systems can not do that for a folder (EINVAL): there it lasts by itself or not at
 * all. */
static trk_status sync_folder(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash)
        slash[slash == path] = 0;
    const char *folder = slash ? path : ".";
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return io_failure("cannot be opened after the state was written", folder);
    trk_status rc = TRK_OK;
    if (fsync(fd) < 0 && errno != EINVAL)
        rc = io_failure("cannot be brought to the disk after the state was written", folder);
    close(fd);
    return rc;
}

/* The bytes on the disk, under the temporary name. */
static trk_status write_file(int descriptor, const trk_blob *blob, const char *path)
{
    trk_status rc = TRK_OK;
    if (trk_write_all(descriptor, blob->data, blob->bytes))
        rc = io_failure("cannot be written", path);
    else if (fsync(descriptor) < 0)
        rc = io_failure("cannot be brought to the disk", path);
    if (close(descriptor) < 0 && rc >= 0)
        rc = io_failure("cannot be closed", path);
    return rc;
}

static trk_status write_in_place(const char *path, const trk_blob *blob)
{
    trk_temporary file = {0};
    int descriptor = -1;
    trk_status rc = TRK_OK;
    TRK_CHECK(trk_temporary_find(&file, path));
    if (file.kind != TRK_TARGET_FILE)
        TRK_CHECK(TRK_FAIL(TRK_E_IO, "%s: cannot be written: not a regular file", path));
    TRK_CHECK(trk_temporary_open(&file, &descriptor));
    TRK_CHECK(write_file(descriptor, blob, path));
    TRK_CHECK(trk_temporary_commit(&file));
    rc = sync_folder(file.place);
done:
    trk_temporary_discard(&file);
    return rc;
}

static trk_status read_open_file(int fd, const char *path, unsigned char **data, size_t *bytes)
{
    struct stat about;
    state_header h = {0};
    if (fstat(fd, &about) < 0)
        return io_failure("cannot be read", path);
    if (!S_ISREG(about.st_mode))
        return TRK_FAIL(TRK_E_IO, "%s: not a regular file", path);
    size_t size = (size_t)about.st_size;
    ssize_t n = read_all(fd, (unsigned char *)&h, sizeof h);
    if (n < 0)
        return io_failure("cannot be read", path);
    trk_status rc = check_header(&h, (size_t)n < sizeof h ? (size_t)n : size); /* before there is memory for the rest */
    if (rc < 0)
        return trk_fail_prefix(rc, path);
    unsigned char *out = trk_heap_allocate(TRK_MEM_SCRATCH, "state file", size);
    if (!out)
        return TRK_FAIL(TRK_E_MEMORY, "%s: no memory for its %zu bytes", path, size);
    memcpy(out, &h, sizeof h);
    n = read_all(fd, out + sizeof h, size - sizeof h);
    if (n < 0) {
        rc = io_failure("cannot be read", path);
        trk_heap_release(out);
        return rc;
    }
    *data = out;
    *bytes = sizeof h + (size_t)n;
    return TRK_OK;
}

static trk_status read_file(const char *path, unsigned char **data, size_t *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait for its writer */
    if (fd < 0)
        return io_failure("cannot be opened", path);
    trk_status rc = read_open_file(fd, path, data, bytes);
    close(fd);
    return rc;
}

/* --- the public calls ----------------------------------------------------------------------------------------- */

trk_status trk_tracker_save(trk_tracker *t, const char *path)
{
    if (!t || !path)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_save: tracker and path must not be NULL");
    trk_status rc = trk_tracker_usable(t);
    if (rc < 0 || (rc = trk_pool_enter(t, TRK_RESIDENT)) < 0)
        return rc;
    trk_blob blob;
    trk_blob_init(&blob, &t->pool->host, "state to be saved");
    trk_blob_extend(&blob, sizeof(state_header));
    rc = trk_state_put(t, &blob);
    trk_pool_exit(t);
    if (rc >= 0) {
        seal(&blob, trk_state_fingerprint(t->model));
        rc = write_in_place(path, &blob);
    }
    trk_blob_release(&blob);
    return rc;
}

/* The state into a tracker that was just created. */
static trk_status take_into(trk_tracker *t, trk_blob_reader *payload)
{
    trk_status rc = trk_pool_enter(t, TRK_RESIDENT);
    if (rc < 0)
        return rc;
    rc = trk_state_take(t, payload);
    trk_pool_exit(t);
    return rc;
}

trk_status trk_tracker_resume(trk_tracker **out, const trk_model *model, const trk_tracker_params *params,
                              const char *path)
{
    unsigned char *data = NULL;
    size_t bytes = 0;
    trk_blob_reader payload;
    trk_tracker *t = NULL;
    trk_status rc;
    if (!out || !model || !path)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_resume: out, model and path must not be NULL");
    TRK_CHECK(read_file(path, &data, &bytes));
    rc = trk_state_check(data, bytes, trk_state_fingerprint(model), &payload);
    if (rc >= 0) {
        TRK_CHECK(trk_tracker_create(&t, model, params));
        rc = take_into(t, &payload);
    }
    if (rc < 0) {
        rc = trk_fail_prefix(rc, path);
        goto done;
    }
    *out = t;
    t = NULL;
done:
    trk_tracker_destroy(&t);
    trk_heap_release(data);
    return rc;
}
