/*
 * Shows on the serial port PORT that the guest runs: a dot every PERIOD ms, and after each tenth how much work was done
 * so far, by the 8 bytes at the start of COUNTER, with a line's end. What the machine does with the guest is what shows,
 * not how busy the guest is: this program runs before all others in it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(int count, char **arguments)
{
	if (count != 4)
		return 2;
	int port = open(arguments[1], O_WRONLY | O_NOCTTY);
	struct termios mode;
	if (port == -1 || tcgetattr(port, &mode) == -1)
		return fail("heartbeat: port");
	cfmakeraw(&mode);
	cfsetspeed(&mode, B115200);
	if (tcsetattr(port, TCSANOW, &mode) == -1)
		return fail("heartbeat: port");
	int file = open(arguments[3], O_RDWR | O_CREAT, 0666);
	if (file == -1 || ftruncate(file, sizeof(uint64_t)) == -1)
		return fail("heartbeat: counter");
	volatile uint64_t *done = mmap(NULL, sizeof *done, PROT_READ, MAP_SHARED, file, 0);
	if (done == MAP_FAILED)
		return fail("heartbeat: counter");
	struct sched_param first = { .sched_priority = 1 };
	if (sched_setscheduler(0, SCHED_FIFO, &first) == -1)
		return fail("heartbeat: priority");
	long period = atol(arguments[2]) * 1000000;
	for (unsigned beat = 1;; beat++) {
		struct timespec rest = { .tv_sec = period / 1000000000, .tv_nsec = period % 1000000000 };
		nanosleep(&rest, NULL);
		char said[32] = ".";
		int length = 1;
		if (beat % 10 == 0)
			length = snprintf(said, sizeof said, ".%" PRIu64 "\n", *done);
		if (write(port, said, length) == -1)
			return fail("heartbeat: port");
	}
}
