/*
 * Fills most of the memory that is free now with bytes from the kernel's random generator, keeps it mapped, and
 * creates READY. Leaves a margin, so that the system around it goes on as before.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define MARGIN_KIB (48 * 1024L)

static long free_kib(void)
{
	char line[128];
	long kib = 0;
	FILE *file = fopen("/proc/meminfo", "r");
	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "MemAvailable: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

int main(int count, char **arguments)
{
	if (count != 2 || free_kib() <= MARGIN_KIB)
		return 2;
	size_t bytes = (size_t)(free_kib() - MARGIN_KIB) << 10;
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		perror("random: mmap");
		return 1;
	}
	for (size_t done = 0; done < bytes;) {
		ssize_t got = getrandom(memory + done, bytes - done, 0);
		if (got > 0)
			done += got;
	}
	close(open(arguments[1], O_CREAT | O_WRONLY, 0644));
	for (;;)
		pause();
}
