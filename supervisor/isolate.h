/* SPDX-License-Identifier: MIT */
/*
 * isolate.h - actors in processes of their own: who has which part.
 *
 * An isolate's slot, mailbox, ref and incarnations are the host's, like any actor's, but nobody's
 * code runs there for it: one thread a node, the isolates' thread, owns all such slots, gives their
 * mail to the processes (up to WARD__AHEAD at a time, keeping each until it is done) and does what
 * they ask. A process holds a small node of its own with one actor in it; what that actor wants of
 * others goes through a route (actors/node.h) back to the host. A template (isolate_template.c)
 * forks and reaps the processes.
 *
 * isolate.c: the thread, the template's and the processes' sockets. isolate_life.c: one actor from
 * start to end. isolate_calls.c: what it asks of us. isolate_inside.c: the other side.
 */
#ifndef WARD_SUPERVISOR_ISOLATE_H
#define WARD_SUPERVISOR_ISOLATE_H

#include "supervisor/isolate_wire.h"
#include "supervisor/tree.h"

enum { WARD__AHEAD = 8, WARD__ISO_MONITORS_MAX = 4096 };

/* -- the template (isolate_template.c) --------------------------------------------------------- */

/* What ward_isolate_main was called with; NULL: it was not. */
const ward_table *ward__isolate_table(void);
/* Our end of its socket, which does not block; -1: it could not be started. */
int ward__template_start(void);

/* -- inside (isolate_inside.c) ----------------------------------------------------------------- */

struct ward__inside_limits {
    size_t message_bytes_max, blob_bytes_max, bytes_max;
};
struct ward__inside_args {
    int mail, call;
    struct ward__inside_limits limits;
    const ward_table *table;
    ward_node *node; /* without threads; NULL: there was no memory for it */
};
/* In the template: the node that those it forks begin with. */
ward_node *ward__inside_node(const struct ward__inside_limits *limits, const ward_table *table);
_Noreturn void ward__inside_main(const struct ward__inside_args *args);

/* -- the host's side --------------------------------------------------------------------------- */

struct ward__isolate;
struct ward__process;

enum ward__source_kind { WARD__SRC_WAKE, WARD__SRC_CONTROL, WARD__SRC_MAIL, WARD__SRC_CALL };
struct ward__source {
    enum ward__source_kind kind;
    int fd; /* -1: closed */
    struct ward__process *process;
};

struct ward__process {
    struct ward__process *next;
    uint64_t id;
    struct ward__source mail, call;
    int pidfd; /* -1: not known yet */
    struct ward__isolate *of; /* NULL: nobody's any more */
    bool killed, exited, lost; /* lost: nobody reads what we write */
    bool failed; /* it could not be forked */
    bool writable; /* it is to be told when the socket takes more */
    int status; /* of wait */
};

/* A message that was taken for an isolate and is not done. */
struct ward__given {
    struct ward__given *next;
    struct ward_msg *mail;
    uint64_t id;
    bool given, kept, abandoned;
};

/* A question that it asked without waiting, and how it is known inside. */
struct ward__asked {
    struct ward__asked *next;
    ward_call call;
    uint64_t id;
    uint32_t asker;
};

struct ward__isolate {
    struct ward__isolate *next_ready, *next_free, *next_all;
    struct ward__isolates *all;
    _Atomic uint32_t bits; /* WARD__ISO_; not 0: it is in the list of those to look at */
    /* The isolates' thread's; what was given, under the tree lock while nothing runs. */
    struct ward__slot *slot;
    struct ward__process *process, *standby;
    struct ward__given *first, **last;
    uint32_t count, kept, out; /* of them; out: given and not kept */
    uint32_t monitors;
    struct ward__asked *asked;
    uint64_t last_id;
    bool running; /* an incarnation is: from begin to finish */
    bool held; /* the mailbox is ours */
    bool started, blocked, told_cancel, told_close, ended, stuck;
    bool asking, ask_remote, ask_forgotten, ask_over; /* over: the answer is to be sent */
    uint64_t ask_id; /* with who asked there: the token inside */
    uint32_t asker;
    ward_status status; /* it ended with */
    int64_t turn_ns; /* since when the oldest message is in hand */
    ward_self self; /* acts for it here */
};

struct ward__isolates {
    ward_node *node;
    pthread_t thread;
    bool thread_started;
    _Atomic bool stop;
    int epoll;
    struct ward__source wake, control;
    _Atomic(struct ward__isolate *) ready;
    pthread_mutex_t lock; /* of the two lists below; a leaf */
    struct ward__isolate *unused, *everyone;
    /* The thread's. */
    struct ward__process *processes, *graves;
    uint64_t last_id;
    int64_t looked_ns;
    struct ward__iso_buffer buffer;
};

static inline struct ward__here ward__isolate_here(const struct ward__isolate *iso)
{
    return (struct ward__here){ iso->all->node, NULL, NULL };
}

/* Whether an isolate can be like that, and where its functions are in the table.
 * Errors: WARD_ESTATE: main did not say so, or not with this table; the node is simulated.
 * WARD_EINVAL: not in the table. */
ward_status ward__isolate_spec(ward_node *node, const ward_spec *spec, size_t *place);
/* False: an argument that is a mere pointer, or over 48 KiB. */
bool ward__isolate_arg(const void *arg, size_t arg_bytes);
/* Starts the thread and the template, once. Errors: WARD_ENOMEM. May wait for a process to begin,
 * so no lock is held. */
ward_status ward__isolates_open(ward_node *node);
/* Ends the thread and all processes. */
void ward__isolates_stop(ward_node *node);
void ward__isolates_free(ward_node *node);

/* The record behind a new slot. Tree lock. False: no memory. */
bool ward__isolate_new(ward_node *node, struct ward__slot *slot);
/* Its life is over. Tree lock. */
void ward__isolate_end(struct ward__slot *slot);
/* Any thread. */
void ward__isolate_poke(ward_node *node, struct ward__slot *slot, uint32_t bits);
/* What ended its process, for an event, in `room`; NULL: it was no crash. */
const char *ward__isolate_crash(const struct ward__slot *slot, char room[64]);
/* What was given and is not done goes to dead letters. Nothing runs; tree lock. */
void ward__isolate_drop(struct ward__here *here, struct ward__slot *slot, ward_status status);

/* -- within the host's side; the isolates' thread only ----------------------------------------- */

/* NULL: there is none to be had. */
struct ward__process *ward__process_new(struct ward__isolate *iso);
void ward__process_kill(struct ward__process *process);
/* It is nobody's any more; it is freed when it has gone. */
void ward__process_leave(struct ward__isolates *all, struct ward__process *process);
/* To be told when its mail socket takes more. */
void ward__process_writable(struct ward__isolates *all, struct ward__process *process, bool yes);

void ward__isolate_look(struct ward__isolate *iso, uint32_t bits);
/* A frame came on the first socket; false: it broke the protocol. */
bool ward__isolate_frame(struct ward__isolate *iso, const struct ward__iso_got *got);
void ward__isolate_unblocked(struct ward__isolate *iso);
/* Its process has ended, and what it wrote is read. */
void ward__isolate_exited(struct ward__isolate *iso);
/* The node closes around it, and no process is left. */
void ward__isolate_abandon(struct ward__isolate *iso);
/* When it is stuck; INT64_MAX: it is in no turn. */
int64_t ward__isolate_stuck_ns(const struct ward__isolate *iso);
void ward__isolate_stuck(struct ward__isolate *iso);

struct ward__given *ward__given_find(struct ward__isolate *iso, uint64_t id);
/* A record with the value of a frame. Errors: WARD_EINVAL, WARD_ETOOBIG, WARD_ENOMEM. */
ward_status ward__isolate_mail(const struct ward__isolate *iso, const struct ward__iso_got *got,
    const struct ward__token *token, uint32_t *out);

/* A frame came on the second socket, and waits for the result; false: it broke the protocol. */
bool ward__isolate_call(struct ward__isolate *iso, const struct ward__iso_got *got);
/* Where the one with that number stands. */
struct ward__asked **ward__asked_find(struct ward__isolate *iso, ward_call call);
void ward__asked_free(struct ward__isolate *iso, struct ward__asked **at);
/* The question is not wanted any more. */
void ward__isolate_forget(struct ward__isolate *iso, const struct ward__iso_frame *head);
/* The question it waits for: it was resumed; it is not wanted any more. */
void ward__isolate_ask_over(struct ward__isolate *iso);
void ward__isolate_ask_forget(struct ward__isolate *iso);

#endif
