/* SPDX-License-Identifier: MIT */
/*
 * gate_send_test.c - the plan and the wire of `gate send`, against a receiver that answers what
 * each test wants.
 *
 * The receiver lives on the same thread: the wire has a turn, then the receiver looks at its
 * sockets, and so on, so nothing here depends on time but what a test says with ack_ms. A script
 * is called for each message that has come; it answers with what to do.
 */
#include "examples/gate/send_wire.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PEERS = 64, ROOM = 4096, TURNS = 20000 };

struct arrival {
    const char *id; /* MSH-10 */
    const char *text;
    int peer, nth; /* which connection, and how many messages have come before */
};

/* What to send for a message: an acknowledgement, bytes as they are, nothing; and then? */
struct answer {
    const char *code, *id; /* id NULL: the message's own */
    const char *raw;
    bool close;
};

typedef struct answer script(const struct arrival *arrival);

struct peer {
    int fd;
    size_t bytes;
    char in[ROOM];
    bool ended; /* the sender has closed it */
};

struct stage {
    char folder[64];
    struct gate_plan plan;
    struct gate_wire_opts opts;
    struct gate_wire_counts counts;
    int listen_fd, peers, arrivals;
    struct peer peer[PEERS];
    char log[4096]; /* "id@peer " of each message that came */
    char ids[4096]; /* those the wire calls acknowledged */
};

/* -- the stage ----------------------------------------------------------------------------------
 */

static void add(char *log, const char *text)
{
    size_t used = strlen(log);

    cr_assert_lt(used + strlen(text), 4000);
    (void)snprintf(log + used, 4096 - used, "%s", text);
}

static struct stage *new_stage(void)
{
    struct stage *s = calloc(1, sizeof *s);

    cr_assert_not_null(s);
    (void)snprintf(s->folder, sizeof s->folder, "/tmp/gate-send-XXXXXX");
    cr_assert_not_null(mkdtemp(s->folder));
    cr_assert_null(gate_args_address(&s->opts.to, "127.0.0.1:0"));
    s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(s->listen_fd, (struct sockaddr *)&s->opts.to.at, s->opts.to.bytes), 0);
    cr_assert_eq(listen(s->listen_fd, 16), 0);
    cr_assert_eq(
        getsockname(s->listen_fd, (struct sockaddr *)&s->opts.to.at, &s->opts.to.bytes), 0);
    s->opts.connections = 1;
    s->opts.rounds = 1;
    s->opts.retry_ms = 60000;
    s->opts.ack_ms = 60000;
    return s;
}

static void write_file(struct stage *s, const char *name, const char *text)
{
    char path[128];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", s->folder, name);
    file = fopen(path, "we");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

static void remove_file(struct stage *s, const char *name)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", s->folder, name);
    (void)remove(path);
}

/* One message, in the plan. */
static void give(struct stage *s, const char *id, const char *patient)
{
    char text[256], path[128];

    (void)snprintf(text, sizeof text, "MSH|^~\\&|LAB|H|G|W|20260101||ORU^R01|%s|P|2.5\rPID|1||%s\r",
        id, patient);
    write_file(s, "one.hl7", text);
    (void)snprintf(path, sizeof path, "%s/one.hl7", s->folder);
    cr_assert_eq(gate_plan_add(&s->plan, path), 0);
    remove_file(s, "one.hl7");
}

static void end_stage(struct stage *s)
{
    gate_plan_close(&s->plan);
    for (int i = 0; i < s->peers; i++)
        close(s->peer[i].fd);
    close(s->listen_fd);
    (void)rmdir(s->folder);
    free(s);
}

/* -- the receiver -------------------------------------------------------------------------------
 */

static void send_text(int fd, const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void carry_out(struct peer *peer, const struct answer *answer, const char *id)
{
    char ack[256];

    if (answer->code) {
        (void)snprintf(ack, sizeof ack,
            "\x0bMSH|^~\\&|G|W|LAB|H|20260101||ACK|1|P|2.5\rMSA|%s|%s\r\x1c\r", answer->code,
            answer->id ? answer->id : id);
        send_text(peer->fd, ack);
    }
    if (answer->raw) send_text(peer->fd, answer->raw);
    if (answer->close) (void)shutdown(peer->fd, SHUT_RDWR);
}

static void on_message(struct stage *s, int number, script *play_by)
{
    struct peer *peer = &s->peer[number];
    struct arrival arrival = { .text = peer->in, .peer = number, .nth = s->arrivals++ };
    struct answer answer;
    struct gate_hl7 parsed;
    char id[64], line[96];

    (void)gate_hl7_parse(&parsed, peer->in + 1, peer->bytes - 3);
    (void)snprintf(id, sizeof id, "%.*s", (int)parsed.msh[10].bytes, parsed.msh[10].at);
    (void)snprintf(line, sizeof line, "%s@%d ", id, number);
    add(s->log, line);
    arrival.id = id;
    answer = play_by(&arrival);
    carry_out(peer, &answer, id);
    peer->bytes = 0;
}

static void receive_from(struct stage *s, int number, script *play_by)
{
    struct peer *peer = &s->peer[number];
    ssize_t n = recv(peer->fd, peer->in + peer->bytes, ROOM - peer->bytes, MSG_DONTWAIT);

    if (n == 0) peer->ended = true;
    if (n <= 0) return;
    peer->bytes += (size_t)n;
    cr_assert_lt(peer->bytes, ROOM);
    /* One in flight: nothing may follow the end of a message. */
    if (memcmp(peer->in + peer->bytes - 2, "\x1c\r", 2) == 0) on_message(s, number, play_by);
}

static void receive(struct stage *s, script *play_by)
{
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        cr_assert_lt(s->peers, PEERS);
        s->peer[s->peers++].fd = fd;
    }
    for (int i = 0; i < s->peers; i++)
        receive_from(s, i, play_by);
}

static void note(void *arg, struct gate_span id, const char *suffix)
{
    struct stage *s = arg;
    char line[96];

    (void)snprintf(line, sizeof line, "%.*s%s ", (int)id.bytes, id.at, suffix);
    add(s->ids, line);
}

static void play(struct stage *s, script *play_by)
{
    struct gate_wire *wire = gate_wire_open(&s->opts, &s->plan, note, s);
    int turns = 0;

    cr_assert_not_null(wire);
    while (gate_wire_turn(wire, -1, 1)) {
        receive(s, play_by);
        cr_assert_lt(++turns, TURNS);
    }
    s->counts = *gate_wire_counts(wire);
    cr_assert_eq(s->counts.open, 0);
    cr_assert_eq(s->counts.sent, gate_wire_planned(wire));
    cr_assert_eq(s->counts.sent, s->counts.acknowledged + s->counts.refused + s->counts.lost);
    gate_wire_close(wire);
    for (int i = 0; i < s->peers; i++)
        receive_from(s, i, play_by);
}

/* -- scripts ------------------------------------------------------------------------------------
 */

static struct answer all_well(const struct arrival *arrival)
{
    (void)arrival;
    return (struct answer){ .code = "AA" };
}

static struct answer not_at_first(const struct arrival *arrival)
{
    return (struct answer){ .code = arrival->nth < 2 ? "AE" : "AA" };
}

static struct answer each_not_at_first(const struct arrival *arrival)
{
    return (struct answer){ .code = arrival->nth % 2 ? "AA" : "AE" };
}

static struct answer refuse_b(const struct arrival *arrival)
{
    return (struct answer){ .code = strcmp(arrival->id, "B") == 0 ? "AR" : "CA" };
}

static struct answer wrong_at_first(const struct arrival *arrival)
{
    return (struct answer){ .code = "AA", .id = arrival->nth == 0 ? "B" : NULL };
}

static struct answer silent_at_first(const struct arrival *arrival)
{
    return (struct answer){ .code = arrival->nth == 0 ? NULL : "AA" };
}

static struct answer break_at_first(const struct arrival *arrival)
{
    return (struct answer){ .code = arrival->nth == 0 ? NULL : "AA", .close = arrival->nth == 0 };
}

static struct answer twice(const struct arrival *arrival)
{
    (void)arrival;
    return (struct answer){ .code = "AA",
        .raw = "\x0bMSH|^~\\&|G|W|LAB|H|20260101||ACK|1|P|2.5\rMSA|AA|B\r\x1c\r" };
}

static struct answer nonsense_at_first(const struct arrival *arrival)
{
    if (arrival->nth == 0) return (struct answer){ .raw = "\x0bHELLO\x1c\r" };
    return (struct answer){ .code = "AA" };
}

static struct answer never(const struct arrival *arrival)
{
    (void)arrival;
    return (struct answer){ .code = "AE" };
}

/* -- the wire -----------------------------------------------------------------------------------
 */

Test(gate_send, sends_everything_and_tells_what_was_acknowledged)
{
    struct stage *s = new_stage();

    give(s, "A", "P1");
    give(s, "B", "P1");
    give(s, "C", "");
    play(s, all_well);
    cr_assert_str_eq(s->log, "A@0 B@0 C@0 ");
    cr_assert_str_eq(s->ids, "A B C ");
    cr_assert_eq(s->counts.acknowledged, 3);
    cr_assert_eq(s->counts.ack.count, 3);
    cr_assert_eq(s->counts.retried, 0);
    end_stage(s);
}

Test(gate_send, tries_again_on_the_same_connection_after_an_ae)
{
    struct stage *s = new_stage();

    give(s, "A", "P1");
    give(s, "B", "P1");
    play(s, not_at_first);
    cr_assert_str_eq(s->log, "A@0 A@0 A@0 B@0 ");
    cr_assert_str_eq(s->ids, "A B ");
    cr_assert_eq(s->counts.retried, 2);
    cr_assert_eq(s->counts.trouble[GATE_WIRE_AE], 2);
    end_stage(s);
}

Test(gate_send, does_not_repeat_what_was_refused_for_good)
{
    struct stage *s = new_stage();

    give(s, "A", "P1");
    give(s, "B", "P1");
    give(s, "C", "P1");
    play(s, refuse_b);
    cr_assert_str_eq(s->log, "A@0 B@0 C@0 ");
    cr_assert_str_eq(s->ids, "A C ");
    cr_assert_eq(s->counts.refused, 1);
    cr_assert_eq(s->counts.refused_for[GATE_HL7_OK], 1);
    end_stage(s);
}

Test(gate_send, takes_no_answer_that_is_for_another_message)
{
    struct stage *s = new_stage();

    give(s, "A", "P1");
    give(s, "B", "P1");
    play(s, wrong_at_first);
    cr_assert_str_eq(s->log, "A@0 A@1 B@1 ");
    cr_assert_str_eq(s->ids, "A B ");
    cr_assert(s->peer[0].ended);
    cr_assert_eq(s->counts.trouble[GATE_WIRE_WRONG], 1);
    end_stage(s);
}

Test(gate_send, takes_no_answer_that_cannot_be_read)
{
    struct stage *s = new_stage();

    give(s, "A", "P1");
    play(s, nonsense_at_first);
    cr_assert_str_eq(s->log, "A@0 A@1 ");
    cr_assert_eq(s->counts.trouble[GATE_WIRE_WRONG], 1);
    end_stage(s);
}

/* A second answer, for the message that comes next, must not count for it. */
Test(gate_send, drops_a_connection_that_answers_unasked)
{
    struct stage *s = new_stage();

    give(s, "A", "P1");
    give(s, "B", "P1");
    play(s, twice);
    cr_assert_str_eq(s->log, "A@0 B@1 ");
    cr_assert_str_eq(s->ids, "A B ");
    cr_assert_eq(s->counts.retried, 0);
    end_stage(s);
}

Test(gate_send, never_uses_a_connection_again_after_a_time_out)
{
    struct stage *s = new_stage();

    s->opts.ack_ms = 300;
    give(s, "A", "P1");
    give(s, "B", "P1");
    play(s, silent_at_first);
    cr_assert_str_eq(s->log, "A@0 A@1 B@1 ");
    cr_assert(s->peer[0].ended);
    cr_assert_eq(s->counts.trouble[GATE_WIRE_TIMEOUT], 1);
    cr_assert_eq(s->counts.acknowledged, 2);
    end_stage(s);
}

Test(gate_send, sends_again_what_was_in_flight_when_a_connection_broke)
{
    struct stage *s = new_stage();

    give(s, "A", "P1");
    give(s, "B", "P1");
    play(s, break_at_first);
    cr_assert_str_eq(s->log, "A@0 A@1 B@1 ");
    cr_assert_eq(s->counts.trouble[GATE_WIRE_BROKEN], 1);
    cr_assert_eq(s->counts.lost, 0);
    end_stage(s);
}

Test(gate_send, calls_lost_what_is_never_taken)
{
    struct stage *s = new_stage();

    s->opts.retry_ms = 0;
    give(s, "A", "P1");
    give(s, "B", "P1");
    play(s, never);
    cr_assert_str_eq(s->log, "A@0 B@0 ");
    cr_assert_str_eq(s->ids, "");
    cr_assert_eq(s->counts.lost, 2);
    end_stage(s);
}

/* The pause before a second try is longer than this window, which each message has anew. */
Test(gate_send, counts_the_window_from_the_first_failure_of_each_message)
{
    struct stage *s = new_stage();

    s->opts.retry_ms = 20;
    give(s, "A", "P1");
    give(s, "B", "P1");
    play(s, each_not_at_first);
    cr_assert_str_eq(s->log, "A@0 A@0 B@0 B@0 ");
    cr_assert_eq(s->counts.lost, 0);
    end_stage(s);
}

Test(gate_send, ends_when_nobody_listens)
{
    struct stage *s = new_stage();

    close(s->listen_fd);
    s->listen_fd = -1;
    s->opts.retry_ms = 1;
    for (int i = 0; i < 20; i++)
        give(s, "A", "P1");
    play(s, never);
    cr_assert_eq(s->counts.lost, 20);
    /* Only the first had a window; the others were tried once each. */
    cr_assert_leq(s->counts.trouble[GATE_WIRE_BROKEN], 22);
    end_stage(s);
}

Test(gate_send, makes_ids_unique_in_later_rounds_unless_told_not_to)
{
    struct stage *s = new_stage();

    s->opts.rounds = 3;
    give(s, "A", "P1");
    give(s, "", "P1");
    play(s, all_well);
    cr_assert_str_eq(s->log, "A@0 @0 A-r2@0 @0 A-r3@0 @0 ");
    cr_assert_str_eq(s->ids, "A  A-r2  A-r3  ");
    s->log[0] = '\0';
    s->opts.exact = true;
    play(s, all_well);
    cr_assert_str_eq(s->log, "A@1 @1 A@1 @1 A@1 @1 ");
    end_stage(s);
}

Test(gate_send, keeps_each_patient_on_one_connection_and_in_order)
{
    struct stage *s = new_stage();
    int peer_of[8] = { 0 };
    int last[8] = { 0 };
    const char *at;

    s->opts.connections = 4;
    for (int i = 0; i < 80; i++) {
        char id[32], patient[16];
        (void)snprintf(id, sizeof id, "%d.%d", i / 3 % 8, i + 1);
        (void)snprintf(patient, sizeof patient, "P%d^^^H", i / 3 % 8);
        give(s, id, patient);
    }
    play(s, all_well);
    cr_assert_gt(s->peers, 1);
    at = s->log;
    for (int seen = 0; seen < 80; seen++) {
        int patient, number, peer, length;
        cr_assert_eq(sscanf(at, "%d.%d@%d %n", &patient, &number, &peer, &length), 3);
        at += length;
        cr_assert(last[patient] == 0 || peer_of[patient] == peer);
        cr_assert_gt(number, last[patient]);
        last[patient] = number;
        peer_of[patient] = peer;
    }
    end_stage(s);
}

Test(gate_send, gives_each_connection_its_share_of_a_rate)
{
    struct stage *s = new_stage();
    int lead = 0;

    s->opts.connections = 2;
    s->opts.rate = 500;
    for (int i = 0; i < 20; i++) {
        give(s, "A", "P1");
        give(s, "B", "P2");
    }
    play(s, all_well);
    cr_assert_eq(s->peers, 2);
    for (const char *at = s->log; *at; at = strchr(at, ' ') + 1) {
        lead += *at == 'A' ? 1 : -1;
        cr_assert(lead >= -3 && lead <= 3, "one connection is %d messages ahead", lead);
    }
    cr_assert_eq(lead, 0);
    end_stage(s);
}

/* -- the plan -----------------------------------------------------------------------------------
 */

Test(gate_send, reads_folders_by_name_and_passes_over_what_is_not_hl7)
{
    struct stage *s = new_stage();
    char path[128];

    (void)snprintf(path, sizeof path, "%s/b", s->folder);
    cr_assert_eq(mkdir(path, 0700), 0);
    write_file(s, "c.HL7", "MSH|^~\\&|||||||A|4\n\nMSH|^~\\&|||||||A|5\n");
    write_file(s, "a.hl7", "stray\nMSH|^~\\&|||||||A|1\nPID|1||X\n");
    write_file(s, "b/2.hl7", "MSH|^~\\&|||||||A|2\n");
    write_file(s, "b/3.hl7", "MSH|^~\\&|||||||A|3\n");
    write_file(s, "b/index.tsv", "MSH|^~\\&|||||||A|no\n");
    cr_assert_eq(gate_plan_add(&s->plan, s->folder), 0);
    cr_assert_eq(s->plan.count, 5);
    cr_assert_eq(s->plan.skipped, 1);
    for (size_t i = 0; i < 5; i++) {
        cr_assert_eq(s->plan.messages[i].id.bytes, 1);
        cr_assert_eq(*s->plan.messages[i].id.at, (char)('1' + i));
    }
    (void)snprintf(path, sizeof path, "%s/none", s->folder);
    cr_assert_eq(gate_plan_add(&s->plan, path), ENOENT);
    remove_file(s, "c.HL7");
    remove_file(s, "a.hl7");
    remove_file(s, "b/2.hl7");
    remove_file(s, "b/3.hl7");
    remove_file(s, "b/index.tsv");
    remove_file(s, "b");
    end_stage(s);
}

/* -- times --------------------------------------------------------------------------------------
 */

Test(gate_send, follows_links_to_folders_and_files)
{
    struct stage *s = new_stage();
    char real[96], link[96];

    (void)snprintf(real, sizeof real, "%s/real", s->folder);
    (void)snprintf(link, sizeof link, "%s/link", s->folder);
    cr_assert_eq(mkdir(real, 0700), 0);
    cr_assert_eq(symlink("real", link), 0);
    write_file(s, "one.txt", "MSH|^~\\&|A|B|C|D|20260101||ADT^A01|one|P|2.5\r");
    (void)snprintf(real, sizeof real, "%s/real/one.hl7", s->folder);
    cr_assert_eq(symlink("../one.txt", real), 0);
    cr_assert_eq(gate_plan_add(&s->plan, link), 0);
    cr_assert_eq(s->plan.count, 1);
    remove_file(s, "one.txt"); /* now the link leads nowhere */
    cr_assert_eq(gate_plan_add(&s->plan, link), ENOENT);
    remove_file(s, "real/one.hl7");
    remove_file(s, "real");
    remove_file(s, "link");
    end_stage(s);
}

Test(gate_send, tells_shares_of_times_to_three_parts_in_a_hundred)
{
    struct stage *s = new_stage();
    int64_t max;

    cr_assert_eq(gate_wire_share_us(&s->counts.ack, 0.5), 0);
    give(s, "A", "P1");
    play(s, all_well);
    max = s->counts.ack.max_us;
    cr_assert_eq(gate_wire_share_us(&s->counts.ack, 0.5), max);
    /* Nine more of the greatest group: the half lies at the greatest time, the tenth below. */
    s->counts.ack.count += 9;
    s->counts.ack.in_group[GATE_WIRE_TIMES - 1] += 9;
    s->counts.ack.max_us = INT64_C(1) << 40;
    cr_assert_geq(gate_wire_share_us(&s->counts.ack, 0.1), max);
    cr_assert_leq(gate_wire_share_us(&s->counts.ack, 0.1), max + max / 32 + 1);
    cr_assert_gt(gate_wire_share_us(&s->counts.ack, 0.5), INT64_C(1) << 35);
    end_stage(s);
}
