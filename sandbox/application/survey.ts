/** app survey: answers to a question, kept in the database. */
import type { Database, Tables } from './database';
import { Fault, json, type Handlers } from './http';
import type { Settings } from './settings';

export const surveyTables: Tables = {
  survey_answers: `CREATE TABLE IF NOT EXISTS survey_answers (
    id bigserial PRIMARY KEY, given_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    mood int NOT NULL CHECK (mood BETWEEN 1 AND 5), comment text NOT NULL DEFAULT '', site text NOT NULL, epoch int NOT NULL)`,
};

const longestComment = 2_000;
const latest = 20;

export const surveyHandlers = (database: Database, settings: Settings): Handlers => ({
  'POST /answers': async (request) => {
    const { mood, comment = '' } = ((await request.json()) ?? {}) as { mood?: unknown; comment?: unknown };
    if (typeof mood !== 'number' || !Number.isInteger(mood) || mood < 1 || mood > 5) {
      throw new Fault(400, 'BadValue', `mood is ${JSON.stringify(mood)}; allowed is a whole number from 1 to 5`);
    }
    if (typeof comment !== 'string' || comment.length > longestComment) {
      throw new Fault(400, 'BadValue', `comment is not a text of at most ${longestComment} characters`);
    }
    const { rows } = await database.query<{ id: string }>(
      'INSERT INTO survey_answers (mood, comment, site, epoch) VALUES ($1, $2, $3, $4) RETURNING id',
      [mood, comment, settings.site, settings.epoch],
    );
    return json(201, { id: Number(rows[0]?.id) });
  },
  'GET /answers': async () => {
    const { rows: totals } = await database.query(
      'SELECT count(*)::int AS count, avg(mood)::float AS "averageMood" FROM survey_answers',
    );
    const { rows } = await database.query(
      'SELECT id::float AS id, given_at AS "givenAt", mood, comment FROM survey_answers ORDER BY id DESC LIMIT $1',
      [latest],
    );
    return json(200, { ...totals[0], latest: rows });
  },
});
