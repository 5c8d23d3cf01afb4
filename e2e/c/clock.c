/*
 * A wall clock that can be moved while the monotonic one goes on as it does, preloaded into a function.
 *
 * The file named by MSK_E2E_CLOCK holds one signed 64-bit number: how many milliseconds the wall clock is ahead. It is
 * mapped, so a change is seen at the next look. libfaketime does the same, but knows only POSIX threads: librdkafka waits
 * with C11's cnd_timedwait, and its deadlines on the wall clock would be met hours late.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define MS_PER_S 1000
#define NS_PER_MS 1000000L
#define NS_PER_S 1000000000L

/* A deadline on the monotonic clock counts from the machine's start; one on the wall clock is past 2001. */
#define EARLIEST_WALL_S 1000000000

static const _Atomic int64_t no_offset = 0;
static const _Atomic int64_t *offset = &no_offset;

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_cond_timedwait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
static int (*real_cnd_timedwait)(cnd_t *, mtx_t *, const struct timespec *);

__attribute__((constructor)) static void start(void)
{
    real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    real_cond_timedwait = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))dlsym(
        RTLD_NEXT, "pthread_cond_timedwait");
    real_cnd_timedwait = (int (*)(cnd_t *, mtx_t *, const struct timespec *))dlsym(RTLD_NEXT, "cnd_timedwait");
    const char *path = getenv("MSK_E2E_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED)
        offset = mapped;
}

static void move(struct timespec *time, int64_t ms)
{
    int64_t ns = time->tv_nsec + (ms % MS_PER_S) * NS_PER_MS;
    time->tv_sec += ms / MS_PER_S;
    if (ns < 0) {
        ns += NS_PER_S;
        time->tv_sec -= 1;
    } else if (ns >= NS_PER_S) {
        ns -= NS_PER_S;
        time->tv_sec += 1;
    }
    time->tv_nsec = ns;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    /* Another library's constructor can look before ours has run. */
    if (!real_clock_gettime)
        start();
    int result = real_clock_gettime(clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        move(time, atomic_load_explicit(offset, memory_order_relaxed));
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    (void)zone;
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    if (result == 0) {
        time->tv_sec = now.tv_sec;
        time->tv_usec = now.tv_nsec / 1000;
    }
    return result;
}

time_t time(time_t *out)
{
    struct timespec now;
    time_t seconds = clock_gettime(CLOCK_REALTIME, &now) == 0 ? now.tv_sec : (time_t)-1;
    if (out)
        *out = seconds;
    return seconds;
}

int timespec_get(struct timespec *time, int base)
{
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, time) == 0 ? base : 0;
}

/* The same moment on the real clock. */
static struct timespec real_deadline(const struct timespec *deadline)
{
    struct timespec real = *deadline;
    if (real.tv_sec >= EARLIEST_WALL_S)
        move(&real, -atomic_load_explicit(offset, memory_order_relaxed));
    return real;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict deadline)
{
    struct timespec real = real_deadline(deadline);
    return real_cond_timedwait(condition, mutex, &real);
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict deadline)
{
    struct timespec real = real_deadline(deadline);
    return real_cnd_timedwait(condition, mutex, &real);
}
