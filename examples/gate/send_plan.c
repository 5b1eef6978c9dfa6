/* SPDX-License-Identifier: MIT */
/*
 * send_plan.c - reads the files that `gate send` was given and notes of each message what sending
 * needs: its bytes, its control id, its patient.
 *
 * The files stay in memory: a plan is sent for several rounds. A message that the parser refuses
 * is in the plan all the same, for the receiver is to be seen refusing it. On the thread that
 * sends, before it sends.
 */
#include "examples/gate/send_plan.h"
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { KEY_MAX = 512 };

/* The array with room for one more, or NULL. It is doubled whenever count is a power of two. */
static void *with_room(void *array, size_t count, size_t item_bytes)
{
    if (count & (count - 1)) return array;
    return reallocarray(array, count ? count * 2 : 1, item_bytes);
}

/* FNV-1a: it need only spread patients over connections. */
static uint64_t hash_of(const char *at, size_t bytes)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (unsigned char)at[i]) * 0x100000001b3u;
    return hash ^ (hash >> 29);
}

static int add_message(struct gate_plan *plan, struct gate_span whole)
{
    struct gate_plan_message *message;
    struct gate_hl7 parsed;
    char key[KEY_MAX];
    size_t key_bytes;
    struct gate_plan_message *roomy =
        with_room(plan->messages, plan->count, sizeof *plan->messages);

    if (!roomy) return ENOMEM;
    plan->messages = roomy;
    (void)gate_hl7_parse(&parsed, whole.at, whole.bytes);
    key_bytes = gate_hl7_patient_key(&parsed, key, sizeof key);
    message = &plan->messages[plan->count];
    message->whole = whole;
    message->id = parsed.msh[10];
    message->key = key_bytes ? hash_of(key, key_bytes) : plan->count;
    plan->count++;
    return 0;
}

static int add_file(struct gate_plan *plan, const char *path)
{
    struct gate_file *file;
    struct gate_span message;
    struct gate_file *roomy = with_room(plan->files, plan->files_count, sizeof *plan->files);
    int error;

    if (!roomy) return ENOMEM;
    plan->files = roomy;
    file = &plan->files[plan->files_count];
    error = gate_file_open(file, path, GATE_PLAN_BYTES_MAX - plan->bytes);
    if (error) return error;
    plan->files_count++;
    plan->bytes += file->bytes;
    while (!error && gate_file_next(file, &message))
        error = add_message(plan, message);
    plan->skipped += file->skipped;
    return error;
}

static bool is_hl7(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot && strcasecmp(dot, ".hl7") == 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int add_folder(struct gate_plan *plan, const char *path)
{
    char *name = strdup(path);
    char *paths[] = { name, NULL };
    FTS *walk = name ? fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, by_name) : NULL;
    FTSENT *entry;
    int error = walk ? 0 : errno;

    while (!error) {
        errno = 0;
        entry = fts_read(walk);
        if (!entry) {
            error = errno;
            break;
        }
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR)
            error = entry->fts_errno;
        else if (entry->fts_info == FTS_SLNONE && is_hl7(entry->fts_name))
            error = ENOENT; /* a link to nothing */
        else if (entry->fts_info == FTS_F && is_hl7(entry->fts_name))
            error = add_file(plan, entry->fts_accpath);
    }
    if (walk) (void)fts_close(walk);
    free(name);
    return error;
}

int gate_plan_add(struct gate_plan *plan, const char *path)
{
    struct stat info;

    if (stat(path, &info) != 0) return errno;
    return S_ISDIR(info.st_mode) ? add_folder(plan, path) : add_file(plan, path);
}

void gate_plan_close(struct gate_plan *plan)
{
    for (size_t i = 0; i < plan->files_count; i++)
        gate_file_close(&plan->files[i]);
    free(plan->files);
    free(plan->messages);
    *plan = (struct gate_plan){ 0 };
}
