/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/peer_frame.h"

/* ---- writing ---- */

size_t
peer_frame_begin(struct buf *out, const struct peer_frame *head)
{
	size_t begun = out->len;

	buf_add(out, head, sizeof(*head));
	return begun;
}

void
peer_frame_add(struct buf *out, struct str text)
{
	uint32_t len = (uint32_t)text.len;

	must(text.len <= PEER_FRAME_BYTES);
	buf_add(out, &len, sizeof(len));
	buf_add_str(out, text);
}

void
peer_frame_end(struct buf *out, size_t begun)
{
	size_t size = out->len - begun - sizeof(struct peer_frame);
	uint32_t written = (uint32_t)size;

	must(size <= PEER_FRAME_BYTES);
	memcpy(out->at + begun + offsetof(struct peer_frame, size), &written, sizeof(written));
}

/* ---- reading ---- */

int64_t
peer_frame_next(struct str bytes, unsigned kinds, struct peer_frame *ret, struct str *ret_texts,
	struct err *err)
{
	struct peer_frame head;

	if (bytes.len < sizeof(head))
		return 0;
	memcpy(&head, bytes.at, sizeof(head));
	if (head.kind == 0 || head.kind >= kinds)
		return err_set(err, ERR_INVALID, "a frame of unknown kind %u", head.kind);
	if (head.size > PEER_FRAME_BYTES)
		return err_set(err, ERR_INVALID, "a frame of %u bytes", head.size);
	if (head.zero != 0 || head.code > 0 || head.code <= -ERR_COUNT_)
		return err_set(err, ERR_INVALID, "a frame of kind %u with a wrong head", head.kind);
	if (bytes.len - sizeof(head) < head.size)
		return 0;
	*ret = head;
	*ret_texts = str_n(bytes.at + sizeof(head), head.size);
	return (int64_t)(sizeof(head) + head.size);
}

bool
peer_frame_cut(struct str *texts, void *ret, size_t n)
{
	if (texts->len < n)
		return false;
	memcpy(ret, texts->at, n);
	*texts = str_n(texts->at + n, texts->len - n);
	return true;
}

bool
peer_frame_take(struct str *texts, struct str *ret)
{
	struct str rest = *texts;
	uint32_t len;

	*ret = STR("");
	if (!peer_frame_cut(&rest, &len, sizeof(len)) || rest.len < len)
		return false;
	*ret = str_n(rest.at, len);
	*texts = str_n(rest.at + len, rest.len - len);
	return true;
}
