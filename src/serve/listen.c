/* Listening sockets: TCP on an address of the lake, and the Unix socket in its directory. */
#include "serve/serve_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 1024

/* "host:port", "[v6]:port", ":port" */
static int split(struct weir_str address, char *host, size_t host_size, uint16_t *ret_port, struct weir_error *err)
{
	const char *colon = address.size > 0 ? memrchr(address.data, ':', address.size) : NULL;
	uint64_t port;
	if (colon == NULL ||
		!weir_str_to_u64(
			(struct weir_str){colon + 1, address.size - (size_t)(colon + 1 - address.data)}, &port) ||
		port > 65535)
		return weir_fail(err, WEIR_E_INPUT,
			"'%.*s' is not an address to listen on; write HOST:PORT, such as 127.0.0.1:8080",
			(int)(address.size < 100 ? address.size : 100), address.data);
	struct weir_str name = {address.data, (size_t)(colon - address.data)};
	if (name.size >= 2 && name.data[0] == '[' && name.data[name.size - 1] == ']')
		name = (struct weir_str){name.data + 1, name.size - 2};
	if (name.size >= host_size)
		return weir_fail(err, WEIR_E_INPUT, "the host to listen on is longer than %zu bytes", host_size - 1);
	snprintf(host, host_size, "%.*s", WEIR_STR_ARG(name));
	*ret_port = (uint16_t)port;
	return 0;
}

static bool is_loopback(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		struct sockaddr_in v4;
		memcpy(&v4, address, sizeof v4);
		return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
	}
	struct sockaddr_in6 v6;
	memcpy(&v6, address, sizeof v6);
	return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
	/* The port stands at the same place in both. */
	((struct sockaddr_in *)address)->sin_port = htons(port);
}

static int bound_port(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof address;
	if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
		return 0;
	return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

/* Binds and listens; -1 with errno. */
static int try_listen(const struct sockaddr_storage *address, socklen_t size)
{
	int one = 1;
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (address->ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (bind(fd, (const struct sockaddr *)address, size) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

int listen_tcp(struct weir_str address, bool insecure, bool exact_port, int *ret_fd, bool *ret_loopback, char *ret_url,
	size_t url_size, uint16_t *ret_port, struct weir_error *err)
{
	char host[256];
	uint16_t first = 0;
	int rc = split(address, host, sizeof host, &first, err);
	if (rc < 0)
		return rc;
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE},
			*found = NULL;
	int failed = getaddrinfo(host[0] != '\0' ? host : NULL, "0", &hints, &found);
	if (failed != 0)
		return weir_fail(err, WEIR_E_INPUT, "the address '%s' to listen on is not known: %s", host,
			gai_strerror(failed));
	struct sockaddr_storage storage = {0};
	socklen_t size = found->ai_addrlen;
	memcpy(&storage, found->ai_addr, size);
	freeaddrinfo(found);
	bool loopback = is_loopback((const struct sockaddr *)&storage);
	if (!loopback && !insecure)
		return weir_fail(err, WEIR_E_DENIED,
			"'%.*s' can be reached from other machines and weir has no TLS yet; listen on 127.0.0.1 behind "
			"a proxy "
			"that has, or add --insecure",
			WEIR_STR_ARG(address));
	int fd = -1;
	unsigned tries = exact_port || first == 0 ? 1 : SERVE_PORTS;
	for (unsigned i = 0; i < tries && fd < 0 && first + i <= 65535; i++) {
		set_port(&storage, (uint16_t)(first + i));
		fd = try_listen(&storage, size);
		if (fd < 0 && errno != EADDRINUSE)
			return weir_fail_errno(err, errno, address, "listen on the address");
	}
	if (fd < 0)
		return weir_fail(err, WEIR_E_EXISTS, "port %u%s taken; choose another by --listen", (unsigned)first,
			tries > 1 ? " and the 19 after it are" : " is");
	*ret_port = (uint16_t)bound_port(fd);
	bool v6 = storage.ss_family == AF_INET6;
	const char *shown = host[0] != '\0' ? host : v6 ? "::" : "0.0.0.0";
	snprintf(ret_url, url_size, "http://%s%s%s:%u", strchr(shown, ':') != NULL ? "[" : "", shown,
		strchr(shown, ':') != NULL ? "]" : "", (unsigned)*ret_port);
	*ret_fd = fd;
	*ret_loopback = loopback;
	return 0;
}

/* A path to the socket that fits into sockaddr_un however deep the directory lies: through its descriptor. */
static bool socket_address(int directory_fd, struct sockaddr_un *ret_address)
{
	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	int size = snprintf(
		ret_address->sun_path, sizeof ret_address->sun_path, "/proc/self/fd/%d/weir.sock", directory_fd);
	return size > 0 && (size_t)size < sizeof ret_address->sun_path;
}

int listen_unix(const char *directory, int *ret_fd, struct weir_error *err)
{
	struct weir_str where = weir_str_from(directory);
	struct sockaddr_un address;
	int rc = 0, fd = -1;
	int at = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return weir_fail_errno(err, errno, where, "open the lake's directory");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || !socket_address(at, &address)) {
		rc = weir_fail_errno(err, errno, where, "make the socket weir.sock");
		goto done;
	}
	/* The engine holds the directory's lease: a socket that is there belongs to nobody. */
	unlinkat(at, "weir.sock", 0);
	/* Mode 0600 before anybody can connect: connecting needs listen, which comes last. */
	if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
		fchmodat(at, "weir.sock", 0600, 0) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
		rc = weir_fail_errno(err, errno, where, "listen on weir.sock");
		goto done;
	}
	*ret_fd = fd;
	fd = -1;
done:
	if (fd >= 0)
		close(fd);
	close(at);
	return rc;
}
