/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/trigger_index.h"

struct bucket {
	struct trigger_place **at; /* owned; the places are borrowed */
	size_t n, cap;
};

/* How many keys there are of an attribute, of each kind, and of prefixes by their length. */
struct demanded {
	size_t n, n_whole, n_heads, n_prefixes[TRIGGER_KEY_BYTES + 1];
};

struct trigger_index {
	struct map buckets;  /* key → struct bucket, owned */
	struct map demanded; /* name of an attribute → struct demanded, owned */
	struct bucket rest;  /* demand nothing */
	size_t n_conditions; /* of all filters */
	size_t n_steps;      /* of all look-ups */
	uint64_t turn;
};

struct trigger_index *
trigger_index_new(void)
{
	struct trigger_index *index = mem_new(sizeof(*index));

	index->buckets = index->demanded = MAP_INIT;
	return index;
}

void
trigger_index_free(struct trigger_index *index)
{
	if (!index)
		return;
	must(!index->buckets.len && !index->demanded.len && !index->rest.n);
	map_done(&index->buckets);
	map_done(&index->demanded);
	free(index->rest.at);
	free(index);
}

/* ---- buckets ---- */

static void
bucket_add(struct bucket *bucket, struct trigger_place *place)
{
	if (bucket->n == bucket->cap) {
		bucket->cap = bucket->cap ? bucket->cap * 2 : 1;
		bucket->at = mem_grow(bucket->at, bucket->cap * sizeof(*bucket->at));
	}
	bucket->at[bucket->n++] = place;
}

/* A place stands in it as often as its filter names the key. */
static void
bucket_remove(struct bucket *bucket, const struct trigger_place *place)
{
	for (size_t i = bucket->n; i > 0; i--) {
		if (bucket->at[i - 1] != place)
			continue;
		bucket->at[i - 1] = bucket->at[--bucket->n];
		return;
	}
	must(!"a place stands where it was put");
}

static struct str
name_of(struct str key)
{
	return str_of(key.at + 1);
}

static void
demand_count(struct demanded *demanded, struct str key, size_t step)
{
	demanded->n += step;
	if (key.at[0] == 'e')
		demanded->n_whole += step;
	else if (key.at[0] == 'h')
		demanded->n_heads += step;
	else
		demanded->n_prefixes[key.len - name_of(key).len - 2] += step;
}

static void
demand(struct trigger_index *index, struct str key)
{
	struct demanded *demanded = map_find(&index->demanded, name_of(key));

	if (!demanded) {
		demanded = mem_new(sizeof(*demanded));
		map_put(&index->demanded, name_of(key), demanded);
	}
	demand_count(demanded, key, 1);
}

static void
demand_no_more(struct trigger_index *index, struct str key)
{
	struct demanded *demanded = map_find(&index->demanded, name_of(key));

	demand_count(demanded, key, (size_t)-1);
	if (!demanded->n)
		free(map_remove(&index->demanded, name_of(key)));
}

/* ---- in and out ---- */

static size_t
cost_of(struct str key, const void *arg)
{
	const struct trigger_index *index = arg;
	const struct bucket *bucket = map_find(&index->buckets, key);

	return 1 + (bucket ? bucket->n : 0);
}

void
trigger_index_add(struct trigger_index *index, struct trigger_place *place)
{
	index->n_conditions += trigger_filter_conditions(place->filter);
	if (!trigger_filter_keys(place->filter, cost_of, index, &place->keys)) {
		bucket_add(&index->rest, place);
		return;
	}
	for (size_t i = 0; i < place->keys.n; i++) {
		struct bucket *bucket = map_find(&index->buckets, place->keys.at[i]);

		if (!bucket) {
			bucket = mem_new(sizeof(*bucket));
			map_put(&index->buckets, place->keys.at[i], bucket);
		}
		bucket_add(bucket, place);
		demand(index, place->keys.at[i]);
	}
}

void
trigger_index_remove(struct trigger_index *index, struct trigger_place *place)
{
	index->n_conditions -= trigger_filter_conditions(place->filter);
	if (!place->keys.n)
		bucket_remove(&index->rest, place);
	for (size_t i = 0; i < place->keys.n; i++) {
		struct bucket *bucket = map_find(&index->buckets, place->keys.at[i]);

		bucket_remove(bucket, place);
		if (!bucket->n) {
			free(bucket->at);
			free(map_remove(&index->buckets, place->keys.at[i]));
		}
		demand_no_more(index, place->keys.at[i]);
	}
	trigger_keys_done(&place->keys);
}

size_t
trigger_index_conditions(const struct trigger_index *index)
{
	return index->n_conditions;
}

size_t
trigger_index_steps(const struct trigger_index *index)
{
	return index->n_steps;
}

/* ---- looking up ---- */

struct looking {
	struct trigger_index *index;
	const struct event *event;
	void (*each)(struct trigger_place *place, void *arg);
	void *arg;
	size_t n_compared;
	struct buf key; /* owned: made and made again */
};

static void
look_at(struct looking *looking, const struct bucket *bucket)
{
	for (size_t i = 0; bucket && i < bucket->n; i++) {
		struct trigger_place *place = bucket->at[i];

		if (place->turn == looking->index->turn)
			continue;
		place->turn = looking->index->turn;
		looking->n_compared++;
		looking->index->n_steps += 1 + trigger_filter_conditions(place->filter);
		if (trigger_filter_match(place->filter, looking->event))
			looking->each(place, looking->arg);
	}
}

static void
look_up(struct looking *looking, char kind, struct str name, struct str text)
{
	buf_clear(&looking->key);
	trigger_filter_key(kind, name, text, &looking->key);
	look_at(looking, map_find(&looking->index->buckets, buf_str(&looking->key)));
}

static void
look_up_heads(struct looking *looking, struct str name, struct str text)
{
	struct str rest = text;

	for (size_t i = 0; i < TRIGGER_KEY_PARTS && rest.at; i++) {
		struct str part = str_cut(&rest, '.');

		look_up(looking, 'h', name, str_n(text.at, (size_t)(part.at + part.len - text.at)));
	}
}

static void
look_up_prefixes(
	struct looking *looking, const struct demanded *demanded, struct str name, struct str text)
{
	for (size_t len = 1; len <= TRIGGER_KEY_BYTES && len <= text.len; len++)
		if (demanded->n_prefixes[len])
			look_up(looking, 'p', name, str_n(text.at, len));
}

static void
look_up_all(
	struct looking *looking, const struct demanded *demanded, struct str name, struct str text)
{
	if (demanded->n_whole)
		look_up(looking, 'e', name, text);
	if (demanded->n_heads)
		look_up_heads(looking, name, text);
	look_up_prefixes(looking, demanded, name, text);
}

size_t
trigger_index_match(struct trigger_index *index, const struct event *event,
	void (*each)(struct trigger_place *place, void *arg), void *arg)
{
	struct looking looking = {index, event, each, arg, 0, BUF_INIT};

	index->turn++;
	index->n_steps += index->demanded.len;
	look_at(&looking, &index->rest);
	map_each (&index->demanded, entry) {
		const struct demanded *demanded = entry->value;
		struct str name = str_n(entry->key, entry->key_len);
		OWN(mem) char *key = str_dup(name);
		char room[32];
		struct str text = trigger_filter_text(json_object_get(event->json, key), room);

		if (text.at)
			look_up_all(&looking, demanded, name, text);
	}
	buf_done(&looking.key);
	return looking.n_compared;
}
