/* SPDX-License-Identifier: MIT */
/*
 * isolate_wire.h - frames between a node and the processes of its isolates: datagrams over
 * socketpairs (SOCK_SEQPACKET), a fixed head and a body. A body above WARD__BODY_INLINE travels in
 * a sealed memfd beside the head. Both ends are the same program on the same machine, so the head
 * is a struct; what comes from an isolate is checked all the same. Knows no actors.
 */
#ifndef WARD_SUPERVISOR_ISOLATE_WIRE_H
#define WARD_SUPERVISOR_ISOLATE_WIRE_H

#include "supervisor/isolate_pack.h"

enum { WARD__BODY_INLINE = 65536, WARD__FRAME_FDS = 2 };

enum ward__iso_kind {
    /* To an isolate, in order. */
    WARD__ISO_START, /* body: ward__iso_start, the argument */
    WARD__ISO_MAIL, /* id; BIT_ASKS: until ns */
    WARD__ISO_ANSWER, /* id, incarnation: as asked; status or value */
    WARD__ISO_DOWN, /* ref, reason, status, BIT_FINAL, incarnation, signal, exit code */
    WARD__ISO_CANCEL, /* BIT_FINAL */
    WARD__ISO_CLOSE, /* no more mail */
    WARD__ISO_ABANDON, /* id: nobody waits for its answer */
    /* From an isolate, in order. */
    WARD__ISO_STARTED,
    WARD__ISO_DONE, /* id, fate */
    WARD__ISO_KEPT, /* id */
    WARD__ISO_REPLY, /* id; status or value */
    WARD__ISO_FORGET, /* id, incarnation: the question */
    WARD__ISO_STUCK,
    WARD__ISO_ENDED, /* reason, status */
    /* From an isolate, on its other socket, which waits for a RESULT. */
    WARD__ISO_SEND, /* ref; value */
    WARD__ISO_ASK, /* ref, id: the cell inside, incarnation: its asker, until ns; value */
    WARD__ISO_FORWARD, /* ref, id: a message given to it */
    WARD__ISO_MONITOR, /* ref */
    WARD__ISO_DEMONITOR, /* ref */
    WARD__ISO_STOP, /* ref; BIT_FINAL: cancel, else close its mail */
    WARD__ISO_FIND, /* body: path */
    WARD__ISO_RESULT, /* status, ref */
    /* To the template, and from it. */
    WARD__ISO_FORK, /* id; two sockets */
    WARD__ISO_FORKED, /* id; its pidfd. status: it could not */
    WARD__ISO_EXITED, /* id, status: of wait */
    WARD__ISO_KINDS
};
enum { WARD__ISO_BIT_ASKS = 1, WARD__ISO_BIT_FINAL = 2 };

struct ward__iso_frame {
    uint32_t kind, type; /* type: place in the table, 0: no value */
    uint64_t id;
    ward_ref ref;
    int64_t ns;
    uint64_t incarnation;
    int32_t status;
    uint32_t bits;
    uint16_t reason;
    uint8_t signal, exit_code;
    uint32_t in_memfd;
    uint64_t body_bytes;
};

/* How an actor is to run inside, in front of its argument. */
struct ward__iso_start {
    ward_ref me, parent;
    uint64_t incarnation;
    size_t place; /* of its spec in the table */
    size_t state_bytes, stack_bytes, arg_bytes;
    size_t memory_max; /* 0: no limit; so are the next two */
    uint32_t cpu_s, files_max;
    uint32_t idle_ms, stuck_ms, mailbox_max;
    ward_idle on_idle;
    bool drain_on_stop, blocking;
    char name[48]; /* "": none */
};

/* What was received; the body is valid until the next on that buffer, or until released. */
struct ward__iso_got {
    struct ward__iso_frame head;
    const void *body;
    int fds[WARD__FRAME_FDS]; /* the receiver's; -1: none */
    void *map;
};
struct ward__iso_buffer {
    struct ward__iso_frame head;
    unsigned char body[WARD__BODY_INLINE];
};

/* Errors: WARD_EFULL: later (a socket that does not block); WARD_ELINK: the other end is gone;
 * WARD_ENOMEM. fds: up to two, -1: none. */
ward_status ward__iso_put(
    int socket, struct ward__iso_frame *head, const void *body, size_t bytes, const int *fds);
/* The same with a value. Errors: also WARD_EINVAL: its type is not in the table, or has a struct
 * without fields in it. */
ward_status ward__iso_put_value(int socket, struct ward__iso_frame *head, const ward_table *table,
    const ward_type *type, const void *value);
/* Errors: WARD_ETIMEDOUT: nothing there (a socket that does not block); WARD_ELINK: the end;
 * WARD_EINVAL: no frame; WARD_ENOMEM. bytes_max: of a body. */
ward_status ward__iso_get(
    int socket, struct ward__iso_got *got, struct ward__iso_buffer *buffer, size_t bytes_max);
void ward__iso_release(struct ward__iso_got *got);

/* What to unpack of it; type NULL: it has no value, or none we know. */
struct ward__packed ward__iso_packed(
    const struct ward__iso_got *got, const ward_table *table, size_t blob_max);

#endif
