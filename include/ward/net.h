/* SPDX-License-Identifier: MIT */
/*
 * ward/net.h - links between nodes. The rules of ward.h hold; no nng type appears.
 *
 * Once a link is up nothing here is needed: a ref of the other node is used like any other, paths
 * are "site-b:/epro/terms", deadlines travel as time left. What a node may be sent is its
 * ward_opts.table; a type that is not in it is refused, WARD_EDENIED for who asks with it.
 *
 * What is different over a link: WARD_OK of ward_send says that the link has it; an actor there
 * that is gone refuses it later, counted and as a WARD_EV_DEAD_LETTER event. What comes for a full
 * mailbox waits there for room, in order; when that is much (1 MiB) ward_send is WARD_EFULL here,
 * and ward_send_by and ward_ask wait until their deadline. Over 8 MiB for all full mailboxes of a
 * link it is refused. A question without a deadline is WARD_EINVAL. A lost link resumes its asks
 * with WARD_ELINK, in doubt, and fires its monitors: WARD_BY_LINK, WARD_ELINK, not final, because
 * the actor may live on and be there again with the link. A find goes on waiting.
 *
 * Names are unique among linked nodes: a second one of the same name is refused while the first is
 * linked. A node that was given none is known to its peers as "ward." and eight digits.
 */
#ifndef WARD_NET_H
#define WARD_NET_H

#include <ward/ward.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Copied. */
typedef struct ward_link_opts {
    const char *peer;      /* refuse a node of another name. NULL: any */
    uint32_t heartbeat_ms; /* 0: 1000 */
    uint32_t dead_ms;      /* silence after which the peer is gone. 0: 4000 */
    size_t queued_max;     /* bytes waiting to be written before senders see WARD_EFULL. 0: 4 MiB */
    size_t frame_max;      /* bytes of one message with its blobs, at least 4096. 0: 64 MiB */
} ward_link_opts;

/* Accepts peers at, or keeps a connection to, "ipc://path" (mode 0600, same user only) or
 * "tcp://127.0.0.1:port", until ward_unlink_url or the node closes; reconnects with jittered
 * backoff. Does not wait for a peer: ward_find does. Up and down are events. opts may be NULL.
 * Links are not authenticated, so any address but ipc and loopback is refused.
 * Errors: WARD_EDENIED (that address); WARD_ELINK (cannot bind); WARD_EINVAL (also a url that is
 * in use here); WARD_ECANCELED (the node closes). */
#define ward_listen(node, url, ...) \
    ward_listen_sized((node), (url), (__VA_ARGS__), sizeof(ward_link_opts))
#define ward_connect(node, url, ...) \
    ward_connect_sized((node), (url), (__VA_ARGS__), sizeof(ward_link_opts))
WARD_CHECKED ward_status ward_listen_sized(
    ward_node *node, const char *url, const ward_link_opts *opts, size_t opts_bytes);
WARD_CHECKED ward_status ward_connect_sized(
    ward_node *node, const char *url, const ward_link_opts *opts, size_t opts_bytes);

/* Ends it and its sessions; what was sent before goes out. Waits for nothing. */
WARD_API void ward_unlink_url(ward_node *node, const char *url);

/* The name of the node a ref lives on; NULL when it is not known. Valid until the node closes. */
WARD_API const char *ward_home(ward_node *node, ward_ref ref);

#ifdef __cplusplus
}
#endif

#endif
