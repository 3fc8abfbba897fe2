/*
 * The hash itself, for LANES lanes of 32 bits; kernel.c includes it once for each instruction set.
 *
 * Parameters: LANES (4, 8 or 16), TARGET (an attribute of every function here, because helpers do not inherit it from
 * their callers) and FOR_SET(name), which makes a name unique to this instruction set.
 *
 * A lane is one chunk of 1024 bytes. A group is LANES / 4 pages: its chunks fill all lanes. Up to 4 groups, that is
 * LANES pages, are hashed in one call: the parents of two groups fill all lanes, as do the roots of four groups.
 */
#ifndef EVEN
#define CHUNK_OF(lane) (lane) % PAGE_CHUNKS
/* Source index of element `lane` in a shuffle of two vectors; the second vector's elements count from LANES on. */
#define EVEN(lane) 2 * (lane)
#define ODD(lane) 2 * (lane) + 1
/* Words 0 and 1, or 2 and 3, of each 4 words, alternately from both vectors. */
#define WORDS_LOW(lane) (lane) / 4 * 4 + (lane) % 4 / 2 + (lane) % 2 * LANES
#define WORDS_HIGH(lane) WORDS_LOW(lane) + 2
/* Half of each 4 words of the first vector, then the same half of the second. */
#define PAIRS_LOW(lane) (lane) / 4 * 4 + (lane) % 2 + (lane) % 4 / 2 * LANES
#define PAIRS_HIGH(lane) PAIRS_LOW(lane) + 2
/* Every other 4, or 8, words of both vectors. */
#define FOURS_LOW(lane) ((lane) & 4 ? LANES + (lane) - 4 : (lane))
#define FOURS_HIGH(lane) ((lane) & 4 ? LANES + (lane) : (lane) + 4)
#define EIGHTS_LOW(lane) ((lane) & 8 ? LANES + (lane) - 8 : (lane))
#define EIGHTS_HIGH(lane) ((lane) & 8 ? LANES + (lane) : (lane) + 8)
#endif

#define VECTOR FOR_SET(vector)
#define INLINE TARGET static inline __attribute__((always_inline))
#define GROUP_PAGES (LANES / PAGE_CHUNKS)

typedef uint32_t VECTOR __attribute__((vector_size(LANES * 4)));

/* Calls INDEX for each lane. */
#define FOUR(INDEX, from) INDEX(from), INDEX(from + 1), INDEX(from + 2), INDEX(from + 3)
#if LANES == 4
#define EACH(INDEX) FOUR(INDEX, 0)
#elif LANES == 8
#define EACH(INDEX) FOUR(INDEX, 0), FOUR(INDEX, 4)
#else
#define EACH(INDEX) FOUR(INDEX, 0), FOUR(INDEX, 4), FOUR(INDEX, 8), FOUR(INDEX, 12)
#endif

#if __has_builtin(__builtin_shufflevector)
#define SHUFFLE(a, b, INDEX) __builtin_shufflevector(a, b, EACH(INDEX))
#else
#define SHUFFLE(a, b, INDEX) __builtin_shuffle(a, b, (VECTOR){EACH(INDEX)})
#endif

/* Replaces rows `first` and `second` by two shuffles of them. */
#define CROSS(rows, first, second, LOW, HIGH) do { \
		VECTOR low = SHUFFLE((rows)[first], (rows)[second], LOW); \
		VECTOR high = SHUFFLE((rows)[first], (rows)[second], HIGH); \
		(rows)[first] = low; \
		(rows)[second] = high; \
	} while (0)

/*
 * Transposes a square of words: afterwards row i holds word i of all rows. First blocks of 4 x 4 words are transposed
 * by shuffles within 128 bits, which every instruction set has; then whole blocks change places.
 */
INLINE void FOR_SET(transpose)(VECTOR rows[LANES])
{
	UNROLL for (int i = 0; i < LANES; i += 2)
		CROSS(rows, i, i + 1, WORDS_LOW, WORDS_HIGH);
	UNROLL for (int i = 0; i < LANES; i += 4) {
		CROSS(rows, i, i + 2, PAIRS_LOW, PAIRS_HIGH);
		CROSS(rows, i + 1, i + 3, PAIRS_LOW, PAIRS_HIGH);
		/* The order of words is now 0, 2, 1, 3. */
		VECTOR second = rows[i + 2];
		rows[i + 2] = rows[i + 1];
		rows[i + 1] = second;
	}
#if LANES >= 8
	UNROLL for (int i = 0; i < LANES; i++)
		if ((i & 4) == 0)
			CROSS(rows, i, i + 4, FOURS_LOW, FOURS_HIGH);
#endif
#if LANES >= 16
	UNROLL for (int i = 0; i < 8; i++)
		CROSS(rows, i, i + 8, EIGHTS_LOW, EIGHTS_HIGH);
#endif
}

#define ROTATE(x, bits) ((x) >> (bits) | (x) << (32 - (bits)))

/* AVX2 has no rotation. Rotating whole bytes by a shuffle was measured 15 % faster. */
#if LANES == 8 && __has_builtin(__builtin_shufflevector)
typedef uint8_t byte_vector __attribute__((vector_size(32)));
#define TURNED_1(byte) ((byte) & ~3) + ((byte) + 1) % 4
#define TURNED_2(byte) ((byte) & ~3) + ((byte) + 2) % 4
#define ROTATE_BYTES(x, bytes) ((VECTOR)__builtin_shufflevector((byte_vector)(x), (byte_vector)(x), \
	FOUR(TURNED_##bytes, 0), FOUR(TURNED_##bytes, 4), FOUR(TURNED_##bytes, 8), FOUR(TURNED_##bytes, 12), \
	FOUR(TURNED_##bytes, 16), FOUR(TURNED_##bytes, 20), FOUR(TURNED_##bytes, 24), FOUR(TURNED_##bytes, 28)))
#else
#define ROTATE_BYTES(x, bytes) ROTATE(x, (bytes) * 8)
#endif

/* BLAKE3's quarter round, for all lanes at once. */
#define MIX(a, b, c, d, x, y) do { \
		v[a] += v[b] + (x); \
		v[d] = ROTATE_BYTES(v[d] ^ v[a], 2); \
		v[c] += v[d]; \
		v[b] = ROTATE(v[b] ^ v[c], 12); \
		v[a] += v[b] + (y); \
		v[d] = ROTATE_BYTES(v[d] ^ v[a], 1); \
		v[c] += v[d]; \
		v[b] = ROTATE(v[b] ^ v[c], 7); \
	} while (0)

/* One round: columns first, then diagonals. The arguments are the round's order of the message words. */
#define ROUND(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p) do { \
		MIX(0, 4, 8, 12, words[a], words[b]); \
		MIX(1, 5, 9, 13, words[c], words[d]); \
		MIX(2, 6, 10, 14, words[e], words[f]); \
		MIX(3, 7, 11, 15, words[g], words[h]); \
		MIX(0, 5, 10, 15, words[i], words[j]); \
		MIX(1, 6, 11, 12, words[k], words[l]); \
		MIX(2, 7, 8, 13, words[m], words[n]); \
		MIX(3, 4, 9, 14, words[o], words[p]); \
	} while (0)

/* Compresses one full block in each lane; `chain` is the chaining value, in and out. */
INLINE void FOR_SET(compress)(VECTOR chain[8], const VECTOR words[16], VECTOR *counter, uint32_t flags)
{
	VECTOR zero = {0};
	VECTOR v[16];
	UNROLL for (int i = 0; i < 8; i++)
		v[i] = chain[i];
	UNROLL for (int i = 0; i < 4; i++)
		v[8 + i] = zero + INITIAL[i];
	v[12] = *counter;
	v[13] = zero;
	v[14] = zero + BLOCK_BYTES;
	v[15] = zero + flags;
	ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	ROUND(2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8);
	ROUND(3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1);
	ROUND(10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6);
	ROUND(12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4);
	ROUND(9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7);
	ROUND(11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13);
	UNROLL for (int i = 0; i < 8; i++)
		chain[i] = v[i] ^ v[i + 8];
}

INLINE void FOR_SET(begin)(VECTOR chain[8], const uint32_t key[8])
{
	VECTOR zero = {0};
	UNROLL for (int i = 0; i < 8; i++)
		chain[i] = zero + key[i];
}

/* Hashes the chunks of a group: lane i is chunk i % 4 of page i / 4. */
TARGET static void FOR_SET(hash_chunks)(const uint32_t key[8], const uint8_t *const pages[], VECTOR out[8])
{
	VECTOR counter = {EACH(CHUNK_OF)};
	VECTOR chain[8];
	FOR_SET(begin)(chain, key);
	for (int block = 0; block < CHUNK_BLOCKS; block++) {
		VECTOR words[16];
		/* A vector holds LANES words of a block. */
		UNROLL for (int part = 0; part < 16; part += LANES) {
			UNROLL for (int lane = 0; lane < LANES; lane++) {
				const uint8_t *chunk = pages[lane / PAGE_CHUNKS] + lane % PAGE_CHUNKS * CHUNK_BYTES;
				memcpy(&words[part + lane], chunk + block * BLOCK_BYTES + part * 4, sizeof(VECTOR));
			}
			FOR_SET(transpose)(words + part);
		}
		uint32_t flags = KEYED_HASH | (block == 0 ? CHUNK_START : 0) | (block == CHUNK_BLOCKS - 1 ? CHUNK_END : 0);
		FOR_SET(compress)(chain, words, &counter, flags);
	}
	memcpy(out, chain, sizeof chain);
}

/* Hashes neighbouring pairs of the lanes of `first` followed by `second`: lane i is the parent of pair i. */
TARGET static void FOR_SET(hash_parents)(
	const uint32_t key[8], const VECTOR first[8], const VECTOR second[8], uint32_t flags, VECTOR out[8])
{
	VECTOR counter = {0};
	VECTOR words[16], chain[8];
	UNROLL for (int i = 0; i < 8; i++) {
		words[i] = SHUFFLE(first[i], second[i], EVEN);
		words[8 + i] = SHUFFLE(first[i], second[i], ODD);
	}
	FOR_SET(begin)(chain, key);
	FOR_SET(compress)(chain, words, &counter, KEYED_HASH | PARENT | flags);
	memcpy(out, chain, sizeof chain);
}

/*
 * Hashes `count` pages, 1 to LANES, and writes their ids consecutively. All LANES entries of `pages` must point to a
 * page: those from `count` on may be read, and their result is not used.
 */
TARGET static void FOR_SET(hash_pages)(
	const uint32_t key[8], const uint8_t *const pages[], size_t count, uint8_t *ids)
{
	VECTOR chunks[4][8], parents[2][8], roots[8];
	size_t groups = (count + GROUP_PAGES - 1) / GROUP_PAGES;
	FOR_SET(hash_chunks)(key, pages, chunks[0]);
	for (size_t group = 1; group < groups; group++)
		FOR_SET(hash_chunks)(key, pages + group * GROUP_PAGES, chunks[group]);
	/* A missing group is replaced by an existing one; its result is not used. */
	FOR_SET(hash_parents)(key, chunks[0], chunks[groups > 1 ? 1 : 0], 0, parents[0]);
	if (groups > 2)
		FOR_SET(hash_parents)(key, chunks[2], chunks[groups > 3 ? 3 : 2], 0, parents[1]);
	FOR_SET(hash_parents)(key, parents[0], parents[groups > 2 ? 1 : 0], ROOT, roots);
	for (size_t page = 0; page < count; page++) {
		for (int word = 0; word < ID_BYTES / 4; word++) {
			uint32_t value = roots[word][page];
			memcpy(ids + page * ID_BYTES + word * 4, &value, sizeof value);
		}
	}
}

#undef VECTOR
#undef INLINE
#undef GROUP_PAGES
#undef FOUR
#undef EACH
#undef SHUFFLE
#undef CROSS
#undef ROTATE
#undef ROTATE_BYTES
#undef MIX
#undef ROUND
