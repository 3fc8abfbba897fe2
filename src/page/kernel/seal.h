/*
 * Seals and opens pages with AES-256-GCM, many in one call, by the OpenSSL that is in Node: Node's own functions take
 * several times as long for a page as the cipher does. They do it where a Node lacks these symbols. The form of a
 * sealed page is in sealed.ts. kernel.c includes this file.
 */
#define SEAL_BYTES 32
#define NONCE_AT 4
#define TAG_AT 16
#define TAG_BYTES 16
#define BOUND_BYTES 16

/* OpenSSL's, as its manual has them since version 1.1; Node does not bring its headers everywhere. */
struct evp_cipher_ctx_st;
struct evp_cipher_st;
#define MAYBE extern __attribute__((weak))
MAYBE struct evp_cipher_ctx_st *EVP_CIPHER_CTX_new(void);
MAYBE void EVP_CIPHER_CTX_free(struct evp_cipher_ctx_st *context);
MAYBE int EVP_CIPHER_CTX_ctrl(struct evp_cipher_ctx_st *context, int type, int number, void *data);
MAYBE const struct evp_cipher_st *EVP_aes_256_gcm(void);
MAYBE int EVP_CipherInit_ex(struct evp_cipher_ctx_st *context, const struct evp_cipher_st *cipher, void *engine,
	const unsigned char *key, const unsigned char *nonce, int is_sealing);
MAYBE int EVP_CipherUpdate(struct evp_cipher_ctx_st *context, unsigned char *out, int *out_length,
	const unsigned char *in, int in_length);
MAYBE int EVP_CipherFinal_ex(struct evp_cipher_ctx_st *context, unsigned char *out, int *out_length);
MAYBE int ERR_set_mark(void);
MAYBE int ERR_pop_to_mark(void);
#define GET_TAG 0x10
#define SET_TAG 0x11

static bool can_seal(void)
{
	return EVP_CIPHER_CTX_new && EVP_CIPHER_CTX_free && EVP_CIPHER_CTX_ctrl && EVP_aes_256_gcm && EVP_CipherInit_ex &&
		EVP_CipherUpdate && EVP_CipherFinal_ex && ERR_set_mark && ERR_pop_to_mark;
}

/* Arguments from JavaScript, after the check of their types. */
struct sealing {
	struct bytes key;
	struct bytes pages;
	const volatile uint32_t *offsets;
	size_t offset_count;
	struct bytes sealed;
	const volatile uint32_t *places;
	size_t place_count;
	struct bytes bound;
	uint64_t first;
	uint64_t behind;
	/* Only of those that open. */
	struct bytes is_open;
};

static bool take_words(napi_env env, napi_value value, const volatile uint32_t **words, size_t *count,
	const char *message)
{
	void *data;
	bool is_taken = take_array(env, value, napi_uint32_array, &data, count);
	*words = data;
	return is_taken || wrong_type(env, message);
}

static bool take_sealing(napi_env env, napi_callback_info info, struct sealing *sealing, bool is_sealing)
{
	napi_value values[9];
	size_t wanted = is_sealing ? 8 : 9;
	size_t count = wanted;
	if (napi_get_cb_info(env, info, &count, values, NULL, NULL) != napi_ok || count < wanted)
		return wrong_type(env, "sealPages takes 8 arguments, openPages 9");
	return take_bytes(env, values[0], &sealing->key, "the key is to be a Uint8Array") &&
		take_bytes(env, values[1], &sealing->pages, "pages are to be a Uint8Array") &&
		take_words(env, values[2], &sealing->offsets, &sealing->offset_count, "offsets are to be a Uint32Array") &&
		take_bytes(env, values[3], &sealing->sealed, "sealed pages are to be a Uint8Array") &&
		take_words(env, values[4], &sealing->places, &sealing->place_count, "places are to be a Uint32Array") &&
		take_bytes(env, values[5], &sealing->bound, "what pages are bound to is to be a Uint8Array") &&
		take_number(env, values[6], &sealing->first, "the first entry is to be a whole number") &&
		take_number(env, values[7], &sealing->behind, "the end of the entries is to be a whole number") &&
		(is_sealing || take_bytes(env, values[8], &sealing->is_open, "isOpen is to be a Uint8Array"));
}

/* Where entry `i` is; false if it is not within its arrays. Each word is read once: another thread may change it. */
static bool entry_at(const struct sealing *sealing, uint64_t i, uint8_t **page, uint8_t **sealed)
{
	uint64_t offset = sealing->offsets[i];
	uint64_t place = sealing->places[i];
	if (sealing->pages.length < PAGE_BYTES || offset > sealing->pages.length - PAGE_BYTES ||
			sealing->sealed.length < SEAL_BYTES + PAGE_BYTES ||
			place > sealing->sealed.length - (SEAL_BYTES + PAGE_BYTES))
		return false;
	*page = sealing->pages.data + offset;
	*sealed = sealing->sealed.data + place;
	return true;
}

static bool are_entries_within(napi_env env, const struct sealing *sealing, bool is_sealing)
{
	uint8_t *page, *sealed;
	if (sealing->key.length != KEY_BYTES)
		return out_of_range(env, "a key has 32 bytes");
	if (sealing->first > sealing->behind || sealing->behind > sealing->offset_count ||
			sealing->behind > sealing->place_count || sealing->behind > sealing->bound.length / BOUND_BYTES ||
			(!is_sealing && sealing->behind > sealing->is_open.length))
		return out_of_range(env, "there are fewer entries");
	for (uint64_t i = sealing->first; i < sealing->behind; i++)
		if (!entry_at(sealing, i, &page, &sealed))
			return out_of_range(env, "a page lies beyond the end");
	return true;
}

static bool seal_page(struct evp_cipher_ctx_st *context, const uint8_t *page, uint8_t *sealed, const uint8_t *bound)
{
	int length;
	return EVP_CipherInit_ex(context, NULL, NULL, NULL, sealed + NONCE_AT, 1) == 1 &&
		EVP_CipherUpdate(context, NULL, &length, bound, BOUND_BYTES) == 1 &&
		EVP_CipherUpdate(context, sealed + SEAL_BYTES, &length, page, PAGE_BYTES) == 1 && length == PAGE_BYTES &&
		EVP_CipherFinal_ex(context, sealed + SEAL_BYTES + PAGE_BYTES, &length) == 1 && length == 0 &&
		EVP_CIPHER_CTX_ctrl(context, GET_TAG, TAG_BYTES, sealed + TAG_AT) == 1;
}

/* False if the tag is wrong; then `page` is as it was. */
static bool open_page(struct evp_cipher_ctx_st *context, uint8_t *page, const uint8_t *sealed, const uint8_t *bound)
{
	int length;
	uint8_t opened[PAGE_BYTES + BLOCK_BYTES];
	uint8_t tag[TAG_BYTES];
	memcpy(tag, sealed + TAG_AT, TAG_BYTES);
	if (EVP_CipherInit_ex(context, NULL, NULL, NULL, sealed + NONCE_AT, 0) != 1 ||
			EVP_CIPHER_CTX_ctrl(context, SET_TAG, TAG_BYTES, tag) != 1 ||
			EVP_CipherUpdate(context, NULL, &length, bound, BOUND_BYTES) != 1 ||
			EVP_CipherUpdate(context, opened, &length, sealed + SEAL_BYTES, PAGE_BYTES) != 1 || length != PAGE_BYTES ||
			EVP_CipherFinal_ex(context, opened + PAGE_BYTES, &length) != 1 || length != 0)
		return false;
	memcpy(page, opened, PAGE_BYTES);
	return true;
}

/* Seals or opens all entries; returns what failed, or NULL. */
static const char *run_entries(const struct sealing *sealing, struct evp_cipher_ctx_st *context, bool is_sealing)
{
	if (EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, sealing->key.data, NULL, is_sealing) != 1)
		return "the key was not taken";
	for (uint64_t i = sealing->first; i < sealing->behind; i++) {
		const uint8_t *bound = sealing->bound.data + i * BOUND_BYTES;
		uint8_t *page, *sealed;
		if (!entry_at(sealing, i, &page, &sealed))
			return "another thread has moved a page";
		if (!is_sealing)
			sealing->is_open.data[i] = open_page(context, page, sealed, bound);
		else if (!seal_page(context, page, sealed, bound))
			return "a page could not be sealed";
	}
	return NULL;
}

static napi_value seal_or_open(napi_env env, napi_callback_info info, bool is_sealing)
{
	struct sealing sealing = {0};
	if (!take_sealing(env, info, &sealing, is_sealing) || !are_entries_within(env, &sealing, is_sealing))
		return NULL;
	struct evp_cipher_ctx_st *context = EVP_CIPHER_CTX_new();
	/* A wrong tag must not be taken for the error of what Node does next. */
	ERR_set_mark();
	const char *failure = context == NULL ? "there is no memory" : run_entries(&sealing, context, is_sealing);
	ERR_pop_to_mark();
	/* This clears the key. */
	EVP_CIPHER_CTX_free(context);
	if (failure != NULL)
		napi_throw_error(env, "ERR_CRYPTO_OPERATION_FAILED", failure);
	return NULL;
}

/*
 * sealPages(key, pages, offsets, sealed, places, bound, first, behind): seals the entries from `first` to `behind`
 * (exclusive), whose nonces are in place. Entry i is the page at byte `offsets[i]` of `pages`, goes to byte `places[i]`
 * of `sealed`, and is bound to the bytes from `i * 16` of `bound`. Throws a TypeError or a RangeError, and then has
 * written nothing.
 */
static napi_value seal_pages(napi_env env, napi_callback_info info)
{
	return seal_or_open(env, info, true);
}

/* openPages(..., isOpen): opens them; `isOpen[i]` becomes 1, or 0 if entry i was not sealed so. */
static napi_value open_pages(napi_env env, napi_callback_info info)
{
	return seal_or_open(env, info, false);
}
