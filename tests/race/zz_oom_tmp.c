#include "tests/support/link_fixture.h"
static void ev(void *hook, const ward_event *event){ char t[300]; ward_event_text(event,t,sizeof t); fprintf(stderr,"   %s %lld %s\n",(char*)hook,(long long)event->at_ns/1000,t); }
int main(int argc, char **argv)
{
    check_begin("oom"); (void)argc;
    if (!mkdtemp(link_dir)) return 1;
    int side = atoi(argv[1]), from=atoi(argv[2]), to=atoi(argv[3]);
    for (int n = from; n < to; n++) {
        struct pair pair = { 0 }; ward_ref ref = { 0 }; const ward_msg *a; ward_status rc = 0;
        new_url(pair.url, n & 1); open_site(&pair);  pair.desk = to==from+1 ? check_open(&(ward_opts){.name="desk",.table=&note_table,.hook="desk",.on_event=ev}):open_node("desk", &pair.at_desk);
        CHECK_IS(ward_attach(pair.desk, &pair.self, NULL), 0);
        ward_node *victim = side ? pair.site : pair.desk;
        ward__store(&victim->heap.fail_in, n);
        rc = ward_connect(pair.desk, pair.url, NULL);
        if (!rc) rc = ward_find(pair.self, &ref, "site:/echo", ward_in_ms(pair.self, 60));
        if (!rc) rc = ward_ask(pair.self, &a, ref, &NOTE, &(struct note){ .text = "a text that does not fit inside the message at all" }, ward_in_ms(pair.self, 60));
        if (!rc) rc = ward_monitor(pair.self, ref);
        if (!rc) rc = ward_send(pair.self, ref, &NOTE, &(struct note){ .back = ward_me(pair.self) });
        if (!rc) rc = ward_receive(pair.self, &a, ward_in_ms(pair.self, 60));
        ward__store(&victim->heap.fail_in, -1);
        printf("side %d n %d: %s; left %lld\n", side, n, ward_strerror(rc),(long long)ward__load(&victim->heap.fail_in));
        ward_status c=ward_connect(pair.desk, pair.url, NULL);
        rc=ward_find(pair.self, &ref, "site:/echo", ward_in_ms(pair.self,3000));
        if(rc){ printf("FAILED n %d connect again %d up %d %d, sessions %u asks %u\n", n,c, sessions_up(pair.desk),sessions_up(pair.site),net_of_node(pair.desk)->sessions_count, asks_out(pair.desk)); struct ward__session *s = LIST_FIRST(&net_of_node(pair.desk)->sessions); printf("sending %d waiting %zu going %zu gone %zu late %d in %zu cap %zu\n", s->link.sending, s->link.waiting.bytes, s->link.going.bytes, s->link.gone, s->link.late, s->link.in.bytes, s->link.in.cap); s = LIST_FIRST(&net_of_node(pair.site)->sessions); printf("site seekers %u sending %d waiting %zu going %zu gone %zu late %d in %zu cap %zu\n", s->seekers.count, s->link.sending, s->link.waiting.bytes, s->link.going.bytes, s->link.gone, s->link.late, s->link.in.bytes, s->link.in.cap); fflush(stdout);}
        close_pair(&pair);
    }
    return check_end();
}
