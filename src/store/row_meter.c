/* SPDX-License-Identifier: Apache-2.0 */
#include "store/row_stmt.h"
#include "store/rows.h"

static const struct row_stmt_field fields[] = {
	ROW_FIELD(CHARS, struct row_meter, org),
	ROW_FIELD(CHARS, struct row_meter, function),
	ROW_FIELD(U64, struct row_meter, hour_ms),
	ROW_FIELD(U64, struct row_meter, n_calls),
	ROW_FIELD(U64, struct row_meter, n_errors),
	ROW_FIELD(U64, struct row_meter, wall_us),
	ROW_FIELD(U64, struct row_meter, cpu_us),
	ROW_FIELD(U64, struct row_meter, bytes_in),
	ROW_FIELD(U64, struct row_meter, bytes_out),
	ROW_FIELD(U64, struct row_meter, memory_mib_us),
	ROW_FIELD(U64, struct row_meter, egress_in),
	ROW_FIELD(U64, struct row_meter, egress_out),
};
static const struct row_stmt_shape shape = ROW_SHAPE("meter", fields);

int
row_meter_add(struct store_db *db, const struct row_meter *row, struct err *err)
{
	static const char sql[] =
		"INSERT INTO meter (org, function, hour_ms, n_calls, n_errors, wall_us, cpu_us,"
		" bytes_in, bytes_out, memory_mib_us, egress_in, egress_out)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
		" ON CONFLICT DO UPDATE SET n_calls = n_calls + ?4, n_errors = n_errors + ?5,"
		" wall_us = wall_us + ?6, cpu_us = cpu_us + ?7, bytes_in = bytes_in + ?8,"
		" bytes_out = bytes_out + ?9, memory_mib_us = memory_mib_us + ?10,"
		" egress_in = egress_in + ?11, egress_out = egress_out + ?12";

	return row_stmt_write(db, sql, &shape, row, err);
}

int
row_meter_list(struct store_db *db, const char *org, uint64_t from_ms, uint64_t to_ms,
	bool (*each)(const struct row_meter *row, void *arg), void *arg, struct err *err)
{
	static const char sql[] =
		"SELECT org, function, hour_ms, n_calls, n_errors, wall_us, cpu_us, bytes_in,"
		" bytes_out, memory_mib_us, egress_in, egress_out FROM meter"
		" WHERE org = ?1 AND hour_ms >= ?2 AND hour_ms < ?3 ORDER BY hour_ms, function";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	struct row_meter row;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_text(&stmt, 1, org);
	row_stmt_bind_u64(&stmt, 2, from_ms);
	row_stmt_bind_u64(&stmt, 3, to_ms);
	while ((rc = row_stmt_next(&stmt, &shape, &row, err)) > 0)
		if (!each(&row, arg))
			break;
	return rc < 0 ? rc : 0;
}
