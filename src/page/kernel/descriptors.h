/*
 * Socket operations that Node lacks: duplicating a descriptor for another thread, the process at the other end, passing
 * a descriptor to that process, the destination before NAT, and the delivery rate. kernel.c includes it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Netfilter's SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST, without the system's headers for them. */
#define ORIGINAL_DESTINATION 80

static bool take_descriptor(napi_env env, napi_callback_info info, int32_t *fd)
{
	napi_value value;
	size_t count = 1;
	if (napi_get_cb_info(env, info, &count, &value, NULL, NULL) != napi_ok || count < 1 ||
			napi_get_value_int32(env, value, fd) != napi_ok)
		return wrong_type(env, "a descriptor is to be a number");
	return true;
}

/*
 * duplicate(fd): a duplicate of descriptor `fd`, with close-on-exec. Throws a TypeError, or an Error whose code is
 * EBADF or EMFILE.
 */
static napi_value duplicate(napi_env env, napi_callback_info info)
{
	napi_value result;
	int32_t fd;
	if (!take_descriptor(env, info, &fd))
		return NULL;
	/* Never 0 to 2: programs use these numbers directly. */
	int other = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (other < 0) {
		napi_throw_error(env, errno == EBADF ? "EBADF" : "EMFILE", strerror(errno));
		return NULL;
	}
	return napi_create_int32(env, other, &result) == napi_ok ? result : NULL;
}

/*
 * peerProcess(fd): the id of the process at the other end of a UNIX connection: the one that connected or listened; 0
 * if it is in a PID namespace that we cannot see. Throws a TypeError, or an Error if it is no connection.
 */
static napi_value peer_process(napi_env env, napi_callback_info info)
{
	napi_value result;
	int32_t fd;
	if (!take_descriptor(env, info, &fd))
		return NULL;
	struct ucred peer;
	socklen_t length = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || length != sizeof(peer)) {
		napi_throw_error(env, "ENOTSOCK", "this is no connection");
		return NULL;
	}
	return napi_create_int32(env, peer.pid, &result) == napi_ok ? result : NULL;
}

/* connectedPair(): the descriptors of two connected UNIX sockets, with close-on-exec. Throws an Error. */
static napi_value connected_pair(napi_env env, napi_callback_info info)
{
	(void)info;
	napi_value result, number;
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
		napi_throw_error(env, "EMFILE", strerror(errno));
		return NULL;
	}
	if (napi_create_array(env, &result) != napi_ok)
		return NULL;
	for (uint32_t i = 0; i < 2; i++)
		if (napi_create_int32(env, ends[i], &number) != napi_ok ||
				napi_set_element(env, result, i, number) != napi_ok)
			return NULL;
	return result;
}

/*
 * passDescriptor(over, fd): sends a duplicate of descriptor `fd`, with one space, to the process at the other end of
 * the UNIX connection `over`. Never waits. Throws a TypeError, or an Error if nothing was sent.
 */
static napi_value pass_descriptor(napi_env env, napi_callback_info info)
{
	napi_value values[2];
	size_t count = 2;
	int32_t over, fd;
	if (napi_get_cb_info(env, info, &count, values, NULL, NULL) != napi_ok || count < 2 ||
			napi_get_value_int32(env, values[0], &over) != napi_ok ||
			napi_get_value_int32(env, values[1], &fd) != napi_ok) {
		wrong_type(env, "a descriptor is to be a number");
		return NULL;
	}
	char space = ' ';
	struct iovec bytes = { &space, 1 };
	union { char room[CMSG_SPACE(sizeof(int))]; struct cmsghdr aligned; } control = { {0} };
	struct msghdr message = {
		.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	const int passed = fd;
	memcpy(CMSG_DATA(header), &passed, sizeof(passed));
	if (sendmsg(over, &message, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
		napi_throw_error(env, errno == EBADF ? "EBADF" : "EIO", strerror(errno));
	return NULL;
}

/*
 * originalDestination(fd): the destination of an accepted TCP connection before this system's NAT, as host:port or
 * [host]:port. Throws a TypeError, or an Error whose code is ENOENT if the kernel tracks no such connection.
 */
static napi_value original_destination(napi_env env, napi_callback_info info)
{
	napi_value result;
	int32_t fd;
	if (!take_descriptor(env, info, &fd))
		return NULL;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
	socklen_t four_length = sizeof(four), six_length = sizeof(six);
	char host[INET6_ADDRSTRLEN] = "", text[INET6_ADDRSTRLEN + sizeof "[]:65535"];
	if (getsockopt(fd, IPPROTO_IPV6, ORIGINAL_DESTINATION, &six, &six_length) == 0 &&
			six_length == sizeof(six) && inet_ntop(AF_INET6, &six.sin6_addr, host, sizeof(host)) != NULL) {
		snprintf(text, sizeof(text), "[%s]:%u", host, ntohs(six.sin6_port));
	} else if (getsockopt(fd, IPPROTO_IP, ORIGINAL_DESTINATION, &four, &four_length) == 0 &&
			four_length == sizeof(four) && inet_ntop(AF_INET, &four.sin_addr, host, sizeof(host)) != NULL) {
		snprintf(text, sizeof(text), "%s:%u", host, ntohs(four.sin_port));
	} else {
		napi_throw_error(env, "ENOENT", "the system knows of no such connection");
		return NULL;
	}
	return napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &result) == napi_ok ? result : NULL;
}

/*
 * delivery(fd): the latest delivery rate of a TCP connection, in bytes a second, and the number of acknowledged bytes.
 * Throws a TypeError, or an Error if the kernel does not report them.
 */
static napi_value delivery(napi_env env, napi_callback_info info)
{
	napi_value result, number;
	int32_t fd;
	if (!take_descriptor(env, info, &fd))
		return NULL;
	struct tcp_info tcp;
	socklen_t length = sizeof(tcp);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &tcp, &length) != 0 ||
			length < offsetof(struct tcp_info, tcpi_delivery_rate) + sizeof(tcp.tcpi_delivery_rate)) {
		napi_throw_error(env, "ENOTSUP", "the system does not say");
		return NULL;
	}
	const double numbers[] = { (double)tcp.tcpi_delivery_rate, (double)tcp.tcpi_bytes_acked };
	if (napi_create_array(env, &result) != napi_ok)
		return NULL;
	for (uint32_t i = 0; i < 2; i++)
		if (napi_create_double(env, numbers[i], &number) != napi_ok ||
				napi_set_element(env, result, i, number) != napi_ok)
			return NULL;
	return result;
}
