/* SPDX-License-Identifier: MIT */
/*
 * link_hostile.c - what comes to a listener that is no peer, or a peer that has lost its mind:
 * silence, garbage, frames that are cut off, too long, out of turn or made up; a peer that reads
 * nothing; more connections than there is room for. Each is closed, nothing crashes or leaks, and
 * an honest link beside it goes on.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "base/random.h"
#include "tests/support/link_fixture.h"

enum { DEAD_MS = 1500, ANSWER_MS = 8000 };

struct enemy {
    int fd;
    struct ward__heap heap;
    struct ward__buf out;
};

/* -- raw connections --------------------------------------------------------------------------- */

static int dial(const char *url)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    bool tcp = url[0] == 't';
    int fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0), failed;

    if (fd < 0) return -1;
    in.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
    if (!tcp) strncpy(un.sun_path, url + strlen("ipc://"), sizeof un.sun_path - 1);
    failed = connect(fd, tcp ? (void *)&in : (void *)&un, tcp ? sizeof in : sizeof un);
    if (!failed) return fd;
    close(fd);
    return -1;
}

static void enemy_open(struct enemy *enemy, const char *url)
{
    *enemy = (struct enemy){ .fd = dial(url) };
    ward__heap_init(&enemy->heap, NULL, NULL, SIZE_MAX);
    enemy->out.heap = &enemy->heap;
    CHECK(enemy->fd >= 0);
}

static void enemy_close(struct enemy *enemy)
{
    ward__buf_drop(&enemy->out);
    close(enemy->fd);
}

static void put_bytes(struct enemy *enemy, const void *at, size_t bytes)
{
    (void)!send(enemy->fd, at, bytes, MSG_NOSIGNAL);
}

static void put(struct enemy *enemy, const struct ward__frame *frame)
{
    enemy->out.bytes = 0;
    CHECK_IS(ward__wire_put(&enemy->out, frame, 1 << 20), WARD_OK);
    put_bytes(enemy, enemy->out.data, enemy->out.bytes);
}

static const struct ward__frame welcome = { .kind = WARD__FRAME_WELCOME };

static struct ward__frame hello(const char *name)
{
    return (struct ward__frame){ .kind = WARD__FRAME_HELLO,
        .version = WARD__WIRE_VERSION,
        .text = { name, strlen(name) },
        .node = 0x5eed,
        .incarnation = 1,
        .frame_max = 1 << 20,
        .dead_ms = 60000 };
}

/* Reads until the other side closes; false: it has not in time. */
static bool is_closed(const struct enemy *enemy)
{
    struct pollfd poller = { .fd = enemy->fd, .events = POLLIN };
    char bytes[65536];

    while (poll(&poller, 1, ANSWER_MS) == 1)
        if (recv(enemy->fd, bytes, sizeof bytes, 0) <= 0) return true;
    return false;
}

/* The same of a peer that is not silent. */
static bool is_closed_though_alive(struct enemy *enemy)
{
    static const struct ward__frame ping = { .kind = WARD__FRAME_PING };

    for (int i = 0; i < ANSWER_MS / 100; i++) {
        struct pollfd poller = { .fd = enemy->fd, .events = POLLIN };
        char bytes[4096];
        put(enemy, &ping);
        while (poll(&poller, 1, 100) == 1)
            if (recv(enemy->fd, bytes, sizeof bytes, 0) <= 0) return true;
    }
    return false;
}

/* Until a frame of that kind; false: closed, or too late. */
static bool await(struct enemy *enemy, enum ward__frame_kind kind, ward_status status)
{
    uint8_t bytes[4096];
    size_t have = 0;

    for (;;) {
        struct pollfd poller = { .fd = enemy->fd, .events = POLLIN };
        struct ward__frame frame;
        size_t length;
        ssize_t got;
        while (!ward__wire_frame((ward_bytes){ bytes, have }, 1 << 20, &length) && length &&
               length <= have) {
            if (ward__wire_read(&frame, (ward_bytes){ bytes, length })) return false;
            if (frame.kind == kind && frame.status == status) return true;
            memmove(bytes, bytes + length, have - length);
            have -= length;
        }
        if (poll(&poller, 1, ANSWER_MS) != 1) return false;
        got = recv(enemy->fd, bytes + have, sizeof bytes - have, 0);
        if (got <= 0) return false;
        have += (size_t)got;
    }
}

/* A peer like any other, so far. Its predecessor may not be forgotten yet, and then it is refused
 * and comes again. */
static void befriend(struct enemy *enemy, const char *url, const char *name)
{
    struct ward__frame first = hello(name);
    bool welcomed = false;

    for (int i = 0; i < 1000 && !welcomed; i++) {
        enemy_open(enemy, url);
        put(enemy, &first);
        put(enemy, &welcome);
        welcomed = await(enemy, WARD__FRAME_WELCOME, WARD_OK);
        if (!welcomed) enemy_close(enemy);
    }
    CHECK(welcomed);
}

/* -- before HELLO ------------------------------------------------------------------------------ */

enum attack {
    SILENCE,
    HTTP,
    NO_LENGTH,
    TOO_LONG,
    UNKNOWN_KIND,
    CUT_OFF,
    WRONG_MAGIC,
    WRONG_VERSION,
    WRONG_NAME,
    MAIL_FIRST,
    TWO_HELLOS,
    MAIL_BEFORE_WELCOME,
    ATTACKS
};

static void attack(struct enemy *enemy, enum attack kind)
{
    static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct ward__frame first = hello("enemy"), mail = {
        .kind = WARD__FRAME_SEND, .slot = 2, .life = 1, .type = &COUNT, .source = "mail"
    };

    enemy->out.bytes = 0;
    switch (kind) {
    case SILENCE: return;
    case HTTP: put_bytes(enemy, http, sizeof http - 1); return;
    case NO_LENGTH: put_bytes(enemy, "\0\0\0\0\1", 5); return;
    case TOO_LONG: put_bytes(enemy, "\0\0\1\1\1", 5); return;
    case UNKNOWN_KIND: put_bytes(enemy, "\0\0\0\2\x63\x90", 6); return;
    case CUT_OFF:
        CHECK_IS(ward__wire_put(&enemy->out, &first, 1 << 20), WARD_OK);
        put_bytes(enemy, enemy->out.data, enemy->out.bytes - 3);
        return;
    case WRONG_MAGIC:
        CHECK_IS(ward__wire_put(&enemy->out, &first, 1 << 20), WARD_OK);
        enemy->out.data[WARD__FRAME_HEAD + 3] ^= 1;
        put_bytes(enemy, enemy->out.data, enemy->out.bytes);
        return;
    case WRONG_VERSION: first.version = 99; break;
    case WRONG_NAME: first.text = (ward_bytes){ "a name/with a slash", 19 }; break;
    case MAIL_FIRST: put(enemy, &mail); return;
    case TWO_HELLOS: put(enemy, &first); break;
    case MAIL_BEFORE_WELCOME:
        put(enemy, &first);
        put(enemy, &mail);
        return;
    case ATTACKS: return;
    }
    put(enemy, &first);
}

static void strangers_are_closed(const char *url)
{
    struct enemy enemies[ATTACKS];

    for (int i = 0; i < ATTACKS; i++) {
        enemy_open(&enemies[i], url);
        attack(&enemies[i], (enum attack)i);
    }
    for (int i = 0; i < ATTACKS; i++) {
        if (!CHECK(is_closed(&enemies[i]))) fprintf(stderr, "attack %d\n", i);
        enemy_close(&enemies[i]);
    }
}

/* Now and then a byte does not keep it open. */
static void drops_do_not_help(const char *url)
{
    struct ward__frame first = hello("dripper");
    int64_t until = ward__now_ns() + ANSWER_MS * (int64_t)WARD__NS_MS;
    struct enemy enemy;
    size_t at = 0;
    char byte;
    bool open = true;

    enemy_open(&enemy, url);
    CHECK_IS(ward__wire_put(&enemy.out, &first, 1 << 20), WARD_OK);
    while (open && ward__now_ns() < until) {
        struct pollfd poller = { .fd = enemy.fd, .events = POLLIN };
        if (at < 20) put_bytes(&enemy, enemy.out.data + at++, 1);
        while (open && poll(&poller, 1, 150) == 1)
            open = recv(enemy.fd, &byte, 1, 0) > 0;
    }
    CHECK(!open);
    enemy_close(&enemy);
}

/* -- peers that lost their mind ---------------------------------------------------------------- */

static void made_up_frames_are_survived(const char *url, ward_ref hang)
{
    struct ward__frame ask = { .kind = WARD__FRAME_ASK,
        .id = 7,
        .slot = hang.slot,
        .life = hang.life,
        .ms_left = INT64_MAX,
        .type = &COUNT,
        .source = "question" };
    struct ward__frame frame = ask;
    struct enemy enemy;

    befriend(&enemy, url, "liar");
    frame.type = NULL;
    frame.type_name = (ward_bytes){ "note", 4 };
    frame.value = (ward_bytes){ "\x01", 1 }; /* no note */
    put(&enemy, &frame);
    CHECK(await(&enemy, WARD__FRAME_REPLY, WARD_EINVAL));
    frame = ask;
    frame.slot = 1; /* the root */
    put(&enemy, &frame);
    CHECK(await(&enemy, WARD__FRAME_REPLY, WARD_EGONE));
    for (unsigned i = 0; i < 4; i++) { /* ids that nobody asked by */
        frame = (struct ward__frame){ .kind = WARD__FRAME_REPLY,
            .id = (uint64_t)i << 32 | 1,
            .type = &COUNT,
            .source = "answer" };
        put(&enemy, &frame);
        frame = (struct ward__frame){ .kind = WARD__FRAME_FOUND, .id = (uint64_t)i << 32 | 1 };
        put(&enemy, &frame);
        frame = (struct ward__frame){ .kind = WARD__FRAME_DOWN, .id = i };
        put(&enemy, &frame);
        frame = (struct ward__frame){ .kind = WARD__FRAME_CANCEL, .id = i };
        put(&enemy, &frame);
        frame = (struct ward__frame){ .kind = WARD__FRAME_DEMONITOR, .id = i };
        put(&enemy, &frame);
        frame = (struct ward__frame){ .kind = WARD__FRAME_STOP, .slot = i, .life = i };
        put(&enemy, &frame);
    }
    frame = (struct ward__frame){ .kind = WARD__FRAME_MONITOR, .id = 1, .slot = 1u << 30 };
    put(&enemy, &frame);
    CHECK(await(&enemy, WARD__FRAME_DOWN, WARD_EGONE));
    frame = (struct ward__frame){ .kind = WARD__FRAME_FIND, .id = 1, .text = { "x", 1 } };
    put(&enemy, &frame);
    CHECK(await(&enemy, WARD__FRAME_FOUND, WARD_EINVAL));
    put(&enemy, &ask);
    put(&enemy, &ask); /* that id is open */
    CHECK(is_closed_though_alive(&enemy));
    enemy_close(&enemy);
}

static ward_status ask_desk(ward_self *self)
{
    const ward_msg *answer;
    struct note note = { 0 };

    return ward_ask(
        self, &answer, *(ward_ref *)ward_arg(self), &NOTE, &note, ward_in_ms(self, 60000));
}

/* The site asks the desk; somebody else has an answer. */
static void only_who_was_asked_answers(const char *url, struct pair *pair)
{
    struct ward__frame reply = { .kind = WARD__FRAME_REPLY, .type = &COUNT, .source = "a forgery" };
    struct ward__frame find = { .kind = WARD__FRAME_FIND, .id = 1, .text = { "x", 1 } };
    struct ward__net *net = net_of_node(pair->site);
    struct ward__entry *entry;
    struct enemy enemy;
    ward_ref at, asker;

    CHECK_IS(ward_spawn(pair->self, &at, &(ward_spec){ .name = "deaf", .body = deaf }), WARD_OK);
    CHECK_IS(
        ward_spawn(ward_outside(pair->site), &asker,
            &(ward_spec){ .name = "asker", .body = ask_desk, .arg = &at, .arg_bytes = sizeof at }),
        WARD_OK);
    EVENTUALLY(asks_out(pair->site) == 1);
    pthread_mutex_lock(&net->lock);
    entry = ward__map_take_any(&net->pending);
    if (CHECK(entry != NULL)) {
        reply.id = entry->key;
        CHECK(ward__map_put(&net->pending, entry));
    }
    pthread_mutex_unlock(&net->lock);
    befriend(&enemy, url, "forger");
    put(&enemy, &reply);
    put(&enemy, &find); /* its answer comes after the forgery was looked at */
    CHECK(await(&enemy, WARD__FRAME_FOUND, WARD_EINVAL));
    CHECK_IS(asks_out(pair->site), 1);
    enemy_close(&enemy);
    ward_cancel(ward_outside(pair->site), asker);
    EVENTUALLY(asks_out(pair->site) == 0);
    ward_cancel(pair->self, at);
}

/* Frames with bytes changed, until the link is closed, again and again. */
static void changed_bytes_are_survived(const char *url, ward_ref hang)
{
    uint64_t chance = 1;

    for (int round = 0; round < SCALED(200); round++) {
        struct ward__frame ask = { .kind = WARD__FRAME_ASK,
            .slot = hang.slot,
            .life = hang.life,
            .ms_left = 50,
            .type = &NOTE,
            .source = &(struct note){ .text = "question" } };
        struct enemy enemy;
        befriend(&enemy, url, "noise");
        for (int i = 0; i < 50; i++) {
            ask.id = (uint64_t)i;
            enemy.out.bytes = 0;
            CHECK_IS(ward__wire_put(&enemy.out, &ask, 1 << 20), WARD_OK);
            if (i % 4 == 3)
                enemy.out.data[4 + ward__random_below(&chance, (uint32_t)enemy.out.bytes - 4)] =
                    (uint8_t)ward__random(&chance);
            put_bytes(&enemy, enemy.out.data, enemy.out.bytes);
        }
        enemy_close(&enemy); /* with what it has not read */
    }
}

static void a_silent_peer_is_dead(const char *url)
{
    struct enemy enemy;

    befriend(&enemy, url, "mute");
    CHECK(is_closed(&enemy));
    enemy_close(&enemy);
}

/* Who may wait waits for the link, until its deadline. */
static void parked_at_a_full_link(ward_node *site, ward_ref to, const char *text)
{
    const ward_msg *answer;
    ward_self *self;

    CHECK_IS(ward_attach(site, &self, NULL), WARD_OK);
    CHECK_IS(ward_send_by(self, to, &COUNT, text, ward_in_ms(self, 20)), WARD_ETIMEDOUT);
    CHECK_IS(ward_ask(self, &answer, to, &COUNT, text, ward_in_ms(self, 20)), WARD_ETIMEDOUT);
    CHECK_IS(ward_send(self, to, &COUNT, text), WARD_EFULL);
    ward_detach(self);
}

/* It says that it lives and reads nothing: who sends to it is told, and then it is given up. */
static void a_peer_that_does_not_read_is_given_up(const char *url, ward_node *site)
{
    static const struct ward__frame ping = { .kind = WARD__FRAME_PING };
    ward_ref to = { 0x5eed, 5, 5 };
    struct enemy enemy;
    ward_status rc = WARD_OK;
    static char text[4096];
    int sent = 0, full = 0;

    befriend(&enemy, url, "glutton");
    memset(text, 't', sizeof text - 1);
    EVENTUALLY(sessions_up(site) == 2);
    while (sent < 100000 && full < 100) { /* until the kernel takes no more either */
        rc = ward_send(ward_outside(site), to, &COUNT, text);
        full = rc == WARD_EFULL ? full + 1 : 0;
        sent += rc == WARD_OK;
        if (rc == WARD_EFULL) usleep(1000);
        if (rc != WARD_EFULL && !CHECK_IS(rc, WARD_OK)) break;
    }
    CHECK_IS(rc, WARD_EFULL);
    parked_at_a_full_link(site, to, text);
    CHECK(sent >= 1000); /* the 4 MiB of a link, and what the kernel took */
    for (int i = 0; i < 100 && sessions_up(site) == 2; i++) {
        put(&enemy, &ping);
        usleep(100000);
    }
    CHECK_IS(sessions_up(site), 1);
    CHECK_IS(ward_send(ward_outside(site), to, &COUNT, text), WARD_ELINK);
    enemy_close(&enemy);
}

/* -- room ---------------------------------------------------------------------------------------
 */

static void a_peer_cannot_take_what_was_never_written(const char *url)
{
    struct ward__frame taken = { .kind = WARD__FRAME_TAKEN, .id = UINT64_MAX };
    struct enemy enemy;

    befriend(&enemy, url, "hoarder");
    put(&enemy, &taken);
    CHECK(is_closed_though_alive(&enemy));
    enemy_close(&enemy);
}

/* It sends on to an actor that has no room, whatever it is told. */
static void mail_that_waits_is_bounded(const char *url, const struct pair *pair, ward_ref deaf_at)
{
    struct ward__net *net = net_of_node(pair->site);
    uint64_t before = ward__load(&net->refused_here);
    static char text[4000];
    struct ward__frame mail = { .kind = WARD__FRAME_SEND,
        .slot = deaf_at.slot,
        .life = deaf_at.life,
        .type = &COUNT,
        .source = text };
    size_t bytes = ward__load(&pair->site->heap.bytes);
    struct enemy enemy;

    befriend(&enemy, url, "bully");
    memset(text, 't', sizeof text - 1);
    for (int i = 0; i < 3 * (WARD__HELD_MAX / (int)sizeof text); i++)
        put(&enemy, &mail);
    CHECK(await(&enemy, WARD__FRAME_REFUSED, WARD_EFULL));
    CHECK(ward__load(&net->refused_here) > before);
    CHECK(ward__load(&pair->site->heap.bytes) < bytes + WARD__HELD_MAX + (2 << 20));
    enemy_close(&enemy);
}

static void what_a_peer_says_of_its_room_is_bounded(const char *url, const struct pair *pair)
{
    struct ward__net *net = net_of_node(pair->site);
    struct ward__frame full = { .kind = WARD__FRAME_FULL, .life = 1 };
    struct enemy enemy;

    befriend(&enemy, url, "snob");
    for (full.slot = 1; full.slot <= 2 * WARD__FULLS_MAX; full.slot++)
        put(&enemy, &full);
    EVENTUALLY(ward__load(&net->fulls) == WARD__FULLS_MAX);
    CHECK_IS(
        ward_send(ward_outside(pair->site), (ward_ref){ 0x5eed, 5, 1 }, &COUNT, "x"), WARD_EFULL);
    enemy_close(&enemy);
    EVENTUALLY(ward__load(&net->fulls) == 0);
}

/* -- crowds ------------------------------------------------------------------------------------ */

static void come_and_go(const char *url)
{
    for (int i = 0; i < SCALED(500); i++) {
        int fd = dial(url);
        if (fd >= 0) close(fd);
    }
}

static void a_crowd_of_strangers_is_bounded(const char *url, const struct pair *pair)
{
    struct ward__net *net = net_of_node(pair->site);
    int fds[300];
    uint32_t most = 0;

    for (int i = 0; i < 300; i++) {
        fds[i] = dial(url);
        pthread_mutex_lock(&net->lock);
        if (net->sessions_count > most) most = net->sessions_count;
        pthread_mutex_unlock(&net->lock);
    }
    CHECK(most <= WARD__STRANGERS_MAX + 2);
    for (int i = 0; i < 300; i++)
        if (fds[i] >= 0) close(fds[i]);
}

/* The listener runs out of descriptors, waits, and takes up again. */
static void no_descriptors_is_no_end(struct pair *pair)
{
    struct rlimit before, less;
    int fds[200], count = 0, probe = dup(0);
    char url[WARD__URL_MAX];
    ward_node *other = open_node("other", NULL);
    ward_ref ref = { 0 };
    ward_self *self;

    new_url(url, true);
    CHECK_IS(ward_listen(pair->site, url, NULL), WARD_OK);
    CHECK_IS(ward_attach(other, &self, NULL), WARD_OK);
    getrlimit(RLIMIT_NOFILE, &before);
    less = before;
    less.rlim_cur = (rlim_t)probe + 21;
    setrlimit(RLIMIT_NOFILE, &less);
    while (count < 200 && (fds[count] = dial(url)) >= 0)
        count++;
    CHECK(count < 200);
    usleep(50000); /* for the listener to see it; no check hangs on it */
    while (count > 0)
        close(fds[--count]);
    setrlimit(RLIMIT_NOFILE, &before);
    CHECK_IS(ward_connect(other, url, NULL), WARD_OK);
    CHECK_IS(ward_find(self, &ref, "site:/echo", ward_in_ms(self, 10000)), WARD_OK);
    ward_detach(self);
    check_close(other);
    ward_unlink_url(pair->site, url);
    close(probe);
}

static void the_honest_link_works(struct pair *pair)
{
    const ward_msg *answer;

    CHECK_IS(ward_ask(pair->self, &answer, find(pair, "echo"), &NOTE, &(struct note){ .id = 1 },
                 soon(pair)),
        WARD_OK);
    CHECK_IS(pair->at_desk.downs, 0);
}

static void against(bool tcp)
{
    struct pair pair = { 0 };
    char url[WARD__URL_MAX];
    ward_ref hang;

    new_url(pair.url, tcp);
    new_url(url, tcp);
    open_site(&pair);
    CHECK_IS(ward_listen(pair.site, url, &(ward_link_opts){ .dead_ms = DEAD_MS }), WARD_OK);
    open_desk(&pair, NULL);
    hang = find(&pair, "hang");
    strangers_are_closed(url);
    the_honest_link_works(&pair);
    drops_do_not_help(url);
    made_up_frames_are_survived(url, hang);
    only_who_was_asked_answers(url, &pair);
    the_honest_link_works(&pair);
    changed_bytes_are_survived(url, hang);
    a_silent_peer_is_dead(url);
    a_peer_that_does_not_read_is_given_up(url, pair.site);
    the_honest_link_works(&pair);
    come_and_go(url);
    a_peer_cannot_take_what_was_never_written(url);
    mail_that_waits_is_bounded(url, &pair, find(&pair, "deaf"));
    what_a_peer_says_of_its_room_is_bounded(url, &pair);
    the_honest_link_works(&pair);
    a_crowd_of_strangers_is_bounded(url, &pair);
    the_honest_link_works(&pair);
    no_descriptors_is_no_end(&pair);
    the_honest_link_works(&pair);
    CHECK(ward__load(&net_of_node(pair.site)->broken_off) >= ATTACKS);
    close_pair(&pair);
}

int main(void)
{
    check_begin("hostile bytes on a link");
    if (!mkdtemp(link_dir)) return 1;
    against(false);
    against(true);
    CHECK_IS(rmdir(link_dir), 0);
    return check_end();
}
