/*
 * Writes new content into every page of MEBIBYTES of memory, over and over; creates READY after the first round. With
 * MEBIBYTES_A_SECOND it writes text, which compresses well, and no more of it than that.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MEBIBYTE ((size_t)1 << 20)
#define SECOND_NS 1000000000

static const char LINE[] = "record 00000000 was written, and has nothing more to say of it.\n";
enum { LINE_BYTES = sizeof LINE - 1, NUMBER_AT = 7, NUMBER_DIGITS = 8 };

static uint64_t next_word(void)
{
	static uint64_t state;
	if (state == 0)
		state = ((uint64_t)getpid() << 32) ^ 0x9e3779b97f4a7c15;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void write_noise(char *memory)
{
	for (size_t at = 0; at < MEBIBYTE; at += sizeof(uint64_t)) {
		uint64_t word = next_word();
		memcpy(memory + at, &word, sizeof word);
	}
}

static void write_text(char *memory)
{
	for (size_t at = 0; at < MEBIBYTE; at += LINE_BYTES) {
		uint64_t word = next_word();
		memcpy(memory + at, LINE, LINE_BYTES);
		for (int digit = 0; digit < NUMBER_DIGITS; digit++, word >>= 4)
			memory[at + NUMBER_AT + digit] = "0123456789abcdef"[word & 15];
	}
}

/* Waits until the next MiB may be written; what was not written in time is not made up for. */
static void keep_pace(long mebibytes_a_second)
{
	static struct timespec due;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec > due.tv_sec || (now.tv_sec == due.tv_sec && now.tv_nsec > due.tv_nsec))
		due = now;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
	due.tv_nsec += SECOND_NS / mebibytes_a_second;
	due.tv_sec += due.tv_nsec / SECOND_NS;
	due.tv_nsec %= SECOND_NS;
}

int main(int count, char **arguments)
{
	if (count != 3 && count != 4)
		return 2;
	size_t bytes = (size_t)atoi(arguments[1]) * MEBIBYTE;
	long mebibytes_a_second = count == 4 ? atol(arguments[3]) : 0;
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		perror("dirty: mmap");
		return 1;
	}
	for (uint64_t round = 0;; round++) {
		for (size_t at = 0; at < bytes; at += MEBIBYTE) {
			if (mebibytes_a_second > 0)
				keep_pace(mebibytes_a_second);
			(mebibytes_a_second > 0 ? write_text : write_noise)(memory + at);
		}
		if (round == 0)
			close(open(arguments[2], O_CREAT | O_WRONLY, 0644));
	}
}
