// SPDX-License-Identifier: GPL-2.0
/*
 * Requests that no library would build, from several processes at once, whose
 * descriptors change under way; meanwhile what was attached by accident is
 * listed and detached. The kernel has to survive it, go on answering, and end
 * up with nothing attached.
 *
 * usage: nlfuzz [-s SEED] [-t SECONDS] [-p PROCESSES] FILE...
 *
 * The first two FILEs are opened for writing, too; no other may be, or it would be
 * no parent. Before that, a table of requests each of which must be refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "nl.h"
#include "rawlink.h"

/* Descriptors whose meaning changes: above all others. */
#define POOL_FIRST	200
#define POOL		32
#define PROBE_EVERY	256
#define SWEEPS		600

/* Of all processes together. */
struct totals {
	u64 sent;
	u64 answers;
	u64 good;
	u64 probes;
};

static struct totals *totals;
static unsigned int bad;

static void verdict(bool good, const char *text)
{
	bad += !good;
	printf("%s - %s\n", good ? "ok" : "not ok", text);
	fflush(stdout);
}

/* Each must be refused; the body is written by @put. */
struct refusal {
	const char *text;
	u8 cmd;
	u16 flags;
	int err;
	void (*put)(struct msg *m, u32 arg);
	u32 arg;
};

static void put_nothing(struct msg *m, u32 arg)
{
}

static void put_index(struct msg *m, u32 arg)
{
	msg_u32(m, VHDBLK_A_INDEX, arg);
}

static void put_job(struct msg *m, u32 arg)
{
	msg_u32(m, VHDBLK_A_JOB, arg);
}

static void put_flags(struct msg *m, u32 arg)
{
	msg_u32(m, VHDBLK_A_INDEX, 0);
	msg_u32(m, VHDBLK_A_FLAGS, arg);
}

static void put_layers(struct msg *m, u32 nr)
{
	size_t nest;

	while (nr--) {
		nest = msg_nest(m, VHDBLK_A_LAYER);
		msg_u32(m, VHDBLK_A_LAYER_FD, 0);
		msg_nest_end(m, nest);
	}
}

static void put_layer_flags(struct msg *m, u32 arg)
{
	size_t nest = msg_nest(m, VHDBLK_A_LAYER);

	msg_u32(m, VHDBLK_A_LAYER_FD, 0);
	msg_u32(m, VHDBLK_A_LAYER_FLAGS, arg);
	msg_nest_end(m, nest);
}

static void put_layer_without(struct msg *m, u32 type)
{
	size_t nest = msg_nest(m, VHDBLK_A_LAYER);

	msg_u32(m, type, 0);
	msg_nest_end(m, nest);
}

static void put_flat_layer(struct msg *m, u32 arg)
{
	u32 inner[2] = { 8 | VHDBLK_A_LAYER_FD << 16, 0 };

	msg_attr(m, VHDBLK_A_LAYER, inner, sizeof(inner));
}

static void put_short_fd(struct msg *m, u32 len)
{
	size_t nest = msg_nest(m, VHDBLK_A_LAYER);

	msg_attr(m, VHDBLK_A_LAYER_FD, "\0\0\0\0\0\0\0", len);
	msg_nest_end(m, nest);
}

static void put_size_rule(struct msg *m, u32 arg)
{
	msg_u32(m, VHDBLK_A_SIZE_RULE, arg);
	put_layers(m, 1);
}

static void put_name(struct msg *m, u32 len)
{
	char name[128];

	memset(name, 'n', sizeof(name));
	msg_u32(m, VHDBLK_A_INDEX, 0);
	msg_attr(m, VHDBLK_A_NAME, name, len);
}

static void put_unknown(struct msg *m, u32 type)
{
	msg_u32(m, VHDBLK_A_INDEX, 0);
	msg_u32(m, type, 0);
}

static void put_garbage(struct msg *m, u32 len)
{
	msg_u32(m, VHDBLK_A_INDEX, 0);
	memset(m->data + m->len, 0xff, len);
	m->len += len;
}

#define ATTACH	VHDBLK_CMD_ATTACH, NLM_F_ACK
#define DETACH	VHDBLK_CMD_DETACH, NLM_F_ACK
#define GET	VHDBLK_CMD_GET, NLM_F_ACK
#define SET	VHDBLK_CMD_SET, NLM_F_ACK

/* No device is attached; 0 as an error means any. */
static const struct refusal refusals[] = {
	{ "attach nothing", ATTACH, EINVAL, put_nothing, 0 },
	{ "attach a layer without a descriptor", ATTACH, EINVAL, put_layer_without,
	  VHDBLK_A_LAYER_FLAGS },
	{ "attach a layer that is no nest", ATTACH, EINVAL, put_flat_layer, 0 },
	{ "attach a descriptor of 2 bytes", ATTACH, 0, put_short_fd, 2 },
	{ "attach a descriptor of 7 bytes", ATTACH, 0, put_short_fd, 7 },
	{ "attach 256 layers", ATTACH, EOPNOTSUPP, put_layers, 256 },
	{ "attach with unknown flags", ATTACH, EINVAL, put_flags, 64 },
	{ "attach with all flags", ATTACH, EINVAL, put_flags, ~0u },
	{ "attach a layer with unknown flags", ATTACH, EINVAL, put_layer_flags, 8 },
	{ "attach with an unknown size rule", ATTACH, 0, put_size_rule, 3 },
	{ "attach with an unknown attribute in a layer", ATTACH, EINVAL, put_layer_without, 12 },
	{ "attach with an index", ATTACH, EINVAL, put_index, 0 },
	{ "detach nothing", DETACH, EINVAL, put_nothing, 0 },
	{ "detach with unknown flags", DETACH, EINVAL, put_flags, 4 },
	{ "detach with a job", DETACH, EINVAL, put_job, 1 },
	{ "get nothing", GET, EINVAL, put_nothing, 0 },
	{ "get what is not there", GET, ENODEV, put_index, 0x7fffffff },
	{ "get index -1", GET, ENODEV, put_index, ~0u },
	{ "get job 0", GET, ENOENT, put_job, 0 },
	{ "get job -1", GET, ENOENT, put_job, ~0u },
	{ "get with flags", GET, EINVAL, put_flags, 0 },
	{ "set nothing", SET, EINVAL, put_nothing, 0 },
	{ "set what is not there", SET, ENODEV, put_index, 77 },
	{ "set unknown flags", SET, EINVAL, put_flags, 8 },
	{ "set a flag of attach that cannot be set", SET, EINVAL, put_flags, 1 },
	{ "set a name that does not end", SET, EINVAL, put_name, 20 },
	{ "set a long name", SET, 0, put_name, 100 },
	{ "an unknown attribute", GET, EINVAL, put_unknown, 30 },
	{ "attribute 0", GET, 0, put_unknown, 0 },
	{ "3 bytes too many", GET, EINVAL, put_garbage, 3 },
	{ "8 bytes of garbage behind", GET, EINVAL, put_garbage, 8 },
	{ "command 0", 0, NLM_F_ACK, EOPNOTSUPP, put_nothing, 0 },
	{ "an event as a command", VHDBLK_CMD_EVENT, NLM_F_ACK, EOPNOTSUPP, put_nothing, 0 },
	{ "command 255", 255, NLM_F_ACK, EOPNOTSUPP, put_nothing, 0 },
	{ "a dump of attach", VHDBLK_CMD_ATTACH, NLM_F_DUMP, EOPNOTSUPP, put_nothing, 0 },
	{ "a dump of set", VHDBLK_CMD_SET, NLM_F_DUMP, EOPNOTSUPP, put_nothing, 0 },
};

static void refuse_all(struct link *l)
{
	static struct msg m;
	char text[160];
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(refusals); i++) {
		const struct refusal *r = &refusals[i];

		m.len = 0;
		msg_begin(&m, l->family, NLM_F_REQUEST | r->flags, r->cmd, ++l->seq);
		r->put(&m, r->arg);
		msg_end(&m);
		err = -link_call(l, &m, NULL);
		snprintf(text, sizeof(text), "refused: %s: %s", r->text, strerror(err));
		verdict(r->err ? err == r->err : err > 0, text);
	}
}

static int source[64];
static unsigned int nr_sources;

static void add_source(int fd)
{
	if (fd >= 0 && nr_sources < ARRAY_SIZE(source))
		source[nr_sources++] = fd;
}

static void open_sources(char **file, int nr)
{
	static const int modes[] = { O_RDWR, O_RDWR, O_RDONLY, O_WRONLY, O_PATH };
	int pipes[2], i;

	for (i = 0; i < (int)ARRAY_SIZE(modes) * nr; i++)
		add_source(open(file[i % nr], O_CLOEXEC |
				(i % nr < 2 ? modes[i / nr] : modes[i / nr] & O_PATH)));
	add_source(open("/dev/null", O_RDWR));
	add_source(open("/", O_RDONLY));
	add_source(open("/proc/self/mem", O_RDWR));
	add_source(memfd_create("nlfuzz", 0));
	add_source(socket(AF_UNIX, SOCK_STREAM, 0));
	if (!pipe(pipes))
		add_source(pipes[0]);
}

/* The table of descriptors changes while the kernel looks into it. */
static void *shuffle(void *arg)
{
	struct rng r = { (uintptr_t)arg };
	int to;

	for (;;) {
		to = POOL_FIRST + rng_below(&r, POOL);
		if (rng_one_in(&r, 4))
			close(to);
		else
			dup2(source[rng_below(&r, nr_sources)], to);
		if (rng_one_in(&r, 64))
			usleep(1000);
	}
	return NULL;
}

static void drain(int fd)
{
	static char buf[1 << 20];
	struct nlmsghdr *nlh;
	ssize_t len;
	int err;

	while ((len = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		for (nlh = (void *)buf; NLMSG_OK(nlh, len); nlh = NLMSG_NEXT(nlh, len)) {
			if (nlh->nlmsg_type != NLMSG_ERROR)
				continue;
			memcpy(&err, NLMSG_DATA(nlh), sizeof(err));
			__atomic_add_fetch(&totals->answers, 1, __ATOMIC_RELAXED);
			__atomic_add_fetch(&totals->good, !err, __ATOMIC_RELAXED);
		}
	}
}

/* Whoever sends nonsense must not keep others from being answered. */
static void probe(struct link *l)
{
	static struct found found;
	int err = link_list(l, &found);

	__atomic_add_fetch(&totals->probes, 1, __ATOMIC_RELAXED);
	if (!err)
		return;
	fprintf(stderr, "nlfuzz: a list is not answered: %s\n", strerror(-err));
	exit(1);
}

static void fuzz(struct link *clean, u64 seed, time_t end)
{
	struct link l = { link_socket(), clean->family, 0 };
	struct rng r = { seed };
	static struct msg m;
	int pool[POOL], i;
	pthread_t thread;

	clean->fd = link_socket();
	for (i = 0; i < POOL; i++)
		pool[i] = POOL_FIRST + i;
	pthread_create(&thread, NULL, shuffle, (void *)(uintptr_t)(seed ^ 0x5eed));
	while (time(NULL) < end) {
		msg_random(&m, &r, l.family, ++l.seq, pool, POOL);
		send(l.fd, m.data, m.len, MSG_DONTWAIT);
		drain(l.fd);
		if (!(__atomic_add_fetch(&totals->sent, 1, __ATOMIC_RELAXED) % PROBE_EVERY))
			probe(clean);
	}
	exit(0);
}

/* What came to life by accident. */
static unsigned int sweep(struct link *l, struct rng *r)
{
	static struct found found;
	unsigned int i;

	if (link_list(l, &found))
		return 1;
	for (i = 0; i < found.nr; i++)
		link_detach(l, found.index[i], rng_below(r, 4));
	return found.nr;
}

static bool all_gone(struct link *l, struct rng *r)
{
	unsigned int tries, empty = 0;

	/* A job may still be on its way. */
	for (tries = 0; tries < SWEEPS && empty < 3; tries++) {
		empty = sweep(l, r) ? 0 : empty + 1;
		usleep(500000);
	}
	return empty >= 3;
}

static bool still_works(const char *file)
{
	struct nl_layer layer = { open(file, O_RDWR | O_CLOEXEC), 0 };
	static struct nl nl;
	struct nl_result r = { 0 };

	if (nl_open(&nl) || nl_attach(&nl, &layer, 1, 0, &r) || r.error)
		return false;
	close(layer.fd);
	return !nl_detach(&nl, r.index, 0, &r) && !r.error;
}

static bool run(struct link *l, u64 seed, int processes, int seconds)
{
	time_t end = time(NULL) + seconds;
	struct rng r = { seed };
	u64 swept = 0;
	int i, status;
	bool good = true;

	for (i = 0; i < processes; i++)
		if (!fork())
			fuzz(l, seed + i, end);
	while (time(NULL) < end) {
		swept += sweep(l, &r);
		usleep(100000);
	}
	while (wait(&status) > 0)
		good &= WIFEXITED(status) && !WEXITSTATUS(status);
	printf("# seed %llu: %llu datagrams, %llu answers of which %llu say yes, ",
	       (unsigned long long)seed, (unsigned long long)totals->sent,
	       (unsigned long long)totals->answers, (unsigned long long)totals->good);
	printf("%llu lists, %llu times a device was found and detached\n",
	       (unsigned long long)totals->probes, (unsigned long long)swept);
	return good;
}

int main(int argc, char **argv)
{
	struct link l = { 0 };
	int c, seconds = 20, processes = 3;
	u64 seed = time(NULL);
	struct rng r;

	while ((c = getopt(argc, argv, "s:t:p:")) != -1) {
		if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (c == 't')
			seconds = atoi(optarg);
		else if (c == 'p')
			processes = atoi(optarg);
		else
			return 2;
	}
	if (optind == argc)
		return 2;
	r.state = seed;
	if (link_open(&l)) {
		fprintf(stderr, "nlfuzz: no family\n");
		return 1;
	}
	totals = mmap(NULL, sizeof(*totals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	refuse_all(&l);
	open_sources(argv + optind, argc - optind);
	verdict(run(&l, seed, processes, seconds), "everybody was answered all the time");
	verdict(totals->good && totals->good < totals->answers, "some requests were right");
	verdict(all_gone(&l, &r), "in the end nothing is attached");
	verdict(still_works(argv[optind]), "and an image can be attached");
	return bad ? 1 : 0;
}
