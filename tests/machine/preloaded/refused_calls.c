/* Preloaded, it lets calls fail for files below a folder as they do on some network file systems:
   REFUSED="flock link mmap rename chmod overwriting"   which; overwriting: renames over a file that is there
   REFUSED_BELOW=/folder   where
   REFUSED_WITH=38         how: a number of errno.h */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int below(const char *path) {
    const char *folder = getenv("REFUSED_BELOW");
    char whole[2 * PATH_MAX];
    if (!folder) return 0;
    if (path[0] != '/') {
        char here[PATH_MAX];
        if (!getcwd(here, sizeof here)) return 0;
        snprintf(whole, sizeof whole, "%s/%s", here, path);
        path = whole;
    }
    return !strncmp(path, folder, strlen(folder));
}

static int refused(const char *call, const char *path) {
    const char *calls = getenv("REFUSED"), *with = getenv("REFUSED_WITH");
    if (!calls || !strstr(calls, call) || !below(path)) return 0;
    errno = with ? atoi(with) : ENOSYS;
    return 1;
}

static int refused_of(const char *call, int file) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = file < 0 ? -1 : readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return refused(call, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int flock(int file, int operation) { return refused_of("flock", file) ? -1 : REAL(flock)(file, operation); }
int link(const char *from, const char *to) { return refused("link", to) ? -1 : REAL(link)(from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
    return refused("link", to) ? -1 : REAL(linkat)(a, from, b, to, flags);
}
int rename(const char *from, const char *to) {
    if (refused("rename", to) || (!access(to, F_OK) && refused("overwriting", to))) return -1;
    return REAL(rename)(from, to);
}
int chmod(const char *path, mode_t mode) { return refused("chmod", path) ? -1 : REAL(chmod)(path, mode); }
int fchmodat(int a, const char *path, mode_t mode, int flags) {
    return refused("chmod", path) ? -1 : REAL(fchmodat)(a, path, mode, flags);
}
void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset) {
    return refused_of("mmap", file) ? MAP_FAILED : REAL(mmap)(at, size, protection, flags, file, offset);
}
void *mmap64(void *at, size_t size, int protection, int flags, int file, off64_t offset) {
    return refused_of("mmap", file) ? MAP_FAILED : REAL(mmap64)(at, size, protection, flags, file, offset);
}
