/* Preloaded, it sets a program's wall clock off, and no clock that counts from the machine's start, and no sleep:
   CLOCK_OFF=-420               by how many seconds
   CLOCK_RIGHT_IN=SLURM_JOB_ID  a variable of processes whose clock is right all the same */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static time_t off(void) {
    const char *seconds = getenv("CLOCK_OFF"), *right = getenv("CLOCK_RIGHT_IN");
    return !seconds || (right && getenv(right)) ? 0 : atol(seconds);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = REAL(clock_gettime)(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += off();
    return failed;
}
int gettimeofday(struct timeval *now, void *zone) {
    int failed = REAL(gettimeofday)(now, zone);
    if (!failed) now->tv_sec += off();
    return failed;
}
time_t time(time_t *now) {
    time_t found = REAL(time)(NULL) + off();
    if (now) *now = found;
    return found;
}
