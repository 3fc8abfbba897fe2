/* Writes new content into every page of MEBIBYTES of memory, over and over; creates READY after the first round. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int count, char **arguments)
{
	if (count != 3)
		return 2;
	size_t bytes = (size_t)atoi(arguments[1]) << 20;
	uint64_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		perror("dirty: mmap");
		return 1;
	}
	uint64_t state = ((uint64_t)getpid() << 32) ^ 0x9e3779b97f4a7c15;
	for (uint64_t round = 0;; round++) {
		for (size_t i = 0; i < bytes / sizeof *memory; i++) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			memory[i] = state;
		}
		if (round == 0)
			close(open(arguments[2], O_CREAT | O_WRONLY, 0644));
	}
}
