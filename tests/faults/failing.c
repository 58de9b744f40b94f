/* A disk that fails: preloaded into a program, it has one call that changes something below a directory fail, or all from there on.
 *
 *   cc -shared -fPIC -o failing.so failing.c;  LD_PRELOAD=failing.so FAULT_BELOW=/dir FAULT_AT=7 FAULT_HOW=EIO program
 *
 *   FAULT_BELOW   only files whose path begins so; with "$" behind it, only this file
 *   FAULT_CALL    only calls of this name
 *   FAULT_AT      which call, counted from 1; 0: none
 *   FAULT_HOW     EIO, ENOSPC, EROFS; SHORT: a write takes half of what it is given
 *   FAULT_STICKY  set: all calls from that one on
 *   FAULT_READS   set: calls that read count too
 *   FAULT_LOG     a file that gets a line "NUMBER CALL PATH" for each call, "!" in front when it failed, "/" behind a directory
 *
 * It is for the program itself: its children are spared, but when the disk is dead for good.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { GO_ON, FAIL, SHORTEN };

static const char *below, *log_name, *only;
static long at, counter;
static int error, is_sticky, with_reads;

__attribute__((constructor)) static void begin(void) {
    const char *how = getenv("FAULT_HOW"), *number = getenv("FAULT_AT");
    below = getenv("FAULT_BELOW");
    log_name = getenv("FAULT_LOG");
    only = getenv("FAULT_CALL");
    at = number ? atol(number) : 0;
    is_sticky = getenv("FAULT_STICKY") != NULL;
    with_reads = getenv("FAULT_READS") != NULL;
    if (how && !strcmp(how, "EIO")) error = EIO;
    if (how && !strcmp(how, "ENOSPC")) error = ENOSPC;
    if (how && !strcmp(how, "EROFS")) error = EROFS;
    if (how && !strcmp(how, "SHORT")) error = -1;
    unsetenv("FAULT_AT"); /* for children */
    unsetenv("FAULT_LOG");
}

static void note(int failed, const char *call, const char *path) {
    if (!log_name) return;
    char line[4300];
    int fd = syscall(SYS_openat, AT_FDCWD, log_name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int size = snprintf(line, sizeof line, "%s%ld %s %s\n", failed ? "!" : "", counter, call, path);
    syscall(SYS_write, fd, line, (size_t)size);
    syscall(SYS_close, fd);
}

static int is_meant(const char *path) {
    size_t size = strlen(below);
    if (size && below[size - 1] == '$') return strlen(path) == size - 1 && !strncmp(path, below, size - 1);
    return !strncmp(path, below, size);
}

static int met(const char *call, const char *path, int can_be_short) {
    if (!below || (only && strcmp(only, call)) || !is_meant(path)) return GO_ON;
    int before = errno;
    long number = __sync_add_and_fetch(&counter, 1);
    int hit = at && (number == at || (is_sticky && number > at)) && (error > 0 || can_be_short);
    note(hit, call, path);
    errno = before;
    if (!hit) return GO_ON;
    if (is_sticky) setenv("FAULT_AT", "1", 1); /* the children to come have the same disk */
    if (error < 0) return SHORTEN;
    errno = error;
    return FAIL;
}

static int met_fd(const char *call, int fd, int can_be_short) {
    char link[40], path[4097];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 2);
    errno = before;
    if (size <= 0) return GO_ON;
    struct stat found;
    if (!fstat(fd, &found) && S_ISDIR(found.st_mode) && path[size - 1] != '/') path[size++] = '/';
    path[size] = 0;
    errno = before;
    return met(call, path, can_be_short);
}

static int met_at(const char *call, int directory, const char *name) {
    char link[40], path[8300];
    int before = errno;
    ssize_t size = 0;
    if (*name != '/') {
        if (directory == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        size = readlink(link, path, 4095);
        if (size < 0) size = 0;
        path[size++] = '/';
    }
    snprintf(path + size, sizeof path - size, "%s", name);
    errno = before;
    return met(call, path, 0);
}

#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define WRITE(name, parameters, arguments, halved, ...) \
    ssize_t name parameters { REAL(ssize_t, name, __VA_ARGS__); \
        switch (met_fd(#name, fd, size > 1)) { case FAIL: return -1; case SHORTEN: return real halved; default: return real arguments; } }
WRITE(write, (int fd, const void *data, size_t size), (fd, data, size), (fd, data, size / 2), int, const void *, size_t)
WRITE(pwrite, (int fd, const void *data, size_t size, off_t to), (fd, data, size, to), (fd, data, size / 2, to), int, const void *, size_t, off_t)
WRITE(pwrite64, (int fd, const void *data, size_t size, off64_t to), (fd, data, size, to), (fd, data, size / 2, to), int, const void *, size_t, off64_t)

#define READ(name, parameters, arguments, ...) \
    ssize_t name parameters { REAL(ssize_t, name, __VA_ARGS__); if (with_reads && met_fd(#name, fd, 0) == FAIL) return -1; return real arguments; }
READ(read, (int fd, void *data, size_t size), (fd, data, size), int, void *, size_t)
READ(pread, (int fd, void *data, size_t size, off_t from), (fd, data, size, from), int, void *, size_t, off_t)
READ(pread64, (int fd, void *data, size_t size, off64_t from), (fd, data, size, from), int, void *, size_t, off64_t)

#define ON_FD(name, parameters, arguments, ...) \
    int name parameters { REAL(int, name, __VA_ARGS__); return met_fd(#name, fd, 0) == FAIL ? -1 : real arguments; }
ON_FD(fsync, (int fd), (fd), int)
ON_FD(fdatasync, (int fd), (fd), int)
ON_FD(ftruncate, (int fd, off_t size), (fd, size), int, off_t)
ON_FD(ftruncate64, (int fd, off64_t size), (fd, size), int, off64_t)
ON_FD(fchmod, (int fd, mode_t mode), (fd, mode), int, mode_t)
ON_FD(fchown, (int fd, uid_t user, gid_t group), (fd, user, group), int, uid_t, gid_t)
ON_FD(fallocate, (int fd, int mode, off_t from, off_t size), (fd, mode, from, size), int, int, off_t, off_t)

/* posix_fallocate(3) returns its error */
int posix_fallocate64(int fd, off64_t from, off64_t size) {
    REAL(int, posix_fallocate64, int, off64_t, off64_t);
    return met_fd("posix_fallocate", fd, 0) == FAIL ? errno : real(fd, from, size);
}
int posix_fallocate(int fd, off_t from, off_t size) { return posix_fallocate64(fd, from, size); }

#define COPY(name, parameters, arguments, ...) \
    ssize_t name parameters { REAL(ssize_t, name, __VA_ARGS__); return met_fd(#name, fd, 0) == FAIL ? -1 : real arguments; }
COPY(sendfile, (int fd, int source, off_t *from, size_t size), (fd, source, from, size), int, int, off_t *, size_t)
COPY(sendfile64, (int fd, int source, off64_t *from, size_t size), (fd, source, from, size), int, int, off64_t *, size_t)
COPY(copy_file_range, (int source, off64_t *from, int fd, off64_t *to, size_t size, unsigned flags), (source, from, fd, to, size, flags),
     int, off64_t *, int, off64_t *, size_t, unsigned)

#define ON_NAME(name, parameters, arguments, directory, path, ...) \
    int name parameters { REAL(int, name, __VA_ARGS__); return met_at(#name, directory, path) == FAIL ? -1 : real arguments; }
ON_NAME(unlink, (const char *path), (path), AT_FDCWD, path, const char *)
ON_NAME(unlinkat, (int directory, const char *path, int flags), (directory, path, flags), directory, path, int, const char *, int)
ON_NAME(rmdir, (const char *path), (path), AT_FDCWD, path, const char *)
ON_NAME(mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path, const char *, mode_t)
ON_NAME(mkdirat, (int directory, const char *path, mode_t mode), (directory, path, mode), directory, path, int, const char *, mode_t)
ON_NAME(chmod, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path, const char *, mode_t)
ON_NAME(rename, (const char *from, const char *to), (from, to), AT_FDCWD, to, const char *, const char *)
ON_NAME(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), b, to, int, const char *, int, const char *)
ON_NAME(renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags), b, to,
        int, const char *, int, const char *, unsigned)
ON_NAME(link, (const char *from, const char *to), (from, to), AT_FDCWD, to, const char *, const char *)
ON_NAME(linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags), b, to,
        int, const char *, int, const char *, int)
ON_NAME(symlink, (const char *from, const char *to), (from, to), AT_FDCWD, to, const char *, const char *)

#define CHANGES(flags) ((flags) & (O_CREAT | O_TRUNC))
#define OPEN(name) int name(const char *path, int flags, ...) { \
        va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
        REAL(int, name, const char *, int, ...); \
        if (CHANGES(flags) && met_at("open", AT_FDCWD, path) == FAIL) return -1; \
        return real(path, flags, mode); }
OPEN(open)
OPEN(open64)
#define OPENAT(name) int name(int directory, const char *path, int flags, ...) { \
        va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
        REAL(int, name, int, const char *, int, ...); \
        if (CHANGES(flags) && met_at("open", directory, path) == FAIL) return -1; \
        return real(directory, path, flags, mode); }
OPENAT(openat)
OPENAT(openat64)
