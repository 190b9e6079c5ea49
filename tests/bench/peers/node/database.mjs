// One connection to the benchmark's PostgreSQL, to look at a peer's tables from outside.
import pg from 'pg';
import { options } from './common.mjs';

const pool = new pg.Pool({ connectionString: options.url, max: 1 });

export const rows = async (text, values = []) => (await pool.query(text, values)).rows;
/** Statistics for the planner, as autovacuum would have made them on a system that runs for longer. */
export const analyze = () => pool.query('ANALYZE');
export const disconnect = () => pool.end();
