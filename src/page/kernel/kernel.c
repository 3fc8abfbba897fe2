/*
 * Computes page ids, a batch in one call: an id is the first 16 bytes of the keyed BLAKE3 of 4096 bytes. Functions for
 * connections are in descriptors.h, those that seal pages in seal.h.
 *
 * A page is a tree of 4 chunks of 1024 bytes, 2 parents and a root. A chunk is a chain of 16 dependent blocks of 64
 * bytes, so chunks are hashed in parallel: see lanes.h. This file chooses the instruction set and checks the arguments
 * from JavaScript: whatever they are, no memory outside of the given arrays is read or written.
 *
 * The addon has no global state, so that any number of threads can load it.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <node_api.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "BLAKE3 reads little-endian words, and so does this file: on this machine the package has to do."
#endif

#define PAGE_BYTES 4096
#define PAGE_CHUNKS 4
#define CHUNK_BYTES 1024
#define CHUNK_BLOCKS 16
#define BLOCK_BYTES 64
#define KEY_BYTES 32
#define ID_BYTES 16
#define LANES_MAX 16

/* BLAKE3's block flags. */
#define CHUNK_START 1
#define CHUNK_END 2
#define PARENT 4
#define ROOT 8
#define KEYED_HASH 16


/* The words of BLAKE3's initial value that keyed hashing uses. */
static const uint32_t INITIAL[4] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a};

#ifndef __has_builtin
#define __has_builtin(name) 0
#endif
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define LANES 4
#define TARGET
#define FOR_SET(name) name##_4
#include "lanes.h"
#undef LANES
#undef TARGET
#undef FOR_SET

#ifdef __x86_64__
#define LANES 8
#define TARGET __attribute__((target("avx2")))
#define FOR_SET(name) name##_8
#include "lanes.h"
#undef LANES
#undef TARGET
#undef FOR_SET

#define LANES 16
#define TARGET __attribute__((target("avx512f")))
#define FOR_SET(name) name##_16
#include "lanes.h"
#endif

/* An instruction set that this file was compiled for. */
struct set {
	const char *name;
	/* Most pages of one call. */
	size_t lanes;
	void (*hash_pages)(const uint32_t key[8], const uint8_t *const pages[], size_t count, uint8_t *ids);
};

static const struct set SETS[] = {
#ifdef __x86_64__
	{"avx512", 16, hash_pages_16},
	{"avx2", 8, hash_pages_8},
	{"sse2", 4, hash_pages_4},
#elif defined(__ARM_NEON)
	{"neon", 4, hash_pages_4},
#else
	{"baseline", 4, hash_pages_4},
#endif
};
#define SET_COUNT (sizeof SETS / sizeof SETS[0])

/* Whether this processor and its operating system support the set. */
static bool has(const struct set *set)
{
#ifdef __x86_64__
	if (set->lanes == 16)
		return __builtin_cpu_supports("avx512f");
	if (set->lanes == 8)
		return __builtin_cpu_supports("avx2");
#endif
	return set->lanes == 4;
}

/* Bytes of a Uint8Array; empty if it is detached. */
struct bytes {
	uint8_t *data;
	size_t length;
};

/* Arguments from JavaScript, after the check of their types. */
struct request {
	const struct set *set;
	struct bytes key;
	struct bytes pages;
	/* Start of each page, or NULL if the pages are consecutive from `first` on. */
	const uint32_t *offsets;
	size_t offset_count;
	uint64_t first;
	uint64_t count;
	struct bytes ids;
	uint64_t id_offset;
};

/* Throw a TypeError or a RangeError; both return false. */
static bool wrong_type(napi_env env, const char *message)
{
	napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
	return false;
}

static bool out_of_range(napi_env env, const char *message)
{
	napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message);
	return false;
}

#include "descriptors.h"

static bool take_array(napi_env env, napi_value value, napi_typedarray_type wanted, void **data, size_t *length)
{
	bool is_array = false;
	napi_typedarray_type type;
	napi_value buffer;
	size_t offset;
	*data = NULL;
	*length = 0;
	if (napi_is_typedarray(env, value, &is_array) != napi_ok || !is_array ||
			napi_get_typedarray_info(env, value, &type, length, data, &buffer, &offset) != napi_ok || type != wanted)
		return false;
	if (*data == NULL)
		*length = 0;
	return true;
}

static bool take_bytes(napi_env env, napi_value value, struct bytes *bytes, const char *message)
{
	void *data;
	bool is_taken = take_array(env, value, napi_uint8_array, &data, &bytes->length);
	bytes->data = data;
	return is_taken || wrong_type(env, message);
}

/* Takes a whole number that a double holds exactly: the sum of two such numbers cannot overflow. */
static bool take_number(napi_env env, napi_value value, uint64_t *number, const char *message)
{
	double given;
	if (napi_get_value_double(env, value, &given) != napi_ok)
		return wrong_type(env, message);
	if (!(given >= 0 && given <= 9007199254740991.0) || given != (double)(uint64_t)given)
		return out_of_range(env, message);
	*number = (uint64_t)given;
	return true;
}

#include "seal.h"

static bool take_set(napi_env env, napi_value value, const struct set **set)
{
	uint64_t index, here = 0;
	if (!take_number(env, value, &index, "the instruction set is to be an index of instructionSets"))
		return false;
	for (size_t i = 0; i < SET_COUNT; i++) {
		if (has(&SETS[i]) && here++ == index) {
			*set = &SETS[i];
			return true;
		}
	}
	return out_of_range(env, "this processor has no such instruction set");
}

static bool take_places(napi_env env, napi_value value, struct request *request)
{
	napi_valuetype type;
	if (napi_typeof(env, value, &type) == napi_ok && type == napi_number)
		return take_number(env, value, &request->first, "the first offset is to be a whole number");
	void *offsets;
	if (!take_array(env, value, napi_uint32_array, &offsets, &request->offset_count))
		return wrong_type(env, "offsets are to be a number or a Uint32Array");
	/* An empty array may have a null pointer. */
	static const uint32_t none;
	request->offsets = offsets == NULL ? &none : offsets;
	return true;
}

static bool take_request(napi_env env, napi_callback_info info, struct request *request)
{
	napi_value values[7];
	size_t count = 7;
	if (napi_get_cb_info(env, info, &count, values, NULL, NULL) != napi_ok || count < 7)
		return wrong_type(env, "hash takes 7 arguments");
	return take_set(env, values[0], &request->set) &&
		take_bytes(env, values[1], &request->key, "the key is to be a Uint8Array") &&
		take_bytes(env, values[2], &request->pages, "pages are to be a Uint8Array") &&
		take_places(env, values[3], request) &&
		take_number(env, values[4], &request->count, "the count is to be a whole number") &&
		take_bytes(env, values[5], &request->ids, "ids are to be a Uint8Array") &&
		take_number(env, values[6], &request->id_offset, "the offset of ids is to be a whole number");
}

/*
 * Start of page `i`, or NULL if it is not within the pages. An offset is read only once, because another thread may
 * change the array.
 */
static const uint8_t *page_at(const struct request *request, uint64_t i)
{
	uint64_t offset = request->offsets == NULL ?
		request->first + i * PAGE_BYTES : ((const volatile uint32_t *)request->offsets)[i];
	if (request->pages.length < PAGE_BYTES || offset > request->pages.length - PAGE_BYTES)
		return NULL;
	return request->pages.data + offset;
}

static bool is_within_bounds(napi_env env, const struct request *request)
{
	if (request->key.length != KEY_BYTES)
		return out_of_range(env, "a page key has 32 bytes");
	if (request->id_offset > request->ids.length ||
			request->count > (request->ids.length - request->id_offset) / ID_BYTES)
		return out_of_range(env, "there is no room for so many ids");
	if (request->offsets != NULL && request->count > request->offset_count)
		return out_of_range(env, "there are fewer offsets than pages");
	/* The count is bounded by memory, so the products below do not overflow. */
	for (uint64_t i = 0; i < request->count; i++)
		if (page_at(request, i) == NULL)
			return out_of_range(env, "a page lies beyond the end");
	return true;
}

/*
 * hash(set, key, pages, offsets, count, ids, idOffset): writes the ids of `count` pages from byte `idOffset` of `ids`.
 * `offsets` is a Uint32Array with the start of each page in `pages`, or the start of the first of consecutive pages.
 * `set` is an index of instructionSets. Throws a TypeError or a RangeError, and then has written nothing.
 */
static napi_value hash(napi_env env, napi_callback_info info)
{
	struct request request = {0};
	if (!take_request(env, info, &request) || !is_within_bounds(env, &request))
		return NULL;
	uint32_t key[KEY_BYTES / 4];
	memcpy(key, request.key.data, KEY_BYTES);
	uint8_t *ids = request.ids.data + request.id_offset;
	const size_t lanes = request.set->lanes;
	for (uint64_t done = 0; done < request.count; done += lanes) {
		const uint8_t *pages[LANES_MAX];
		size_t count = request.count - done < lanes ? request.count - done : lanes;
		for (size_t lane = 0; lane < lanes; lane++) {
			pages[lane] = page_at(&request, done + (lane < count ? lane : 0));
			if (pages[lane] == NULL) {
				/* Another thread has changed the offset since it was checked. */
				out_of_range(env, "a page lies beyond the end");
				return NULL;
			}
		}
		request.set->hash_pages(key, pages, count, ids + done * ID_BYTES);
	}
	return NULL;
}

static bool export(napi_env env, napi_value exports, const char *name, napi_callback callback)
{
	napi_value function;
	return napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, NULL, &function) == napi_ok &&
		napi_set_named_property(env, exports, name, function) == napi_ok;
}

NAPI_MODULE_INIT()
{
	napi_value sets;
	uint32_t count = 0;
	if (napi_create_array(env, &sets) != napi_ok)
		return NULL;
	for (size_t i = 0; i < SET_COUNT; i++) {
		napi_value name;
		if (has(&SETS[i]) && (napi_create_string_utf8(env, SETS[i].name, NAPI_AUTO_LENGTH, &name) != napi_ok ||
				napi_set_element(env, sets, count++, name) != napi_ok))
			return NULL;
	}
	if (!export(env, exports, "hash", hash) || !export(env, exports, "duplicate", duplicate) ||
			!export(env, exports, "peerProcess", peer_process) ||
			!export(env, exports, "connectedPair", connected_pair) ||
			!export(env, exports, "passDescriptor", pass_descriptor) ||
			!export(env, exports, "originalDestination", original_destination) ||
			!export(env, exports, "delivery", delivery) ||
			(can_seal() && !export(env, exports, "sealPages", seal_pages)) ||
			(can_seal() && !export(env, exports, "openPages", open_pages)) ||
			napi_set_named_property(env, exports, "instructionSets", sets) != napi_ok)
		return NULL;
	return exports;
}
