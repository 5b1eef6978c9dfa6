/* SPDX-License-Identifier: MIT */
/*
 * ward.h - supervised actors for C: bounded mailboxes, a thread pool, deadlines, supervision.
 *
 * A message begins its life here, in ward_send: Flow 1 of 8 (ARCHITECTURE.md has the others).
 *
 * Reading order: words, values, actors, node, messages, waits, supervision, events.
 *
 * Six rules hold for every function and are not repeated below:
 *
 *   1. Zero is the default. Options are structs used with designated initialisers; what a field
 *      left out means stands at the end of its comment. For ever and without bound are never
 *      spelled 0: they are WARD_FOREVER and WARD_UNLIMITED, and a deadline at or before now has
 *      passed.
 *   2. Arguments come as: who acts, where the result goes, the inputs. A block of options is
 *      last.
 *   3. A ward_self belongs to one thread at a time; the one exception is ward_outside(). All else
 *      may be called from any thread.
 *   4. A message is a value. Sending copies it, with its strings; a blob in it is shared. The
 *      sender keeps what it had. A `const ward_msg *` is lent: from mail until the handler
 *      returns or the body receives again; an answer until the next ask, await or receive. A
 *      `ward_msg *` is yours (ward_keep). Whatever an actor still holds when its incarnation ends
 *      is released by ward.
 *   5. A call that fails has changed nothing (an ask under way when it failed is in doubt) and
 *      returns a negative ward_status. Every call that
 *      takes arguments can answer WARD_EINVAL, every call with a ward_self WARD_EFENCED, every
 *      call that makes something WARD_ENOMEM; "Errors:" lists what else there is.
 *   6. Every wait ends: by what it waits for, its deadline, the death of what it waits for, or
 *      cancellation. Only functions with "Waits:" wait. In a handler they answer WARD_ESTATE
 *      unless what they want is there at once; in a body they park the fiber; on an attached
 *      thread and in a blocking body they block the thread. All waits can end with
 *      WARD_ETIMEDOUT, WARD_ECANCELED (this actor must stop) and, while a question is in hand,
 *      WARD_EABANDONED (its asker is gone); its deadline then bounds every wait but ward_receive.
 */
#ifndef WARD_WARD_H
#define WARD_WARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifndef WARD_PLAIN_ERRNO
#include <errno.h>
#endif

#ifdef __cplusplus
extern "C" {
#define WARD_LITERAL(type) type
#else
#define WARD_LITERAL(type) (type)
#endif

#define WARD_VERSION_MAJOR 0
#define WARD_VERSION_MINOR 1
#define WARD_VERSION_PATCH 0

#if defined(__GNUC__)
#define WARD_API __attribute__((visibility("default")))
#define WARD_CHECKED WARD_API __attribute__((warn_unused_result))
#define WARD_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define WARD_API
#define WARD_CHECKED WARD_API
#define WARD_PRINTF(fmt, args)
#endif

/* -- words ------------------------------------------------------------------------------------- */

typedef struct ward_node ward_node; /* one runtime in this process: threads, actors, links */
typedef struct ward_self ward_self; /* the actor that is running right now */
typedef struct ward_msg ward_msg;   /* a typed value that was received */
typedef struct ward_blob ward_blob; /* immutable shared bytes */

/* An actor's address: a value, copy it freely, {0} is nobody. It survives restarts and dies at
 * the final stop; a stale one is WARD_EGONE. `node` is drawn at random when a node opens and
 * means the same on every linked node. The fields are for hashing and printing only. */
typedef struct ward_ref {
    uint32_t node, slot;
    uint64_t life;
} ward_ref;

/* A point on the node's monotonic clock. A struct, so that nobody passes 200 and means 200 ms. */
typedef struct ward_deadline {
    int64_t ns;
} ward_deadline;

#define WARD_FOREVER (WARD_LITERAL(ward_deadline){ INT64_MAX })
#define WARD_NOW (WARD_LITERAL(ward_deadline){ 0 }) /* take it if it is there, do not wait */
#define WARD_UNLIMITED UINT32_MAX                   /* in an _ms field or a limit of actors */
#define WARD_AT_ONCE (UINT32_MAX - 1)               /* in .backoff_ms: no delay */

/* Part of the ABI: only ever added to. */
typedef enum ward_status {
    WARD_STOP = 1, /* returned by a behaviour: a normal end */
    WARD_OK = 0,
    WARD_EINVAL = -1,     /* an argument is wrong: mend the caller */
    WARD_ENOMEM = -2,     /* no memory, or ward_opts.bytes_max reached: shed load */
    WARD_EFULL = -3,      /* the receiver's mailbox is full: slow down */
    WARD_EGONE = -4,      /* no such actor, or it ended for good */
    WARD_ECLOSED = -5,    /* the mailbox was closed; to its owner: and is empty now */
    WARD_ETIMEDOUT = -6,  /* the deadline passed */
    WARD_ECANCELED = -7,  /* this actor was asked to stop: tidy up and return */
    WARD_EABANDONED = -8, /* the asker of the message in hand left: go on with the next one */
    WARD_ENOREPLY = -9,   /* the question was dropped unanswered, or who had it failed */
    WARD_EUNAVAIL = -10,  /* not now (degraded, or what a callee said): ask again later */
    WARD_EDEADLK = -11,   /* this wait could never end: it waits for itself, in a cycle of waits */
    WARD_EFENCED = -12,   /* this incarnation was quarantined: nothing it does counts any more */
    WARD_ESTATE = -13,    /* not here: for one, waiting inside a handler */
    WARD_ETOOBIG = -14,   /* over ward_opts.message_bytes_max or blob_bytes_max */
    WARD_ELIMIT = -15,    /* over actors_max, children_max, site_max, blocking_max, or 64 defers */
    WARD_ELINK = -16,     /* the link to that node is down */
    WARD_EDENIED = -17,   /* that address or peer is not allowed */
    WARD_EFAIL = -18,     /* yours to return: I am broken, my supervisor judges */
    WARD_EUSER = -1000,   /* from here down to -32768: yours, passed on as it is */
    WARD_EUSER_LAST = -32768
} ward_status;

WARD_API const char *ward_strerror(ward_status status); /* static text, never NULL */

/* -- values: what travels ---------------------------------------------------------------------- */

typedef struct ward_bytes {
    const void *at;
    size_t count;
} ward_bytes;

/* The width of INT, UINT, REAL is the member's. A LIST is a pointer and a size_t beside it. */
typedef enum ward_kind_of_field {
    WARD_INT, WARD_UINT, WARD_REAL, WARD_BOOL,
    WARD_TEXT,   /* const char *, UTF-8 or bytes without NUL; NULL stays NULL */
    WARD_BYTES,  /* ward_bytes */
    WARD_BLOB,   /* const ward_blob *; NULL stays NULL */
    WARD_REF,    /* ward_ref */
    WARD_STRUCT, /* another type by value */
    WARD_LIST    /* const T *member, size_t count_member */
} ward_kind_of_field;

typedef struct ward_type ward_type;

typedef struct ward_field {
    const char *name;
    ward_kind_of_field kind;
    uint32_t offset, bytes, count_offset;
    const ward_type *of; /* of STRUCT and LIST */
} ward_field;

/* Types are equal when name, form, bytes and rows are, so a static const one in a header is
 * fine. A struct without fields is copied as it stands and cannot leave the process. Nesting up to
 * 8. */
typedef enum ward_form {
    WARD_FORM_STRUCT, WARD_FORM_TEXT, WARD_FORM_BLOB, WARD_FORM_EMPTY
} ward_form;
struct ward_type {
    const char *name;
    ward_form form;
    uint32_t bytes;
    const ward_field *fields;
    uint32_t fields_count;
};

/* What to pass as the value of each: a pointer to the struct; the string; the blob; NULL. */
#define WARD_TYPE(name, T, rows) { (name), WARD_FORM_STRUCT, sizeof(T), (rows), WARD_COUNT(rows) }
#define WARD_TYPE_PLAIN(name, T) { (name), WARD_FORM_STRUCT, sizeof(T), NULL, 0 }
#define WARD_TYPE_TEXT(name) { (name), WARD_FORM_TEXT, sizeof(const char *), NULL, 0 }
#define WARD_TYPE_BLOB(name) { (name), WARD_FORM_BLOB, sizeof(const ward_blob *), NULL, 0 }
#define WARD_TYPE_EMPTY(name) { (name), WARD_FORM_EMPTY, 0, NULL, 0 }

/* One row of a field table, such as WARD_FIELD(struct order, TEXT, patient). A pointer member of
 * the wrong type is a compiler warning. */
#define WARD_FIELD(T, kind, member) \
    { #member, WARD_##kind, offsetof(T, member), WARD_CHECK_##kind(T, member), 0, NULL }
#define WARD_FIELD_STRUCT(T, member, type) \
    { #member, WARD_STRUCT, offsetof(T, member), sizeof(((T *)0)->member), 0, &(type) }
#define WARD_FIELD_LIST(T, member, count, type) \
    { #member, WARD_LIST, offsetof(T, member), sizeof(*((T *)0)->member), offsetof(T, count), \
        &(type) }

#define WARD_COUNT(array) (sizeof(array) / sizeof *(array))
#define WARD_CHECK_INT(T, m) (sizeof(((T *)0)->m) + 0 * sizeof(~((T *)0)->m))
#define WARD_CHECK_UINT(T, m) WARD_CHECK_INT(T, m)
#define WARD_CHECK_REAL(T, m) (sizeof(((T *)0)->m) + 0 * sizeof(((T *)0)->m * 1.0))
#define WARD_CHECK_BOOL(T, m) WARD_CHECK_IS_(T, m, const bool)
#define WARD_CHECK_TEXT(T, m) WARD_CHECK_IS_(T, m, const char *const)
#define WARD_CHECK_BYTES(T, m) WARD_CHECK_IS_(T, m, const ward_bytes)
#define WARD_CHECK_BLOB(T, m) WARD_CHECK_IS_(T, m, const ward_blob *const)
#define WARD_CHECK_REF(T, m) WARD_CHECK_IS_(T, m, const ward_ref)
#define WARD_CHECK_IS_(T, m, want) (sizeof(((T *)0)->m) + 0 * sizeof((want *)0 == &((T *)0)->m))

/* -- actors ------------------------------------------------------------------------------------ */

/* A handler is called for each message, never twice at once for one actor. WARD_OK: next message;
 * WARD_STOP: end well; negative: fail, the supervisor judges, but WARD_EABANDONED is no failure.
 * It cannot wait (rule 6). */
typedef ward_status ward_handler(ward_self *self, const ward_msg *msg);

/* A body is straight-line code that may wait. WARD_OK, WARD_STOP: a good end. Neither may throw. */
typedef ward_status ward_body(ward_self *self);

typedef enum ward_reason {
    WARD_BY_RETURN, WARD_BY_FAILURE, WARD_BY_CANCEL, WARD_BY_STUCK,
    WARD_BY_CLOSE, /* mail closed, the rest is done */
    WARD_BY_CHILD, /* a child failed */
    WARD_BY_LINK,  /* the link to its node was lost */
    WARD_BY_LIMIT, /* restarted too often */
    WARD_NOBODY,   /* was gone before */
    WARD_BY_CRASH  /* an isolate's process: a signal, or it exited */
} ward_reason;
typedef enum ward_idle { WARD_IDLE_TELL, WARD_IDLE_FAIL, WARD_IDLE_STOP } ward_idle;
typedef enum ward_restart { WARD_PERMANENT, WARD_TRANSIENT, WARD_TEMPORARY } ward_restart;
typedef enum ward_limit { WARD_ESCALATE, WARD_DEGRADE } ward_limit;
typedef enum ward_strategy {
    WARD_ONE_FOR_ONE,
    WARD_ONE_FOR_ALL,
    WARD_REST_FOR_ONE,
    WARD_DYNAMIC /* no children at first: ward_spawn_under; each restarts alone */
} ward_strategy;

typedef struct ward_spec ward_spec;
typedef struct ward_children {
    const ward_spec *at;
    size_t count, spec_bytes;
} ward_children;
#define WARD_CHILDREN(array) { (array), WARD_COUNT(array), sizeof *(array) }

/* What an actor is. Exactly one of handle, body and (children or strategy WARD_DYNAMIC) is set.
 * Copied whole when spawned, names and children too; `arg` and functions as they are. */
struct ward_spec {
    const char *name; /* [A-Za-z0-9._-], 47 at most, no dot first; siblings may share it. NULL:
                         "#slot" */
    ward_handler *handle;
    ward_body *body;
    ward_children children;
    void *arg;          /* yours, the same after a restart: ward_arg. NULL: none */
    size_t arg_bytes;   /* copied when spawned. 0: the pointer as it is; what it points to must
                           outlive the actor, so it is no local of the spawner */
    size_t state_bytes; /* zeroed at each start: ward_state. 0: none */
    ward_body *start;   /* first, at each start; the next sibling starts after it. Waits only in a
                           body. NULL: none */
    void (*cleanup)(ward_self *self, ward_reason why); /* last, at each end, even if start never ran
                           (the state is zero then); cannot wait. WARD_BY_STUCK: a successor may
                           hold your names, release memory and private fds only. NULL: none */
    /* mailbox */
    uint32_t mailbox_max;  /* messages, at most 4194304. 0: 1024 */
    size_t mailbox_bytes;  /* 0: 16 MiB */
    bool drain_on_stop;      /* handle what is queued when cancelled. 0: it goes to dead letters */
    bool discard_on_restart; /* what is queued goes to dead letters, who asked or was parked gets
                                WARD_EUNAVAIL. 0: it all waits for the restart */
    uint32_t redeliver; /* times the message in hand at a failure comes again, first of all, then it
                           is a dead letter; at most 65535. 0: never, it is in doubt */
    /* time */
    uint32_t idle_ms;   /* without mail. Of handlers. 0: never */
    ward_idle on_idle;  /* 0: TELL, a WARD_IDLE message */
    uint32_t start_ms;  /* for `start`. 0: 5000 */
    uint32_t stop_ms;   /* from cancel to reaped. 0: 5000; of a supervisor: what its parts need */
    uint32_t stuck_ms;  /* one turn, then quarantine. 0: 30000 */
    /* where it runs */
    bool blocking;        /* its turns block in system calls: threads apart from the pool */
    bool isolate;         /* in a process of its own, killed when stuck: isolate.h. 0: no */
    bool isolate_standby; /* another process waits to take over. 0: none does */
    size_t isolate_bytes_max;   /* address space beyond what it begins with. 0: no limit */
    uint32_t isolate_cpu_s, isolate_files_max; /* CPU time; open files. 0: no limit */
    uint32_t stack_bytes; /* of a body. 0: 64 KiB; blocking: 1 MiB */
    /* as a child of a supervisor */
    ward_restart restart; /* 0: PERMANENT */
    bool significant;     /* TRANSIENT or TEMPORARY: its end for good, unless somebody cancelled it,
                             ends the supervisor, well or BY_CHILD. 0: the others go on */
    ward_limit at_limit;  /* DEGRADE: parked until ward_revive, its mail refused with EUNAVAIL, the
                             others go on. 0: ESCALATE, the supervisor fails, its own judges */
    /* limits on restarts: of this child, and of a supervisor over all its children */
    uint32_t restarts_max;   /* at most 1024, or WARD_UNLIMITED. 0: 5 */
    uint32_t window_ms;      /* 0: 60000 */
    uint32_t backoff_ms;     /* up to this, by chance, doubling with each restart in the window;
                                WARD_AT_ONCE: no delay ever. 0: 10 */
    uint32_t backoff_max_ms; /* 0: 30000 */
    /* as a supervisor */
    ward_strategy strategy; /* 0: ONE_FOR_ONE */
    uint32_t children_max;  /* of DYNAMIC. 0: 65536 */
    uint32_t zombies_max;   /* stuck incarnations it puts up with. 0: 8 */
    /* as a leak that is noticed */
    uint32_t site_max; /* live actors that this line of code has made, their static children
                          included; a restart is never refused. 0: no limit of its own */
};

/* Where a wait stands, for the census: one literal, one store. A binding passes its own. */
#define WARD_STR_(x) #x
#define WARD_STR(x) WARD_STR_(x)
#define WARD_AT __FILE__ ":" WARD_STR(__LINE__)

typedef struct ward_site {
    const char *at; /* "file:line", a literal: sites are told apart by its address */
    const char *function;
    size_t spec_bytes; /* the caller's sizeof(ward_spec), so that the struct can grow */
} ward_site;
#define WARD_HERE (WARD_LITERAL(ward_site){ WARD_AT, __func__, sizeof(ward_spec) })

/* Starts an actor and its children, in order. The spawner is its parent: the child is cancelled
 * when the parent ends, and the parent's end waits for it. Mail to *out queues from now on.
 * Under a parent that is no supervisor nothing restarts: a child that fails cancels its parent,
 * unless the parent monitors it or the child is WARD_TEMPORARY.
 * Errors: WARD_ELIMIT; WARD_ECANCELED when self is stopping. */
#define ward_spawn(self, out, ...) ward_spawn_at((self), (out), (__VA_ARGS__), WARD_HERE)
WARD_CHECKED ward_status ward_spawn_at(
    ward_self *self, ward_ref *out, const ward_spec *spec, ward_site site);

/* The same, as a child of the DYNAMIC supervisor `sup`.
 * Errors: also WARD_EGONE; WARD_EUNAVAIL while `sup` is being restarted. */
#define ward_spawn_under(self, out, sup, ...) \
    ward_spawn_under_at((self), (out), (sup), (__VA_ARGS__), WARD_HERE)
WARD_CHECKED ward_status ward_spawn_under_at(
    ward_self *self, ward_ref *out, ward_ref sup, const ward_spec *spec, ward_site site);

/* How long a stop of it can take at most, ms: static children one after another; those of a
 * DYNAMIC supervisor at once, none longer than the stop_ms it spells (0: than 5000). INT64_MAX:
 * no bound. Spawn refuses with WARD_EINVAL a supervisor whose spelled stop_ms is shorter, or
 * longer than its window_ms (its limits could never be passed), and a child longer than its
 * DYNAMIC supervisor spells. */
#define ward_stop_bound(...) ward_stop_bound_sized((__VA_ARGS__), sizeof(ward_spec))
WARD_API int64_t ward_stop_bound_sized(const ward_spec *spec, size_t spec_bytes);

WARD_API ward_ref ward_me(const ward_self *self);
WARD_API ward_ref ward_parent(const ward_self *self);
WARD_API ward_node *ward_node_of(const ward_self *self);
WARD_API void *ward_arg(const ward_self *self);
WARD_API void *ward_state(ward_self *self);
WARD_API bool ward_same(ward_ref a, ward_ref b);

/* Memory that dies with the incarnation and counts in bytes_max. old NULL: new; bytes 0: free.
 * NULL when there is none; then `old` is as it was. */
WARD_API void *ward_alloc(ward_self *self, void *old, size_t bytes);
/* fn(arg) at the end of the incarnation, last in first out. The order of an end: timers and
 * requests are void; children are stopped; deferred calls; .cleanup; memory, kept
 * messages and blobs; DOWN. If it was stuck, its own thread does this when it returns, and DOWN
 * came before.
 * Errors: WARD_ELIMIT at 64. */
WARD_CHECKED ward_status ward_defer(ward_self *self, void (*fn)(void *arg), void *arg);

/* Finds by path: "submit" is a child, "../terms" a sibling, "/epro/terms" from the root of this
 * node, "site-b:/epro/terms" of another. The body of ward_run is "/main".
 * Waits: until it is there and started. WARD_NOW finds local paths only, and needs no wait.
 * Errors: WARD_EGONE (WARD_NOW, not there); WARD_EINVAL also if several share the name;
 * WARD_ELINK. */
#define ward_find(self, out, path, ...) ward_find_at((self), (out), (path), __VA_ARGS__, WARD_AT)
WARD_CHECKED ward_status ward_find_at(
    ward_self *self, ward_ref *out, const char *path, ward_deadline by, const char *at);

/* -- node -------------------------------------------------------------------------------------- */

typedef struct ward_event ward_event;

/* What other processes may name: types that travel, specs of isolates. */
typedef struct ward_table {
    const ward_type *const *types;
    size_t types_count;
    ward_children specs; /* isolates are known by their functions */
} ward_table;

/* Copied, `table` excepted, which must outlive the node. */
typedef struct ward_opts {
    const char *name; /* of the node. NULL: "ward" */
    void *arg;        /* ward_arg of ward_run's body. NULL: none */
    const ward_table *table;
    uint32_t workers;         /* 0: one for each CPU this process may use */
    uint32_t blocking_max;    /* threads for .blocking handlers; bodies have their own. 0: 64 */
    uint32_t spares_max;      /* threads lent to turns over 20 ms that others wait behind; one spec
                                 has at most half, its other actors wait then. 0: 64 */
    uint32_t actors_max;      /* 0: 1 Mi */
    size_t message_bytes_max; /* of one value, blobs apart. 0: 1 MiB */
    size_t blob_bytes_max;    /* of one blob. 0: 64 MiB */
    size_t bytes_max;         /* messages, blobs and ward_alloc together. 0: 1 GiB */
    uint32_t stop_ms;         /* ward_run, from its body's return to its own. 0: 10000 */
    uint32_t zombies_max;     /* quarantined turns of the whole node before supervisors give up
                                 instead of restarting. 0: 32 */
    uint64_t sim_seed;        /* simulated: see sim.h. 0: real */
    /* Hooks; `hook` comes first. on_event: one call at a time, on a thread of its own, so that a
       slow one delays nobody; must not call ward but ward_event_text. The others: any thread,
       must not call ward. */
    void *hook;
    void (*on_event)(void *hook, const ward_event *event); /* NULL: drop; ward prints nothing */
    void *(*alloc)(void *hook, void *old, size_t old_bytes, size_t bytes); /* NULL: malloc */
    void (*on_assert)(void *hook, const char *site, const char *what);     /* NULL: abort */
} ward_opts;

/* Opens a node, runs `body` on this thread as an attached actor (a fiber under sim_seed), then
 * cancels all others, waits, closes. The body may block its thread. opts may be NULL. Ward takes
 * no signals: its threads block them all. Block yours before this call.
 * Errors: what body failed with; WARD_EFAIL: the top of the tree gave up; WARD_ETIMEDOUT: had to
 * abandon stuck actors; WARD_EDEADLK: simulated, and nothing can ever happen again. */
#define ward_run(body, ...) ward_run_sized((body), (__VA_ARGS__), sizeof(ward_opts))
WARD_CHECKED ward_status ward_run_sized(ward_body *body, const ward_opts *opts, size_t opts_bytes);

/* The same in pieces, for a program with a main loop of its own. Errors: none more. */
#define ward_open(out, ...) ward_open_sized((out), (__VA_ARGS__), sizeof(ward_opts))
WARD_CHECKED ward_status ward_open_sized(
    ward_node **out, const ward_opts *opts, size_t opts_bytes);

/* Cancels everything and waits, until `by` at the latest, whatever happens; frees the node unless
 * someone had to be abandoned, which is WARD_ETIMEDOUT, their number and an event for each (an
 * on_event that hangs is left behind too, uncounted).
 * Attached threads see WARD_ECANCELED and detach. Blocks: the thread. Errors: WARD_ESTATE in an
 * actor. */
WARD_CHECKED ward_status ward_close(ward_node *node, size_t *abandoned, ward_deadline by);

/* The node itself as who acts, for threads that are no actors: it can do all that does not wait,
 * from any number of threads at once; what it spawns is a child of the root. Valid until
 * ward_close. */
WARD_API ward_self *ward_outside(ward_node *node);

/* Makes this thread an actor, with the same calls, until ward_detach. Of spec: name, mailbox_max,
 * mailbox_bytes, arg; NULL is all zeroes. Never reported as stuck. Errors: WARD_ELIMIT. */
#define ward_attach(node, out, ...) ward_attach_at((node), (out), (__VA_ARGS__), WARD_HERE)
WARD_CHECKED ward_status ward_attach_at(
    ward_node *node, ward_self **out, const ward_spec *spec, ward_site site);
WARD_API void ward_detach(ward_self *self);
/* An fd of an attached thread for poll: readable while ward_receive(.., WARD_NOW) would not
 * answer WARD_ETIMEDOUT. Ward's: do not read or close it. -1 in other actors. */
WARD_API int ward_mail_fd(ward_self *self);

/* -- messages ---------------------------------------------------------------------------------- */

typedef enum ward_kind {
    WARD_MAIL,   /* sent or asked by an actor, or a timer of this one */
    WARD_ANSWER, /* the outcome of a ward_request: ward_call_of, ward_status_of, then as mail */
    WARD_DOWN,   /* someone monitored ended: ward_down_of */
    WARD_IDLE    /* .idle_ms went by */
} ward_kind;

WARD_API ward_kind ward_kind_of(const ward_msg *msg);
/* The value if it is of that type, else NULL: the struct, the string or the blob. */
WARD_API const void *ward_value(const ward_msg *msg, const ward_type *type);
WARD_API bool ward_is(const ward_msg *msg, const ward_type *type);
WARD_API const char *ward_text(const ward_msg *msg); /* of a text; "" for any other type */
WARD_API const ward_type *ward_type_of(const ward_msg *msg); /* never NULL */
/* Of a question, until it is answered. FOREVER: it has none. */
WARD_API ward_deadline ward_deadline_of(const ward_self *self, const ward_msg *msg);

/* Makes a lent message yours past its time, with its right to an answer. It goes on filling its
 * place in the mailbox until ward_drop, which breaks the question if it is unanswered. An answer
 * cannot be kept, WARD_EINVAL. Errors: none more. */
WARD_CHECKED ward_status ward_keep(ward_self *self, ward_msg **out, const ward_msg *msg);
WARD_API void ward_drop(ward_self *self, ward_msg *kept);

/* Text for the next call, lent until the handler returns, or the next call of a body that waits
 * does. NULL for no memory: what takes it as a text value then answers WARD_ENOMEM, so it need
 * not be checked. */
WARD_API const char *ward_textf(ward_self *self, const char *fmt, ...) WARD_PRINTF(2, 3);

/* Blobs: yours until ward_blob_drop or the end of the incarnation; one inside a message, until
 * the message's. wrap takes memory over: release(arg) once, from any thread, when nobody has it
 * any more.
 * Errors: WARD_ETOOBIG. */
WARD_CHECKED ward_status ward_blob_copy(ward_self *self, ward_blob **out, ward_bytes bytes);
WARD_CHECKED ward_status ward_blob_wrap(
    ward_self *self, ward_blob **out, ward_bytes bytes, void (*release)(void *arg), void *arg);
WARD_CHECKED ward_status ward_blob_keep(ward_self *self, ward_blob **out, const ward_blob *blob);
WARD_API void ward_blob_drop(ward_self *self, ward_blob *blob);
WARD_API ward_bytes ward_blob_bytes(const ward_blob *blob);

/* -- send, ask, answer ------------------------------------------------------------------------- */

/* Puts a copy in the mailbox of `to`. It carries no deadline: a fact, not a question.
 * Errors: WARD_EFULL, WARD_EGONE, WARD_ECLOSED, WARD_EUNAVAIL, WARD_ETOOBIG, WARD_ELINK. */
WARD_CHECKED ward_status ward_send(
    ward_self *self, ward_ref to, const ward_type *type, const void *value);
/* Waits: for room. Errors: as ward_send without WARD_EFULL; WARD_EDEADLK. */
#define ward_send_by(self, to, type, ...) \
    ward_send_by_at((self), (to), (type), __VA_ARGS__, WARD_AT)
WARD_CHECKED ward_status ward_send_by_at(
    ward_self *self, ward_ref to, const ward_type *type, const void *value, ward_deadline by,
    const char *at);

/* Asks and waits, for room and then for the answer, until `by` or the deadline of the message in
 * hand if that is earlier. It travels with the question; past it the question is not delivered.
 * Errors: as ward_send_by; WARD_ENOREPLY, WARD_EUNAVAIL, WARD_EDENIED, and what ward_refuse
 * said. */
#define ward_ask(self, answer, to, type, ...) \
    ward_ask_at((self), (answer), (to), (type), __VA_ARGS__, WARD_AT)
WARD_CHECKED ward_status ward_ask_at(ward_self *self, const ward_msg **answer, ward_ref to,
    const ward_type *type, const void *value, ward_deadline by, const char *at);

/* Asks and does not wait. The outcome comes exactly once, by `by` or the deadline of the message in
 * hand, and no full mailbox can refuse it: as a WARD_ANSWER in ward_receive or the handler, or
 * through ward_await. Void after a restart. When the asker of the message in hand leaves, so does
 * who works for this; its status is WARD_EABANDONED.
 * Errors: as ward_send; WARD_ETIMEDOUT, WARD_EABANDONED: too late to ask; WARD_ELIMIT: 4096 are
 * open, or a million in the node. */
typedef struct ward_call {
    uint64_t id; /* never 0 */
} ward_call;
WARD_CHECKED ward_status ward_request(ward_self *self, ward_call *out, ward_ref to,
    const ward_type *type, const void *value, ward_deadline by);
/* Waits: for the next outcome of any request of this actor; mail stays where it is.
 * Errors: WARD_ESTATE when none is open. */
#define ward_await(self, answer, ...) ward_await_at((self), (answer), __VA_ARGS__, WARD_AT)
WARD_CHECKED ward_status ward_await_at(
    ward_self *self, const ward_msg **answer, ward_deadline by, const char *at);
WARD_API ward_call ward_call_of(const ward_msg *answer); /* {0}: it is no outcome */
/* WARD_OK: there is an answer, or it is no outcome; else as ward_ask's. */
WARD_API ward_status ward_status_of(const ward_msg *answer);
WARD_API void ward_forget(ward_self *self, ward_call call); /* cancels it: no outcome comes */

/* Answers a message in hand or kept. That nobody waits (sent, not asked; answered before; gone)
 * is WARD_OK and counted. Errors: WARD_ETOOBIG, WARD_ELINK. */
WARD_CHECKED ward_status ward_reply(
    ward_self *self, const ward_msg *question, const ward_type *type, const void *value);
/* Answers with a negative status instead, which is what the asker's call returns. */
WARD_API void ward_refuse(ward_self *self, const ward_msg *question, ward_status why);
/* Passes a message on as it is, with its asker and deadline. Errors: as ward_send. */
WARD_CHECKED ward_status ward_forward(ward_self *self, ward_ref to, const ward_msg *msg);

/* -- waits and time ---------------------------------------------------------------------------- */

/* Waits: for the next message; signals before mail, mail before the deadline. Ends the message in
 * hand.
 * Errors: WARD_ECLOSED (ward_close_mail, and all is taken); WARD_EDEADLK (this actor keeps all
 * that fits in its mailbox and would wait for ever). */
#define ward_receive(self, out, ...) ward_receive_at((self), (out), __VA_ARGS__, WARD_AT)
WARD_CHECKED ward_status ward_receive_at(
    ward_self *self, const ward_msg **out, ward_deadline by, const char *at);

enum { WARD_READABLE = 1, WARD_WRITABLE = 2 }; /* errors and hang-ups are both */

/* Waits: until the fd is ready, and nothing else. No thread is held. ready may be NULL. One actor
 * at a time for an fd: who polls it next takes it over.
 * Errors: WARD_EINVAL also for an fd that cannot be polled (a regular file). */
#define ward_poll_fd(self, ready, fd, want, ...) \
    ward_poll_fd_at((self), (ready), (fd), (want), __VA_ARGS__, WARD_AT)
WARD_CHECKED ward_status ward_poll_fd_at(
    ward_self *self, unsigned *ready, int fd, unsigned want, ward_deadline by, const char *at);
/* Waits: until then, and nothing else. Returns WARD_OK at `by`. */
#define ward_sleep(self, ...) ward_sleep_at((self), __VA_ARGS__, WARD_AT)
WARD_CHECKED ward_status ward_sleep_at(ward_self *self, ward_deadline by, const char *at);

/* For long loops: WARD_OK or why to stop; a body lets others run. Errors: as any wait (rule 6). */
WARD_CHECKED ward_status ward_checkpoint(ward_self *self);
WARD_API bool ward_cancelled(const ward_self *self); /* to stop, or what is in hand is abandoned */

/* A timer: the value comes as mail from this actor at `at`; no full mailbox can refuse it. Void
 * after a restart. ward_timer_stop: afterwards it does not come. Errors: WARD_ETOOBIG. */
typedef struct ward_timer {
    uint64_t id;
} ward_timer;
WARD_CHECKED ward_status ward_timer_start(
    ward_self *self, ward_timer *out, const ward_type *type, const void *value, ward_deadline at);
WARD_API void ward_timer_stop(ward_self *self, ward_timer timer);

/* A must-finish step: until ward_unshield, the next receive, or `by`, which bounds the waits in it,
 * these see neither cancellation nor the end of the question in hand. Does not nest; it falls an
 * eighth before stop_ms are over. Errors: WARD_ESTATE in a handler. */
WARD_CHECKED ward_status ward_shield(ward_self *self, ward_deadline by);
WARD_API void ward_unshield(ward_self *self);

WARD_API ward_deadline ward_in_ms(const ward_self *self, int64_t ms); /* <= 0: passed */
WARD_API int64_t ward_ms_left(const ward_self *self, ward_deadline by); /* never: INT64_MAX */
WARD_API ward_deadline ward_by(const ward_self *self); /* of what is in hand */
WARD_API int64_t ward_now_ns(const ward_self *self);   /* monotonic; virtual when simulated */
WARD_API uint64_t ward_random(ward_self *self);        /* from the seed when simulated */

/* -- supervision ------------------------------------------------------------------------------- */

/* Asks an actor and all below it to stop, children first, and reaps those who do not by stop_ms.
 * Does not wait and cannot fail; a cancelled actor is not restarted; nobody there: nothing. A
 * handler is not called again (with .drain_on_stop only for what is queued), then its clean-up
 * runs. */
WARD_API void ward_cancel(ward_self *self, ward_ref whom);
/* The closed channel: no more mail comes in; what is there is handled; then it ends normally. */
WARD_API void ward_close_mail(ward_self *self, ward_ref whom);
/* Waits: until all of them have ended for good. Errors: WARD_EDEADLK. */
#define ward_join(self, whom, count, ...) \
    ward_join_at((self), (whom), (count), __VA_ARGS__, WARD_AT)
WARD_CHECKED ward_status ward_join_at(
    ward_self *self, const ward_ref *whom, size_t count, ward_deadline by, const char *at);

/* Starts an actor again that was degraded (.at_limit), its restarts forgotten. Its next incarnation
 * begins; this does not wait for it. Errors: WARD_EGONE; WARD_ESTATE: it is not degraded. */
WARD_CHECKED ward_status ward_revive(ward_self *self, ward_ref whom);

typedef struct ward_down {
    ward_ref who;
    ward_reason reason;
    ward_status status;   /* what it returned */
    bool final;           /* the ref is dead, or degraded (BY_LIMIT, EUNAVAIL); else it restarts and
                             may be monitored again */
    uint8_t signal, exit_code; /* how an isolate's process ended: one of the two */
    uint64_t incarnation; /* that ended */
} ward_down;

/* One WARD_DOWN when this incarnation of `whom` ends, after its own messages; at once if there is
 * none. Again for the same ref: nothing. demonitor: afterwards none comes. Errors: WARD_ELINK. */
WARD_CHECKED ward_status ward_monitor(ward_self *self, ward_ref whom);
WARD_API void ward_demonitor(ward_self *self, ward_ref whom);
WARD_API const ward_down *ward_down_of(const ward_msg *msg); /* NULL: not a WARD_DOWN */

/* -- events: for logs and operators; never a payload ------------------------------------------- */

typedef enum ward_event_kind {
    WARD_EV_ENDED = 1,        /* an incarnation failed; normal ends are no events */
    WARD_EV_RESTARTED = 2,    /* its successor started */
    WARD_EV_LIMIT = 4,        /* a supervisor gave up: restarted too often, or too many zombies */
    WARD_EV_SLOW = 8,         /* a turn passed stuck_ms / 8 */
    WARD_EV_STUCK = 16,       /* quarantined */
    WARD_EV_RETURNED = 32,    /* a quarantined turn came back; its state is freed now */
    WARD_EV_ABANDONED = 64,   /* ward_close had to leave it behind */
    WARD_EV_DEAD_LETTER = 128,
    WARD_EV_LINK_UP = 256,
    WARD_EV_LINK_DOWN = 512,
    WARD_EV_DEADLOCK = 1024,  /* its wait was ended, as one of a cycle: `what` */
    WARD_EV_DEGRADED = 2048   /* restarted too often, and parked */
} ward_event_kind;

struct ward_event {
    ward_event_kind kind;
    ward_ref who;           /* whom it happened to */
    const char *path;       /* of who */
    const char *what;       /* type name, url, wait or call it is stuck in; never NULL */
    const char *site;       /* "file:line", never NULL */
    ward_reason reason;
    ward_status status;
    uint64_t count;         /* like ones since the last, this included: floods come as one */
    int64_t at_ns, took_ns;
};

/* One line without newline, always terminated; returns its full length as snprintf does. */
WARD_API size_t ward_event_text(const ward_event *event, char *out, size_t bytes);

/* errno of the thread this runs on now. Compilers keep the address of errno across a wait, after
 * which a body may be on another thread; this one is looked up at each use. */
WARD_API int *ward_errno(void);
#if !defined(WARD_PLAIN_ERRNO)
#undef errno
#define errno (*ward_errno())
#endif

#ifdef __cplusplus
}
#endif

#endif
