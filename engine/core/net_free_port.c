/* Finding a port for a server that is started later. */
#include "core/net.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The kernel takes the local ports of connections, and port 0, from a range of its own: a port in there may
 * be taken by anybody's connection before its server listens. So the ports below that range are looked at. */
enum { LOWEST = 10000, LEAST_COUNT = 1000, USUAL_FIRST_OF_KERNEL = 32768 };

static int first_of_kernel(void)
{
    int first = USUAL_FIRST_OF_KERNEL;
    FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (f == NULL) return first;
    if (fscanf(f, "%d", &first) != 1) first = USUAL_FIRST_OF_KERNEL;
    fclose(f);
    return first;
}

static int bound(int type, int port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) == 0) return fd;
    close(fd);
    return -1;
}

/* One of the kernel's, where it leaves no others. */
static int any(struct err *e)
{
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    int fd = bound(SOCK_STREAM, 0);
    int rc = fd < 0 ? -1 : getsockname(fd, (struct sockaddr *)&at, &size);
    if (fd >= 0) close(fd);
    if (rc != 0) return err_set(e, ERR_IO, "net free_port", "no free port on 127.0.0.1");
    return ntohs(at.sin_port);
}

/* A name of the same network namespace that nobody else can have as long as this process lives: of two
 * engines that look at the same time only one is given the port. */
static bool is_reserved(int port)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int length = snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "engine-free-port-%d", port);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&at, size) == 0) return true; /* it stays open */
    if (fd >= 0) close(fd);
    return false;
}

static bool is_free(int type, int port)
{
    int fd = bound(type, port);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

int net_free_port(struct err *e)
{
    static unsigned next; /* one after the other, so that none comes twice */
    int count = first_of_kernel() - LOWEST;
    if (count < LEAST_COUNT) return any(e);
    if (next == 0 && getrandom(&next, sizeof next, 0) != sizeof next) next = (unsigned)getpid();
    for (int i = 0; i < count; i++) {
        int port = LOWEST + (int)(next++ % (unsigned)count);
        if (is_free(SOCK_STREAM, port) && is_free(SOCK_DGRAM, port) && is_reserved(port)) return port;
    }
    return any(e);
}
